#include "tools/walletctl/config_look.h"

#include "tools/walletctl/config_ask.h"
#include "tools/walletctl/config_show.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { VERIFY_PAGE = 100 };

static ctl_exit_t reply_show(const ctl_options_t *options, ctl_exit_t code, json_t *reply,
                             void (*show)(const json_t *reply, bool color, FILE *out)) {
    if (code == CTL_EXIT_OK && options->json) {
        ctl_print_json(reply);
    } else if (code == CTL_EXIT_OK) {
        show(reply, options->color, stdout);
    }
    json_decref(reply);
    return code;
}

ctl_exit_t ctl_config_run_status(const ctl_options_t *options, int count, char **words) {
    (void)count, (void)words;
    json_t *status = NULL;
    ctl_exit_t code = ctl_config_status(options, &status);
    return reply_show(options, code, status, ctl_config_show_status);
}

/* ---- one document ---------------------------------------------------------------------------- */

ctl_exit_t ctl_config_get(const ctl_options_t *options, wl_document_t document, bool candidate,
                          json_t **ret_reply) {
    ctl_args_t args;
    ctl_args_init(&args);
    ctl_args_text(&args, "document", wl_document_name(document));
    if (options->change.seq.given) {
        ctl_args_u64(&args, "seq", options->change.seq.value);
    }
    if (candidate) {
        ctl_args_bool(&args, "candidate", true);
    }
    return ctl_config_ask(options, "admin.config.get", &args, ret_reply);
}

/* A text to -o, else to stdout. */
static ctl_exit_t text_out(const ctl_options_t *options, const json_t *reply, const char *text) {
    const char *output = options->change.output;
    size_t bytes = strlen(text);
    ctl_exit_t code = output == NULL ? CTL_EXIT_OK : ctl_config_file_write(output, text, bytes);
    if (code == CTL_EXIT_OK && options->json) {
        ctl_print_json(reply);
    } else if (code == CTL_EXIT_OK && output == NULL) {
        (void)fputs(text, stdout);
        (void)fputs(bytes > 0 && text[bytes - 1] == '\n' ? "" : "\n", stdout);
    }
    return code;
}

ctl_exit_t ctl_config_run_get(const ctl_options_t *options, int count, char **words) {
    (void)count;
    wl_document_t document = WL_DOCUMENT_COUNT;
    json_t *reply = NULL;
    ctl_exit_t code = ctl_config_document(words[0], &document);
    if (code == CTL_EXIT_OK) {
        code = ctl_config_get(options, document, options->change.candidate, &reply);
    }
    if (code == CTL_EXIT_OK) {
        code = text_out(options, reply, ctl_config_text(reply, "text"));
    }
    if (code == CTL_EXIT_OK && !options->json) {
        (void)ctl_complain(CTL_EXIT_OK, "%s version %" PRIu64 ", as of change %" PRIu64, words[0],
                           ctl_config_number(reply, "version"), ctl_config_number(reply, "seq"));
    }
    json_decref(reply);
    return code;
}

ctl_exit_t ctl_config_run_schema(const ctl_options_t *options, int count, char **words) {
    (void)count;
    wl_document_t document = WL_DOCUMENT_COUNT;
    json_t *reply = NULL;
    ctl_args_t args;
    ctl_exit_t code = ctl_config_document(words[0], &document);
    if (code != CTL_EXIT_OK) {
        return code;
    }
    ctl_args_init(&args);
    ctl_args_text(&args, "document", wl_document_name(document));
    code = ctl_config_ask(options, "admin.config.schema", &args, &reply);
    if (code == CTL_EXIT_OK) {
        const json_t *schema = json_object_get(reply, "schema");
        char *text = json_dumps(schema, JSON_INDENT(2));
        code = text_out(options, schema, text == NULL ? "" : text);
        free(text);
    }
    json_decref(reply);
    return code;
}

/* ---- what would change ----------------------------------------------------------------------- */

ctl_exit_t ctl_config_diff_text(const ctl_options_t *options, wl_document_t document,
                                const char *text, size_t bytes, uint64_t base, const char *name,
                                json_t **ret_reply) {
    ctl_args_t args;
    ctl_args_init(&args);
    ctl_args_text(&args, "document", wl_document_name(document));
    ctl_args_bytes(&args, "text", text, bytes);
    ctl_args_u64(&args, "base", base);
    ctl_exit_t code = ctl_config_ask(options, "admin.config.diff", &args, ret_reply);
    if (code == CTL_EXIT_OK) {
        (void)json_object_set_new(*ret_reply, "file", json_string(name));
    }
    return code;
}

ctl_exit_t ctl_config_diff_history(const ctl_options_t *options, wl_document_t document,
                                   uint64_t from, uint64_t to, json_t **ret_reply) {
    ctl_args_t args;
    ctl_args_init(&args);
    ctl_args_text(&args, "document", wl_document_name(document));
    ctl_args_u64(&args, "from", from);
    ctl_args_u64(&args, "to", to);
    return ctl_config_ask(options, "admin.config.diff", &args, ret_reply);
}

/* The file with what was published since: to -o, ready to be published. */
static ctl_exit_t merged_out(const ctl_options_t *options, const json_t *reply) {
    const char *output = options->change.output;
    const char *merged = ctl_config_text(reply, "merged");
    if (output == NULL) {
        return CTL_EXIT_OK;
    }
    if (merged[0] == '\0') {
        return ctl_complain(CTL_EXIT_CONFLICT,
                            "%s is not written: settle the conflicts in a copy "
                            "of what is live (walletctl config get %s -o FILE)",
                            output, ctl_config_text(reply, "document"));
    }
    ctl_exit_t code = ctl_config_file_write(output, merged, strlen(merged));
    if (code == CTL_EXIT_OK) {
        (void)ctl_complain(code, "%s has both: what is live, and your changes", output);
    }
    return code;
}

static ctl_exit_t diff_of_file(const ctl_options_t *options, const char *path) {
    ctl_config_file_t file;
    uint64_t base = 0;
    json_t *reply = NULL;
    ctl_exit_t code = ctl_config_file_read(path, &file);
    if (code == CTL_EXIT_OK) {
        code = ctl_config_base_old(options, &file, &base);
    }
    if (code == CTL_EXIT_OK) {
        code =
            ctl_config_diff_text(options, file.document, file.text, file.bytes, base, path, &reply);
    }
    ctl_config_file_release(&file);
    if (code != CTL_EXIT_OK) {
        return code;
    }
    code = merged_out(options, reply);
    uint64_t conflicts = ctl_config_number(reply, "conflicts");
    ctl_exit_t shown = reply_show(options, CTL_EXIT_OK, reply, ctl_config_show_diff);
    if (code == CTL_EXIT_OK && conflicts > 0) {
        code = CTL_EXIT_CONFLICT;
    }
    return code == CTL_EXIT_OK ? shown : code;
}

/* Both documents of two changes. */
static ctl_exit_t diff_of_history(const ctl_options_t *options) {
    uint64_t to = options->change.to.value;
    ctl_exit_t code = CTL_EXIT_OK;
    if (!options->change.to.given) {
        json_t *status = NULL;
        code = ctl_config_status(options, &status);
        to = ctl_config_number(status, "seq");
        json_decref(status);
    }
    json_t *all = json_array();
    for (wl_document_t d = 0; code == CTL_EXIT_OK && d < WL_DOCUMENT_COUNT; d++) {
        json_t *reply = NULL;
        code = ctl_config_diff_history(options, d, options->change.from.value, to, &reply);
        if (code == CTL_EXIT_OK && !options->json) {
            ctl_config_show_diff(reply, options->color, stdout);
        }
        if (reply != NULL) {
            (void)json_array_append_new(all, reply);
        }
    }
    if (code == CTL_EXIT_OK && options->json) {
        json_t *object = json_pack("{s:O}", "documents", all);
        ctl_print_json(object);
        json_decref(object);
    }
    json_decref(all);
    return code;
}

ctl_exit_t ctl_config_run_diff(const ctl_options_t *options, int count, char **words) {
    const ctl_config_options_t *change = &options->change;
    if (count == 1 && (change->from.given || change->to.given)) {
        return ctl_complain(CTL_EXIT_USAGE, "config diff: FILE [--base N], or --from A [--to B]");
    }
    if (count == 0 && (!change->from.given || change->base.given || change->output != NULL)) {
        return ctl_complain(CTL_EXIT_USAGE, "config diff: which? FILE, or --from A [--to B]");
    }
    return count == 1 ? diff_of_file(options, words[0]) : diff_of_history(options);
}

/* ---- history --------------------------------------------------------------------------------- */

static ctl_exit_t history_ask(const ctl_options_t *options, uint64_t before, uint64_t limit,
                              json_t **ret_page) {
    ctl_args_t args;
    ctl_args_init(&args);
    if (before > 0 || options->change.before.given) {
        ctl_args_u64(&args, "before", before);
    }
    if (limit > 0) {
        ctl_args_u64(&args, "limit", limit);
    }
    if (options->change.verify) {
        ctl_args_bool(&args, "verify", true);
    }
    return ctl_config_ask(options, "admin.config.history", &args, ret_page);
}

/* Further pages, until the first change or one that is not what it was. */
static ctl_exit_t history_go_on(const ctl_options_t *options, json_t *history) {
    json_t *changes = json_object_get(history, "changes");
    ctl_exit_t code = CTL_EXIT_OK;
    while (code == CTL_EXIT_OK && json_is_true(json_object_get(history, "more")) &&
           json_is_true(json_object_get(history, "verified")) && json_array_size(changes) > 0) {
        json_t *page = NULL;
        const json_t *oldest = json_array_get(changes, json_array_size(changes) - 1);
        code = history_ask(options, ctl_config_number(oldest, "seq"), VERIFY_PAGE, &page);
        if (code == CTL_EXIT_OK) {
            (void)json_array_extend(changes, json_object_get(page, "changes"));
            (void)json_object_del(page, "changes");
            (void)json_object_update(history, page);
        }
        json_decref(page);
    }
    return code;
}

ctl_exit_t ctl_config_run_history(const ctl_options_t *options, int count, char **words) {
    (void)count, (void)words;
    const ctl_config_options_t *change = &options->change;
    json_t *history = NULL;
    bool whole = change->verify && !change->before.given && options->limit == 0;
    ctl_exit_t code =
        history_ask(options, change->before.value, whole ? VERIFY_PAGE : options->limit, &history);
    if (code == CTL_EXIT_OK && whole) {
        code = history_go_on(options, history);
    }
    bool broken = json_is_false(json_object_get(history, "verified"));
    bool more = json_is_true(json_object_get(history, "more"));
    char problem[400];
    (void)snprintf(problem, sizeof problem, "%s", ctl_config_text(history, "problem"));
    uint64_t at = ctl_config_number(history, "broken");
    code = reply_show(options, code, history, ctl_config_show_history);
    if (code == CTL_EXIT_OK && broken) {
        return ctl_complain(CTL_EXIT_CHECK_FAILED, "change %" PRIu64 " is not what it was: %s", at,
                            problem);
    }
    if (code == CTL_EXIT_OK && change->verify) {
        (void)ctl_complain(code, "all of them, as this walletd keeps them, are what was written%s",
                           more ? "; older ones were not looked at" : "");
    } else if (code == CTL_EXIT_OK && more && !options->json) {
        (void)ctl_complain(code, "there are older ones: --before N, --limit N");
    }
    return code;
}

/* ---- what a user sees ------------------------------------------------------------------------ */

ctl_exit_t ctl_config_run_effective(const ctl_options_t *options, int count, char **words) {
    const ctl_config_options_t *change = &options->change;
    uint64_t uid = options->uid_count == 1 ? options->uids[0] : 0;
    ctl_args_t args;
    json_t *reply = NULL;
    if ((uint32_t)count + options->uid_count != 1) {
        return ctl_complain(CTL_EXIT_USAGE, "config effective is of one user: UID or --uid UID");
    }
    if (count == 1 && !ctl_uid_parse(words[0], &uid)) {
        return ctl_complain(CTL_EXIT_USAGE, "\"%s\" is no user id: digits only, 1 to 2^64-1",
                            words[0]);
    }
    if (change->scene_count > 1) {
        return ctl_complain(CTL_EXIT_USAGE, "a request has one --scene");
    }
    ctl_args_init(&args);
    ctl_args_u64(&args, "uid", uid);
    if (change->scene_count == 1) {
        ctl_args_text(&args, "scene", change->scenes[0]);
    }
    if (change->app != NULL) {
        ctl_args_text(&args, "app_version", change->app);
    }
    if (change->at != NULL) {
        ctl_args_text(&args, "at", change->at);
    }
    ctl_exit_t code = ctl_config_ask(options, "admin.config.effective", &args, &reply);
    return reply_show(options, code, reply, ctl_config_show_effective);
}
