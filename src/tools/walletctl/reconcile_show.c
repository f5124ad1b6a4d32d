#include "tools/walletctl/reconcile_show.h"

#include "base/clock.h"
#include "domain/moment.h"
#include "tools/walletctl/config_ask.h"
#include "tools/walletctl/text_table.h"

#include <string.h>

static const char *word_of(const json_t *object, const char *key) {
    const char *word = json_string_value(json_object_get(object, key));
    return word == NULL ? "" : word;
}

static void cell_number(ctl_table_t *table, ctl_style_t style, uint64_t number) {
    char text[24];
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    ctl_table_cell(table, style, text);
}

static void cell_of(ctl_table_t *table, const json_t *row, const char *key, ctl_style_t loud) {
    uint64_t number = ctl_config_number(row, key);
    cell_number(table, number > 0 ? loud : CTL_STYLE_DIM, number);
}

static void heads(ctl_table_t *table, const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++) {
        ctl_table_cell(table, CTL_STYLE_BOLD, names[i]);
    }
}

static void moment_text(int64_t ms, char text[WL_MOMENT_BYTES + 1]) {
    text[0] = '\0';
    if (ms > 0) {
        wl_moment_write((wl_wall_ms_t){ms}, text);
    }
}

static ctl_style_t state_style(const char *state) {
    return strcmp(state, "done") == 0   ? CTL_STYLE_GOOD
           : strcmp(state, "open") == 0 ? CTL_STYLE_WARN
                                        : CTL_STYLE_BAD;
}

/* "run 7  done  by alice  2026-11-24T03:10:00Z, 41 s, dry run" */
static void head_show(const json_t *run, bool color, FILE *out) {
    char begun[WL_MOMENT_BYTES + 1];
    int64_t started = (int64_t)ctl_config_number(run, "started_at");
    int64_t ended = (int64_t)ctl_config_number(run, "ended_at");
    const char *state = word_of(run, "state");
    moment_text(started, begun);
    (void)fprintf(out, "%s %llu  ", word_of(run, "kind"),
                  (unsigned long long)ctl_config_number(run, "run"));
    ctl_text_print(state, state_style(state), color, out);
    (void)fputs("  by ", out);
    ctl_text_print(word_of(run, "by"), CTL_STYLE_PLAIN, color, out);
    (void)fprintf(out, "  %s", begun);
    if (ended > started) {
        (void)fprintf(out, ", %.1f s", (double)(ended - started) / 1000);
    }
    (void)fprintf(out, "%s\n", json_is_true(json_object_get(run, "dry_run")) ? ", dry run" : "");
    if (word_of(run, "note")[0] != '\0') {
        (void)fputs("  ", out);
        ctl_text_print(word_of(run, "note"), CTL_STYLE_BAD, color, out);
        (void)fputs("\n", out);
    }
}

static void sums_show(const json_t *run, FILE *out) {
    uint64_t ms = 0;
    size_t index = 0;
    const json_t *part = NULL;
    uint64_t rows = 0;
    json_array_foreach(json_object_get(run, "parts"), index, part) {
        ms += ctl_config_number(part, "worked_ms");
        rows += ctl_config_number(part, "rows");
    }
    (void)fprintf(out,
                  "  %llu users, %llu records compared, %llu records/s; copies: %llu equal, %llu "
                  "users not cached; presence: %llu owners\n",
                  (unsigned long long)ctl_config_number(run, "users"),
                  (unsigned long long)ctl_config_number(run, "rows"),
                  (unsigned long long)(ms == 0 ? 0 : rows * 1000 / ms),
                  (unsigned long long)ctl_config_number(run, "equal"),
                  (unsigned long long)ctl_config_number(run, "uncached"),
                  (unsigned long long)ctl_config_number(run, "checked"));
}

static void kinds_show(const json_t *run, bool color, FILE *out) {
    static const char *const names[] = {"difference", "found", "repaired", "left"};
    ctl_table_t *table = ctl_table_new("lrrr");
    size_t index = 0;
    const json_t *row = NULL;
    heads(table, names, 4);
    json_array_foreach(json_object_get(run, "differences"), index, row) {
        ctl_table_cell(table, CTL_STYLE_PLAIN, word_of(row, "kind"));
        cell_of(table, row, "found", CTL_STYLE_WARN);
        cell_of(table, row, "repaired", CTL_STYLE_GOOD);
        cell_of(table, row, "left", CTL_STYLE_BAD);
    }
    ctl_table_print(table, 2, color, out);
    ctl_table_destroy(&table);
}

static void lines_show(const json_t *run, bool color, FILE *out) {
    static const char *const names[] = {"line", "records", "changed in a day", "usually", ""};
    ctl_table_t *table = ctl_table_new("lrrrl");
    size_t index = 0;
    const json_t *row = NULL;
    heads(table, names, 5);
    json_array_foreach(json_object_get(run, "lines"), index, row) {
        bool silent = json_is_true(json_object_get(row, "silent"));
        ctl_table_cell(table, CTL_STYLE_PLAIN, word_of(row, "line"));
        cell_of(table, row, "records", CTL_STYLE_PLAIN);
        cell_of(table, row, "changed", CTL_STYLE_PLAIN);
        cell_of(table, row, "usual", CTL_STYLE_PLAIN);
        ctl_table_cell(table, CTL_STYLE_BAD, silent ? "silent" : "");
    }
    if (index > 0) {
        ctl_table_print(table, 2, color, out);
    }
    ctl_table_destroy(&table);
}

/* How long ago records were pulled: "under 1 min 12, 10 min 30 ..." */
static void ages_show(const json_t *run, FILE *out) {
    static const char *const names[] = {"1 min", "10 min", "1 h",     "6 h",
                                        "1 day", "7 days", "30 days", "older"};
    size_t index = 0;
    const json_t *row = NULL;
    (void)fputs("  pulled within:", out);
    json_array_foreach(json_object_get(run, "ages"), index, row) {
        if (index < sizeof names / sizeof *names) {
            (void)fprintf(out, "%s %s %llu", index == 0 ? "" : ",", names[index],
                          (unsigned long long)ctl_config_number(row, "records"));
        }
    }
    (void)fputs("\n", out);
}

static void parts_show(const json_t *run, bool color, FILE *out) {
    static const char *const names[] = {"part", "state", "users", "records", "ms", "holder"};
    ctl_table_t *table = ctl_table_new("llrrrl");
    size_t index = 0;
    const json_t *row = NULL;
    heads(table, names, 6);
    json_array_foreach(json_object_get(run, "parts"), index, row) {
        char name[32];
        const char *state = word_of(row, "state");
        const json_t *shard = json_object_get(row, "shard");
        (void)snprintf(name, sizeof name, "shard %llu",
                       (unsigned long long)ctl_config_number(row, "shard"));
        bool caches = json_is_string(shard) && strcmp(json_string_value(shard), "caches") == 0;
        ctl_table_cell(table, CTL_STYLE_PLAIN, caches ? "caches" : name);
        ctl_table_cell(table, state_style(state), state);
        cell_of(table, row, "users", CTL_STYLE_PLAIN);
        cell_of(table, row, "rows", CTL_STYLE_PLAIN);
        cell_of(table, row, "worked_ms", CTL_STYLE_PLAIN);
        ctl_table_cell(table, CTL_STYLE_DIM, word_of(row, "holder"));
    }
    ctl_table_print(table, 2, color, out);
    ctl_table_destroy(&table);
}

void ctl_reconcile_show(const json_t *reply, bool color, FILE *out) {
    size_t index = 0;
    const json_t *run = NULL;
    json_array_foreach(json_object_get(reply, "runs"), index, run) {
        (void)fputs(index > 0 ? "\n" : "", out);
        head_show(run, color, out);
        sums_show(run, out);
        kinds_show(run, color, out);
        ages_show(run, out);
        lines_show(run, color, out);
        parts_show(run, color, out);
    }
}

void ctl_reconcile_show_differences(const json_t *reply, bool color, FILE *out) {
    static const char *const names[] = {"uid",     "line",   "bucket", "kind", "in db",
                                        "in copy", "repair", "state",  "cause"};
    ctl_table_t *table = ctl_table_new("rlllrrlll");
    size_t index = 0;
    const json_t *row = NULL;
    heads(table, names, 9);
    json_array_foreach(json_object_get(reply, "differences"), index, row) {
        const char *state = word_of(row, "state");
        ctl_style_t style = strcmp(state, "repaired") == 0 ? CTL_STYLE_GOOD : CTL_STYLE_BAD;
        cell_number(table, CTL_STYLE_PLAIN, ctl_config_number(row, "uid"));
        ctl_table_cell(table, CTL_STYLE_PLAIN, word_of(row, "line"));
        ctl_table_cell(table, CTL_STYLE_PLAIN, word_of(row, "bucket"));
        ctl_table_cell(table, CTL_STYLE_WARN, word_of(row, "kind"));
        cell_of(table, row, "in_db", CTL_STYLE_PLAIN);
        cell_of(table, row, "in_copy", CTL_STYLE_PLAIN);
        ctl_table_cell(table, CTL_STYLE_PLAIN, word_of(row, "repair"));
        ctl_table_cell(table, style, state);
        ctl_table_cell(table, CTL_STYLE_DIM, word_of(row, "cause"));
    }
    if (index > 0) {
        ctl_table_print(table, 0, color, out);
    }
    ctl_table_destroy(&table);
}
