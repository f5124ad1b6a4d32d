#include "tools/walletctl/config_ask.h"

#include "base/alloc.h"
#include "base/text.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WAIT_MS = 10000,    /* every process judges a change */
    HISTORY_PAGE = 100, /* changes of one answer */
    HISTORY_PAGES_MAX = 50,
    ANSWER_ROOM = 16,
};

ctl_exit_t ctl_config_ask(const ctl_options_t *options, const char *method, ctl_args_t *args,
                          json_t **ret_reply) {
    ctl_options_t patient = *options;
    patient.timeout_ms = options->timeout_given ? options->timeout_ms : WAIT_MS;
    return ctl_ask(&patient, CTL_WRITER, method, args, ret_reply);
}

ctl_exit_t ctl_config_status(const ctl_options_t *options, json_t **ret_status) {
    ctl_args_t args;
    ctl_args_init(&args);
    return ctl_config_ask(options, "admin.config.status", &args, ret_status);
}

uint64_t ctl_config_number(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    const char *text = json_string_value(value);
    uint64_t number = 0;
    if (text != NULL) {
        return ctl_number_parse(text, strlen(text), 0, &number) ? number : 0;
    }
    return json_integer_value(value) > 0 ? (uint64_t)json_integer_value(value) : 0;
}

const char *ctl_config_text(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

/* ---- what a file began with ------------------------------------------------------------------ */

static ctl_exit_t live_ask(const ctl_options_t *options, wl_document_t document,
                           uint64_t *ret_version, uint64_t *ret_seq) {
    ctl_args_t args;
    json_t *live = NULL;
    ctl_args_init(&args);
    ctl_args_text(&args, "document", wl_document_name(document));
    ctl_exit_t code = ctl_config_ask(options, "admin.config.get", &args, &live);
    *ret_version = ctl_config_number(live, "version");
    *ret_seq = ctl_config_number(live, "seq");
    json_decref(live);
    return code;
}

ctl_exit_t ctl_config_base(const ctl_options_t *options, const ctl_config_files_t *files,
                           uint64_t *ret_base) {
    if (options->change.base.given) {
        *ret_base = options->change.base.value;
        return CTL_EXIT_OK;
    }
    for (int i = 0; i < files->count; i++) {
        const ctl_config_file_t *file = &files->all[i];
        uint64_t version = 0;
        uint64_t seq = 0;
        ctl_exit_t code = live_ask(options, file->document, &version, &seq);
        if (code != CTL_EXIT_OK) {
            return code;
        }
        if (file->readable && file->version == 0) {
            return ctl_complain(CTL_EXIT_CONFLICT,
                                "%s names no \"version\", so nobody knows what it began with: put "
                                "in %" PRIu64 " when it was what is live, or give --base N",
                                file->path, version);
        }
        if (file->readable && file->version != version) {
            return ctl_complain(CTL_EXIT_CONFLICT,
                                "%s is of version %" PRIu64 ", live is %" PRIu64
                                ": run walletctl config diff %s, or give --base N",
                                file->path, file->version, version, file->path);
        }
        if (i > 0 && seq != *ret_base) {
            return ctl_complain(CTL_EXIT_CONFLICT,
                                "change %" PRIu64 " was published at this moment: look at it "
                                "(walletctl config diff), then try again",
                                seq);
        }
        *ret_base = seq;
    }
    return CTL_EXIT_OK;
}

/* The version of a document in "3.7". */
static uint64_t version_part(const char *both, wl_document_t document) {
    const char *dot = strchr(both, '.');
    uint64_t version = 0;
    const char *part = document == WL_DOCUMENT_INTEGRATION || dot == NULL ? both : dot + 1;
    size_t bytes = part == both && dot != NULL ? (size_t)(dot - both) : strlen(part);
    return ctl_number_parse(part, bytes, 0, &version) ? version : 0;
}

/* The newest change of a page after which the version was live; *ret_oldest: the page's end. */
static bool page_search(const json_t *page, const ctl_config_file_t *file, uint64_t *ret_base,
                        uint64_t *ret_oldest) {
    size_t index = 0;
    const json_t *change = NULL;
    json_array_foreach(json_object_get(page, "changes"), index, change) {
        *ret_oldest = ctl_config_number(change, "seq");
        if (version_part(ctl_config_text(change, "after"), file->document) == file->version) {
            *ret_base = *ret_oldest;
            return true;
        }
    }
    return false;
}

ctl_exit_t ctl_config_base_old(const ctl_options_t *options, const ctl_config_file_t *file,
                               uint64_t *ret_base) {
    uint64_t version = 0;
    uint64_t before = 0;
    if (options->change.base.given) {
        *ret_base = options->change.base.value;
        return CTL_EXIT_OK;
    }
    ctl_exit_t code = live_ask(options, file->document, &version, ret_base);
    bool found = file->version == version;
    bool more = *ret_base > 0 && file->version > 0;
    for (int i = 0; code == CTL_EXIT_OK && !found && more && i < HISTORY_PAGES_MAX; i++) {
        ctl_args_t args;
        json_t *page = NULL;
        ctl_args_init(&args);
        ctl_args_u64(&args, "limit", HISTORY_PAGE);
        if (before > 0) {
            ctl_args_u64(&args, "before", before);
        }
        code = ctl_config_ask(options, "admin.config.history", &args, &page);
        found = page_search(page, file, ret_base, &before);
        more = json_is_true(json_object_get(page, "more"));
        json_decref(page);
    }
    if (code == CTL_EXIT_OK && !found) {
        return ctl_complain(CTL_EXIT_NOT_FOUND,
                            "%s is of version %" PRIu64 ", which was never live (live is %" PRIu64
                            "): say with --base N which change it began with",
                            file->path, file->version, version);
    }
    return code;
}

/* ---- who and why ----------------------------------------------------------------------------- */

ctl_exit_t ctl_config_reason_check(const ctl_options_t *options, const char *verb) {
    const char *reason = options->change.reason;
    if (reason == NULL || reason[0] == '\0') {
        return ctl_complain(CTL_EXIT_USAGE, "config %s needs -m REASON: it is kept in the history",
                            verb);
    }
    if (strlen(reason) > WL_REASON_MAX || !wl_text_valid(reason, WL_REASON_MAX + 1)) {
        return ctl_complain(CTL_EXIT_USAGE,
                            "-m: at most %d bytes of UTF-8 without control characters",
                            WL_REASON_MAX);
    }
    return CTL_EXIT_OK;
}

void ctl_config_author(const ctl_options_t *options, ctl_args_t *args) {
    const char *user = getenv("USER");
    const struct passwd *entry = getpwuid(geteuid());
    const char *author = options->change.author;
    if (author == NULL && user != NULL && user[0] != '\0') {
        author = user;
    }
    if (author == NULL) {
        author = entry == NULL ? "unknown" : entry->pw_name;
    }
    size_t bytes = strlen(author);
    if (options->change.author == NULL && bytes > WL_AUTHOR_MAX) {
        for (bytes = WL_AUTHOR_MAX; bytes > 0 && ((unsigned char)author[bytes] & 0xc0) == 0x80;) {
            bytes--;
        }
    }
    ctl_args_bytes(args, "author", author, bytes);
}

void ctl_config_args(const ctl_options_t *options, uint64_t base, ctl_args_t *args) {
    ctl_args_u64(args, "base", base);
    ctl_config_author(options, args);
    ctl_args_text(args, "reason", options->change.reason);
    if (options->change.dry_run) {
        ctl_args_bool(args, "dry_run", true);
    }
}

/* ---- may everybody see it? ------------------------------------------------------------------- */

static bool terminal(void) {
    return isatty(STDIN_FILENO) != 0 && isatty(STDERR_FILENO) != 0;
}

bool ctl_config_asks(const ctl_options_t *options) {
    return !options->change.yes && !options->change.dry_run && terminal();
}

ctl_exit_t ctl_confirm(const ctl_options_t *options, const char *reach, const char *question,
                       const char *refused) {
    char answer[ANSWER_ROOM] = "";
    if (options->change.yes || options->change.dry_run) {
        return CTL_EXIT_OK;
    }
    if (!terminal()) {
        return ctl_complain(CTL_EXIT_USAGE, "%s, and there is no terminal to ask at: give --yes",
                            reach);
    }
    (void)fprintf(stderr, "%s [y/N] ", question);
    (void)fflush(stderr);
    if (fgets(answer, sizeof answer, stdin) == NULL) {
        (void)fputc('\n', stderr);
    }
    answer[strcspn(answer, "\n")] = '\0';
    if (strcmp(answer, "y") == 0 || strcmp(answer, "Y") == 0 || strcmp(answer, "yes") == 0) {
        return CTL_EXIT_OK;
    }
    return ctl_complain(CTL_EXIT_REFUSED, "%s", refused);
}

ctl_exit_t ctl_config_confirm(const ctl_options_t *options, const char *question) {
    return ctl_confirm(options, "--dry-run shows what it would do; this reaches everybody",
                       question, "nothing was published");
}
