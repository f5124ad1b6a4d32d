#include "domain/config_union.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/limits.h"

#include <jansson.h>
#include <string.h>

#define WHERE "integration/lines"

/* The lines of a document, borrowed from *ret_root, which the caller owns in any case. */
static wl_err_t lines_open(const char *text, size_t bytes, const char *name, json_t **ret_root,
                           json_t **ret_lines, wl_fault_t *fault) {
    *ret_root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
    *ret_lines = json_object_get(*ret_root, "lines");
    return json_is_object(*ret_lines)
               ? WL_OK
               : wl_fault(fault, WL_ERR_MALFORMED, WHERE, "the %s has no object of lines", name);
}

/* Adds what base does not have; the number of such lines. */
static size_t lines_add(json_t *lines, json_t *others) {
    const char *id = NULL;
    json_t *line = NULL;
    size_t added = 0;
    json_object_foreach(others, id, line) {
        if (json_object_get(lines, id) == NULL) {
            (void)json_object_set(lines, id, line);
            added++;
        }
    }
    return added;
}

static void samples_drop(json_t *lines) {
    const char *id = NULL;
    json_t *line = NULL;
    json_object_foreach(lines, id, line) {
        (void)json_object_del(line, "sample");
    }
}

static char *text_copy(const char *text, size_t bytes) {
    char *copy = wl_alloc(bytes + 1);
    memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    return copy;
}

static wl_err_t union_write(const json_t *root, const json_t *lines, char **ret_text,
                            size_t *ret_bytes, wl_fault_t *fault) {
    size_t count = json_object_size(lines);
    if (count > WL_LINES_MAX) {
        return wl_fault(fault, WL_ERR_TOO_BIG, WHERE,
                        "%zu lines with those of the candidate, at most %d: end a line first",
                        count, WL_LINES_MAX);
    }
    size_t bytes = json_dumpb(root, NULL, 0, JSON_COMPACT);
    if (bytes > WL_DOCUMENT_BYTES_MAX) {
        return wl_fault(fault, WL_ERR_TOO_BIG, WHERE,
                        "%zu bytes with the lines of the candidate, at most %d", bytes,
                        WL_DOCUMENT_BYTES_MAX);
    }
    char *text = wl_alloc(bytes + 1);
    size_t written = json_dumpb(root, text, bytes, JSON_COMPACT);
    WL_ASSERT(written == bytes);
    text[bytes] = '\0';
    *ret_text = text;
    *ret_bytes = bytes;
    return WL_OK;
}

wl_err_t wl_config_union(const char *base, size_t base_bytes, const char *candidate,
                         size_t candidate_bytes, char **ret_text, size_t *ret_bytes,
                         wl_fault_t *fault) {
    json_t *root = NULL;
    json_t *lines = NULL;
    json_t *other = NULL;
    json_t *others = NULL;
    wl_err_t err = lines_open(base, base_bytes, "base", &root, &lines, fault);
    if (err == WL_OK) {
        err = lines_open(candidate, candidate_bytes, "candidate", &other, &others, fault);
    }
    if (err == WL_OK && lines_add(lines, others) > 0) {
        samples_drop(lines);
        err = union_write(root, lines, ret_text, ret_bytes, fault);
    } else if (err == WL_OK) {
        *ret_text = text_copy(base, base_bytes);
        *ret_bytes = base_bytes;
    }
    json_decref(root);
    json_decref(other);
    return err;
}
