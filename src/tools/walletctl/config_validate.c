#include "tools/walletctl/config_validate.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "domain/config.h"
#include "domain/json_locate.h"
#include "lines/sample.h"
#include "store/config_dir.h"
#include "tools/walletctl/config_ask.h"

#include <inttypes.h>
#include <string.h>

/* ---- the verdict ----------------------------------------------------------------------------- */

/* The file that a place such as "presentation/golden/0" is in; NULL: what is live already. */
static const ctl_config_file_t *file_of(const ctl_config_files_t *files, const char *where) {
    for (int i = 0; i < files->count; i++) {
        const char *name = wl_document_name(files->all[i].document);
        if (strncmp(where, name, strlen(name)) == 0) {
            return &files->all[i];
        }
    }
    return NULL;
}

static ctl_exit_t verdict_tell(const ctl_config_files_t *files, const json_t *reply,
                               ctl_exit_t failed) {
    const char *where = ctl_config_text(reply, "where");
    const ctl_config_file_t *file = file_of(files, where);
    if (json_is_true(json_object_get(reply, "valid"))) {
        return CTL_EXIT_OK;
    }
    if (file == NULL) {
        return ctl_complain(failed, "%s: %s (in the document that is live)", where,
                            ctl_config_text(reply, "message"));
    }
    return ctl_complain(failed, "%s:%" PRIu64 ":%" PRIu64 ": %s: %s", file->path,
                        ctl_config_number(reply, "line"), ctl_config_number(reply, "column"), where,
                        ctl_config_text(reply, "message"));
}

ctl_exit_t ctl_config_validate(const ctl_options_t *options, const ctl_config_files_t *files,
                               ctl_exit_t failed, json_t **ret_reply) {
    ctl_args_t args;
    json_t *reply = NULL;
    ctl_args_init(&args);
    ctl_config_files_args(files, &args);
    ctl_exit_t code = ctl_config_ask(options, "admin.config.validate", &args, &reply);
    if (code == CTL_EXIT_OK) {
        code = verdict_tell(files, reply, failed);
    }
    *ret_reply = reply;
    return code;
}

/* ---- without a server ------------------------------------------------------------------------ */

/* The document that is not among the files, from --config FOLDER. */
static ctl_exit_t other_read(const ctl_options_t *options, wl_document_t document,
                             wl_config_file_t *ret) {
    wl_fault_t fault = {.line = 0};
    if (options->config == NULL) {
        return ctl_complain(CTL_EXIT_USAGE,
                            "--local needs both documents: give the %s document too, or with "
                            "--config FOLDER where its newest file is",
                            wl_document_name(document));
    }
    wl_err_t err = wl_config_dir_read(options->config, wl_document_name(document), 0, ret, &fault);
    return err == WL_OK ? CTL_EXIT_OK
                        : ctl_complain(CTL_EXIT_NOT_FOUND, "%s: %s", fault.where, fault.message);
}

/* A fault of a sample knows its line's id, but not where it stands in the text. */
static void sample_place(const char *text, size_t bytes, wl_fault_t *fault) {
    char line[WL_LINE_ID_MAX + 1] = "";
    static const char begin[] = "integration/lines/";
    const char *id = fault->where + strlen(begin);
    if (fault->line != 0 || strncmp(fault->where, begin, strlen(begin)) != 0) {
        return;
    }
    (void)snprintf(line, sizeof line, "%.*s", (int)strcspn(id, "/"), id);
    wl_json_step_t steps[] = {{.key = "lines"}, {.key = line}, {.key = "sample"}};
    wl_json_place_t place = wl_json_locate(text, bytes, steps, WL_COUNT_OF(steps));
    fault->line = place.line;
    fault->column = place.column;
}

/* In the shape of admin.config.validate. */
static json_t *texts_judge(const char *const texts[WL_DOCUMENT_COUNT],
                           const size_t bytes[WL_DOCUMENT_COUNT]) {
    wl_fault_t fault = {.line = 0};
    wl_config_t *config = NULL;
    wl_err_t err = wl_config_compile(texts[WL_DOCUMENT_INTEGRATION], bytes[WL_DOCUMENT_INTEGRATION],
                                     texts[WL_DOCUMENT_PRESENTATION],
                                     bytes[WL_DOCUMENT_PRESENTATION], &config, &fault);
    if (err == WL_OK) {
        err = wl_samples_check(config, wl_wall_now(), &fault);
        sample_place(texts[WL_DOCUMENT_INTEGRATION], bytes[WL_DOCUMENT_INTEGRATION], &fault);
    }
    wl_config_destroy(&config);
    return json_pack("{s:b, s:s, s:i, s:i, s:s}", "valid", err == WL_OK, "where", fault.where,
                     "line", (int)fault.line, "column", (int)fault.column, "message",
                     fault.message);
}

static ctl_exit_t validate_local(const ctl_options_t *options, const ctl_config_files_t *files,
                                 json_t **ret_reply) {
    const char *texts[WL_DOCUMENT_COUNT];
    size_t bytes[WL_DOCUMENT_COUNT];
    wl_config_file_t other = {.text = NULL};
    ctl_exit_t code = CTL_EXIT_OK;
    for (wl_document_t d = 0; code == CTL_EXIT_OK && d < WL_DOCUMENT_COUNT; d++) {
        const ctl_config_file_t *file = ctl_config_files_find(files, d);
        if (file == NULL) {
            code = other_read(options, d, &other);
        }
        texts[d] = file != NULL ? file->text : other.text;
        bytes[d] = file != NULL ? file->bytes : other.bytes;
    }
    if (code == CTL_EXIT_OK) {
        *ret_reply = texts_judge(texts, bytes);
        code = verdict_tell(files, *ret_reply, CTL_EXIT_CHECK_FAILED);
    }
    wl_config_file_release(&other);
    return code;
}

ctl_exit_t ctl_config_run_validate(const ctl_options_t *options, int count, char **words) {
    ctl_config_files_t files;
    json_t *reply = NULL;
    ctl_exit_t code = ctl_config_files_read(count, words, &files);
    if (code == CTL_EXIT_OK) {
        code = options->change.local
                   ? validate_local(options, &files, &reply)
                   : ctl_config_validate(options, &files, CTL_EXIT_CHECK_FAILED, &reply);
    }
    if (options->json && reply != NULL) {
        ctl_print_json(reply);
    } else if (code == CTL_EXIT_OK) {
        (void)printf("valid\n");
    }
    json_decref(reply);
    ctl_config_files_release(&files);
    return code;
}
