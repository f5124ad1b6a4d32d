#include "tools/walletctl/config_edit.h"

#include "base/alloc.h"
#include "store/blob_file.h"
#include "tools/walletctl/config_ask.h"
#include "tools/walletctl/config_change.h"
#include "tools/walletctl/config_look.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH_ROOM = 512, SUFFIX = 5 /* ".json" */, COPY_BYTES_MAX = 1 << 20 };

extern char **environ;

/* ---- the editor ------------------------------------------------------------------------------ */

/* $VISUAL and $EDITOR are words for the shell: "code --wait". */
static ctl_exit_t editor_run(const char *path) {
    char shell[] = "sh";
    char flag[] = "-c";
    char script[] = "exec ${VISUAL:-${EDITOR:-vi}} \"$1\"";
    char name[] = "walletctl";
    char *argv[] = {shell, flag, script, name, (char *)(uintptr_t)path, NULL};
    pid_t child = 0;
    int status = 0;
    posix_spawnattr_t attributes;
    sigset_t keys; /* Ctrl-C is the editor's */
    (void)sigemptyset(&keys);
    (void)sigaddset(&keys, SIGINT);
    (void)sigaddset(&keys, SIGQUIT);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setsigdefault(&attributes, &keys);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGQUIT, SIG_IGN);
    int problem = posix_spawn(&child, "/bin/sh", NULL, &attributes, argv, environ);
    (void)posix_spawnattr_destroy(&attributes);
    if (problem != 0) {
        return ctl_complain(CTL_EXIT_REFUSED, "the editor cannot be started: %s",
                            strerror(problem));
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGQUIT, SIG_DFL);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        return ctl_complain(CTL_EXIT_REFUSED,
                            "the editor has failed (set VISUAL or EDITOR); nothing was published");
    }
    return CTL_EXIT_OK;
}

/* A private copy, presentation-3-XXXXXX.json in $TMPDIR. */
static ctl_exit_t copy_make(wl_document_t document, const json_t *live, char path[PATH_ROOM]) {
    const char *folder = getenv("TMPDIR");
    const char *text = ctl_config_text(live, "text");
    size_t bytes = strlen(text);
    (void)snprintf(path, PATH_ROOM, "%.300s/%s-%" PRIu64 "-XXXXXX.json",
                   folder == NULL || folder[0] == '\0' ? "/tmp" : folder,
                   wl_document_name(document), ctl_config_number(live, "version"));
    int file = mkstemps(path, SUFFIX);
    bool good = file != -1 && write(file, text, bytes) == (ssize_t)bytes;
    good = (file == -1 || close(file) == 0) && good;
    return good
               ? CTL_EXIT_OK
               : ctl_complain(CTL_EXIT_REFUSED, "%s: cannot be written: %s", path, strerror(errno));
}

/* Is the copy still what is live? */
static bool untouched(const char *path, const json_t *live) {
    void *bytes = NULL;
    size_t count = 0;
    bool same = wl_blob_file_read(path, COPY_BYTES_MAX, &bytes, &count) == WL_OK &&
                strcmp(bytes, ctl_config_text(live, "text")) == 0;
    wl_free(bytes);
    return same;
}

static ctl_exit_t edited_put(const ctl_options_t *options, char *path, const json_t *live) {
    ctl_config_files_t files = {.count = 0};
    char *paths[] = {path};
    if (untouched(path, live)) {
        return ctl_complain(CTL_EXIT_OK, "nothing was changed");
    }
    ctl_exit_t code = ctl_config_files_read(1, paths, &files);
    if (code == CTL_EXIT_OK) {
        code = ctl_config_put_files(options, &files, ctl_config_number(live, "seq"));
    }
    ctl_config_files_release(&files);
    return code;
}

ctl_exit_t ctl_config_run_edit(const ctl_options_t *options, int count, char **words) {
    (void)count;
    char path[PATH_ROOM] = "";
    wl_document_t document = WL_DOCUMENT_COUNT;
    json_t *live = NULL;
    if (options->change.seq.given || options->change.base.given) {
        return ctl_complain(CTL_EXIT_USAGE, "config edit begins with what is live: no --seq, no "
                                            "--base");
    }
    ctl_exit_t code = ctl_config_document(words[0], &document);
    if (code == CTL_EXIT_OK) {
        code = ctl_config_reason_check(options, "edit");
    }
    if (code == CTL_EXIT_OK) {
        code = ctl_config_get(options, document, false, &live);
    }
    if (code == CTL_EXIT_OK) {
        code = copy_make(document, live, path);
    }
    if (code == CTL_EXIT_OK) {
        code = editor_run(path);
        if (code == CTL_EXIT_OK) {
            code = edited_put(options, path, live);
        }
        bool published = code == CTL_EXIT_OK && !options->change.dry_run;
        if (published || untouched(path, live)) {
            (void)unlink(path);
        } else {
            (void)ctl_complain(code,
                               "your text is kept in %s: go on with walletctl config diff "
                               "and put",
                               path);
        }
    }
    json_decref(live);
    return code;
}

/* ---- drafts ---------------------------------------------------------------------------------- */

static void draft_show(const ctl_options_t *options, const char *action, const json_t *reply) {
    size_t index = 0;
    const json_t *draft = NULL;
    if (options->json) {
        ctl_print_json(reply);
    } else if (strcmp(action, "list") == 0) {
        json_array_foreach(json_object_get(reply, "drafts"), index, draft) {
            (void)printf("%s\t%s\tchange %" PRIu64 "\t%s%s\n", ctl_config_text(draft, "name"),
                         ctl_config_text(draft, "document"), ctl_config_number(draft, "base"),
                         ctl_config_text(draft, "author"), ctl_config_text(draft, "problem"));
        }
    } else if (strcmp(action, "show") == 0 && options->change.output == NULL) {
        (void)printf("%s\n", ctl_config_text(reply, "text"));
    } else {
        (void)ctl_complain(CTL_EXIT_OK, "draft %s: %s", ctl_config_text(reply, "name"),
                           strcmp(action, "save") == 0   ? "saved"
                           : strcmp(action, "drop") == 0 ? "dropped"
                                                         : "written");
    }
}

static ctl_exit_t draft_ask(const ctl_options_t *options, const char *action, const char *name,
                            const ctl_config_file_t *file) {
    json_t *reply = NULL;
    ctl_args_t args;
    ctl_args_init(&args);
    ctl_args_text(&args, "action", action);
    if (name != NULL) {
        ctl_args_text(&args, "name", name);
    }
    if (file != NULL) {
        ctl_args_text(&args, "document", wl_document_name(file->document));
        ctl_args_bytes(&args, "text", file->text, file->bytes);
        ctl_config_author(options, &args);
        if (options->change.base.given) {
            ctl_args_u64(&args, "base", options->change.base.value);
        }
    }
    ctl_exit_t code = ctl_config_ask(options, "admin.config.draft", &args, &reply);
    if (code == CTL_EXIT_OK && strcmp(action, "show") == 0 && options->change.output != NULL) {
        const char *text = ctl_config_text(reply, "text");
        code = ctl_config_file_write(options->change.output, text, strlen(text));
    }
    if (code == CTL_EXIT_OK) {
        draft_show(options, action, reply);
    }
    json_decref(reply);
    return code;
}

ctl_exit_t ctl_config_run_drafts(const ctl_options_t *options, int count, char **words) {
    static const struct {
        const char *action;
        int words;
    } actions[] = {{"list", 1}, {"save", 3}, {"show", 2}, {"drop", 2}};
    ctl_config_file_t file;
    for (size_t i = 0; i < WL_COUNT_OF(actions); i++) {
        if (strcmp(words[0], actions[i].action) != 0 || count != actions[i].words) {
            continue;
        }
        if (count < 3) {
            return draft_ask(options, words[0], count == 2 ? words[1] : NULL, NULL);
        }
        ctl_exit_t code = ctl_config_file_read(words[2], &file);
        if (code == CTL_EXIT_OK) {
            code = draft_ask(options, words[0], words[1], &file);
        }
        ctl_config_file_release(&file);
        return code;
    }
    return ctl_complain(CTL_EXIT_USAGE,
                        "usage: walletctl config drafts list | save NAME FILE | show NAME | drop "
                        "NAME");
}
