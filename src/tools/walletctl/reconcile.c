#include "tools/walletctl/reconcile.h"

#include "base/clock.h"
#include "tools/walletctl/config_ask.h"
#include "tools/walletctl/reconcile_show.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    LOOK_MS = 300,
    LOST_MAX = 100,  /* looks without an answer before it is given up: walletd may be restarting */
    PAGE_MAX = 1000, /* differences of one answer */
    LIMIT_USUAL = 100,
};

/* ---- questions ------------------------------------------------------------------------------- */

static ctl_exit_t report_ask(const ctl_options_t *options, uint64_t run, bool rounds,
                             uint64_t limit, json_t **ret_reply) {
    ctl_args_t args;
    ctl_args_init(&args);
    if (run > 0) {
        ctl_args_u64(&args, "run", run);
    }
    if (rounds) {
        ctl_args_bool(&args, "rounds", true);
    }
    if (limit > 0) {
        ctl_args_u64(&args, "limit", limit);
    }
    return ctl_ask(options, CTL_WRITER, "admin.reconcile.report", &args, ret_reply);
}

static const json_t *first_run(const json_t *reply) {
    return json_array_get(json_object_get(reply, "runs"), 0);
}

static const char *word_of(const json_t *run, const char *key) {
    const char *word = json_string_value(json_object_get(run, key));
    return word == NULL ? "" : word;
}

static uint64_t sum_of(const json_t *run, const char *key) {
    uint64_t sum = 0;
    size_t index = 0;
    const json_t *row = NULL;
    json_array_foreach(json_object_get(run, "differences"), index, row) {
        sum += ctl_config_number(row, key);
    }
    return sum;
}

/* ---- watching -------------------------------------------------------------------------------- */

static void progress_draw(const json_t *run) {
    uint64_t ended = 0;
    uint64_t parts = json_array_size(json_object_get(run, "parts"));
    uint64_t rows = 0;
    uint64_t ms = 0;
    size_t index = 0;
    const json_t *part = NULL;
    json_array_foreach(json_object_get(run, "parts"), index, part) {
        ended += strcmp(word_of(part, "state"), "open") != 0;
        rows += ctl_config_number(part, "rows");
        ms += ctl_config_number(part, "worked_ms");
    }
    (void)fprintf(stderr,
                  "\r\033[Krun %llu: %llu of %llu parts, %llu users, %llu records, %llu/s, %llu "
                  "differences",
                  (unsigned long long)ctl_config_number(run, "run"), (unsigned long long)ended,
                  (unsigned long long)parts, (unsigned long long)ctl_config_number(run, "users"),
                  (unsigned long long)rows, (unsigned long long)(ms == 0 ? 0 : rows * 1000 / ms),
                  (unsigned long long)sum_of(run, "found"));
}

static ctl_exit_t run_watch(const ctl_options_t *options, uint64_t run, json_t **ret_reply) {
    bool terminal = isatty(STDERR_FILENO) != 0 && !options->json;
    struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    int lost = 0;
    while (lost < LOST_MAX) {
        json_t *reply = NULL;
        ctl_exit_t code = report_ask(options, run, false, 0, &reply);
        if (code == CTL_EXIT_UNREACHABLE) {
            lost++;
        } else if (code != CTL_EXIT_OK) {
            return code;
        } else if (strcmp(word_of(first_run(reply), "state"), "open") != 0) {
            if (terminal) {
                (void)fprintf(stderr, "\r\033[K");
            }
            *ret_reply = reply;
            return CTL_EXIT_OK;
        } else {
            lost = 0;
            if (terminal) {
                progress_draw(first_run(reply));
            }
            json_decref(reply);
        }
        (void)nanosleep(&pause, NULL);
    }
    return CTL_EXIT_UNREACHABLE;
}

/* ---- verbs ----------------------------------------------------------------------------------- */

static ctl_exit_t verdict(const json_t *run) {
    if (strcmp(word_of(run, "state"), "done") != 0) {
        return CTL_EXIT_REFUSED;
    }
    return sum_of(run, "left") > 0 ? CTL_EXIT_CHECK_FAILED : CTL_EXIT_OK;
}

static void report_show(const ctl_options_t *options, const json_t *reply) {
    if (options->json) {
        ctl_print_json(reply);
    } else {
        ctl_reconcile_show(reply, options->color, stdout);
    }
}

ctl_exit_t ctl_reconcile_run(const ctl_options_t *options, int count, char **words) {
    (void)count;
    (void)words;
    ctl_args_t args;
    json_t *reply = NULL;
    ctl_args_init(&args);
    ctl_config_author(options, &args);
    if (options->change.dry_run) {
        ctl_args_bool(&args, "dry_run", true);
    }
    if (options->rate > 0) {
        ctl_args_u64(&args, "rate", options->rate);
    }
    if (options->change.cap.given) {
        ctl_args_u64(&args, "cap", options->change.cap.value);
    }
    if (options->change.shard.given) {
        ctl_args_u64(&args, "shard", options->change.shard.value);
    }
    ctl_exit_t code = ctl_ask(options, CTL_WRITER, "admin.reconcile.run", &args, &reply);
    uint64_t run = code == CTL_EXIT_OK ? ctl_config_number(reply, "run") : 0;
    if (code == CTL_EXIT_OK && options->no_wait) {
        if (options->json) {
            ctl_print_json(reply);
        } else {
            (void)printf("run %llu\n", (unsigned long long)run);
        }
    }
    json_decref(reply);
    if (code != CTL_EXIT_OK || options->no_wait) {
        return code;
    }
    if (!options->json) {
        (void)ctl_complain(CTL_EXIT_OK,
                           "run %llu goes on in walletd when this program ends; \"reconcile stop "
                           "%llu\" ends it",
                           (unsigned long long)run, (unsigned long long)run);
    }
    reply = NULL;
    code = run_watch(options, run, &reply);
    if (code == CTL_EXIT_OK) {
        report_show(options, reply);
        code = verdict(first_run(reply));
    }
    json_decref(reply);
    return code;
}

static bool run_parse(const char *text, uint64_t *ret) {
    if (!ctl_number_parse(text, strlen(text), 1, ret)) {
        (void)ctl_complain(CTL_EXIT_USAGE, "\"%s\" is no number of a run", text);
        return false;
    }
    return true;
}

ctl_exit_t ctl_reconcile_report(const ctl_options_t *options, int count, char **words) {
    uint64_t run = 0;
    json_t *reply = NULL;
    if (count > 0 && !run_parse(words[0], &run)) {
        return CTL_EXIT_USAGE;
    }
    ctl_exit_t code = report_ask(options, run, options->change.rounds, options->limit, &reply);
    if (code == CTL_EXIT_OK && first_run(reply) == NULL && !options->json) {
        (void)ctl_complain(CTL_EXIT_OK, "nothing has been compared yet");
    }
    if (code == CTL_EXIT_OK) {
        report_show(options, reply);
    }
    json_decref(reply);
    return code;
}

ctl_exit_t ctl_reconcile_differences(const ctl_options_t *options, int count, char **words) {
    (void)count;
    uint64_t run = 0;
    uint64_t after = 0;
    uint64_t left = options->limit == 0 ? LIMIT_USUAL : options->limit;
    json_t *all = json_array();
    ctl_exit_t code = CTL_EXIT_OK;
    if (!run_parse(words[0], &run)) {
        json_decref(all);
        return CTL_EXIT_USAGE;
    }
    do {
        ctl_args_t args;
        json_t *reply = NULL;
        ctl_args_init(&args);
        ctl_args_u64(&args, "run", run);
        ctl_args_u64(&args, "after", after);
        ctl_args_u64(&args, "limit", left < PAGE_MAX ? left : PAGE_MAX);
        code = ctl_ask(options, CTL_WRITER, "admin.reconcile.differences", &args, &reply);
        const json_t *page = json_object_get(reply, "differences");
        left -= json_array_size(page) < left ? json_array_size(page) : left;
        (void)json_array_extend(all, (json_t *)page);
        after = code == CTL_EXIT_OK ? ctl_config_number(reply, "next") : 0;
        json_decref(reply);
    } while (code == CTL_EXIT_OK && after > 0 && left > 0);
    json_t *shown = json_pack("{s:o, s:I}", "differences", all, "next", (json_int_t)after);
    if (code == CTL_EXIT_OK && options->json) {
        ctl_print_json(shown);
    } else if (code == CTL_EXIT_OK) {
        ctl_reconcile_show_differences(shown, options->color, stdout);
    }
    json_decref(shown);
    return code;
}

ctl_exit_t ctl_reconcile_stop(const ctl_options_t *options, int count, char **words) {
    (void)count;
    uint64_t run = 0;
    ctl_args_t args;
    json_t *reply = NULL;
    if (!run_parse(words[0], &run)) {
        return CTL_EXIT_USAGE;
    }
    ctl_args_init(&args);
    ctl_args_u64(&args, "run", run);
    if (options->note != NULL) {
        ctl_args_text(&args, "note", options->note);
    }
    ctl_exit_t code = ctl_ask(options, CTL_WRITER, "admin.reconcile.stop", &args, &reply);
    if (code == CTL_EXIT_OK && options->json) {
        ctl_print_json(reply);
    } else if (code == CTL_EXIT_OK) {
        (void)printf("run %llu is stopped\n", (unsigned long long)run);
    }
    json_decref(reply);
    return code;
}
