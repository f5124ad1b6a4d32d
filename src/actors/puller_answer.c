#include "actors/puller_answer.h"

#include "base/alloc.h"
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ASSETS_MAX = 256 }; /* of one STORE item, as messages.def allows */

typedef struct {
    uint64_t uid;
    uint32_t index; /* into answer->assets */
} place_t;

struct wl_puller_answer {
    const wl_answer_t *answer;     /* borrowed */
    place_t *places;               /* owned; sorted by user */
    uint32_t room;                 /* of places */
    bool refused_unknown;          /* some refused records cannot be told to a user */
    wl_asset_t assets[ASSETS_MAX]; /* of the user judged last */
};

wl_puller_answer_t *wl_puller_answer_new(void) {
    return wl_alloc_zero(1, sizeof(wl_puller_answer_t));
}

void wl_puller_answer_destroy(wl_puller_answer_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_free((*self)->places);
    wl_free(*self);
    *self = NULL;
}

static int place_compare(const void *a, const void *b) {
    const place_t *left = a;
    const place_t *right = b;
    if (left->uid != right->uid) {
        return left->uid < right->uid ? -1 : 1;
    }
    return left->index < right->index ? -1 : left->index > right->index;
}

void wl_puller_answer_read(wl_puller_answer_t *self, const wl_answer_t *answer) {
    WL_ASSERT(answer->err == WL_OK);
    self->answer = answer;
    if (answer->asset_count > self->room) {
        self->room = answer->asset_count * 2;
        self->places = wl_realloc_array(self->places, self->room, sizeof *self->places);
    }
    for (uint32_t i = 0; i < answer->asset_count; i++) {
        self->places[i] = (place_t){answer->assets[i].uid, i};
    }
    if (answer->asset_count > 0) {
        qsort(self->places, answer->asset_count, sizeof *self->places, place_compare);
    }
    self->refused_unknown = answer->refused_total > answer->refusal_count;
    for (uint32_t i = 0; i < answer->refusal_count; i++) {
        self->refused_unknown = self->refused_unknown || answer->refusals[i].uid == 0;
    }
}

static const char *answer_refusal(const wl_answer_t *answer, uint64_t uid) {
    for (uint32_t i = 0; i < answer->refusal_count; i++) {
        if (answer->refusals[i].uid == uid) {
            return answer->refusals[i].reason;
        }
    }
    return NULL;
}

/* First place of a user, or asset_count. */
static uint32_t answer_first(const wl_puller_answer_t *self, uint64_t uid) {
    uint32_t low = 0;
    uint32_t high = self->answer->asset_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (self->places[middle].uid < uid) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Gathers the user's assets; false: too many. */
static bool answer_gather(wl_puller_answer_t *self, uint64_t uid, uint32_t *ret_count) {
    uint32_t count = 0;
    for (uint32_t i = answer_first(self, uid);
         i < self->answer->asset_count && self->places[i].uid == uid; i++) {
        if (count == ASSETS_MAX) {
            return false;
        }
        self->assets[count++] = self->answer->assets[self->places[i].index];
    }
    *ret_count = count;
    return true;
}

/* A notification that names no bucket may mean the line's only one, whatever its name. */
static bool hint_reached(const wl_hint_t *hint, const wl_asset_list_t *assets) {
    uint64_t reached = 0;
    bool unnamed = hint->bucket[0] == '\0';
    for (uint32_t i = 0; i < assets->count; i++) {
        const wl_asset_t *asset = &assets->at[i];
        if ((unnamed || strcmp(asset->bucket, hint->bucket) == 0) && asset->version > reached) {
            reached = asset->version;
        }
    }
    return reached >= hint->version;
}

static void verdict_refuse(wl_pull_verdict_t *verdict, const char *reason) {
    verdict->outcome = WL_PULL_REFUSED;
    (void)snprintf(verdict->reason, sizeof verdict->reason, "%s", reason);
}

void wl_puller_answer_judge(wl_puller_answer_t *self, const wl_line_t *config,
                            const wl_line_pull_t *pull, wl_pull_verdict_t *ret_verdict) {
    WL_ASSERT(self->answer != NULL && pull != NULL);
    *ret_verdict = (wl_pull_verdict_t){.outcome = WL_PULL_OK};
    const char *refusal = answer_refusal(self->answer, pull->uid);
    uint32_t count = 0;
    if (refusal != NULL) {
        verdict_refuse(ret_verdict, refusal);
        return;
    }
    if (!answer_gather(self, pull->uid, &count)) {
        verdict_refuse(ret_verdict, "more than 256 records for one user");
        return;
    }
    if (count == 0 && self->refused_unknown) {
        verdict_refuse(ret_verdict, "the answer had refused records of an unknown user");
        return;
    }
    ret_verdict->store = true;
    ret_verdict->assets = (wl_asset_list_t){count > 0 ? self->assets : NULL, count};
    bool versions = config != NULL && config->versions; /* otherwise versions are our own */
    for (uint32_t i = 0; versions && i < pull->hint_count; i++) {
        ret_verdict->behind =
            ret_verdict->behind || !hint_reached(&pull->hints[i], &ret_verdict->assets);
    }
    if (ret_verdict->behind) {
        ret_verdict->outcome = WL_PULL_RETRY;
    }
}
