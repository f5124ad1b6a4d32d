#include "tools/walletctl/explain.h"

#include "tools/walletctl/text_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TEXT_BYTES = 64, CELL_BYTES = 160 };

/* ---- words ----------------------------------------------------------------------------------- */

void ctl_ago_text(int64_t at_ms, int64_t now_ms, char *into, size_t room) {
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "min"}, {1000, "s"}, {1, "ms"}};
    int64_t ago = 0;
    size_t unit = 0;
    if (__builtin_sub_overflow(now_ms, at_ms, &ago) || ago < 0) {
        (void)snprintf(into, room, "soon");
        return;
    }
    while (unit < 4 && ago < 2 * units[unit].ms) { /* two of a unit say more than one of the next */
        unit++;
    }
    (void)snprintf(into, room, "%" PRId64 " %s", ago / units[unit].ms, units[unit].unit);
}

typedef enum { SHOW_DAY, SHOW_SECOND, SHOW_MOMENT } show_t;

/* SHOW_MOMENT has milliseconds and no day: what follows another thing at once is told apart. */
static void time_text(const json_t *at, show_t how, char *into, size_t room) {
    int64_t at_ms = json_integer_value(at);
    time_t seconds = (time_t)(at_ms / 1000);
    struct tm when;
    (void)snprintf(into, room, "-");
    if (!json_is_integer(at) || at_ms <= 0 || localtime_r(&seconds, &when) == NULL) {
        return;
    }
    switch (how) {
    case SHOW_DAY: (void)strftime(into, room, "%Y-%m-%d", &when); break;
    case SHOW_SECOND: (void)strftime(into, room, "%Y-%m-%d %H:%M:%S", &when); break;
    case SHOW_MOMENT:
        (void)snprintf(into, room, "%02d:%02d:%02d.%03d", when.tm_hour, when.tm_min, when.tm_sec,
                       (int)(at_ms % 1000));
        break;
    }
}

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

/* Ids and versions are strings in replies of walletctl. */
static void number_text(const json_t *value, char *into, size_t room) {
    if (json_is_string(value)) {
        (void)snprintf(into, room, "%s", json_string_value(value));
    } else if (json_is_integer(value)) {
        (void)snprintf(into, room, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else {
        (void)snprintf(into, room, "-");
    }
}

static int64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- what the user has ----------------------------------------------------------------------- */

static void show_record(ctl_table_t *table, const json_t *record, int64_t now) {
    char text[TEXT_BYTES];
    bool consent = json_is_true(json_object_get(record, "consent"));
    ctl_table_cell(table, CTL_STYLE_BOLD, text_of(record, "line"));
    ctl_table_cell(table, CTL_STYLE_PLAIN, consent ? "(consent)" : text_of(record, "bucket"));
    number_text(json_object_get(record, "version"), text, sizeof text);
    ctl_table_cell(table, CTL_STYLE_PLAIN, consent ? "" : text);
    ctl_table_cell(table, CTL_STYLE_PLAIN, consent ? "given" : text_of(record, "state"));
    time_text(json_object_get(record, "changed_at"), SHOW_SECOND, text, sizeof text);
    ctl_table_cell(table, CTL_STYLE_PLAIN, text);
    ctl_ago_text(json_integer_value(json_object_get(record, "pulled_at")), now, text, sizeof text);
    ctl_table_cell(table, CTL_STYLE_DIM, consent ? "" : text);
    ctl_table_cell(table, CTL_STYLE_DIM, consent ? "" : "ago");
}

static void show_now(const json_t *reply, bool color, int64_t now, FILE *out) {
    const json_t *records = json_object_get(reply, "now");
    size_t index = 0;
    const json_t *record = NULL;
    if (!json_is_array(records)) {
        (void)fprintf(out, "now: not known: ");
        ctl_text_print(text_of(reply, "now_problem"), CTL_STYLE_WARN, color, out);
        (void)fprintf(out, "\n");
        return;
    }
    if (json_array_size(records) == 0) {
        (void)fprintf(out, "now: nothing is stored\n");
        return;
    }
    ctl_table_t *table = ctl_table_new("llrlllr");
    static const char *const heads[] = {"line",    "bucket", "version", "state",
                                        "changed", "pulled", ""};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        ctl_table_cell(table, CTL_STYLE_DIM, heads[i]);
    }
    json_array_foreach(records, index, record) {
        show_record(table, record, now);
    }
    ctl_table_print(table, 0, color, out);
    ctl_table_destroy(&table);
}

static void show_config(const json_t *reply, bool color, FILE *out) {
    const json_t *config = json_object_get(reply, "config");
    char text[CELL_BYTES];
    if (!json_is_object(config)) {
        (void)fprintf(out, "configuration: not known\n");
        return;
    }
    (void)snprintf(text, sizeof text, "%s, %s, from %s", text_of(config, "version"),
                   text_of(config, "variant"), text_of(config, "source"));
    (void)fprintf(out, "configuration ");
    ctl_text_print(text, CTL_STYLE_PLAIN, color, out);
    (void)fprintf(out, ": ");
    ctl_text_print(text_of(config, "why"), CTL_STYLE_DIM, color, out);
    (void)fprintf(out, "\n");
}

/* ---- the time-line --------------------------------------------------------------------------- */

static ctl_style_t event_style(const char *what) {
    static const struct {
        const char *what;
        ctl_style_t style;
    } styles[] = {
        {"stored", CTL_STYLE_GOOD},
        {"older", CTL_STYLE_WARN},
        {"quarantined", CTL_STYLE_BAD},
        {"no_consent", CTL_STYLE_WARN},
        {"pull_failed", CTL_STYLE_WARN},
        {"retry", CTL_STYLE_DIM},
        {"dead_letter", CTL_STYLE_BAD},
        {"given_up", CTL_STYLE_WARN},
        {"consent_withdrawn", CTL_STYLE_BOLD},
        {"consent_given", CTL_STYLE_BOLD},
        {"repair", CTL_STYLE_BOLD},
        {"config", CTL_STYLE_DIM},
        {"dropped", CTL_STYLE_BAD},
    };
    for (size_t i = 0; i < sizeof styles / sizeof *styles; i++) {
        if (strcmp(styles[i].what, what) == 0) {
            return styles[i].style;
        }
    }
    return CTL_STYLE_PLAIN;
}

static void show_event(ctl_table_t *table, const json_t *event, int64_t now) {
    char text[TEXT_BYTES];
    const char *line = text_of(event, "line");
    const json_t *at = json_object_get(event, "at");
    time_text(at, SHOW_MOMENT, text, sizeof text);
    ctl_table_cell(table, CTL_STYLE_PLAIN, text);
    ctl_ago_text(json_integer_value(at), now, text, sizeof text);
    ctl_table_cell(table, CTL_STYLE_DIM, text);
    ctl_table_cell(table, CTL_STYLE_BOLD, line[0] == '\0' ? "(all)" : line);
    ctl_table_cell(table, event_style(text_of(event, "what")), text_of(event, "text"));
}

/* One table a day, so that all are aligned and no line repeats the date. */
static void show_events(const json_t *reply, bool color, int64_t now, FILE *out) {
    const json_t *events = json_object_get(reply, "events");
    char day[TEXT_BYTES] = "";
    char next[TEXT_BYTES];
    ctl_table_t *table = NULL;
    size_t index = 0;
    const json_t *event = NULL;
    json_array_foreach(events, index, event) {
        time_text(json_object_get(event, "at"), SHOW_DAY, next, sizeof next);
        if (strcmp(day, next) != 0) {
            if (table != NULL) {
                ctl_table_print(table, 2, color, out);
                ctl_table_destroy(&table);
            }
            table = ctl_table_new("lrll");
            (void)fprintf(out, "%s\n", next);
            (void)snprintf(day, sizeof day, "%s", next);
        }
        show_event(table, event, now);
    }
    if (table == NULL) {
        (void)fprintf(out, "nothing is known to have happened\n");
        return;
    }
    ctl_table_print(table, 2, color, out);
    ctl_table_destroy(&table);
}

/* What the reader has to know about what is not shown. */
static void show_limits(const json_t *reply, const ctl_options_t *options, FILE *out) {
    char text[TEXT_BYTES];
    time_text(json_object_get(reply, "kept_since"), SHOW_SECOND, text, sizeof text);
    (void)fprintf(out, "kept since %s", text);
    int64_t left_out = json_integer_value(json_object_get(reply, "left_out"));
    if (left_out > 0) {
        (void)fprintf(out, "; %" PRId64 " older events are not shown: --limit N", left_out);
    }
    (void)fprintf(out, "\n");
    int64_t dropped = json_integer_value(json_object_get(reply, "dropped"));
    if (dropped > 0) {
        (void)fprintf(out, "%" PRId64 " events of some users were lost since then\n", dropped);
    }
    if (json_is_true(json_object_get(reply, "partial"))) {
        (void)fprintf(
            out,
            "this writer does not serve all of the user, others know more: ask them with -w "
            "(asked: %s)\n",
            options->endpoints[CTL_WRITER]);
    }
    const char *problem = text_of(reply, "problem");
    if (problem[0] != '\0') {
        (void)fprintf(out, "not all could be read: ");
        ctl_text_print(problem, CTL_STYLE_BAD, options->color, out);
        (void)fprintf(out, "\n");
    }
}

static void show(const json_t *reply, const ctl_options_t *options, FILE *out) {
    int64_t now = now_ms();
    char uid[TEXT_BYTES];
    number_text(json_object_get(reply, "uid"), uid, sizeof uid);
    (void)fprintf(out, "user %s\n", uid);
    show_now(reply, options->color, now, out);
    show_config(reply, options->color, out);
    (void)fprintf(out, "\n");
    show_events(reply, options->color, now, out);
    show_limits(reply, options, out);
}

ctl_exit_t ctl_explain(const ctl_options_t *options, int count, char **words) {
    (void)count;
    uint64_t uid = 0;
    json_t *reply = NULL;
    ctl_args_t args;
    if (!ctl_uid_parse(words[0], &uid)) {
        return ctl_complain(CTL_EXIT_USAGE, "\"%s\" is no user id: digits only, 1 to 2^64-1",
                            words[0]);
    }
    ctl_args_init(&args);
    ctl_args_u64(&args, "uid", uid);
    if (options->line != NULL) {
        ctl_args_text(&args, "line", options->line);
    }
    if (options->limit > 0) {
        ctl_args_u64(&args, "limit", options->limit);
    }
    ctl_exit_t code = ctl_ask(options, CTL_WRITER, "admin.explain", &args, &reply);
    if (code == CTL_EXIT_OK && options->json) {
        ctl_print_json(reply);
    } else if (code == CTL_EXIT_OK) {
        show(reply, options, stdout);
    }
    json_decref(reply);
    return code;
}
