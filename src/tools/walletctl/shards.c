#include "tools/walletctl/shards.h"

#include "base/limits.h"
#include "tools/walletctl/config_ask.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    LOOK_MS = 300,
    LOST_MAX = 200, /* looks without an answer before it is given up: a writer may be restarting */
};

/* ---- showing --------------------------------------------------------------------------------- */

static unsigned long long number(const json_t *object, const char *key) {
    return (unsigned long long)ctl_config_number(object, key);
}

static void move_show(const json_t *move, FILE *out) {
    const char *wish = ctl_config_text(move, "wish");
    const char *note = ctl_config_text(move, "note");
    (void)fprintf(out, "move %llu: slots %s from shard %llu to shard %llu: %s%s%s\n",
                  number(move, "move"), ctl_config_text(move, "slots"), number(move, "source"),
                  number(move, "target"), ctl_config_text(move, "state"),
                  wish[0] == '\0' ? "" : ", to ", wish);
    (void)fprintf(out,
                  "  %llu users copied (%llu records), %llu followed, %llu compared, %llu mended, "
                  "%llu records cleaned\n",
                  number(move, "users"), number(move, "records"), number(move, "followed"),
                  number(move, "compared"), number(move, "mended"), number(move, "cleaned"));
    if (number(move, "flipped_at") > 0) {
        (void)fprintf(out, "  writes of the source's users waited %llu ms\n",
                      number(move, "pause_ms"));
    }
    (void)fprintf(out, "  by %s%s%s\n", ctl_config_text(move, "by"), note[0] == '\0' ? "" : ": ",
                  note);
}

static void status_show(const json_t *reply) {
    const json_t *map = json_object_get(reply, "map");
    size_t index = 0;
    const json_t *row = NULL;
    (void)printf("map %llu: %s\n\n", number(map, "version"), ctl_config_text(map, "text"));
    (void)printf("%-6s %6s %7s\n", "shard", "slots", "share");
    json_array_foreach(json_object_get(reply, "shards"), index, row) {
        (void)printf("%-6llu %6llu %6.1f%%\n", number(row, "shard"), number(row, "slots"),
                     (double)number(row, "slots") * 100 / WL_SLOTS);
    }
    json_array_foreach(json_object_get(reply, "moves"), index, row) {
        (void)printf("\n");
        move_show(row, stdout);
    }
}

static ctl_exit_t status_ask(const ctl_options_t *options, uint64_t limit, json_t **ret) {
    ctl_args_t args;
    ctl_args_init(&args);
    if (limit > 0) {
        ctl_args_u64(&args, "limit", limit);
    }
    return ctl_ask(options, CTL_WRITER, "admin.shards.status", &args, ret);
}

ctl_exit_t ctl_shards_status(const ctl_options_t *options, int count, char **words) {
    (void)count;
    (void)words;
    json_t *reply = NULL;
    ctl_exit_t code = status_ask(options, options->limit, &reply);
    if (code == CTL_EXIT_OK && options->json) {
        ctl_print_json(reply);
    } else if (code == CTL_EXIT_OK) {
        status_show(reply);
    }
    json_decref(reply);
    return code;
}

/* ---- watching -------------------------------------------------------------------------------- */

static bool word_is(const json_t *move, const char *state) {
    return strcmp(ctl_config_text(move, "state"), state) == 0;
}

/* Nothing goes on by itself from here. */
static bool rests(const json_t *move) {
    bool wished = ctl_config_text(move, "wish")[0] != '\0';
    return (word_is(move, "following") && !wished) || word_is(move, "done") ||
           word_is(move, "undone");
}

static void progress_draw(const json_t *move) {
    (void)fprintf(stderr, "\r\033[Kmove %llu: %s, %llu users copied, %llu compared, %llu followed",
                  number(move, "move"), ctl_config_text(move, "state"), number(move, "users"),
                  number(move, "compared"), number(move, "followed"));
    if (number(move, "cleaned") > 0) {
        (void)fprintf(stderr, ", %llu records cleaned", number(move, "cleaned"));
    }
}

/* A writer that restarts, or is too busy to answer, is asked again. */
static bool ask_again(ctl_exit_t code) {
    return code == CTL_EXIT_UNREACHABLE || code == CTL_EXIT_REFUSED;
}

static ctl_exit_t move_watch(const ctl_options_t *options, json_t **ret_reply) {
    bool terminal = isatty(STDERR_FILENO) != 0 && !options->json;
    struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    ctl_exit_t code = CTL_EXIT_OK;
    for (int lost = 0; lost < LOST_MAX;) {
        json_t *reply = NULL;
        code = status_ask(options, 1, &reply);
        const json_t *move = json_array_get(json_object_get(reply, "moves"), 0);
        if (code != CTL_EXIT_OK && !ask_again(code)) {
            return code;
        }
        lost = code == CTL_EXIT_OK ? 0 : lost + 1;
        if (code == CTL_EXIT_OK && (move == NULL || rests(move))) {
            *ret_reply = reply;
            break;
        }
        if (code == CTL_EXIT_OK && terminal) {
            progress_draw(move);
        }
        json_decref(reply);
        (void)nanosleep(&pause, NULL);
    }
    if (terminal) {
        (void)fprintf(stderr, "\r\033[K");
    }
    return code;
}

/* What has been asked for goes on in walletd; shows how it ends. */
static ctl_exit_t move_end(const ctl_options_t *options, json_t *asked) {
    json_t *reply = NULL;
    ctl_exit_t code = CTL_EXIT_OK;
    if (options->no_wait) {
        if (options->json) {
            ctl_print_json(asked);
        } else {
            (void)printf("move %llu\n", number(asked, "move"));
        }
        return CTL_EXIT_OK;
    }
    if (!options->json) {
        (void)ctl_complain(CTL_EXIT_OK, "it goes on in walletd when this program ends");
    }
    code = move_watch(options, &reply);
    const json_t *move = json_array_get(json_object_get(reply, "moves"), 0);
    if (move != NULL && options->json) {
        ctl_print_json(move);
    } else if (move != NULL) {
        move_show(move, stdout);
        if (word_is(move, "following")) {
            (void)printf("  the old shard follows: `shards finish` cleans it up, `shards back` "
                         "goes back\n");
        }
    }
    json_decref(reply);
    return code;
}

/* ---- verbs ----------------------------------------------------------------------------------- */

/* "2048-4095" or "7" */
static bool slots_parse(const char *text, uint64_t *ret_first, uint64_t *ret_last) {
    const char *dash = text == NULL ? NULL : strchr(text, '-');
    size_t bytes = dash == NULL ? 0 : (size_t)(dash - text);
    if (text == NULL || text[0] == '\0') {
        return false;
    }
    if (dash == NULL) {
        bool read = ctl_number_parse(text, strlen(text), 0, ret_first);
        *ret_last = *ret_first;
        return read && *ret_last < WL_SLOTS;
    }
    return ctl_number_parse(text, bytes, 0, ret_first) &&
           ctl_number_parse(dash + 1, strlen(dash + 1), 0, ret_last) && *ret_first <= *ret_last &&
           *ret_last < WL_SLOTS;
}

ctl_exit_t ctl_shards_move(const ctl_options_t *options, int count, char **words) {
    (void)count;
    (void)words;
    uint64_t first = 0;
    uint64_t last = 0;
    json_t *reply = NULL;
    if (!slots_parse(options->change.slots, &first, &last) || !options->change.to.given) {
        return ctl_complain(CTL_EXIT_USAGE,
                            "which slots, and where to? --slots A-B (0 to %d) and --to SHARD",
                            WL_SLOTS - 1);
    }
    ctl_exit_t code = ctl_confirm(options, "users will move to another server", "Move these slots?",
                                  "nothing was moved");
    if (code != CTL_EXIT_OK) {
        return code;
    }
    ctl_args_t args;
    ctl_args_init(&args);
    ctl_config_author(options, &args);
    ctl_args_u64(&args, "first", first);
    ctl_args_u64(&args, "last", last);
    ctl_args_u64(&args, "to", options->change.to.value);
    if (options->rate > 0) {
        ctl_args_u64(&args, "rate", options->rate);
    }
    if (options->note != NULL) {
        ctl_args_text(&args, "note", options->note);
    }
    code = ctl_ask(options, CTL_WRITER, "admin.shards.move", &args, &reply);
    if (code == CTL_EXIT_OK) {
        code = move_end(options, reply);
    }
    json_decref(reply);
    return code;
}

static ctl_exit_t wish(const ctl_options_t *options, const char *method, const char *reach,
                       const char *question) {
    json_t *reply = NULL;
    ctl_args_t args;
    ctl_exit_t code = ctl_confirm(options, reach, question, "nothing was changed");
    if (code != CTL_EXIT_OK) {
        return code;
    }
    ctl_args_init(&args);
    code = ctl_ask(options, CTL_WRITER, method, &args, &reply);
    if (code == CTL_EXIT_OK) {
        code = move_end(options, reply);
    }
    json_decref(reply);
    return code;
}

ctl_exit_t ctl_shards_back(const ctl_options_t *options, int count, char **words) {
    (void)count;
    (void)words;
    return wish(options, "admin.shards.back", "the slots go back to their old shard",
                "Take the move back?");
}

ctl_exit_t ctl_shards_finish(const ctl_options_t *options, int count, char **words) {
    (void)count;
    (void)words;
    return wish(options, "admin.shards.finish",
                "the old shard's copy is deleted, with the way back",
                "Delete what the old shard still has of them?");
}
