/* trail_story.h: from the events of a user, in the order in which they were written, to what an
 * operator is told: the newest of them, each with the version before it and whether the value was
 * another one, and a sentence in plain words. Pure, one owner thread.
 *
 * The events themselves do not say what was there before: nothing is read for that on the way of a
 * change. It follows from the event before of the same line and bucket, if that is still kept.
 * Bounded: `limit` events and 512 lines and buckets in memory, however many are added. */
#ifndef WL_DOMAIN_TRAIL_STORY_H
#define WL_DOMAIN_TRAIL_STORY_H

#include "domain/trail_event.h"

enum {
    WL_TRAIL_LIMIT_MAX = 1000,
    WL_TRAIL_SENTENCE_BYTES = 400, /* with NUL; longer ones are cut */
};

typedef enum {
    WL_TRAIL_SAME_UNKNOWN, /* nothing to compare with is kept */
    WL_TRAIL_SAME,
    WL_TRAIL_CHANGED,
} wl_trail_same_t;

/* One event as it is told. */
typedef struct {
    wl_trail_event_t event; /* its texts lie in this story */
    wl_trail_texts_t texts;
    uint64_t before; /* the version that stood before, 0 = not known */
    wl_trail_same_t same;
    bool sent; /* the line had sent the value: it was not asked */
} wl_trail_told_t;

typedef struct wl_trail_story wl_trail_story_t;

/* limit: 1 .. WL_TRAIL_LIMIT_MAX. line: only events of this one, and those of no line; NULL = all;
 * copied. */
wl_trail_story_t *wl_trail_story_new(uint32_t limit, const char *line);
void wl_trail_story_destroy(wl_trail_story_t **self); /* NULL and *NULL are accepted */

/* The next event, packed; untrusted. Damaged ones are counted and left out. shared: it concerns
 * everybody. Those are at most a quarter of what is told. */
void wl_trail_story_add(wl_trail_story_t *self, const uint8_t *bytes, size_t count, bool shared);

/* Events that are told; the oldest has index 0. Ordered by their moments; of one millisecond
 * what was said, what was stored, what failed, what follows; else as they came. Ends the adding. */
uint32_t wl_trail_story_end(wl_trail_story_t *self);
const wl_trail_told_t *wl_trail_story_at(const wl_trail_story_t *self, uint32_t index);
uint64_t wl_trail_story_left_out(const wl_trail_story_t *self); /* matching, but beyond the limit */
uint64_t wl_trail_story_damaged(const wl_trail_story_t *self);
/* Sum of all DROPPED events, told or not. */
uint64_t wl_trail_story_dropped(const wl_trail_story_t *self);

/* "stored version 12 (was 11), pulled 38 ms after the notification". */
void wl_trail_sentence(const wl_trail_told_t *told, char ret[WL_TRAIL_SENTENCE_BYTES]);
/* "ok", "retry", "refused", "permanent"; "?" when out of range. */
const char *wl_trail_outcome_name(uint8_t outcome);

#endif
