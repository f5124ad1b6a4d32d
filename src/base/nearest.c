#include "base/settings.h"

#include <string.h>

enum { NAME_MAX_BYTES = 64 };

/* Levenshtein distance of two names, longer ones count as far apart. */
static size_t name_distance(const char *a, const char *b) {
    size_t b_bytes = strlen(b);
    size_t row[NAME_MAX_BYTES + 1];
    if (strlen(a) > NAME_MAX_BYTES || b_bytes > NAME_MAX_BYTES) {
        return NAME_MAX_BYTES;
    }
    for (size_t j = 0; j <= b_bytes; j++) {
        row[j] = j;
    }
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < b_bytes; j++) {
            size_t change = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            size_t least = row[j + 1] < row[j] ? row[j + 1] + 1 : row[j] + 1;
            row[j + 1] = change < least ? change : least;
        }
    }
    return row[b_bytes];
}

const char *wl_nearest(const char *name, const char *const *names, size_t count) {
    const char *nearest = NULL;
    size_t least = strlen(name) / 3 + 2; /* a third of the letters may be wrong */
    for (size_t i = 0; i < count; i++) {
        size_t distance = name_distance(name, names[i]);
        if (distance < least) {
            least = distance;
            nearest = names[i];
        }
    }
    return nearest;
}
