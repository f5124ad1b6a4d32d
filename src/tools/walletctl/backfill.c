#include "tools/walletctl/backfill.h"

#include "base/clock.h"
#include "tools/walletctl/show.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    LOOK_MS = 500, /* how often a running one is looked at */
    BAR_COLUMNS = 30,
    LOST_MAX = 60, /* looks without an answer before it is given up: walletd may be restarting */
};

static ctl_exit_t backfill_ask(const ctl_options_t *options, const char *line, const char *action,
                               json_t **ret_status) {
    ctl_args_t args;
    ctl_args_init(&args);
    ctl_args_text(&args, "line", line);
    ctl_args_text(&args, "action", action);
    if (strcmp(action, "start") == 0) {
        if (options->rate > 0) {
            ctl_args_u64(&args, "rate", options->rate);
        }
        if (options->all) {
            msgpack_packer packer = ctl_args_value(&args, "all");
            (void)msgpack_pack_true(&packer);
        }
    }
    return ctl_ask(options, CTL_WRITER, "admin.lines.backfill", &args, ret_status);
}

static json_int_t number_of(const json_t *status, const char *key) {
    return json_integer_value(json_object_get(status, key));
}

static const char *state_of(const json_t *status) {
    const char *state = json_string_value(json_object_get(status, "state"));
    return state == NULL ? "" : state;
}

static bool state_active(const char *state) {
    return strcmp(state, "waiting") == 0 || strcmp(state, "counting") == 0 ||
           strcmp(state, "running") == 0;
}

/* ---- the progress line ----------------------------------------------------------------------- */

/* "[#####-----] 52 %  4711 of 9000 users, 3 failed, 850/s, 5 s left" on a line of a terminal. */
static void bar_draw(const json_t *status, json_int_t first, int64_t since_ms) {
    json_int_t total = number_of(status, "total");
    json_int_t failed = number_of(status, "failed");
    json_int_t done = number_of(status, "done") + failed;
    char bar[BAR_COLUMNS + 1];
    if (strcmp(state_of(status), "running") != 0 || total <= 0) {
        (void)fprintf(stderr, "\r\033[K%s: %lld users", state_of(status), (long long)total);
        return;
    }
    done = done < total ? done : total;
    int64_t passed_ms = wl_mono_now().ms - since_ms;
    json_int_t rate = passed_ms > 0 ? (done - first) * 1000 / passed_ms : 0;
    int filled = (int)(done * BAR_COLUMNS / total);
    for (int i = 0; i < BAR_COLUMNS; i++) {
        bar[i] = i < filled ? '#' : '-';
    }
    bar[BAR_COLUMNS] = '\0';
    (void)fprintf(stderr, "\r\033[K[%s] %lld %%  %lld of %lld users, %lld failed, %lld/s", bar,
                  (long long)(done * 100 / total), (long long)done, (long long)total,
                  (long long)failed, (long long)rate);
    if (rate > 0) {
        (void)fprintf(stderr, ", %lld s left", (long long)((total - done) / rate));
    }
}

static void pause_a_while(void) {
    struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    (void)nanosleep(&pause, NULL);
}

/* Looks at it until it has ended; walletd may be restarted meanwhile. */
static ctl_exit_t backfill_watch(const ctl_options_t *options, const char *line, json_t **status) {
    bool terminal = isatty(STDERR_FILENO) != 0 && !options->json;
    int64_t since_ms = wl_mono_now().ms;
    json_int_t first = number_of(*status, "done") + number_of(*status, "failed");
    int lost = 0;
    while (state_active(state_of(*status)) && lost < LOST_MAX) {
        if (terminal) {
            bar_draw(*status, first, since_ms);
        }
        pause_a_while();
        json_t *next = NULL;
        ctl_exit_t code = backfill_ask(options, line, "status", &next);
        if (code == CTL_EXIT_UNREACHABLE) {
            lost++;
            continue;
        }
        if (code != CTL_EXIT_OK) {
            return code;
        }
        lost = 0;
        json_decref(*status);
        *status = next;
    }
    if (terminal) {
        (void)fprintf(stderr, "\r\033[K");
    }
    return lost == LOST_MAX ? CTL_EXIT_UNREACHABLE : CTL_EXIT_OK;
}

/* ---- the verb -------------------------------------------------------------------------------- */

static ctl_exit_t backfill_show(const ctl_options_t *options, const json_t *status) {
    if (options->json) {
        ctl_print_json(status);
    } else {
        ctl_show_any(status, 0, options->color, stdout);
    }
    return CTL_EXIT_OK;
}

ctl_exit_t ctl_lines_backfill(const ctl_options_t *options, int count, char **words) {
    (void)count;
    const char *line = words[0];
    const char *action = options->stop ? "stop" : options->status ? "status" : "start";
    json_t *status = NULL;
    if (options->stop && options->status) {
        return ctl_complain(CTL_EXIT_USAGE, "--stop and --status are two questions: ask one");
    }
    ctl_exit_t code = backfill_ask(options, line, action, &status);
    if (code == CTL_EXIT_OK && strcmp(action, "start") == 0 && !options->no_wait) {
        if (!options->json) {
            (void)ctl_complain(CTL_EXIT_OK,
                               "line %s: it goes on in walletd when this program ends; "
                               "\"lines backfill %s --stop\" ends it",
                               line, line);
        }
        code = backfill_watch(options, line, &status);
    }
    if (code == CTL_EXIT_OK) {
        code = backfill_show(options, status);
    }
    if (code == CTL_EXIT_OK && strcmp(state_of(status), "stopped") == 0 &&
        strcmp(action, "start") == 0) {
        code = CTL_EXIT_REFUSED;
    }
    json_decref(status);
    return code;
}
