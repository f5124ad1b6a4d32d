#include "domain/floors.h"

#include "base/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

size_t wl_floors_add(char *into, size_t bytes, const char *line_id, uint64_t version) {
    char one[WL_LINE_ID_MAX + 24];
    int count = snprintf(one, sizeof one, "%s:%" PRIu64 ",", line_id, version);
    WL_ASSERT(count > 0 && (size_t)count < sizeof one);
    WL_ASSERT(bytes + (size_t)count <= WL_FLOORS_BYTES_MAX);
    memcpy(into + bytes, one, (size_t)count);
    return bytes + (size_t)count;
}

/* Digits up to `end`; false: something else, or more than fits. */
static bool floors_number(const char *at, const char *end, uint64_t *ret) {
    uint64_t number = 0;
    if (at == end) {
        return false;
    }
    for (; at < end; at++) {
        if (*at < '0' || *at > '9' || __builtin_mul_overflow(number, 10u, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*at - '0'), &number)) {
            return false;
        }
    }
    *ret = number;
    return true;
}

uint64_t wl_floors_get(const void *text, size_t bytes, const char *line_id) {
    size_t id_bytes = strlen(line_id);
    const char *at = text;
    const char *end = bytes == 0 ? at : at + bytes;
    uint64_t largest = 0;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        if (comma == NULL) {
            break;
        }
        uint64_t version = 0;
        if ((size_t)(comma - at) > id_bytes && memcmp(at, line_id, id_bytes) == 0 &&
            at[id_bytes] == ':' && floors_number(at + id_bytes + 1, comma, &version) &&
            version > largest) {
            largest = version;
        }
        at = comma + 1;
    }
    return largest;
}
