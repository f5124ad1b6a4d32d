#include "tools/walletctl/statement.h"

#include "base/limits.h"
#include "tools/walletctl/reply_json.h"
#include "tools/walletctl/text_table.h"

#include <string.h>
#include <time.h>

enum { LIMIT_DEFAULT = 20, TEXT_ROOM = 96 };

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

static void cell_amount(ctl_table_t *table, const json_t *item, const char *key) {
    char amount[TEXT_ROOM];
    char text[2 * TEXT_ROOM];
    ctl_amount_text(json_object_get(item, key), json_integer_value(json_object_get(item, "scale")),
                    amount, sizeof amount);
    (void)snprintf(text, sizeof text, "%s %s", amount, text_of(item, "unit"));
    ctl_table_cell(table, CTL_STYLE_BOLD, text);
}

static void cell_time(ctl_table_t *table, const json_t *at) {
    char text[TEXT_ROOM] = "-";
    time_t seconds = (time_t)(json_integer_value(at) / 1000);
    struct tm when;
    if (json_is_integer(at) && localtime_r(&seconds, &when) != NULL) {
        (void)strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &when);
    }
    ctl_table_cell(table, CTL_STYLE_DIM, text);
}

/* ---- details -------------------------------------------------------------------------------- */

static ctl_exit_t details_ask(const ctl_options_t *options, uint64_t uid, size_t wanted,
                              const char *cursor, json_t **ret_page) {
    ctl_args_t args;
    ctl_args_init(&args);
    ctl_args_u64(&args, "uid", uid);
    ctl_args_u64(&args, "limit", wanted < WL_DETAILS_MAX ? wanted : WL_DETAILS_MAX);
    if (options->line != NULL) {
        ctl_args_text(&args, "line", options->line);
    }
    if (options->month != NULL) {
        ctl_args_text(&args, "month", options->month);
    }
    if (options->kind != NULL) {
        ctl_args_text(&args, "kind", options->kind);
    }
    if (cursor != NULL) {
        ctl_args_text(&args, "cursor", cursor);
    }
    return ctl_ask(options, CTL_READER, "wallet.details", &args, ret_page);
}

static void items_show(const json_t *items, bool color) {
    ctl_table_t *table = ctl_table_new("llrl");
    size_t index = 0;
    const json_t *item = NULL;
    json_array_foreach(items, index, item) {
        cell_time(table, json_object_get(item, "time"));
        ctl_table_cell(table, CTL_STYLE_PLAIN, text_of(item, "line"));
        cell_amount(table, item, "amount");
        const char *title = text_of(item, "title");
        ctl_table_cell(table, CTL_STYLE_PLAIN, title[0] != '\0' ? title : text_of(item, "id"));
    }
    ctl_table_print(table, 0, color, stdout);
    ctl_table_destroy(&table);
}

static void lines_tell(const json_t *page, const char *key, const char *words) {
    size_t index = 0;
    const json_t *line = NULL;
    json_array_foreach(json_object_get(page, key), index, line) {
        if (json_is_string(line)) {
            (void)ctl_complain(CTL_EXIT_OK, "%s %s", json_string_value(line), words);
        }
    }
}

/* One object with all items; the rest is of the last page. */
static void page_append(json_t **all, json_t *page) {
    if (*all == NULL) {
        *all = page;
        return;
    }
    json_t *items = json_incref(json_object_get(*all, "items"));
    (void)json_array_extend(items, json_object_get(page, "items"));
    (void)json_object_set_new(page, "items", items);
    json_decref(*all);
    *all = page;
}

ctl_exit_t ctl_details(const ctl_options_t *options, int count, char **words) {
    (void)count;
    uint64_t uid = 0;
    if (!ctl_uid_parse(words[0], &uid)) {
        return ctl_complain(CTL_EXIT_USAGE, "\"%s\" is no user id: digits only, 1 to 2^64-1",
                            words[0]);
    }
    size_t wanted = options->limit == 0 ? LIMIT_DEFAULT : (size_t)options->limit;
    json_t *all = NULL;
    const char *cursor = NULL;
    ctl_exit_t code = CTL_EXIT_OK;
    do {
        json_t *page = NULL;
        size_t have = json_array_size(json_object_get(all, "items"));
        code = details_ask(options, uid, wanted - have, cursor, &page);
        if (code != CTL_EXIT_OK) {
            break;
        }
        size_t more = json_array_size(json_object_get(page, "items"));
        page_append(&all, page);
        cursor = json_string_value(json_object_get(all, "next"));
        if (more == 0) {
            break; /* those that are left do not answer now */
        }
    } while (cursor != NULL && json_array_size(json_object_get(all, "items")) < wanted);
    if (code == CTL_EXIT_OK && options->json) {
        ctl_print_json(all);
    } else if (code == CTL_EXIT_OK) {
        items_show(json_object_get(all, "items"), options->color);
        lines_tell(all, "degraded", "has not answered: what it holds is missing here");
        lines_tell(all, "unauthorized", "is left out: the user has not given consent");
    }
    json_decref(all);
    return code;
}

/* ---- summary -------------------------------------------------------------------------------- */

ctl_exit_t ctl_summary(const ctl_options_t *options, int count, char **words) {
    uint64_t uid = 0;
    if (!ctl_uid_parse(words[0], &uid)) {
        return ctl_complain(CTL_EXIT_USAGE, "\"%s\" is no user id: digits only, 1 to 2^64-1",
                            words[0]);
    }
    ctl_args_t args;
    ctl_args_init(&args);
    ctl_args_u64(&args, "uid", uid);
    ctl_args_text(&args, "line", words[1]);
    const char *month = count > 2 ? words[2] : options->month;
    if (month != NULL) {
        ctl_args_text(&args, "month", month);
    }
    json_t *sums = NULL;
    ctl_exit_t code = ctl_ask(options, CTL_READER, "wallet.summary", &args, &sums);
    if (code == CTL_EXIT_OK && options->json) {
        ctl_print_json(sums);
    } else if (code == CTL_EXIT_OK) {
        static const char *const keys[] = {"in", "out"};
        char number[TEXT_ROOM];
        ctl_table_t *table = ctl_table_new("lr");
        for (size_t i = 0; i < 2; i++) {
            ctl_table_cell(table, CTL_STYLE_PLAIN, keys[i]);
            cell_amount(table, sums, keys[i]);
        }
        ctl_table_cell(table, CTL_STYLE_PLAIN, "items");
        (void)snprintf(number, sizeof number, "%lld",
                       (long long)json_integer_value(json_object_get(sums, "count")));
        ctl_table_cell(table, CTL_STYLE_PLAIN, number);
        ctl_table_cell(table, CTL_STYLE_PLAIN, "as of");
        cell_time(table, json_object_get(sums, "as_of"));
        ctl_table_print(table, 0, options->color, stdout);
        ctl_table_destroy(&table);
    }
    json_decref(sums);
    return code;
}
