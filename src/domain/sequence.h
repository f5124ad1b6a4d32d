/* sequence.h: follows the sequence numbers of PUB publishers, per (line, source), to see what
 * PUB/SUB dropped. Pure, one owner thread. Bounded: at sources_max the least recently heard source
 * is forgotten. */
#ifndef WL_DOMAIN_SEQUENCE_H
#define WL_DOMAIN_SEQUENCE_H

#include <stddef.h>
#include <stdint.h>

typedef struct wl_sequence wl_sequence_t;

enum { WL_SOURCE_MAX = 64 }; /* bytes of a source that are looked at; longer ones are cut */

typedef enum {
    WL_SEQ_FIRST, /* first message heard of this source */
    WL_SEQ_NEXT,  /* exactly the next */
    WL_SEQ_GAP,   /* some are missing in between */
    WL_SEQ_OLD    /* seen before, or a restart of the publisher when seq is 1: counts on */
} wl_seq_verdict_t;

/* sources_max 0 counts as 1. */
wl_sequence_t *wl_sequence_new(uint32_t sources_max);
void wl_sequence_destroy(wl_sequence_t **self);

/* *ret_missing = how many numbers were skipped (GAP), else 0. */
wl_seq_verdict_t wl_sequence_follow(wl_sequence_t *self, const char *line, const char *source,
                                    uint64_t seq, uint64_t *ret_missing);
uint32_t wl_sequence_sources(const wl_sequence_t *self);

#endif
