#include "domain/aim.h"

#include "base/check.h"

#include <string.h>

void wl_aim_store_open(wl_aim_store_t *self, uint32_t refs_max) {
    self->ledger = wl_entry_ledger_new(refs_max);
    self->hint_pool = wl_pool_new(sizeof(wl_aim_hint_t));
}

void wl_aim_store_close(wl_aim_store_t *self) {
    wl_entry_ledger_destroy(&self->ledger);
    wl_pool_destroy(&self->hint_pool);
}

void wl_aim_notified(wl_aim_t *aim, wl_wall_ms_t at) {
    if (at.ms != 0 && (aim->notified.ms == 0 || at.ms < aim->notified.ms)) {
        aim->notified = at;
    }
}

void wl_aim_raise(wl_aim_store_t *self, wl_aim_t *aim, const char *bucket, uint64_t version) {
    WL_ASSERT(self != NULL && aim != NULL && bucket != NULL);
    wl_aim_hint_t **end = &aim->hints;
    for (unsigned count = 0; *end != NULL; end = &(*end)->next) {
        if (strcmp((*end)->bucket, bucket) == 0) {
            (*end)->version = version > (*end)->version ? version : (*end)->version;
            return;
        }
        if (++count == WL_HINTS_MAX) {
            return;
        }
    }
    size_t bytes = strlen(bucket);
    WL_ASSERT(bytes <= WL_BUCKET_MAX);
    *end = wl_pool_take(self->hint_pool);
    (*end)->version = version;
    memcpy((*end)->bucket, bucket, bytes + 1);
}

static void aim_drop_hints(wl_aim_store_t *self, wl_aim_t *aim) {
    while (aim->hints != NULL) {
        wl_aim_hint_t *hint = aim->hints;
        aim->hints = hint->next;
        wl_pool_give(self->hint_pool, hint);
    }
}

void wl_aim_merge(wl_aim_store_t *self, wl_aim_t *newer, wl_aim_t *older) {
    WL_ASSERT(self != NULL && newer != older);
    newer->seq = older->seq > newer->seq ? older->seq : newer->seq;
    wl_aim_notified(newer, older->notified);
    wl_entry_ledger_join(&newer->refs, &older->refs);
    for (const wl_aim_hint_t *hint = newer->hints; hint != NULL; hint = hint->next) {
        wl_aim_raise(self, older, hint->bucket, hint->version);
    }
    aim_drop_hints(self, newer);
    newer->hints = older->hints; /* the older buckets first, as if both had been one aim */
    *older = (wl_aim_t){0};
}

void wl_aim_end(wl_aim_store_t *self, wl_aim_t *aim) {
    WL_ASSERT(self != NULL && aim != NULL);
    wl_entry_ledger_end(self->ledger, &aim->refs);
    aim_drop_hints(self, aim);
    *aim = (wl_aim_t){0};
}
