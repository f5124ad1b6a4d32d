#include "tools/walletctl/config_change.h"

#include "tools/walletctl/config_ask.h"
#include "tools/walletctl/config_look.h"
#include "tools/walletctl/config_show.h"
#include "tools/walletctl/config_users.h"
#include "tools/walletctl/config_validate.h"

#include <inttypes.h>
#include <string.h>

#define QUESTION "Publish to everybody?"

enum { TEXT_ROOM = 512, WHOLE_PERCENT = 100 };

/* Asks for the change and says what has become of it. */
static ctl_exit_t change_ask(const ctl_options_t *options, const char *method, ctl_args_t *args) {
    json_t *reply = NULL;
    bool dry = options->change.dry_run;
    ctl_exit_t code = ctl_config_ask(options, method, args, &reply);
    if (code == CTL_EXIT_OK && options->json) {
        ctl_print_json(reply);
    } else if (code == CTL_EXIT_OK) {
        char text[TEXT_ROOM] = "everybody";
        const json_t *rollout = json_object_get(reply, "rollout");
        if (json_is_object(rollout)) {
            ctl_config_rollout_text(rollout, text, sizeof text);
        }
        if (dry) {
            ctl_config_show_changes(reply, options->color, stdout);
        }
        (void)printf("%schange %" PRIu64 ", version %s, for %s%s\n", dry ? "would be " : "",
                     ctl_config_number(reply, "seq"), ctl_config_text(reply, "version"), text,
                     json_is_true(json_object_get(rollout, "paused")) ? ", paused" : "");
    } else if (code == CTL_EXIT_UNREACHABLE && !dry) {
        (void)ctl_complain(code, "see walletctl config history whether it was published");
    }
    json_decref(reply);
    return code;
}

/* ---- documents for everybody ----------------------------------------------------------------- */

/* On stderr, before it is asked about. */
static ctl_exit_t files_show(const ctl_options_t *options, const ctl_config_files_t *files,
                             uint64_t base) {
    ctl_exit_t code = CTL_EXIT_OK;
    for (int i = 0; code == CTL_EXIT_OK && i < files->count; i++) {
        const ctl_config_file_t *file = &files->all[i];
        json_t *diff = NULL;
        code = ctl_config_diff_text(options, file->document, file->text, file->bytes, base,
                                    file->path, &diff);
        if (code == CTL_EXIT_OK) {
            ctl_config_show_diff(diff, options->color, stderr);
        }
        json_decref(diff);
    }
    return code;
}

/* What is wrong with the files is said with its place in them. */
static ctl_exit_t files_validate(const ctl_options_t *options, const ctl_config_files_t *files) {
    json_t *reply = NULL;
    ctl_exit_t code = ctl_config_validate(options, files, CTL_EXIT_REFUSED, &reply);
    if (code != CTL_EXIT_OK && options->json && reply != NULL) {
        ctl_print_json(reply);
    }
    json_decref(reply);
    return code;
}

ctl_exit_t ctl_config_put_files(const ctl_options_t *options, const ctl_config_files_t *files,
                                uint64_t base) {
    ctl_args_t args;
    ctl_exit_t code = files_validate(options, files);
    if (code == CTL_EXIT_OK && ctl_config_asks(options)) {
        code = files_show(options, files, base);
    }
    if (code == CTL_EXIT_OK) {
        code = ctl_config_confirm(options, QUESTION);
    }
    if (code != CTL_EXIT_OK) {
        return code;
    }
    ctl_args_init(&args);
    ctl_config_files_args(files, &args);
    ctl_config_args(options, base, &args);
    return change_ask(options, "admin.config.put", &args);
}

ctl_exit_t ctl_config_run_put(const ctl_options_t *options, int count, char **words) {
    ctl_config_files_t files = {.count = 0};
    uint64_t base = 0;
    ctl_exit_t code = ctl_config_reason_check(options, "put");
    if (code == CTL_EXIT_OK) {
        code = ctl_config_files_read(count, words, &files);
    }
    if (code == CTL_EXIT_OK) {
        code = ctl_config_base(options, &files, &base);
    }
    if (code == CTL_EXIT_OK) {
        code = ctl_config_put_files(options, &files, base);
    }
    ctl_config_files_release(&files);
    return code;
}

/* ---- back ------------------------------------------------------------------------------------ */

static ctl_exit_t history_show(const ctl_options_t *options, uint64_t from, uint64_t to) {
    ctl_exit_t code = CTL_EXIT_OK;
    for (wl_document_t d = 0; code == CTL_EXIT_OK && d < WL_DOCUMENT_COUNT; d++) {
        json_t *diff = NULL;
        code = ctl_config_diff_history(options, d, from, to, &diff);
        if (code == CTL_EXIT_OK) {
            ctl_config_show_diff(diff, options->color, stderr);
        }
        json_decref(diff);
    }
    return code;
}

ctl_exit_t ctl_config_run_rollback(const ctl_options_t *options, int count, char **words) {
    (void)count;
    uint64_t to = 0;
    json_t *status = NULL;
    ctl_args_t args;
    if (!ctl_uid_parse(words[0], &to)) {
        return ctl_complain(CTL_EXIT_USAGE, "\"%s\" is no number of a change: see config history",
                            words[0]);
    }
    ctl_exit_t code = ctl_config_reason_check(options, "rollback");
    if (code == CTL_EXIT_OK) {
        code = ctl_config_status(options, &status);
    }
    uint64_t live = ctl_config_number(status, "seq");
    json_decref(status);
    if (code == CTL_EXIT_OK && ctl_config_asks(options)) {
        code = history_show(options, live, to);
    }
    if (code == CTL_EXIT_OK) {
        code = ctl_config_confirm(options, QUESTION);
    }
    if (code != CTL_EXIT_OK) {
        return code;
    }
    ctl_args_init(&args);
    ctl_args_u64(&args, "to", to);
    ctl_config_args(options, options->change.base.given ? options->change.base.value : live, &args);
    return change_ask(options, "admin.config.rollback", &args);
}

/* ---- rollouts -------------------------------------------------------------------------------- */

static void conditions_args(const ctl_options_t *options, const char *digest, ctl_args_t *args) {
    const ctl_config_options_t *change = &options->change;
    if (change->percent.given) {
        ctl_args_real(args, "percent", change->percent.value);
    }
    if (digest[0] != '\0') {
        ctl_args_text(args, "whitelist", digest);
    }
    if (change->scene_count > 0) {
        msgpack_packer packer = ctl_args_value(args, "scenes");
        (void)msgpack_pack_array(&packer, change->scene_count);
        for (uint32_t i = 0; i < change->scene_count; i++) {
            (void)msgpack_pack_str_with_body(&packer, change->scenes[i], strlen(change->scenes[i]));
        }
    }
    if (change->app_min != NULL) {
        ctl_args_text(args, "app_min", change->app_min);
    }
    if (change->app_max != NULL) {
        ctl_args_text(args, "app_max", change->app_max);
    }
    if (change->abort_percent.given) {
        ctl_args_real(args, "abort_percent", change->abort_percent.value);
    }
    if (change->abort_after.given) {
        ctl_args_u64(args, "abort_replies", change->abort_after.value);
    }
}

/* All users of some scenes or app versions count as everybody. */
static bool reaches_everybody(const ctl_config_options_t *change) {
    return change->whitelist == NULL &&
           (!change->percent.given || change->percent.value >= WHOLE_PERCENT);
}

static ctl_exit_t rollout_files(const ctl_options_t *options, const ctl_config_files_t *files,
                                uint64_t base) {
    char digest[WL_DIGEST_HEX + 1] = "";
    ctl_args_t args;
    bool all = reaches_everybody(&options->change);
    ctl_exit_t code = files_validate(options, files);
    if (code == CTL_EXIT_OK && all && ctl_config_asks(options)) {
        code = files_show(options, files, base);
    }
    if (code == CTL_EXIT_OK && all) {
        code = ctl_config_confirm(options, "100 % of users: " QUESTION);
    }
    if (code == CTL_EXIT_OK && options->change.whitelist != NULL) {
        code = ctl_config_whitelist(options, digest);
    }
    if (code != CTL_EXIT_OK) {
        return code;
    }
    ctl_args_init(&args);
    ctl_config_files_args(files, &args);
    conditions_args(options, digest, &args);
    ctl_config_args(options, base, &args);
    return change_ask(options, "admin.config.rollout", &args);
}

ctl_exit_t ctl_config_run_rollout(const ctl_options_t *options, int count, char **words) {
    ctl_config_files_t files = {.count = 0};
    uint64_t base = 0;
    ctl_exit_t code = ctl_config_reason_check(options, "rollout");
    if (code == CTL_EXIT_OK) {
        code = ctl_config_files_read(count, words, &files);
    }
    if (code == CTL_EXIT_OK) {
        code = ctl_config_base(options, &files, &base);
    }
    if (code == CTL_EXIT_OK) {
        code = rollout_files(options, &files, base);
    }
    ctl_config_files_release(&files);
    return code;
}

/* ---- steering one ---------------------------------------------------------------------------- */

/* What is live, and which rollout is meant: the ID that is given, else the one under way. */
typedef struct {
    uint64_t seq;
    uint64_t id;
    bool set; /* it has a whitelist */
} steered_t;

static ctl_exit_t steered_find(const ctl_options_t *options, int count, char **words,
                               steered_t *ret) {
    json_t *status = NULL;
    uint64_t wanted = 0;
    if (count == 1 && !ctl_uid_parse(words[0], &wanted)) {
        return ctl_complain(CTL_EXIT_USAGE, "\"%s\" is no number of a rollout: see config status",
                            words[0]);
    }
    ctl_exit_t code = ctl_config_status(options, &status);
    const json_t *rollout = json_object_get(status, "rollout");
    ret->seq = ctl_config_number(status, "seq");
    ret->id = ctl_config_number(rollout, "id");
    ret->set = ctl_config_text(rollout, "whitelist")[0] != '\0';
    json_decref(status);
    if (code == CTL_EXIT_OK && ret->id == 0) {
        return ctl_complain(CTL_EXIT_NOT_FOUND, "no rollout is under way");
    }
    if (code == CTL_EXIT_OK && wanted != 0 && wanted != ret->id) {
        return ctl_complain(CTL_EXIT_CONFLICT,
                            "rollout %" PRIu64 " is not under way, %" PRIu64 " is", wanted,
                            ret->id);
    }
    return code;
}

static ctl_exit_t steer_ask(const ctl_options_t *options, const char *action,
                            const steered_t *steered, const char *digest) {
    const ctl_number_t *base = &options->change.base;
    ctl_args_t args;
    ctl_args_init(&args);
    ctl_args_text(&args, "action", action);
    ctl_args_u64(&args, "rollout", steered->id);
    if (strcmp(action, "widen") == 0) {
        conditions_args(options, digest, &args);
    }
    ctl_config_args(options, base->given ? base->value : steered->seq, &args);
    return change_ask(options, "admin.config.steer", &args);
}

static ctl_exit_t steer(const ctl_options_t *options, const char *action, int count, char **words) {
    steered_t steered;
    ctl_exit_t code = ctl_config_reason_check(options, action);
    if (code == CTL_EXIT_OK) {
        code = steered_find(options, count, words, &steered);
    }
    return code == CTL_EXIT_OK ? steer_ask(options, action, &steered, "") : code;
}

ctl_exit_t ctl_config_run_pause(const ctl_options_t *options, int count, char **words) {
    return steer(options, "pause", count, words);
}

ctl_exit_t ctl_config_run_resume(const ctl_options_t *options, int count, char **words) {
    return steer(options, "resume", count, words);
}

ctl_exit_t ctl_config_run_abort(const ctl_options_t *options, int count, char **words) {
    return steer(options, "abort", count, words);
}

/* What the candidate has that others do not see yet. */
static ctl_exit_t candidate_show(const ctl_options_t *options, uint64_t seq) {
    ctl_exit_t code = CTL_EXIT_OK;
    for (wl_document_t d = 0; code == CTL_EXIT_OK && d < WL_DOCUMENT_COUNT; d++) {
        json_t *candidate = NULL;
        json_t *diff = NULL;
        code = ctl_config_get(options, d, true, &candidate);
        const char *text = ctl_config_text(candidate, "text");
        if (code == CTL_EXIT_OK) {
            code =
                ctl_config_diff_text(options, d, text, strlen(text), seq, "the candidate", &diff);
        }
        if (code == CTL_EXIT_OK) {
            ctl_config_show_diff(diff, options->color, stderr);
        }
        json_decref(diff);
        json_decref(candidate);
    }
    return code;
}

ctl_exit_t ctl_config_run_widen(const ctl_options_t *options, int count, char **words) {
    const ctl_config_options_t *change = &options->change;
    char digest[WL_DIGEST_HEX + 1] = "";
    steered_t steered = {.seq = 0};
    if (!change->percent.given && change->whitelist == NULL) {
        return ctl_complain(CTL_EXIT_USAGE, "config widen: --percent P or --whitelist FILE");
    }
    if (change->scene_count > 0 || change->app_min != NULL || change->app_max != NULL ||
        change->abort_percent.given || change->abort_after.given) {
        return ctl_complain(CTL_EXIT_USAGE, "config widen changes --percent and --whitelist; for "
                                            "other conditions abort it and begin another one");
    }
    ctl_exit_t code = ctl_config_reason_check(options, "widen");
    if (code == CTL_EXIT_OK) {
        code = steered_find(options, count, words, &steered);
    }
    bool whole = change->percent.given && change->percent.value >= WHOLE_PERCENT;
    whole = whole && !steered.set && change->whitelist == NULL;
    if (code == CTL_EXIT_OK && whole && ctl_config_asks(options)) {
        code = candidate_show(options, steered.seq);
    }
    if (code == CTL_EXIT_OK && whole) {
        code = ctl_config_confirm(options, "100 % of users: " QUESTION);
    }
    if (code == CTL_EXIT_OK && change->whitelist != NULL) {
        code = ctl_config_whitelist(options, digest);
    }
    return code == CTL_EXIT_OK ? steer_ask(options, "widen", &steered, digest) : code;
}

ctl_exit_t ctl_config_run_promote(const ctl_options_t *options, int count, char **words) {
    steered_t steered = {.seq = 0};
    ctl_exit_t code = ctl_config_reason_check(options, "promote");
    if (code == CTL_EXIT_OK) {
        code = steered_find(options, count, words, &steered);
    }
    if (code == CTL_EXIT_OK && ctl_config_asks(options)) {
        code = candidate_show(options, steered.seq);
    }
    if (code == CTL_EXIT_OK) {
        code = ctl_config_confirm(options, QUESTION);
    }
    return code == CTL_EXIT_OK ? steer_ask(options, "promote", &steered, "") : code;
}
