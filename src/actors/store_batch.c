#include "actors/store_batch.h"

#include "base/alloc.h"
#include "base/check.h"

#include <stdlib.h>
#include <string.h>

enum { EXTRA_BYTES = 65536 /* first chunk of the memory for extras */ };

wl_store_batch_t *wl_store_batch_new(void) {
    wl_store_batch_t *self = wl_alloc_zero(1, sizeof *self);
    self->zone = msgpack_zone_new(EXTRA_BYTES);
    WL_ASSERT(self->zone != NULL);
    return self;
}

void wl_store_batch_destroy(wl_store_batch_t **pointer) {
    if (pointer == NULL || *pointer == NULL) {
        return;
    }
    wl_store_batch_t *self = *pointer;
    wl_free(self->items);
    wl_free(self->order);
    wl_free(self->uids);
    wl_free(self->assets);
    wl_free(self->kept);
    wl_free(self->fates);
    wl_free(self->stands);
    msgpack_zone_free(self->zone);
    wl_free(self);
    *pointer = NULL;
}

void wl_store_batch_clear(wl_store_batch_t *self) {
    self->item_count = 0;
    self->asset_count = 0;
    self->head_count = 0;
    self->stored = 0;
    self->older = 0;
    self->refused = 0;
    self->barred = 0;
    msgpack_zone_clear(self->zone);
}

bool wl_store_batch_full(const wl_store_batch_t *self) {
    return self->asset_count + self->item_count >= WL_STORE_BATCH_ASSETS ||
           self->head_count == WL_STORE_BATCH_HEADS;
}

static uint32_t batch_head(wl_store_batch_t *self, const wl_store_head_t *head) {
    for (uint32_t i = 0; i < self->head_count; i++) {
        if (self->heads[i].dispatcher == head->dispatcher && self->heads[i].epoch == head->epoch &&
            strcmp(self->heads[i].line, head->line) == 0) {
            return i;
        }
    }
    WL_ASSERT(self->head_count < WL_STORE_BATCH_HEADS);
    wl_stored_line_t *added = &self->heads[self->head_count];
    *added = (wl_stored_line_t){.dispatcher = head->dispatcher, .epoch = head->epoch};
    memcpy(added->line, head->line, sizeof added->line);
    return self->head_count++;
}

static void batch_reserve(wl_store_batch_t *self, uint32_t assets) {
    if (self->item_count == self->item_room) {
        self->item_room = self->item_room == 0 ? 256 : self->item_room * 2;
        self->items = wl_realloc_array(self->items, self->item_room, sizeof *self->items);
        self->order = wl_realloc_array(self->order, self->item_room, sizeof *self->order);
        self->uids = wl_realloc_array(self->uids, self->item_room, sizeof *self->uids);
    }
    if (self->asset_count + assets > self->asset_room) {
        self->asset_room = (self->asset_count + assets) * 2;
        self->assets = wl_realloc_array(self->assets, self->asset_room, sizeof *self->assets);
        self->kept = wl_realloc_array(self->kept, self->asset_room, sizeof *self->kept);
        self->fates = wl_realloc_array(self->fates, self->asset_room, sizeof *self->fates);
        self->stands = wl_realloc_array(self->stands, self->asset_room, sizeof *self->stands);
    }
}

void wl_store_batch_own_extra(wl_store_batch_t *self, wl_asset_t *asset) {
    if (asset->extra_bytes > 0) {
        uint8_t *extra = msgpack_zone_malloc_no_align(self->zone, asset->extra_bytes);
        WL_ASSERT(extra != NULL);
        memcpy(extra, asset->extra, asset->extra_bytes);
        asset->extra = extra;
    }
}

void wl_store_batch_add(wl_store_batch_t *self, const wl_store_head_t *head,
                        const wl_store_item_t *item) {
    batch_reserve(self, item->assets.count);
    wl_stored_user_t *into = &self->items[self->item_count++];
    *into = (wl_stored_user_t){.uid = item->uid,
                               .seq = item->seq,
                               .notified_at = item->notified_at,
                               .asset_first = self->asset_count,
                               .asset_count = item->assets.count,
                               .head = batch_head(self, head),
                               .asked = item->outcome};
    for (uint32_t i = 0; i < item->assets.count; i++) {
        self->fates[self->asset_count] = WL_STORE_FATE_NONE;
        self->stands[self->asset_count] = 0;
        wl_asset_t *asset = &self->assets[self->asset_count++];
        *asset = item->assets.at[i];
        wl_store_batch_own_extra(self, asset);
    }
}

static int order_compare(const void *a, const void *b, void *arg) {
    const wl_stored_user_t *items = arg;
    size_t left = *(const size_t *)a;
    size_t right = *(const size_t *)b;
    if (items[left].uid != items[right].uid) {
        return items[left].uid < items[right].uid ? -1 : 1;
    }
    return (left > right) - (left < right);
}

uint32_t wl_store_batch_sort(wl_store_batch_t *self) {
    for (size_t i = 0; i < self->item_count; i++) {
        self->order[i] = i;
    }
    qsort_r(self->order, self->item_count, sizeof *self->order, order_compare, self->items);
    uint32_t users = 0;
    for (size_t i = 0; i < self->item_count; i++) {
        uint64_t uid = self->items[self->order[i]].uid;
        if (users == 0 || self->uids[users - 1] != uid) {
            self->uids[users++] = uid;
        }
    }
    return users;
}
