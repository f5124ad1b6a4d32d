#include "domain/config_read.h"

#include "base/check.h"

#include <string.h>

enum {
    GUESS_BYTES_MAX = 32, /* longer words are not misspelled keys */
    GUESS_DISTANCE_MAX = 3
};

const char *wl_config_shown(const char *text, char into[WL_CONFIG_SHOWN_MAX + 1]) {
    size_t bytes = strnlen(text, WL_CONFIG_SHOWN_MAX);
    for (size_t i = 0; i < bytes; i++) {
        into[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
    }
    into[bytes] = '\0';
    return into;
}

/* Levenshtein distance, one row at a time; both texts are at most GUESS_BYTES_MAX long. */
static size_t guess_distance(const char *a, const char *b) {
    size_t row[GUESS_BYTES_MAX + 1];
    size_t b_bytes = strlen(b);
    WL_ASSERT(b_bytes <= GUESS_BYTES_MAX);
    for (size_t j = 0; j <= b_bytes; j++) {
        row[j] = j;
    }
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_bytes; j++) {
            size_t swap = diagonal + (a[i - 1] != b[j - 1]);
            size_t drop = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = swap < drop ? swap : drop;
        }
    }
    return row[b_bytes];
}

void wl_config_guess(wl_config_guess_t *self, const char *text, const char *candidate) {
    size_t bytes = strlen(text);
    if (bytes > GUESS_BYTES_MAX || strlen(candidate) > GUESS_BYTES_MAX) {
        return;
    }
    size_t distance = guess_distance(text, candidate);
    bool near = distance <= GUESS_DISTANCE_MAX && distance * 2 <= bytes;
    if (near && (self->nearest == NULL || distance < self->distance)) {
        self->nearest = candidate;
        self->distance = distance;
    }
}
