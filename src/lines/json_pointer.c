#include "lines/json_pointer.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { TOKEN_MAX = 63, INDEX_DIGITS_MAX = 9 };

/* Unescapes one reference token; false: too long or "~" before anything but 0 and 1. */
static bool token_read(const char *at, size_t bytes, char token[TOKEN_MAX + 1]) {
    size_t used = 0;
    for (size_t i = 0; i < bytes; i++) {
        char letter = at[i];
        if (letter == '~') {
            if (i + 1 == bytes || (at[i + 1] != '0' && at[i + 1] != '1')) {
                return false;
            }
            i++;
            letter = at[i] == '0' ? '~' : '/';
        }
        if (used == TOKEN_MAX) {
            return false;
        }
        token[used++] = letter;
    }
    token[used] = '\0';
    return true;
}

/* SIZE_MAX when the token is no index. */
static size_t token_index(const char *token) {
    size_t digits = strspn(token, "0123456789");
    if (digits == 0 || digits > INDEX_DIGITS_MAX || token[digits] != '\0' ||
        (digits > 1 && token[0] == '0')) {
        return SIZE_MAX;
    }
    size_t index = 0;
    for (size_t i = 0; i < digits; i++) {
        index = index * 10 + (size_t)(token[i] - '0');
    }
    return index;
}

json_t *wl_json_pointer_find(json_t *root, const char *pointer) {
    json_t *at = root;
    while (at != NULL && *pointer != '\0') {
        if (*pointer != '/') {
            return NULL;
        }
        pointer++;
        size_t bytes = strcspn(pointer, "/");
        char token[TOKEN_MAX + 1] = "";
        if (!token_read(pointer, bytes, token)) {
            return NULL;
        }
        /* Neither function minds a value of another type: it has no such member. */
        at =
            json_is_array(at) ? json_array_get(at, token_index(token)) : json_object_get(at, token);
        pointer += bytes;
    }
    return at;
}
