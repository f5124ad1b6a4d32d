#include "domain/lease_plan.h"

#include "base/alloc.h"
#include "base/check.h"

enum {
    MARGIN_PARTS = 10, /* a lease ends here a tenth of its length earlier than in the database */
    KEEP_LEASES = 10, /* periods for which more than the share is kept before it is offered again */
};

typedef struct {
    uint64_t epoch;     /* of the lease held now, or last */
    int64_t until;      /* monotonic ms, 0 = not ours */
    int64_t free_since; /* monotonic ms when it was first seen free, 0 = it is not */
    bool expired;       /* ran out before this step: not taken in it */
} part_t;

struct wl_lease_plan {
    uint32_t partitions;
    uint32_t first;
    int64_t lease_ms;
    uint32_t
        writers_kept;   /* among so many it may keep more than its share: nobody else took them */
    int64_t kept_until; /* monotonic ms: then others may have come and gone unseen */
    part_t parts[WL_LEASE_PARTITIONS_MAX];
};

wl_lease_plan_t *wl_lease_plan_new(uint32_t partitions, uint32_t lease_ms, uint32_t first) {
    WL_ASSERT(partitions > 0 && partitions <= WL_LEASE_PARTITIONS_MAX && lease_ms > 0);
    wl_lease_plan_t *self = wl_alloc_zero(1, sizeof *self);
    self->partitions = partitions;
    self->first = first % partitions;
    self->lease_ms = lease_ms;
    return self;
}

void wl_lease_plan_destroy(wl_lease_plan_t **self) {
    if (self != NULL && *self != NULL) {
        wl_free(*self);
        *self = NULL;
    }
}

uint32_t wl_lease_plan_held(const wl_lease_plan_t *self) {
    uint32_t held = 0;
    for (uint32_t p = 0; p < self->partitions; p++) {
        held += self->parts[p].until > 0;
    }
    return held;
}

wl_mono_ms_t wl_lease_plan_until(const wl_lease_plan_t *self, uint32_t partition,
                                 uint64_t *ret_epoch) {
    WL_ASSERT(partition < self->partitions && ret_epoch != NULL);
    *ret_epoch = self->parts[partition].epoch;
    return (wl_mono_ms_t){self->parts[partition].until};
}

uint32_t wl_lease_plan_expire(wl_lease_plan_t *self, wl_mono_ms_t now) {
    uint32_t count = 0;
    for (uint32_t p = 0; p < self->partitions; p++) {
        part_t *part = &self->parts[p];
        part->expired = part->until > 0 && now.ms >= part->until;
        if (part->expired) {
            part->until = 0;
            count++;
        }
    }
    return count;
}

/* ---- one step -------------------------------------------------------------------------------- */

/* The partitions in this writer's own order. */
static uint32_t plan_at(const wl_lease_plan_t *self, uint32_t index) {
    return (self->first + index) % self->partitions;
}

/* What is held is renewed. One that the database gives to another writer is asked for all the same,
 * and lost by the answer. */
static void step_renew(wl_lease_plan_t *self, const wl_lease_seen_t *seen, wl_mono_ms_t now,
                       wl_lease_act_t *ret_acts) {
    for (uint32_t p = 0; p < self->partitions; p++) {
        part_t *part = &self->parts[p];
        bool takable = part->until == 0 && (seen[p].free || seen[p].ours);
        part->free_since = !takable ? 0 : part->free_since > 0 ? part->free_since : now.ms;
        ret_acts[p] = part->until > 0 ? WL_LEASE_RENEW : WL_LEASE_LEAVE;
    }
}

static void step_release_one(const wl_lease_plan_t *self, wl_lease_act_t *ret_acts) {
    for (uint32_t i = self->partitions; i-- > 0;) { /* the one it would take last */
        uint32_t p = plan_at(self, i);
        if (ret_acts[p] == WL_LEASE_RENEW) {
            ret_acts[p] = WL_LEASE_RELEASE;
            return;
        }
    }
}

static void step_take(wl_lease_plan_t *self, uint32_t share, uint32_t writers, wl_mono_ms_t now,
                      wl_lease_act_t *ret_acts) {
    uint32_t count = wl_lease_plan_held(self);
    for (uint32_t i = 0; i < self->partitions; i++) {
        uint32_t p = plan_at(self, i);
        const part_t *part = &self->parts[p];
        if (part->free_since == 0 || part->expired) {
            continue;
        }
        bool beyond = count >= share;
        if (beyond && now.ms - part->free_since < self->lease_ms) {
            continue;
        }
        ret_acts[p] = WL_LEASE_TAKE;
        count++;
        if (beyond) {
            self->writers_kept = writers;
            self->kept_until = now.ms + KEEP_LEASES * self->lease_ms;
        }
    }
}

void wl_lease_plan_step(wl_lease_plan_t *self, const wl_lease_seen_t *seen, uint32_t writers,
                        wl_mono_ms_t now, wl_lease_act_t *ret_acts) {
    writers = writers == 0 ? 1 : writers;
    uint32_t share = (self->partitions + writers - 1) / writers;
    self->writers_kept = now.ms >= self->kept_until     ? 0
                         : self->writers_kept < writers ? self->writers_kept
                                                        : writers;
    step_renew(self, seen, now, ret_acts);
    if (wl_lease_plan_held(self) > share && writers > self->writers_kept) {
        step_release_one(self, ret_acts);
    } else {
        step_take(self, share, writers, now, ret_acts);
    }
}

/* ---- how it went ----------------------------------------------------------------------------- */

static int64_t plan_end(const wl_lease_plan_t *self, wl_mono_ms_t asked) {
    return asked.ms + self->lease_ms - self->lease_ms / MARGIN_PARTS;
}

void wl_lease_plan_taken(wl_lease_plan_t *self, uint32_t partition, uint64_t epoch,
                         wl_mono_ms_t asked) {
    WL_ASSERT(partition < self->partitions && epoch > 0);
    self->parts[partition] = (part_t){.epoch = epoch, .until = plan_end(self, asked)};
}

void wl_lease_plan_renewed(wl_lease_plan_t *self, uint32_t partition, wl_mono_ms_t asked) {
    WL_ASSERT(partition < self->partitions);
    if (self->parts[partition].until > 0) {
        self->parts[partition].until = plan_end(self, asked);
    }
}

void wl_lease_plan_lost(wl_lease_plan_t *self, uint32_t partition) {
    WL_ASSERT(partition < self->partitions);
    self->parts[partition].until = 0;
    self->parts[partition].free_since = 0;
}
