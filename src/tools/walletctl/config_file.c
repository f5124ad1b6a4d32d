#include "tools/walletctl/config_file.h"

#include "base/alloc.h"
#include "store/blob_file.h"

#include <string.h>

/* ---- which document is it? ------------------------------------------------------------------- */

static wl_document_t kind_by_keys(const json_t *document) {
    static const char *const presentation[] = {"golden", "sections", "campaigns"};
    if (json_object_get(document, "lines") != NULL) {
        return WL_DOCUMENT_INTEGRATION;
    }
    for (size_t i = 0; i < WL_COUNT_OF(presentation); i++) {
        if (json_object_get(document, presentation[i]) != NULL) {
            return WL_DOCUMENT_PRESENTATION;
        }
    }
    return WL_DOCUMENT_COUNT;
}

static wl_document_t kind_by_name(const char *path) {
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    for (wl_document_t d = 0; d < WL_DOCUMENT_COUNT; d++) {
        if (strncmp(name, wl_document_name(d), strlen(wl_document_name(d))) == 0) {
            return d;
        }
    }
    return WL_DOCUMENT_COUNT;
}

/* What is no JSON is still a document when its name says so: walletd says where it is wrong. */
static ctl_exit_t file_judge(ctl_config_file_t *file) {
    json_error_t error;
    json_t *document = json_loadb(file->text, file->bytes, 0, &error);
    file->document = kind_by_keys(document);
    if (file->document == WL_DOCUMENT_COUNT) {
        file->document = kind_by_name(file->path);
    }
    json_int_t version = json_integer_value(json_object_get(document, "version"));
    file->version = version > 0 ? (uint64_t)version : 0;
    file->readable = document != NULL;
    json_decref(document);
    if (file->document != WL_DOCUMENT_COUNT) {
        return CTL_EXIT_OK;
    }
    if (!file->readable) {
        return ctl_complain(CTL_EXIT_CHECK_FAILED, "%s:%d:%d: %s", file->path, error.line,
                            error.column, error.text);
    }
    return ctl_complain(CTL_EXIT_CHECK_FAILED,
                        "%s: is no document: integration has \"lines\", presentation has "
                        "\"golden\" and \"sections\"",
                        file->path);
}

/* ---- reading --------------------------------------------------------------------------------- */

ctl_exit_t ctl_config_file_read(const char *path, ctl_config_file_t *ret) {
    void *bytes = NULL;
    *ret = (ctl_config_file_t){.path = path, .document = WL_DOCUMENT_COUNT};
    wl_err_t err = wl_blob_file_read(path, WL_DOCUMENT_BYTES_MAX, &bytes, &ret->bytes);
    if (err == WL_ERR_NOT_FOUND) {
        return ctl_complain(CTL_EXIT_NOT_FOUND, "%s: there is no such file", path);
    }
    if (err == WL_ERR_TOO_BIG) {
        return ctl_complain(CTL_EXIT_CHECK_FAILED, "%s: a document has at most %d bytes", path,
                            WL_DOCUMENT_BYTES_MAX);
    }
    if (err != WL_OK) {
        return ctl_complain(CTL_EXIT_NOT_FOUND, "%s: cannot be read, or is no regular file", path);
    }
    ret->text = bytes;
    return file_judge(ret);
}

void ctl_config_file_release(ctl_config_file_t *self) {
    wl_free(self->text);
    self->text = NULL;
}

ctl_exit_t ctl_config_files_read(int count, char **paths, ctl_config_files_t *ret) {
    *ret = (ctl_config_files_t){.count = 0};
    for (int i = 0; i < count && i < WL_DOCUMENT_COUNT; i++) {
        ctl_config_file_t *file = &ret->all[ret->count];
        ctl_exit_t code = ctl_config_file_read(paths[i], file);
        if (code != CTL_EXIT_OK) {
            ctl_config_file_release(file);
            return code;
        }
        ret->count++;
        if (i > 0 && ret->all[0].document == file->document) {
            return ctl_complain(CTL_EXIT_USAGE,
                                "%s and %s are both the %s document: give one of "
                                "each at most",
                                ret->all[0].path, file->path, wl_document_name(file->document));
        }
    }
    return CTL_EXIT_OK;
}

void ctl_config_files_release(ctl_config_files_t *self) {
    for (int i = 0; i < self->count; i++) {
        ctl_config_file_release(&self->all[i]);
    }
    self->count = 0;
}

const ctl_config_file_t *ctl_config_files_find(const ctl_config_files_t *self,
                                               wl_document_t document) {
    for (int i = 0; i < self->count; i++) {
        if (self->all[i].document == document) {
            return &self->all[i];
        }
    }
    return NULL;
}

void ctl_config_files_args(const ctl_config_files_t *self, ctl_args_t *args) {
    for (int i = 0; i < self->count; i++) {
        const ctl_config_file_t *file = &self->all[i];
        ctl_args_bytes(args, wl_document_name(file->document), file->text, file->bytes);
    }
}

/* ---- others ---------------------------------------------------------------------------------- */

ctl_exit_t ctl_config_document(const char *word, wl_document_t *ret) {
    for (wl_document_t d = 0; d < WL_DOCUMENT_COUNT; d++) {
        if (strcmp(word, wl_document_name(d)) == 0) {
            *ret = d;
            return CTL_EXIT_OK;
        }
    }
    return ctl_complain(CTL_EXIT_USAGE, "\"%s\" is no document: integration or presentation", word);
}

ctl_exit_t ctl_config_file_write(const char *path, const char *text, size_t bytes) {
    wl_err_t err = wl_blob_file_write(path, text, bytes);
    return err == WL_OK ? CTL_EXIT_OK
                        : ctl_complain(CTL_EXIT_REFUSED, "%s: cannot be written: %s", path,
                                       wl_err_text(err));
}
