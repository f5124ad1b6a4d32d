#include "actors/consent_trail.h"

#include "actors/consent_way.h"
#include "base/alloc.h"

#include <string.h>
#include <utlist.h>

typedef struct consent {
    uint64_t feed_seq;
    uint64_t uid;
    uint64_t seq;
    int64_t since; /* monotonic ms */
    char line[WL_LINE_ID_MAX + 1];
    struct consent *prev, *next; /* utlist */
} consent_t;

struct wl_consent_trail {
    consent_t *first; /* owned, oldest first */
    uint32_t count;
};

wl_consent_trail_t *wl_consent_trail_new(void) {
    return wl_alloc_zero(1, sizeof(wl_consent_trail_t));
}

static void trail_drop(wl_consent_trail_t *self, consent_t *consent) {
    DL_DELETE(self->first, consent);
    self->count--;
    wl_free(consent);
}

void wl_consent_trail_clear(wl_consent_trail_t *self) {
    while (self->first != NULL) {
        trail_drop(self, self->first);
    }
}

void wl_consent_trail_destroy(wl_consent_trail_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_consent_trail_clear(*self);
    wl_free(*self);
    *self = NULL;
}

wl_err_t wl_consent_trail_note(wl_consent_trail_t *self, uint64_t feed_seq, const wl_msg_t *stored,
                               int64_t now) {
    for (uint32_t i = 0; i < stored->count; i++) {
        const wl_stored_item_t *item = &stored->items.stored[i];
        if (!wl_consent_withdrawn(item)) {
            continue;
        }
        if (self->count == WL_CONSENT_TRAIL_MAX) {
            return WL_ERR_FULL;
        }
        consent_t *consent = wl_alloc_zero(1, sizeof *consent);
        consent->feed_seq = feed_seq;
        consent->uid = item->uid;
        consent->seq = item->seq;
        consent->since = now;
        memcpy(consent->line, stored->head.stored.line, sizeof consent->line);
        DL_APPEND(self->first, consent);
        self->count++;
    }
    return WL_OK;
}

bool wl_consent_trail_end(wl_consent_trail_t *self, const char *line, uint64_t uid, uint64_t seq) {
    consent_t *consent = NULL;
    DL_FOREACH(self->first, consent) { /* nearly always the first one */
        if (consent->uid == uid && consent->seq == seq && strcmp(consent->line, line) == 0) {
            trail_drop(self, consent);
            return true;
        }
    }
    return false;
}

uint64_t wl_consent_trail_seq(const wl_consent_trail_t *self, uint64_t none) {
    return self->first == NULL ? none : self->first->feed_seq;
}

int64_t wl_consent_trail_since(const wl_consent_trail_t *self) {
    return self->first == NULL ? INT64_MAX : self->first->since;
}
