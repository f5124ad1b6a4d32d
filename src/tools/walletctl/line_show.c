#include "tools/walletctl/line_show.h"

#include "tools/walletctl/reply_json.h"
#include "tools/walletctl/text_table.h"

#include <string.h>

enum { TEXT_ROOM = 256, INDENT = 2, ITEMS_SHOWN = 3 };

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

static int number_of(const json_t *object, const char *key) {
    return (int)json_integer_value(json_object_get(object, key));
}

static void say(const char *mark, const char *text, ctl_style_t style, bool color, FILE *out) {
    (void)fprintf(out, "%*s", INDENT, "");
    (void)fputs(mark, out);
    ctl_text_print(text, style, color, out);
    (void)fputc('\n', out);
}

/* ---- records -------------------------------------------------------------------------------- */

static bool field_failed(const json_t *record, const char *field) {
    size_t index = 0;
    const json_t *one = NULL;
    json_array_foreach(json_object_get(record, "failed"), index, one) {
        if (strcmp(text_of(one, "field"), field) == 0) {
            return true;
        }
    }
    return false;
}

static const char *source_words(const json_t *field) {
    const char *from = text_of(field, "from");
    if (strcmp(from, "integration") == 0) {
        return "(configuration)";
    }
    return strcmp(from, "walletd") == 0 ? "(start of the pull)" : from;
}

static void show_fields(const json_t *record, bool color, FILE *out) {
    static const char *const heads[] = {"", "field", "from", "answer", "kept"};
    ctl_table_t *table = ctl_table_new("lllll");
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        ctl_table_cell(table, CTL_STYLE_DIM, heads[i]);
    }
    size_t index = 0;
    const json_t *field = NULL;
    json_array_foreach(json_object_get(record, "fields"), index, field) {
        bool failed = field_failed(record, text_of(field, "field"));
        bool there = json_is_string(json_object_get(field, "raw"));
        bool kept = json_is_string(json_object_get(field, "kept"));
        ctl_table_cell(table, failed ? CTL_STYLE_BAD : CTL_STYLE_GOOD, failed ? "x" : " ");
        ctl_table_cell(table, CTL_STYLE_PLAIN, text_of(field, "field"));
        ctl_table_cell(table, CTL_STYLE_DIM, source_words(field));
        ctl_table_cell(table, CTL_STYLE_PLAIN, there ? text_of(field, "raw") : "not there");
        ctl_table_cell(table, kept ? CTL_STYLE_BOLD : CTL_STYLE_DIM,
                       kept ? text_of(field, "kept") : "-");
    }
    ctl_table_print(table, INDENT, color, out);
    ctl_table_destroy(&table);
}

static void show_record(const json_t *record, bool color, FILE *out) {
    bool taken = json_is_true(json_object_get(record, "taken"));
    bool known = json_is_string(json_object_get(record, "uid"));
    (void)fprintf(out, "\nrecord %d, %s%s: ", number_of(record, "index") + 1,
                  known ? "user " : "user not known", text_of(record, "uid"));
    ctl_text_print(taken ? "good" : "refused", taken ? CTL_STYLE_GOOD : CTL_STYLE_BAD, color, out);
    (void)fputc('\n', out);
    show_fields(record, color, out);
    size_t index = 0;
    const json_t *one = NULL;
    json_array_foreach(json_object_get(record, "failed"), index, one) {
        say("x ", text_of(one, "reason"), CTL_STYLE_BAD, color, out);
    }
    json_array_foreach(json_object_get(record, "hints"), index, one) {
        say("! ", json_string_value(one), CTL_STYLE_WARN, color, out);
    }
}

/* ---- answers -------------------------------------------------------------------------------- */

static void show_answer(const json_t *answer, bool color, FILE *out) {
    const char *reason = text_of(answer, "reason");
    (void)fputc('\n', out);
    ctl_text_print(text_of(answer, "source"), CTL_STYLE_BOLD, color, out);
    (void)fputc('\n', out);
    if (reason[0] != '\0') {
        say("x ", reason, CTL_STYLE_BAD, color, out);
        return;
    }
    size_t index = 0;
    const json_t *one = NULL;
    json_array_foreach(json_object_get(answer, "records"), index, one) {
        show_record(one, color, out);
    }
    (void)fputc('\n', out);
    json_array_foreach(json_object_get(answer, "missing"), index, one) {
        (void)fprintf(out, "user %s: no record, which changes nothing for this user\n",
                      json_string_value(one));
    }
    json_array_foreach(json_object_get(answer, "held"), index, one) {
        (void)fprintf(out, "user %s: nothing is stored, the last good values stay\n",
                      json_string_value(one));
    }
    int taken = number_of(answer, "taken");
    int refused = number_of(answer, "refused");
    size_t shown = json_array_size(json_object_get(answer, "records"));
    if ((size_t)(taken + refused) > shown) {
        (void)fprintf(out, "the first %zu records are shown\n", shown);
    }
    (void)fprintf(out, "%d good, %d refused\n", taken, refused);
}

/* ---- pages ---------------------------------------------------------------------------------- */

static void cell_amount(ctl_table_t *table, const json_t *object, const char *key) {
    char amount[TEXT_ROOM];
    char text[2 * TEXT_ROOM];
    ctl_amount_text(json_object_get(object, key), number_of(object, "scale"), amount,
                    sizeof amount);
    (void)snprintf(text, sizeof text, "%s %s", amount, text_of(object, "unit"));
    ctl_table_cell(table, CTL_STYLE_BOLD, text);
}

static void show_items(const json_t *items, bool color, FILE *out) {
    ctl_table_t *table = ctl_table_new("llrl");
    size_t index = 0;
    const json_t *item = NULL;
    json_array_foreach(items, index, item) {
        if (index < ITEMS_SHOWN) {
            ctl_table_cell(table, CTL_STYLE_PLAIN, text_of(item, "id"));
            ctl_table_cell(table, CTL_STYLE_DIM, text_of(item, "time"));
            cell_amount(table, item, "amount");
            ctl_table_cell(table, CTL_STYLE_PLAIN, text_of(item, "title"));
        }
    }
    ctl_table_print(table, INDENT, color, out);
    ctl_table_destroy(&table);
}

static void show_page(const json_t *page, bool color, FILE *out) {
    const char *reason = text_of(page, "reason");
    const json_t *items = json_object_get(page, "items");
    (void)fputc('\n', out);
    ctl_text_print(text_of(page, "source"), CTL_STYLE_BOLD, color, out);
    (void)fputc('\n', out);
    if (reason[0] != '\0') {
        say("x ", reason, CTL_STYLE_BAD, color, out);
    } else if (items != NULL) {
        show_items(items, color, out);
        (void)fprintf(out, "%zu items%s\n", json_array_size(items),
                      json_is_true(json_object_get(page, "more")) ? ", and a next page" : "");
    } else {
        ctl_table_t *table = ctl_table_new("lrlr");
        ctl_table_cell(table, CTL_STYLE_PLAIN, "in");
        cell_amount(table, page, "in");
        ctl_table_cell(table, CTL_STYLE_PLAIN, "out");
        cell_amount(table, page, "out");
        ctl_table_print(table, INDENT, color, out);
        ctl_table_destroy(&table);
        (void)fprintf(out, "%s items\n", text_of(page, "count"));
    }
}

void ctl_show_line_test(const json_t *test, bool color, FILE *out) {
    (void)fprintf(out, "line %s, configuration %s, %s\n", text_of(test, "line"),
                  text_of(test, "config"), text_of(test, "shape"));
    size_t index = 0;
    const json_t *one = NULL;
    json_array_foreach(json_object_get(test, "answers"), index, one) {
        show_answer(one, color, out);
    }
    json_array_foreach(json_object_get(test, "pages"), index, one) {
        show_page(one, color, out);
    }
}
