#include "tools/walletctl/show.h"

#include "base/clock.h"
#include "tools/walletctl/reply_json.h"
#include "tools/walletctl/text_table.h"

#include <string.h>

enum { AMOUNT_ROOM = 64, AGE_ROOM = 32, WORD_ROOM = 256 };

/* ---- words ---------------------------------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

static json_int_t number_of(const json_t *object, const char *key) {
    return json_integer_value(json_object_get(object, key));
}

/* How long ago a wall time was: "3s", "5m", "2h", "9d". */
static void age_text(const json_t *at, char *into, size_t room) {
    static const struct {
        int64_t ms;
        const char *unit;
    } steps[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    if (!json_is_integer(at) || json_integer_value(at) <= 0) {
        (void)snprintf(into, room, "-");
        return;
    }
    int64_t age = wl_wall_now().ms - json_integer_value(at);
    if (age <= 0) {
        (void)snprintf(into, room, "now");
        return;
    }
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (age >= steps[i].ms) {
            (void)snprintf(into, room, "%lld%s ago", (long long)(age / steps[i].ms), steps[i].unit);
            return;
        }
    }
}

static ctl_style_t freshness_style(const char *freshness) {
    if (strcmp(freshness, "fresh") == 0) {
        return CTL_STYLE_GOOD;
    }
    if (strcmp(freshness, "refreshing") == 0) {
        return CTL_STYLE_WARN;
    }
    return strcmp(freshness, "missing") == 0 ? CTL_STYLE_DIM : CTL_STYLE_BAD;
}

static const char *freshness_mark(const char *freshness) {
    if (strcmp(freshness, "fresh") == 0) {
        return "●";
    }
    if (strcmp(freshness, "refreshing") == 0) {
        return "◐";
    }
    return strcmp(freshness, "missing") == 0 ? "·" : "○";
}

static bool is_link(const json_t *item) {
    return strcmp(text_of(item, "kind"), "link") == 0;
}

/* What somebody would call the value: "12.50 CNY", "3 pieces", "-" when nothing is known. */
static void value_text(const json_t *item, char *into, size_t room) {
    char amount[AMOUNT_ROOM];
    if (is_link(item)) {
        (void)snprintf(into, room, "%s", text_of(json_object_get(item, "extra"), "link"));
        return;
    }
    const char *unit = text_of(item, "unit");
    if (unit[0] == '\0' && json_is_string(json_object_get(item, "amount"))) {
        json_int_t count = number_of(item, "count");
        (void)snprintf(into, room, "%lld %s", (long long)count, count == 1 ? "piece" : "pieces");
        return;
    }
    ctl_amount_text(json_object_get(item, "amount"), number_of(item, "scale"), amount,
                    sizeof amount);
    bool known = strcmp(amount, "-") != 0 && unit[0] != '\0';
    (void)snprintf(into, room, "%s%s%s", amount, known ? " " : "", known ? unit : "");
}

/* "+3.00" while something is owed, else nothing. */
static void pending_text(const json_t *item, char *into, size_t room) {
    const char *pending = text_of(item, "pending");
    char amount[AMOUNT_ROOM];
    into[0] = '\0';
    if (pending[0] != '\0' && strcmp(pending, "0") != 0) {
        ctl_amount_text(json_object_get(item, "pending"), number_of(item, "scale"), amount,
                        sizeof amount);
        (void)snprintf(into, room, "%s%s pending", pending[0] == '-' ? "" : "+", amount);
    }
}

static void cell_freshness(ctl_table_t *table, const json_t *item) {
    char text[WORD_ROOM];
    const char *freshness = text_of(item, "freshness");
    (void)snprintf(text, sizeof text, "%s %s", freshness_mark(freshness), freshness);
    ctl_table_cell(table, freshness_style(freshness), text);
}

static void cell_age(ctl_table_t *table, const json_t *item) {
    char text[AGE_ROOM];
    age_text(json_object_get(item, "as_of"), text, sizeof text);
    ctl_table_cell(table, CTL_STYLE_DIM, text);
}

/* What is owed; of a value that may not be shown as one, what it was. */
static void beside_text(const json_t *item, char *into, size_t room) {
    const json_t *last = json_object_get(item, "last_good");
    char amount[AMOUNT_ROOM];
    if (!json_is_string(last)) {
        pending_text(item, into, room);
        return;
    }
    ctl_amount_text(last, number_of(item, "scale"), amount, sizeof amount);
    (void)snprintf(into, room, "was %s %s", amount, text_of(item, "unit"));
}

static void cell_value(ctl_table_t *table, const json_t *item) {
    char text[WORD_ROOM];
    value_text(item, text, sizeof text);
    ctl_table_cell(table, CTL_STYLE_BOLD, text);
    beside_text(item, text, sizeof text);
    ctl_table_cell(table, CTL_STYLE_WARN, text);
}

static void heading(const char *text, bool color, FILE *out) {
    (void)fputc('\n', out);
    ctl_text_print(text, CTL_STYLE_BOLD, color, out);
    (void)fputc('\n', out);
}

/* The line, and the campaign that shows it: "rebate (eleven)". */
static void cell_line(ctl_table_t *table, ctl_style_t style, const json_t *shown) {
    char text[WORD_ROOM];
    const char *campaign = text_of(shown, "campaign");
    (void)snprintf(text, sizeof text, campaign[0] == '\0' ? "%s" : "%s (%s)",
                   text_of(shown, "line"), campaign);
    ctl_table_cell(table, style, text);
}

/* ---- wallets -------------------------------------------------------------------------------- */

void ctl_show_golden(const json_t *golden, bool color, FILE *out) {
    (void)fprintf(out, "user %s   ", text_of(golden, "uid"));
    bool owns = json_is_true(json_object_get(golden, "has_assets"));
    ctl_text_print(owns ? "owns something" : "owns nothing", owns ? CTL_STYLE_GOOD : CTL_STYLE_DIM,
                   color, out);
    (void)fputc('\n', out);
    heading("Golden slots", color, out);
    ctl_table_t *table = ctl_table_new("rlrllll");
    size_t index;
    const json_t *slot;
    json_array_foreach(json_object_get(golden, "golden"), index, slot) {
        char position[AGE_ROOM];
        (void)snprintf(position, sizeof position, "%lld", (long long)number_of(slot, "position"));
        ctl_table_cell(table, CTL_STYLE_DIM, position);
        if (text_of(slot, "line")[0] == '\0') {
            ctl_table_cell(table, CTL_STYLE_DIM, "(empty)");
            for (int i = 0; i < 5; i++) {
                ctl_table_cell(table, CTL_STYLE_PLAIN, "");
            }
            continue;
        }
        ctl_table_cell(table, CTL_STYLE_PLAIN, text_of(slot, "title"));
        cell_value(table, slot);
        cell_freshness(table, slot);
        cell_age(table, slot);
        cell_line(table, CTL_STYLE_DIM, slot);
    }
    ctl_table_print(table, 2, color, out);
    ctl_table_destroy(&table);
}

static void show_items(const json_t *items, bool color, FILE *out) {
    ctl_table_t *table = ctl_table_new("llrlllll");
    size_t index;
    const json_t *item;
    json_array_foreach(items, index, item) {
        cell_line(table, CTL_STYLE_PLAIN, item);
        ctl_table_cell(table, CTL_STYLE_PLAIN, text_of(item, "bucket"));
        cell_value(table, item);
        if (is_link(item)) {
            ctl_table_cell(table, CTL_STYLE_PLAIN, "");
            ctl_table_cell(table, CTL_STYLE_PLAIN, "");
            ctl_table_cell(table, CTL_STYLE_PLAIN, "");
        } else {
            const char *state = text_of(item, "state");
            ctl_table_cell(table, strcmp(state, "available") == 0 ? CTL_STYLE_PLAIN : CTL_STYLE_BAD,
                           state);
            cell_freshness(table, item);
            cell_age(table, item);
        }
        const json_t *named =
            json_object_get(item, "campaign") != NULL ? item : json_object_get(item, "extra");
        ctl_table_cell(table, CTL_STYLE_DIM, text_of(named, "title"));
    }
    ctl_table_print(table, 2, color, out);
    ctl_table_destroy(&table);
}

static void show_totals(const json_t *totals, bool color, FILE *out) {
    size_t index;
    const json_t *total;
    json_array_foreach(totals, index, total) {
        char value[WORD_ROOM];
        char pending[WORD_ROOM];
        if (json_is_true(json_object_get(total, "overflow"))) {
            (void)snprintf(value, sizeof value, "too large to add");
        } else {
            value_text(total, value, sizeof value);
        }
        pending_text(total, pending, sizeof pending);
        (void)fputs("  total ", out);
        ctl_text_print(value, CTL_STYLE_BOLD, color, out);
        (void)fprintf(out, pending[0] == '\0' ? "%s\n" : "  %s\n", pending);
    }
}

static void show_degraded(const json_t *reply, bool color, FILE *out) {
    size_t index;
    const json_t *line;
    json_array_foreach(json_object_get(reply, "degraded"), index, line) {
        if (index == 0) {
            heading("Degraded: shown as last known", color, out);
        }
        (void)fputs("  ", out);
        const char *name = json_string_value(line);
        ctl_text_print(name == NULL ? "?" : name, CTL_STYLE_BAD, color, out);
        (void)fputc('\n', out);
    }
}

void ctl_show_home(const json_t *home, bool color, FILE *out) {
    ctl_show_golden(home, color, out);
    size_t index;
    const json_t *section;
    json_array_foreach(json_object_get(home, "sections"), index, section) {
        heading(text_of(section, "title")[0] != '\0' ? text_of(section, "title")
                                                     : text_of(section, "kind"),
                color, out);
        show_items(json_object_get(section, "items"), color, out);
        const json_t *totals = json_object_get(section, "totals");
        if (json_array_size(json_object_get(section, "items")) > 1) {
            show_totals(totals, color, out);
        }
    }
    show_degraded(home, color, out);
    (void)fputc('\n', out);
    ctl_text_print("configuration ", CTL_STYLE_DIM, color, out);
    ctl_text_print(text_of(home, "config_version"), CTL_STYLE_DIM, color, out);
    (void)fputc('\n', out);
}

void ctl_show_assets(const json_t *assets, bool color, FILE *out) {
    const json_t *list = json_object_get(assets, "assets");
    (void)fprintf(out, "user %s   %zu %s\n", text_of(assets, "uid"), json_array_size(list),
                  json_array_size(list) == 1 ? "asset" : "assets");
    show_items(list, color, out);
    show_degraded(assets, color, out);
}

/* ---- everything else ------------------------------------------------------------------------ */

static void scalar_text(const json_t *value, char *into, size_t room) {
    if (json_is_string(value)) {
        (void)snprintf(into, room, "%s", json_string_value(value));
    } else if (json_is_integer(value)) {
        (void)snprintf(into, room, "%lld", (long long)json_integer_value(value));
    } else if (json_is_real(value)) {
        (void)snprintf(into, room, "%.4g", json_real_value(value));
    } else if (json_is_boolean(value)) {
        (void)snprintf(into, room, "%s", json_is_true(value) ? "yes" : "no");
    } else if (json_is_null(value)) {
        (void)snprintf(into, room, "-");
    } else {
        char *text = json_dumps(value, JSON_COMPACT);
        (void)snprintf(into, room, "%s", text == NULL ? "-" : text);
        free(text);
    }
}

static bool is_nested(const json_t *value) {
    return json_is_object(value) ||
           (json_is_array(value) && json_is_object(json_array_get(value, 0)));
}

/* Times of the admin methods are wall clock: people want to know how long ago. */
static void field_text(const char *key, const json_t *value, char *into, size_t room) {
    size_t bytes = strlen(key);
    bool time = strcmp(key, "at") == 0 || strcmp(key, "since") == 0 ||
                (bytes > 3 && strcmp(key + bytes - 3, "_at") == 0);
    if (time && json_is_integer(value)) {
        age_text(value, into, room);
    } else {
        scalar_text(value, into, room);
    }
}

/* Columns are the keys of the first row. */
static void show_rows(const json_t *rows, unsigned indent, bool color, FILE *out) {
    const json_t *first = json_array_get(rows, 0);
    char columns[65] = "";
    const char *key;
    json_t *value;
    size_t count = 0;
    json_object_foreach((json_t *)first, key, value) {
        if (count < sizeof columns - 1) {
            columns[count++] = json_is_number(value) ? 'r' : 'l';
        }
    }
    if (count == 0) {
        return;
    }
    ctl_table_t *table = ctl_table_new(columns);
    size_t column = 0;
    json_object_foreach((json_t *)first, key, value) {
        if (column++ < count) {
            ctl_table_cell(table, CTL_STYLE_DIM, key);
        }
    }
    size_t index;
    const json_t *row;
    json_array_foreach(rows, index, row) {
        column = 0;
        json_object_foreach((json_t *)first, key, value) {
            char text[WORD_ROOM];
            if (column++ < count) {
                field_text(key, json_object_get(row, key), text, sizeof text);
                ctl_table_cell(table, CTL_STYLE_PLAIN, text);
            }
        }
    }
    ctl_table_print(table, indent, color, out);
    ctl_table_destroy(&table);
}

void ctl_show_any(const json_t *object, unsigned indent, bool color, FILE *out) {
    const char *key;
    json_t *value;
    ctl_table_t *table = ctl_table_new("ll");
    json_object_foreach((json_t *)object, key, value) {
        char text[WORD_ROOM];
        if (!is_nested(value)) {
            field_text(key, value, text, sizeof text);
            ctl_table_cell(table, CTL_STYLE_DIM, key);
            ctl_table_cell(table, CTL_STYLE_PLAIN,
                           json_is_array(value) && json_array_size(value) == 0 ? "none" : text);
        }
    }
    ctl_table_print(table, indent, color, out);
    ctl_table_destroy(&table);
    json_object_foreach((json_t *)object, key, value) {
        if (!is_nested(value)) {
            continue;
        }
        (void)fprintf(out, "%*s", (int)indent, "");
        ctl_text_print(key, CTL_STYLE_BOLD, color, out);
        (void)fputc('\n', out);
        if (json_is_array(value)) {
            show_rows(value, indent + 2, color, out);
        } else {
            ctl_show_any(value, indent + 2, color, out);
        }
    }
}

void ctl_show_stats(const json_t *stats, bool color, FILE *out) {
    ctl_table_t *table = ctl_table_new("llr");
    size_t index;
    const json_t *actor;
    json_array_foreach(json_object_get(stats, "actors"), index, actor) {
        char name[WORD_ROOM];
        (void)snprintf(name, sizeof name, "%s.%lld", text_of(actor, "actor"),
                       (long long)number_of(actor, "instance"));
        const char *key;
        json_t *value;
        json_object_foreach(json_object_get(actor, "counters"), key, value) {
            char text[WORD_ROOM];
            scalar_text(value, text, sizeof text);
            if (strcmp(text, "0") != 0) {
                ctl_table_cell(table, CTL_STYLE_DIM, name);
                ctl_table_cell(table, CTL_STYLE_PLAIN, key);
                ctl_table_cell(table, CTL_STYLE_PLAIN, text);
            }
        }
    }
    ctl_table_print(table, 0, color, out);
    ctl_table_destroy(&table);
}
