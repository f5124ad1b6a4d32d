#include "domain/sequence.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/table.h"

#include <string.h>
#include <utlist.h>

typedef struct source {
    struct source *prev; /* heard less recently; the head's is the tail */
    struct source *next; /* heard more recently */
    uint64_t last;       /* the newest number seen */
    UT_hash_handle hh;
    char key[]; /* "line/source" */
} source_t;

struct wl_sequence {
    source_t *by_key; /* uthash */
    source_t *oldest; /* list of the same sources, least recently heard first */
    uint32_t sources_max;
};

wl_sequence_t *wl_sequence_new(uint32_t sources_max) {
    wl_sequence_t *self = wl_alloc_zero(1, sizeof *self);
    self->sources_max = sources_max == 0 ? 1 : sources_max;
    return self;
}

static void sequence_forget(wl_sequence_t *self, source_t *source) {
    HASH_DEL(self->by_key, source);
    DL_DELETE(self->oldest, source);
    wl_free(source);
}

wl_seq_verdict_t wl_sequence_follow(wl_sequence_t *self, const char *line, const char *source,
                                    uint64_t seq, uint64_t *ret_missing) {
    WL_ASSERT(self != NULL && line != NULL && source != NULL && ret_missing != NULL);
    /* '/' cannot stand in a line id, so no two pairs share a key. */
    char key[WL_LINE_ID_MAX + 1 + WL_SOURCE_MAX];
    size_t line_bytes = strnlen(line, WL_LINE_ID_MAX);
    size_t source_bytes = strnlen(source, WL_SOURCE_MAX);
    size_t bytes = line_bytes + 1 + source_bytes;
    memcpy(key, line, line_bytes);
    key[line_bytes] = '/';
    memcpy(key + line_bytes + 1, source, source_bytes);

    *ret_missing = 0;
    source_t *known = NULL;
    HASH_FIND(hh, self->by_key, key, bytes, known);
    if (known == NULL) {
        if (HASH_COUNT(self->by_key) >= self->sources_max) {
            sequence_forget(self, self->oldest);
        }
        known = wl_alloc_zero(1, sizeof *known + bytes);
        memcpy(known->key, key, bytes);
        known->last = seq;
        HASH_ADD_KEYPTR(hh, self->by_key, known->key, bytes, known);
        DL_APPEND(self->oldest, known);
        return WL_SEQ_FIRST;
    }
    DL_DELETE(self->oldest, known);
    DL_APPEND(self->oldest, known);
    if (seq <= known->last) {
        if (seq == 1) {
            known->last = 1; /* the publisher may have started again */
        }
        return WL_SEQ_OLD;
    }
    uint64_t missing = seq - known->last - 1;
    known->last = seq;
    *ret_missing = missing;
    return missing == 0 ? WL_SEQ_NEXT : WL_SEQ_GAP;
}

uint32_t wl_sequence_sources(const wl_sequence_t *self) {
    return HASH_COUNT(self->by_key);
}

void wl_sequence_destroy(wl_sequence_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    while ((*self)->oldest != NULL) {
        sequence_forget(*self, (*self)->oldest);
    }
    wl_free(*self);
    *self = NULL;
}
