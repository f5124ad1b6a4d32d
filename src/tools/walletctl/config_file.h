/* config_file.h: documents in files, as somebody edits them. */
#ifndef WL_TOOLS_WALLETCTL_CONFIG_FILE_H
#define WL_TOOLS_WALLETCTL_CONFIG_FILE_H

#include "domain/config_state.h"
#include "tools/walletctl/ask.h"

typedef struct {
    const char *path; /* borrowed */
    wl_document_t document;
    bool readable;    /* it is JSON */
    uint64_t version; /* 0 = it names none */
    char *text;       /* owned, NUL-terminated */
    size_t bytes;
} ctl_config_file_t;

/* At most one of each document. */
typedef struct {
    ctl_config_file_t all[WL_DOCUMENT_COUNT];
    int count;
} ctl_config_files_t;

/* Which document a file is, its keys say: lines, or golden, sections and campaigns; else its name.
 * An error has been told. Release *ret in any case. */
ctl_exit_t ctl_config_file_read(const char *path, ctl_config_file_t *ret);
void ctl_config_file_release(ctl_config_file_t *self);

ctl_exit_t ctl_config_files_read(int count, char **paths, ctl_config_files_t *ret);
void ctl_config_files_release(ctl_config_files_t *self);
/* NULL: it is not among them. */
const ctl_config_file_t *ctl_config_files_find(const ctl_config_files_t *self,
                                               wl_document_t document);
/* Writes each file's text under its document's name. */
void ctl_config_files_args(const ctl_config_files_t *self, ctl_args_t *args);

/* "integration" or "presentation"; an error has been told. */
ctl_exit_t ctl_config_document(const char *word, wl_document_t *ret);

/* Replaces the file at once, or leaves it as it was; an error has been told. */
ctl_exit_t ctl_config_file_write(const char *path, const char *text, size_t bytes);

#endif
