#include "tools/walletctl/rebuild.h"

#include "tools/walletctl/show.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    LOOK_MS = 250, /* how often a running one is looked at */
    BAR_COLUMNS = 30,
    LOST_MAX = 120, /* looks without an answer before it is given up: walletd may be busy */
};

static ctl_exit_t rebuild_ask(const ctl_options_t *options, const char *action,
                              json_t **ret_status) {
    ctl_args_t args;
    ctl_args_init(&args);
    ctl_args_text(&args, "action", action);
    return ctl_ask(options, CTL_WRITER, "admin.presence.rebuild", &args, ret_status);
}

static json_int_t number_of(const json_t *object, const char *key) {
    return json_integer_value(json_object_get(object, key));
}

static const char *text_of(const json_t *status, const char *key) {
    const char *text = json_string_value(json_object_get(status, key));
    return text == NULL ? "" : text;
}

static bool rebuild_active(const json_t *status) {
    const char *state = text_of(status, "state");
    return strcmp(state, "waiting") == 0 || strcmp(state, "reading") == 0;
}

/* ---- the progress line ----------------------------------------------------------------------- */

/* "[#####-----] 52 %  5200000 owners read, 1 of 2 shards". How many owners there are is not known
 * before the end: the members that serve now are the guess. */
static void bar_draw(const json_t *status) {
    json_int_t owners = number_of(status, "owners");
    json_int_t members = number_of(status, "members");
    char bar[BAR_COLUMNS + 1];
    if (strcmp(text_of(status, "state"), "reading") != 0 || members <= 0) {
        (void)fprintf(stderr, "\r\033[K%s", text_of(status, "state"));
        return;
    }
    json_int_t done = owners < members ? owners : members;
    for (int i = 0; i < BAR_COLUMNS; i++) {
        bar[i] = i < done * BAR_COLUMNS / members ? '#' : '-';
    }
    bar[BAR_COLUMNS] = '\0';
    (void)fprintf(stderr, "\r\033[K[%s] %lld %%  %lld owners read, %lld of %lld shards", bar,
                  (long long)(done * 100 / members), (long long)owners,
                  (long long)number_of(status, "shards_told"),
                  (long long)number_of(status, "shards"));
}

static ctl_exit_t rebuild_watch(const ctl_options_t *options, json_t **status) {
    bool terminal = isatty(STDERR_FILENO) != 0 && !options->json;
    int lost = 0;
    ctl_exit_t code = CTL_EXIT_OK;
    while (rebuild_active(*status) && lost < LOST_MAX && code == CTL_EXIT_OK) {
        struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
        json_t *next = NULL;
        if (terminal) {
            bar_draw(*status);
        }
        (void)nanosleep(&pause, NULL);
        code = rebuild_ask(options, "status", &next);
        if (code == CTL_EXIT_UNREACHABLE) {
            lost++;
            code = CTL_EXIT_OK;
        } else if (code == CTL_EXIT_OK) {
            lost = 0;
            json_decref(*status);
            *status = next;
        }
    }
    if (terminal) {
        (void)fprintf(stderr, "\r\033[K");
    }
    return lost == LOST_MAX ? CTL_EXIT_UNREACHABLE : code;
}

/* ---- the end --------------------------------------------------------------------------------- */

static void set_show(const char *name, const json_t *set) {
    (void)printf("%-7s %lld members, %lld bytes, %.2f bytes per user, "
                 "false positives %.4f %% expected, %.4f %% observed\n",
                 name, (long long)number_of(set, "members"), (long long)number_of(set, "bytes"),
                 json_number_value(json_object_get(set, "bytes_per_user")),
                 json_number_value(json_object_get(set, "fp_expected")) * 100,
                 json_number_value(json_object_get(set, "fp_observed")) * 100);
}

static void rebuild_show(const ctl_options_t *options, const json_t *status) {
    const char *state = text_of(status, "state");
    if (options->json) {
        ctl_print_json(status);
    } else if (strcmp(state, "done") == 0) {
        set_show("before", json_object_get(status, "before"));
        set_show("after", json_object_get(status, "after"));
        (void)printf("%lld dead bits gone, in %.1f s\n", (long long)number_of(status, "dead_bits"),
                     (double)(number_of(status, "ended_at") - number_of(status, "started_at")) /
                         1000);
    } else {
        ctl_show_any(status, 0, options->color, stdout);
    }
}

ctl_exit_t ctl_presence_rebuild(const ctl_options_t *options, int count, char **words) {
    (void)count;
    (void)words;
    json_t *status = NULL;
    bool waits = !options->status && !options->no_wait;
    ctl_exit_t code = rebuild_ask(options, options->status ? "status" : "start", &status);
    if (code == CTL_EXIT_OK && waits) {
        if (!options->json) {
            (void)ctl_complain(CTL_EXIT_OK, "it goes on in walletd when this program ends");
        }
        code = rebuild_watch(options, &status);
    }
    if (code == CTL_EXIT_OK) {
        rebuild_show(options, status);
    }
    if (code == CTL_EXIT_OK && waits && strcmp(text_of(status, "state"), "done") != 0) {
        code = CTL_EXIT_REFUSED;
    }
    json_decref(status);
    return code;
}
