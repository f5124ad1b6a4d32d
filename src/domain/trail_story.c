#include "domain/trail_story.h"

#include "base/alloc.h"
#include "base/check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    STANDS_MAX = 512,  /* lines and buckets of one user whose last version is remembered */
    SHARED_PART = 4,   /* of the limit: events of everybody */
    OUTCOME_RETRY = 1, /* wl_pull_outcome_t: stored, but not what was notified */
};

/* What stands in the database as far as the events say. */
typedef struct {
    char line[WL_LINE_ID_MAX + 1];
    char bucket[WL_BUCKET_MAX + 1];
    uint64_t version;
    uint64_t tag;
} stands_t;

/* The newest events of a kind. */
typedef struct {
    wl_trail_told_t *at; /* owned; the next one goes to added % room */
    uint32_t room;
    uint64_t added;
} ring_t;

struct wl_trail_story {
    ring_t own;    /* of the user */
    ring_t shared; /* of everybody */
    uint32_t limit;
    wl_trail_told_t **told; /* owned; after end(), oldest first */
    uint32_t first;         /* of those that are told */
    uint32_t count;         /* in told, also before first */
    uint64_t damaged;
    uint64_t dropped;
    bool ended;
    char line[WL_LINE_ID_MAX + 1];         /* "" = all */
    char payload_line[WL_LINE_ID_MAX + 1]; /* of the last value that was sent */
    int64_t payload_at;                    /* its notified_at, 0 = none */
    uint32_t stands_count;
    stands_t stands[STANDS_MAX];
};

wl_trail_story_t *wl_trail_story_new(uint32_t limit, const char *line) {
    WL_ASSERT(limit >= 1 && limit <= WL_TRAIL_LIMIT_MAX);
    wl_trail_story_t *self = wl_alloc_zero(1, sizeof *self);
    self->limit = limit;
    self->own.room = limit;
    self->own.at = wl_alloc_zero(limit, sizeof *self->own.at);
    self->shared.room = limit / SHARED_PART + 1;
    self->shared.at = wl_alloc_zero(self->shared.room, sizeof *self->shared.at);
    self->told = wl_alloc_zero(limit + self->shared.room, sizeof(wl_trail_told_t *));
    (void)snprintf(self->line, sizeof self->line, "%s", line == NULL ? "" : line);
    return self;
}

void wl_trail_story_destroy(wl_trail_story_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_free((*self)->own.at);
    wl_free((*self)->shared.at);
    wl_free((*self)->told);
    wl_free(*self);
    *self = NULL;
}

/* ---- what stood before ----------------------------------------------------------------------- */

/* NULL: not known, and no room for it. */
static stands_t *stands_find(wl_trail_story_t *self, const wl_trail_event_t *event, bool make) {
    for (uint32_t i = 0; i < self->stands_count; i++) {
        stands_t *one = &self->stands[i];
        if (strcmp(one->line, event->line) == 0 && strcmp(one->bucket, event->bucket) == 0) {
            return one;
        }
    }
    if (!make || self->stands_count == STANDS_MAX) {
        return NULL;
    }
    stands_t *one = &self->stands[self->stands_count++];
    *one = (stands_t){.version = 0};
    (void)snprintf(one->line, sizeof one->line, "%s", event->line);
    (void)snprintf(one->bucket, sizeof one->bucket, "%s", event->bucket);
    return one;
}

/* All of the line was deleted. */
static void stands_forget(wl_trail_story_t *self, const char *line) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < self->stands_count; i++) {
        if (strcmp(self->stands[i].line, line) != 0) {
            self->stands[kept++] = self->stands[i];
        }
    }
    self->stands_count = kept;
}

static void told_compare(wl_trail_told_t *told, const stands_t *stands) {
    const wl_trail_event_t *event = &told->event;
    told->before = event->before != 0 || stands == NULL ? event->before : stands->version;
    if (stands != NULL && stands->version == told->before &&
        wl_trail_tags_compare(stands->tag, event->tag)) {
        told->same = stands->tag == event->tag ? WL_TRAIL_SAME : WL_TRAIL_CHANGED;
    }
}

/* Fills in what the events before say, and remembers what this one leaves behind. */
static void told_place(wl_trail_story_t *self, wl_trail_told_t *told) {
    const wl_trail_event_t *event = &told->event;
    told->before = event->before;
    if (event->what == WL_TRAIL_WITHDRAWN) {
        stands_forget(self, event->line);
    } else if (event->what == WL_TRAIL_PAYLOAD) {
        self->payload_at = event->notified_at;
        memcpy(self->payload_line, told->texts.line, sizeof self->payload_line);
    }
    if (event->what != WL_TRAIL_STORED && event->what != WL_TRAIL_CONFIRMED &&
        event->what != WL_TRAIL_OLDER) {
        return;
    }
    told->sent = self->payload_at != 0 && self->payload_at == event->notified_at &&
                 strcmp(self->payload_line, event->line) == 0;
    told_compare(told, stands_find(self, event, false));
    uint64_t version = event->what == WL_TRAIL_OLDER ? event->before : event->version;
    stands_t *stands = stands_find(self, event, true);
    if (stands != NULL && stands->version != version) {
        stands->version = version;
        stands->tag = event->what == WL_TRAIL_STORED ? event->tag : 0;
    }
}

/* Its texts have moved with it. */
static void told_settle(wl_trail_told_t *told) {
    told->event.line = told->texts.line;
    told->event.bucket = told->texts.bucket;
    told->event.text = told->texts.text;
}

/* ---- adding ---------------------------------------------------------------------------------- */

void wl_trail_story_add(wl_trail_story_t *self, const uint8_t *bytes, size_t count, bool shared) {
    WL_ASSERT(!self->ended);
    wl_trail_told_t told = {.same = WL_TRAIL_SAME_UNKNOWN};
    if (wl_trail_unpack(bytes, count, &told.texts, &told.event) != WL_OK) {
        self->damaged++;
        return;
    }
    self->dropped += told.event.what == WL_TRAIL_DROPPED ? told.event.number : 0;
    if (self->line[0] != '\0' && told.event.line[0] != '\0' &&
        strcmp(self->line, told.event.line) != 0) {
        return;
    }
    ring_t *ring = shared ? &self->shared : &self->own;
    wl_trail_told_t *place = &ring->at[ring->added % ring->room];
    if (ring->added >= ring->room) { /* too old to be told, but it says what stood there */
        told_place(self, place);
    }
    *place = told;
    told_settle(place);
    ring->added++;
}

/* Appends what a ring holds, in the order in which it came. */
static void ring_list(wl_trail_story_t *self, ring_t *ring) {
    uint64_t count = ring->added < ring->room ? ring->added : ring->room;
    for (uint64_t i = ring->added - count; i < ring->added; i++) {
        self->told[self->count++] = &ring->at[i % ring->room];
    }
}

/* What comes first in one millisecond: actors tell of it apart, and not at once. */
static int what_rank(wl_trail_what_t what) {
    switch ((int)what) {
    case WL_TRAIL_STORED:
    case WL_TRAIL_CONFIRMED:
    case WL_TRAIL_OLDER:
    case WL_TRAIL_QUARANTINED:
    case WL_TRAIL_NO_CONSENT:
    case WL_TRAIL_NOTHING: return 1;
    case WL_TRAIL_FAILED: return 2;
    case WL_TRAIL_RETRY:
    case WL_TRAIL_DEAD:
    case WL_TRAIL_GIVEN_UP: return 3;
    default: return 0;
    }
}

static bool told_before(const wl_trail_told_t *one, const wl_trail_told_t *other) {
    if (one->event.at != other->event.at) {
        return one->event.at < other->event.at;
    }
    return what_rank(one->event.what) < what_rank(other->event.what);
}

/* Insertion keeps the order of what came at one moment, and what came is nearly sorted. */
static void told_sort(wl_trail_story_t *self) {
    for (uint32_t i = 1; i < self->count; i++) {
        wl_trail_told_t *one = self->told[i];
        uint32_t to = i;
        while (to > 0 && told_before(one, self->told[to - 1])) {
            self->told[to] = self->told[to - 1];
            to--;
        }
        self->told[to] = one;
    }
}

uint32_t wl_trail_story_end(wl_trail_story_t *self) {
    WL_ASSERT(!self->ended);
    self->ended = true;
    ring_list(self, &self->shared);
    ring_list(self, &self->own);
    told_sort(self);
    for (uint32_t i = 0; i < self->count; i++) { /* in the order in which it happened */
        told_place(self, self->told[i]);
    }
    self->first = self->count > self->limit ? self->count - self->limit : 0;
    return self->count - self->first;
}

const wl_trail_told_t *wl_trail_story_at(const wl_trail_story_t *self, uint32_t index) {
    WL_ASSERT(self->ended && index < self->count - self->first);
    return self->told[self->first + index];
}

uint64_t wl_trail_story_left_out(const wl_trail_story_t *self) {
    return self->own.added + self->shared.added - (self->count - self->first);
}

uint64_t wl_trail_story_damaged(const wl_trail_story_t *self) {
    return self->damaged;
}

uint64_t wl_trail_story_dropped(const wl_trail_story_t *self) {
    return self->dropped;
}

/* ---- sentences ------------------------------------------------------------------------------- */

const char *wl_trail_outcome_name(uint8_t outcome) {
    static const char *const names[] = {"ok", "retry", "refused", "permanent"};
    return outcome < WL_COUNT_OF(names) ? names[outcome] : "?";
}

/* A text that grows and is cut at its end. */
typedef struct {
    char *at;
    size_t used;
} words_t;

__attribute__((format(printf, 2, 3))) static void words_add(words_t *self, const char *format,
                                                            ...) {
    va_list values;
    va_start(values, format);
    int bytes =
        vsnprintf(self->at + self->used, WL_TRAIL_SENTENCE_BYTES - self->used, format, values);
    va_end(values);
    size_t left = WL_TRAIL_SENTENCE_BYTES - 1 - self->used;
    self->used += bytes < 0 ? 0 : (size_t)bytes < left ? (size_t)bytes : left;
}

/* "38 ms", "2.5 s", "3 min", "5 h": as exact as it is of use. */
static void words_span(words_t *self, uint64_t ms) {
    if (ms < 1000) {
        words_add(self, "%" PRIu64 " ms", ms);
    } else if (ms < 120000) {
        words_add(self, "%" PRIu64 ".%" PRIu64 " s", ms / 1000, ms % 1000 / 100);
    } else if (ms < 7200000) {
        words_add(self, "%" PRIu64 " min", ms / 60000);
    } else {
        words_add(self, "%" PRIu64 " h", ms / 3600000);
    }
}

static void words_bucket(words_t *self, const wl_trail_event_t *event) {
    if (event->bucket[0] != '\0') {
        words_add(self, " of bucket %s", event->bucket);
    }
}

/* "version 12 of bucket ios" */
static void words_version(words_t *self, const wl_trail_event_t *event) {
    words_add(self, "version %" PRIu64, event->version);
    words_bucket(self, event);
}

/* ", pulled 38 ms after the notification", as far as that is known. */
static void words_pulled(words_t *self, const wl_trail_told_t *told) {
    const wl_trail_event_t *event = &told->event;
    if (told->sent) {
        words_add(self, ", as it was sent");
    } else if (event->notified_at > 0 && event->pulled_at >= event->notified_at) {
        words_add(self, ", pulled ");
        words_span(self, (uint64_t)(event->pulled_at - event->notified_at));
        words_add(self, " after the notification");
    } else if (event->notified_at == 0 && event->pulled_at > 0) {
        words_add(self, ", pulled without a notification");
    }
    if (event->outcome == OUTCOME_RETRY) {
        words_add(self, "; not yet what was notified");
    }
}

static void words_stored(words_t *self, const wl_trail_told_t *told) {
    words_add(self, "stored ");
    words_version(self, &told->event);
    if (told->before != 0) {
        words_add(self, " (was %" PRIu64 "%s)", told->before,
                  told->same == WL_TRAIL_SAME      ? ", the same value"
                  : told->same == WL_TRAIL_CHANGED ? ", another value"
                                                   : "");
    }
    words_pulled(self, told);
}

static void words_confirmed(words_t *self, const wl_trail_told_t *told) {
    words_add(self, "asked, the line still has ");
    words_version(self, &told->event);
    if (told->same == WL_TRAIL_CHANGED) {
        words_add(self, ", but with another value: not stored, a new value needs a new version");
    }
    words_pulled(self, told);
}

static void words_notified(words_t *self, const wl_trail_event_t *event, const char *verb) {
    if (event->version != 0) {
        words_add(self, "the line %s ", verb);
        words_version(self, event);
    } else {
        words_add(self, "the line %s that something changed", verb);
        words_bucket(self, event);
    }
}

static void words_reason(words_t *self, const wl_trail_event_t *event, const char *before) {
    if (event->text[0] != '\0') {
        words_add(self, "%s%s", before, event->text);
    }
}

/* What was stored, or was not. */
static bool words_of_values(words_t *self, const wl_trail_told_t *told) {
    const wl_trail_event_t *event = &told->event;
    switch ((int)event->what) {
    case WL_TRAIL_STORED: words_stored(self, told); return true;
    case WL_TRAIL_CONFIRMED: words_confirmed(self, told); return true;
    case WL_TRAIL_OLDER:
        words_add(self, "refused ");
        words_version(self, event);
        words_add(self, ": version %" PRIu64 " stands", told->before);
        return true;
    case WL_TRAIL_QUARANTINED:
        words_add(self, "quarantined");
        if (event->version != 0) {
            words_add(self, " ");
            words_version(self, event);
        }
        words_add(self, ", the last good value stays");
        words_reason(self, event, ": ");
        return true;
    case WL_TRAIL_NO_CONSENT:
        if (event->version == 0) {
            words_add(self, "not asked, the user has not consented");
            return true;
        }
        words_add(self, "not stored, the user has not consented: ");
        words_version(self, event);
        return true;
    case WL_TRAIL_NOTHING:
        words_add(self, "the line knows nothing of the user: what was stored stays");
        return true;
    default: return false;
    }
}

/* What came of a pull that did not end in the store. */
static bool words_of_failures(words_t *self, const wl_trail_event_t *event) {
    switch ((int)event->what) {
    case WL_TRAIL_FAILED:
        words_add(self, "attempt %u failed", event->attempt);
        words_reason(self, event, ": ");
        return true;
    case WL_TRAIL_RETRY:
        words_add(self, "asked again in ");
        words_span(self, event->number);
        words_add(self, ", after %u attempt%s", event->attempt, event->attempt == 1 ? "" : "s");
        return true;
    case WL_TRAIL_DEAD:
        words_add(self, "dead letter after %u attempt%s", event->attempt,
                  event->attempt == 1 ? "" : "s");
        words_reason(self, event, ": ");
        return true;
    case WL_TRAIL_GIVEN_UP:
        words_add(self, "given up, nothing was notified: the next look asks again");
        return true;
    default: return false;
    }
}

static void words_of_others(words_t *self, const wl_trail_event_t *event) {
    switch ((int)event->what) {
    case WL_TRAIL_NOTIFIED: words_notified(self, event, "said"); break;
    case WL_TRAIL_PAYLOAD:
        words_add(self, "the line sent ");
        words_version(self, event);
        break;
    case WL_TRAIL_ASKED: words_add(self, "wallet.refresh asked for a pull"); break;
    case WL_TRAIL_LOOKED: words_add(self, "the user looked, and the copy was too old"); break;
    case WL_TRAIL_BACKFILL: words_add(self, "a backfill asks the line"); break;
    case WL_TRAIL_REDRIVE: words_add(self, "an operator let the dead letter be tried again"); break;
    case WL_TRAIL_DISCARDED: words_add(self, "an operator discarded the dead letter"); break;
    case WL_TRAIL_GRANTED: words_add(self, "the user consented to the line"); break;
    case WL_TRAIL_WITHDRAWN:
        words_add(self, "the user withdrew the consent: all of the line was deleted");
        break;
    case WL_TRAIL_REPAIR:
        words_add(self, "a comparison repaired a difference");
        words_reason(self, event, ": ");
        break;
    case WL_TRAIL_CONFIG:
        words_add(self, "configuration");
        words_reason(self, event, " ");
        words_add(self, " came into use here");
        if (event->version != 0) {
            words_add(self, ", change %" PRIu64, event->version);
        }
        break;
    case WL_TRAIL_DROPPED:
        words_add(self, "%" PRIu64 " events of some users are missing here: too many came at once",
                  event->number);
        break;
    default: words_add(self, "%s", wl_trail_what_name(event->what));
    }
}

void wl_trail_sentence(const wl_trail_told_t *told, char ret[WL_TRAIL_SENTENCE_BYTES]) {
    words_t words = {.at = ret};
    ret[0] = '\0';
    if (!words_of_values(&words, told) && !words_of_failures(&words, &told->event)) {
        words_of_others(&words, &told->event);
    }
}
