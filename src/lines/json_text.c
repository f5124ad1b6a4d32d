#include "lines/json_text.h"

#include "base/alloc.h"

#include <stdint.h>
#include <string.h>

enum {
    CONTAINERS_FREE = 64,     /* objects and arrays that any document may have */
    BYTES_PER_CONTAINER = 16, /* the shortest record that means something is longer */
    INTEGER_DIGITS_MAX = 18,  /* any number of so many bytes without exponent fits int64 */
};

/* Bytes of the string that begins at the quote, with both quotes; `left` when it never ends. */
static size_t string_bytes(const char *at, size_t left) {
    size_t used = 1;
    while (used < left && at[used] != '"') {
        used += at[used] == '\\' && used + 1 < left ? 2 : 1;
    }
    return used < left ? used + 1 : left;
}

/* Bytes that may belong to a number. */
static size_t number_bytes(const char *at, size_t left) {
    size_t used = 0;
    while (used < left && at[used] != '\0' && strchr("+-.0123456789eE", at[used]) != NULL) {
        used++;
    }
    return used;
}

/* Depth and number of containers, without building any. */
static wl_err_t text_check(const char *text, size_t bytes, wl_fault_t *fault) {
    size_t depth = 0;
    size_t containers = 0;
    if (memchr(text, '\0', bytes) != NULL) {
        return wl_fault(fault, WL_ERR_MALFORMED, "", "a NUL byte"); /* jansson skips some */
    }
    for (size_t at = 0; at < bytes;) {
        if (text[at] == '"') {
            at += string_bytes(text + at, bytes - at);
            continue;
        }
        if (text[at] == '{' || text[at] == '[') {
            depth++;
            containers++;
        } else if ((text[at] == '}' || text[at] == ']') && depth > 0) {
            depth--;
        }
        if (depth > WL_JSON_DEPTH_MAX) {
            return wl_fault(fault, WL_ERR_MALFORMED, "", "nested deeper than %d levels",
                            WL_JSON_DEPTH_MAX);
        }
        at++;
    }
    if (containers > CONTAINERS_FREE + bytes / BYTES_PER_CONTAINER) {
        return wl_fault(fault, WL_ERR_MALFORMED, "", "%zu objects and arrays in %zu bytes",
                        containers, bytes);
    }
    return WL_OK;
}

/* A copy of the text in which every number that may not fit stands in quotes. A number grows by
 * two bytes and has one at least, so three times the size is enough. */
static char *text_quote_numbers(const char *text, size_t bytes, size_t *ret_bytes) {
    char *copy = wl_alloc(bytes * 3 + 1);
    size_t used = 0;
    for (size_t at = 0; at < bytes;) {
        size_t run = text[at] == '"' ? string_bytes(text + at, bytes - at) : 0;
        bool starts = text[at] == '-' || (text[at] >= '0' && text[at] <= '9');
        bool quoted = false;
        if (run == 0 && starts) {
            run = number_bytes(text + at, bytes - at);
            quoted = run > INTEGER_DIGITS_MAX || memchr(text + at, 'e', run) != NULL ||
                     memchr(text + at, 'E', run) != NULL;
        }
        run = run == 0 ? 1 : run;
        if (quoted) {
            copy[used++] = '"';
        }
        memcpy(copy + used, text + at, run);
        used += run;
        if (quoted) {
            copy[used++] = '"';
        }
        at += run;
    }
    *ret_bytes = used;
    return copy;
}

static json_t *text_load(const char *text, size_t bytes, json_error_t *error) {
    return json_loadb(text, bytes, JSON_REJECT_DUPLICATES, error);
}

/* jansson's own words quote the text, and what users own must not end up in logs. */
static const char *load_fault(const json_error_t *error) {
    enum json_error_code code = json_error_code(error);
    return code == json_error_duplicate_key            ? "a key stands twice in an object"
           : code == json_error_premature_end_of_input ? "the text ends too early"
           : code == json_error_invalid_utf8           ? "not UTF-8"
                                                       : "not JSON";
}

wl_err_t wl_json_text_parse(const char *text, size_t bytes, json_t **ret, wl_fault_t *fault) {
    wl_err_t err = text_check(text, bytes, fault);
    if (err != WL_OK) {
        return err;
    }
    json_error_t error;
    json_t *root = text_load(text, bytes, &error);
    if (root == NULL && json_error_code(&error) == json_error_numeric_overflow) {
        size_t quoted_bytes = 0;
        WL_AUTO_FREE char *quoted = text_quote_numbers(text, bytes, &quoted_bytes);
        root = text_load(quoted, quoted_bytes, &error);
    }
    if (root == NULL) {
        err = wl_fault(fault, WL_ERR_MALFORMED, "", "%s, line %d column %d", load_fault(&error),
                       error.line, error.column);
        if (fault != NULL) {
            fault->line = error.line > 0 ? (unsigned)error.line : 0;
            fault->column = error.column > 0 ? (unsigned)error.column : 0;
        }
        return err;
    }
    *ret = root;
    return WL_OK;
}
