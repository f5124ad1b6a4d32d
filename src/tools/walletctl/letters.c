#include "tools/walletctl/letters.h"

#include "tools/walletctl/config_ask.h"
#include "tools/walletctl/show.h"

#include <inttypes.h>

enum {
    BATCH = 10000,      /* letters that walletd handles with one question */
    BATCHES_MAX = 1000, /* letters that are tried again may come back meanwhile */
};

static ctl_exit_t reply_show(const ctl_options_t *options, json_t *reply) {
    if (options->json) {
        ctl_print_json(reply);
    } else {
        ctl_show_any(reply, 0, options->color, stdout);
    }
    json_decref(reply);
    return CTL_EXIT_OK;
}

/* false: more than one user. */
static bool filter_pack(const ctl_options_t *options, ctl_args_t *args) {
    if (options->uid_count > 1) {
        (void)ctl_complain(CTL_EXIT_USAGE, "letters of one user at a time: give --uid once");
        return false;
    }
    if (options->line != NULL) {
        ctl_args_text(args, "line", options->line);
    }
    if (options->failure != NULL) {
        ctl_args_text(args, "class", options->failure);
    }
    if (options->uid_count == 1) {
        ctl_args_u64(args, "uid", options->uids[0]);
    }
    return true;
}

ctl_exit_t ctl_letters_list(const ctl_options_t *options, int count, char **words) {
    (void)count;
    (void)words;
    ctl_args_t args;
    json_t *reply = NULL;
    ctl_args_init(&args);
    if (!filter_pack(options, &args)) {
        ctl_args_destroy(&args);
        return CTL_EXIT_USAGE;
    }
    if (options->limit > 0) {
        ctl_args_u64(&args, "limit", options->limit);
    }
    ctl_exit_t code = ctl_ask(options, CTL_WRITER, "admin.dlq.list", &args, &reply);
    return code == CTL_EXIT_OK ? reply_show(options, reply) : code;
}

/* ---- which letters --------------------------------------------------------------------------- */

static ctl_exit_t id_complain(const char *word) {
    return ctl_complain(CTL_EXIT_USAGE, "\"%s\" is no number of a dead letter", word);
}

/* One of: ID; --line, --class, --uid; --all. */
static ctl_exit_t choice_check(const ctl_options_t *options, int count, char **words) {
    uint64_t id = 0;
    bool some = options->line != NULL || options->failure != NULL || options->uid_count > 0;
    if (count == 1 && !ctl_uid_parse(words[0], &id)) {
        return id_complain(words[0]);
    }
    if (count + some + options->all == 0) {
        return ctl_complain(CTL_EXIT_USAGE, "which letters? give an ID, or --line LINE, --class "
                                            "CLASS or --uid UID, or --all");
    }
    if (count + some + options->all > 1) {
        return ctl_complain(CTL_EXIT_USAGE,
                            "which letters? an ID, --all, and --line, --class or --uid exclude "
                            "each other");
    }
    return CTL_EXIT_OK;
}

static bool choice_pack(const ctl_options_t *options, int count, char **words, ctl_args_t *args) {
    uint64_t id = 0;
    if (count == 1 && ctl_uid_parse(words[0], &id)) {
        ctl_args_u64(args, "id", id);
    }
    if (options->all) {
        ctl_args_bool(args, "all", true);
    }
    return filter_pack(options, args);
}

ctl_exit_t ctl_letters_show(const ctl_options_t *options, int count, char **words) {
    (void)count;
    ctl_args_t args;
    json_t *reply = NULL;
    uint64_t id = 0;
    if (!ctl_uid_parse(words[0], &id)) {
        return id_complain(words[0]);
    }
    ctl_args_init(&args);
    ctl_args_u64(&args, "id", id);
    ctl_exit_t code = ctl_ask(options, CTL_WRITER, "admin.dlq.show", &args, &reply);
    return code == CTL_EXIT_OK ? reply_show(options, reply) : code;
}

/* ---- redrive and discard --------------------------------------------------------------------- */

/* Asks until there are no more; `key` counts in the replies. */
static ctl_exit_t letters_do(const ctl_options_t *options, int count, char **words,
                             const char *method, const char *key) {
    json_int_t done = 0;
    json_int_t last = BATCH;
    for (int i = 0; last == BATCH && i < BATCHES_MAX; i++) {
        ctl_args_t args;
        json_t *reply = NULL;
        ctl_args_init(&args);
        if (!choice_pack(options, count, words, &args)) {
            ctl_args_destroy(&args);
            return CTL_EXIT_USAGE;
        }
        if (options->note != NULL) {
            ctl_args_text(&args, "note", options->note);
        }
        ctl_exit_t code = ctl_ask(options, CTL_WRITER, method, &args, &reply);
        if (code != CTL_EXIT_OK) {
            if (done > 0) {
                (void)ctl_complain(code, "%lld letters were %s before", (long long)done, key);
            }
            return code;
        }
        last = json_integer_value(json_object_get(reply, key));
        done += last;
        json_decref(reply);
    }
    return reply_show(options, json_pack("{s:I}", key, done));
}

ctl_exit_t ctl_letters_redrive(const ctl_options_t *options, int count, char **words) {
    ctl_exit_t code = choice_check(options, count, words);
    return code == CTL_EXIT_OK ? letters_do(options, count, words, "admin.dlq.redrive", "redriven")
                               : code;
}

ctl_exit_t ctl_letters_discard(const ctl_options_t *options, int count, char **words) {
    ctl_exit_t code = choice_check(options, count, words);
    if (code == CTL_EXIT_OK && (options->note == NULL || options->note[0] == '\0')) {
        code = ctl_complain(CTL_EXIT_USAGE, "dlq discard needs --note TEXT: it is kept for audit");
    }
    if (code == CTL_EXIT_OK) {
        code = ctl_confirm(options, "discarded letters are gone for good",
                           count == 1     ? "Discard this letter for good?"
                           : options->all ? "Discard ALL dead letters for good?"
                                          : "Discard these letters for good?",
                           "nothing was discarded");
    }
    return code == CTL_EXIT_OK ? letters_do(options, count, words, "admin.dlq.discard", "discarded")
                               : code;
}
