#include "tools/walletctl/config_show.h"

#include "tools/walletctl/config_ask.h"
#include "tools/walletctl/text_table.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

enum { TEXT_ROOM = 512 };

static void time_text(const json_t *at, char *into, size_t room) {
    time_t seconds = (time_t)(json_integer_value(at) / 1000);
    struct tm when;
    (void)snprintf(into, room, "-");
    if (json_is_integer(at) && json_integer_value(at) > 0 && localtime_r(&seconds, &when) != NULL) {
        (void)strftime(into, room, "%Y-%m-%d %H:%M:%S", &when);
    }
}

static void cell_number(ctl_table_t *table, const json_t *object, const char *key) {
    char text[32];
    (void)snprintf(text, sizeof text, "%" PRIu64, ctl_config_number(object, key));
    ctl_table_cell(table, CTL_STYLE_PLAIN, text);
}

static void pair(ctl_table_t *table, const char *name, ctl_style_t style, const char *text) {
    ctl_table_cell(table, CTL_STYLE_DIM, name);
    ctl_table_cell(table, style, text);
}

static void heading(const char *text, bool color, FILE *out) {
    (void)fputc('\n', out);
    ctl_text_print(text, CTL_STYLE_BOLD, color, out);
    (void)fputc('\n', out);
}

/* ---- rollouts -------------------------------------------------------------------------------- */

static void append(char *into, size_t room, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void append(char *into, size_t room, const char *format, ...) {
    size_t used = strlen(into);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(into + used, room - used, format, args);
    va_end(args);
}

void ctl_config_rollout_text(const json_t *rollout, char *into, size_t room) {
    const json_t *scene = NULL;
    size_t index = 0;
    const char *min = ctl_config_text(rollout, "app_min");
    const char *max = ctl_config_text(rollout, "app_max");
    const char *whitelist = ctl_config_text(rollout, "whitelist");
    double percent = json_number_value(json_object_get(rollout, "percent"));
    (void)snprintf(into, room, "%g %% of users", percent);
    if (whitelist[0] != '\0') {
        append(into, room, " of the set %.12s..", whitelist);
    }
    json_array_foreach(json_object_get(rollout, "scenes"), index, scene) {
        const char *name = json_string_value(scene);
        append(into, room, "%s%s", index == 0 ? ", scene " : " or ", name == NULL ? "?" : name);
    }
    if (min[0] != '\0') {
        append(into, room, ", app %s or newer", min);
    }
    if (max[0] != '\0') {
        append(into, room, ", app %s or older", max);
    }
    const json_t *share = json_object_get(rollout, "abort_percent");
    if (json_number_value(share) > 0) {
        append(into, room, ", ends when %g %% more fail", json_number_value(share));
    }
}

static void rollout_show(const json_t *status, bool color, FILE *out) {
    char text[TEXT_ROOM];
    const json_t *rollout = json_object_get(status, "rollout");
    const json_t *trial = json_object_get(status, "trial");
    if (!json_is_object(rollout)) {
        return;
    }
    (void)snprintf(text, sizeof text, "Rollout %" PRIu64 "%s", ctl_config_number(rollout, "id"),
                   json_is_true(json_object_get(rollout, "paused")) ? ", paused" : "");
    heading(text, color, out);
    ctl_table_t *table = ctl_table_new("ll");
    ctl_config_rollout_text(rollout, text, sizeof text);
    pair(table, "who", CTL_STYLE_PLAIN, text);
    if (json_is_object(trial)) {
        (void)snprintf(text, sizeof text, "%" PRIu64 " of %" PRIu64,
                       ctl_config_number(trial, "candidate_errors"),
                       ctl_config_number(trial, "candidate"));
        pair(table, "failed", CTL_STYLE_PLAIN, text);
        (void)snprintf(text, sizeof text, "%" PRIu64 " of %" PRIu64 " (those who see the base)",
                       ctl_config_number(trial, "base_errors"), ctl_config_number(trial, "base"));
        pair(table, "", CTL_STYLE_DIM, text);
    }
    ctl_table_print(table, 2, color, out);
    ctl_table_destroy(&table);
}

/* ---- status ---------------------------------------------------------------------------------- */

static void nodes_show(const json_t *status, bool color, FILE *out) {
    const json_t *nodes = json_object_get(status, "nodes");
    uint64_t seq = ctl_config_number(status, "live_seq");
    size_t index = 0;
    const json_t *node = NULL;
    if (json_array_size(nodes) == 0) {
        return;
    }
    heading("Processes", color, out);
    ctl_table_t *table = ctl_table_new("lrlll");
    json_array_foreach(nodes, index, node) {
        bool behind = ctl_config_number(node, "seq") != seq;
        const char *problem = ctl_config_text(node, "problem");
        ctl_table_cell(table, CTL_STYLE_PLAIN, ctl_config_text(node, "node"));
        cell_number(table, node, "seq");
        ctl_table_cell(table, behind ? CTL_STYLE_WARN : CTL_STYLE_GOOD,
                       ctl_config_text(node, "version"));
        ctl_table_cell(table, CTL_STYLE_DIM, ctl_config_text(node, "source"));
        ctl_table_cell(table, CTL_STYLE_BAD, problem);
    }
    ctl_table_print(table, 2, color, out);
    ctl_table_destroy(&table);
}

void ctl_config_show_status(const json_t *status, bool color, FILE *out) {
    char text[TEXT_ROOM];
    size_t index = 0;
    const json_t *problem = NULL;
    const char *source = ctl_config_text(status, "source");
    ctl_table_t *table = ctl_table_new("ll");
    pair(table, "version", CTL_STYLE_BOLD, ctl_config_text(status, "version"));
    (void)snprintf(text, sizeof text, "%" PRIu64, ctl_config_number(status, "live_seq"));
    pair(table, "change", CTL_STYLE_PLAIN, text);
    if (ctl_config_number(status, "seq") != ctl_config_number(status, "live_seq")) {
        (void)snprintf(text, sizeof text, "%" PRIu64 ", which is not what is live",
                       ctl_config_number(status, "seq"));
        pair(table, "newest", CTL_STYLE_WARN, text);
    }
    pair(table, "source", CTL_STYLE_PLAIN, source);
    pair(table, "store", CTL_STYLE_PLAIN, ctl_config_text(status, "store"));
    if (json_object_get(status, "emergency_until") != NULL) {
        time_text(json_object_get(status, "emergency_until"), text, sizeof text);
        pair(table, "emergency until", CTL_STYLE_WARN, text);
    }
    ctl_table_print(table, 0, color, out);
    ctl_table_destroy(&table);
    rollout_show(status, color, out);
    nodes_show(status, color, out);
    json_array_foreach(json_object_get(status, "problems"), index, problem) {
        const char *words = json_string_value(problem);
        if (index == 0) {
            heading("Problems", color, out);
        }
        (void)fputs("  ", out);
        ctl_text_print(words == NULL ? "?" : words, CTL_STYLE_BAD, color, out);
        (void)fputc('\n', out);
    }
}

/* ---- history --------------------------------------------------------------------------------- */

/* "2.3 -> 2.4", or of a candidate "2.3, 2.4 for 5 % of users". */
static void version_text(const json_t *change, char *into, size_t room) {
    const char *before = ctl_config_text(change, "before");
    const char *after = ctl_config_text(change, "after");
    const char *version = ctl_config_text(change, "version");
    if (strcmp(version, after) != 0) {
        (void)snprintf(into, room, "%s, some see %s", after, version);
    } else if (before[0] == '\0' || strcmp(before, after) == 0) {
        (void)snprintf(into, room, "%s", after);
    } else {
        (void)snprintf(into, room, "%s -> %s", before, after);
    }
}

static void change_show(ctl_table_t *table, const json_t *change) {
    char text[TEXT_ROOM];
    const json_t *rollout = json_object_get(change, "rollout");
    const char *from = ctl_config_text(change, "from");
    cell_number(table, change, "seq");
    time_text(json_object_get(change, "at"), text, sizeof text);
    ctl_table_cell(table, CTL_STYLE_DIM, text);
    ctl_table_cell(table, CTL_STYLE_BOLD, ctl_config_text(change, "action"));
    version_text(change, text, sizeof text);
    ctl_table_cell(table, CTL_STYLE_PLAIN, text);
    (void)snprintf(text, sizeof text, from[0] == '\0' ? "%s" : "%s (%s)",
                   ctl_config_text(change, "author"), from);
    ctl_table_cell(table, CTL_STYLE_PLAIN, text);
    ctl_table_cell(table, CTL_STYLE_PLAIN, ctl_config_text(change, "reason"));
    text[0] = '\0';
    if (json_is_object(rollout)) {
        ctl_config_rollout_text(rollout, text, sizeof text);
    }
    ctl_table_cell(table, CTL_STYLE_DIM, text);
}

static void damage_show(ctl_table_t *table, const json_t *change) {
    cell_number(table, change, "seq");
    ctl_table_cell(table, CTL_STYLE_DIM, "-");
    ctl_table_cell(table, CTL_STYLE_BAD, "damaged");
    ctl_table_cell(table, CTL_STYLE_DIM, "");
    ctl_table_cell(table, CTL_STYLE_DIM, "");
    ctl_table_cell(table, CTL_STYLE_BAD, ctl_config_text(change, "problem"));
    ctl_table_cell(table, CTL_STYLE_DIM, "");
}

void ctl_config_show_history(const json_t *history, bool color, FILE *out) {
    size_t index = 0;
    const json_t *change = NULL;
    ctl_table_t *table = ctl_table_new("rllllll");
    json_array_foreach(json_object_get(history, "changes"), index, change) {
        if (json_object_get(change, "problem") != NULL) {
            damage_show(table, change);
        } else {
            change_show(table, change);
        }
    }
    ctl_table_print(table, 0, color, out);
    ctl_table_destroy(&table);
}

/* ---- what a user sees ------------------------------------------------------------------------ */

static void rules_show(const json_t *effective, bool color, FILE *out) {
    size_t index = 0;
    const json_t *rule = NULL;
    const json_t *rules = json_object_get(effective, "rules");
    if (json_array_size(rules) == 0) {
        return;
    }
    heading("Rules of the rollout", color, out);
    ctl_table_t *table = ctl_table_new("llll");
    json_array_foreach(rules, index, rule) {
        bool holds = json_is_true(json_object_get(rule, "holds"));
        ctl_table_cell(table, holds ? CTL_STYLE_GOOD : CTL_STYLE_BAD, holds ? "yes" : "no");
        ctl_table_cell(table, CTL_STYLE_PLAIN, ctl_config_text(rule, "rule"));
        ctl_table_cell(table, CTL_STYLE_PLAIN, ctl_config_text(rule, "wants"));
        ctl_table_cell(table, CTL_STYLE_DIM, ctl_config_text(rule, "has"));
    }
    ctl_table_print(table, 2, color, out);
    ctl_table_destroy(&table);
}

static void campaigns_show(const json_t *place, bool color, FILE *out) {
    size_t index = 0;
    const json_t *campaign = NULL;
    ctl_table_t *table = ctl_table_new("llll");
    json_array_foreach(json_object_get(place, "campaigns"), index, campaign) {
        const char *verdict = ctl_config_text(campaign, "verdict");
        bool shown = strcmp(verdict, "shown") == 0 || strcmp(verdict, "depends") == 0;
        ctl_table_cell(table, CTL_STYLE_PLAIN, ctl_config_text(campaign, "campaign"));
        ctl_table_cell(table, CTL_STYLE_DIM, ctl_config_text(campaign, "line"));
        ctl_table_cell(table, shown ? CTL_STYLE_GOOD : CTL_STYLE_DIM, verdict);
        ctl_table_cell(table, CTL_STYLE_DIM, ctl_config_text(campaign, "why"));
    }
    ctl_table_print(table, 6, color, out);
    ctl_table_destroy(&table);
}

static void item_show(const char *place, const json_t *item, bool color, FILE *out) {
    char text[TEXT_ROOM];
    const char *campaign = ctl_config_text(item, "campaign");
    bool certain = json_is_true(json_object_get(item, "certain"));
    ctl_table_t *table = ctl_table_new("llll");
    ctl_table_cell(table, CTL_STYLE_DIM, place);
    ctl_table_cell(table, CTL_STYLE_PLAIN, ctl_config_text(item, "line"));
    ctl_table_cell(table, CTL_STYLE_BOLD, ctl_config_text(item, "title"));
    (void)snprintf(text, sizeof text, campaign[0] == '\0' ? "%s%s" : "by campaign %s%s", campaign,
                   certain ? "" : " (the user's assets decide)");
    ctl_table_cell(table, CTL_STYLE_DIM, text);
    ctl_table_print(table, 2, color, out);
    ctl_table_destroy(&table);
}

static void page_show(const json_t *effective, bool color, FILE *out) {
    char text[TEXT_ROOM];
    size_t index = 0;
    size_t at = 0;
    const json_t *place = NULL;
    const json_t *item = NULL;
    heading("Golden", color, out);
    json_array_foreach(json_object_get(effective, "golden"), index, place) {
        (void)snprintf(text, sizeof text, "%" PRIu64, ctl_config_number(place, "position"));
        item_show(text, place, color, out);
        campaigns_show(place, color, out);
    }
    json_array_foreach(json_object_get(effective, "sections"), index, place) {
        const char *title = ctl_config_text(place, "title");
        heading(title[0] == '\0' ? ctl_config_text(place, "kind") : title, color, out);
        json_array_foreach(json_object_get(place, "items"), at, item) {
            item_show("-", item, color, out);
        }
        campaigns_show(place, color, out);
    }
}

void ctl_config_show_effective(const json_t *effective, bool color, FILE *out) {
    bool candidate = strcmp(ctl_config_text(effective, "variant"), "candidate") == 0;
    ctl_table_t *table = ctl_table_new("ll");
    const json_t *uid = json_object_get(effective, "uid");
    pair(table, "user", CTL_STYLE_PLAIN, json_is_string(uid) ? json_string_value(uid) : "-");
    pair(table, "version", CTL_STYLE_BOLD, ctl_config_text(effective, "version"));
    pair(table, "sees", candidate ? CTL_STYLE_WARN : CTL_STYLE_PLAIN,
         ctl_config_text(effective, "variant"));
    pair(table, "because", CTL_STYLE_PLAIN, ctl_config_text(effective, "why"));
    pair(table, "at", CTL_STYLE_DIM, ctl_config_text(effective, "at"));
    ctl_table_print(table, 0, color, out);
    ctl_table_destroy(&table);
    rules_show(effective, color, out);
    page_show(effective, color, out);
}
