#include "base/alloc.h"

#include "base/check.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *wl_alloc(size_t bytes) {
    void *at = malloc(bytes == 0 ? 1 : bytes);
    WL_ASSERT(at != NULL);
    return at;
}

void *wl_alloc_zero(size_t count, size_t each) {
    void *at = calloc(count == 0 ? 1 : count, each == 0 ? 1 : each);
    WL_ASSERT(at != NULL);
    return at;
}

void *wl_realloc(void *at, size_t bytes) {
    void *moved = realloc(at, bytes == 0 ? 1 : bytes);
    WL_ASSERT(moved != NULL);
    return moved;
}

void *wl_realloc_array(void *at, size_t count, size_t each) {
    WL_ASSERT(each == 0 || count <= SIZE_MAX / each);
    return wl_realloc(at, count * each);
}

char *wl_strdup(const char *text) {
    if (text == NULL) {
        return NULL;
    }
    size_t bytes = strlen(text) + 1;
    return memcpy(wl_alloc(bytes), text, bytes);
}

void wl_free(void *at) {
    free(at);
}
