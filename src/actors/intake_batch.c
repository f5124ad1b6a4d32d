#include "actors/intake_batch.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/slot.h"
#include "proto/messages.h"

#include <stdio.h>
#include <string.h>

enum {
    ENTRIES_FULL = 1024, /* one more request adds 64 (lines) or 16 (partitions) at most */
    BODY_BYTES_FULL = 4194304,
};

typedef struct {
    wl_peer_t peer;
    uint64_t msgid;
    const char *key; /* static text */
    uint64_t count;
    size_t entry_first; /* its own entries are these .. */
    size_t entry_end;   /* .. and end before this one */
} waiter_t;

struct wl_intake_batch {
    wl_queue_entry_t *entries; /* owned; body is set from body_at when all are there */
    size_t *body_at;           /* owned; offsets into bodies, which moves while it grows */
    size_t entry_count;
    size_t entry_room;
    msgpack_sbuffer bodies; /* owned */
    waiter_t *waiters;      /* owned */
    uint32_t waiter_count;
    uint32_t waiter_room;
    uint64_t users;
    uint32_t partitions;                      /* of the queue */
    wl_encoder_t *encoder;                    /* owned; packs assets */
    wl_change_t changes[WL_CHANGES_MAX];      /* of one partition */
    wl_asset_t assets[WL_PAYLOAD_ASSETS_MAX]; /* of one partition */
};

wl_intake_batch_t *wl_intake_batch_new(uint32_t partitions) {
    wl_intake_batch_t *self = wl_alloc_zero(1, sizeof *self);
    WL_ASSERT(partitions >= 1 && partitions <= WL_PARTITIONS_MAX);
    self->partitions = partitions;
    msgpack_sbuffer_init(&self->bodies);
    self->encoder = wl_encoder_new();
    return self;
}

void wl_intake_batch_destroy(wl_intake_batch_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    msgpack_sbuffer_destroy(&(*self)->bodies);
    wl_encoder_destroy(&(*self)->encoder);
    wl_free((*self)->entries);
    wl_free((*self)->body_at);
    wl_free((*self)->waiters);
    wl_free(*self);
    *self = NULL;
}

void wl_intake_batch_clear(wl_intake_batch_t *self) {
    msgpack_sbuffer_clear(&self->bodies);
    self->entry_count = 0;
    self->waiter_count = 0;
    self->users = 0;
}

/* The bytes packed into bodies since `from` are the body of one more entry. */
static void batch_entry(wl_intake_batch_t *self, wl_entry_kind_t kind, const char *line,
                        uint32_t partition, size_t from, size_t users) {
    if (self->entry_count == self->entry_room) {
        self->entry_room = self->entry_room == 0 ? 256 : self->entry_room * 2;
        self->entries = wl_realloc_array(self->entries, self->entry_room, sizeof *self->entries);
        self->body_at = wl_realloc_array(self->body_at, self->entry_room, sizeof *self->body_at);
    }
    wl_queue_entry_t *entry = &self->entries[self->entry_count];
    *entry = (wl_queue_entry_t){.at = wl_wall_now().ms,
                                .kind = kind,
                                .partition = partition,
                                .body_bytes = self->bodies.size - from};
    (void)snprintf(entry->line, sizeof entry->line, "%s", line);
    self->body_at[self->entry_count++] = from;
    self->users += users;
}

static void batch_changes(wl_intake_batch_t *self, wl_entry_kind_t kind, const char *line,
                          uint32_t partition, const wl_change_t *changes, size_t count) {
    size_t from = self->bodies.size;
    wl_changes_pack(&self->bodies, changes, count);
    batch_entry(self, kind, line, partition, from, count);
}

void wl_intake_batch_changes(wl_intake_batch_t *self, wl_entry_kind_t kind, const char *line,
                             const wl_change_t *changes, size_t count) {
    WL_ASSERT(kind != WL_ENTRY_ASSETS && count > 0 && count <= WL_CHANGES_MAX);
    if (self->partitions == 1) {
        batch_changes(self, kind, line, 0, changes, count);
        return;
    }
    for (uint32_t p = 0; p < self->partitions; p++) {
        size_t taken = 0;
        for (size_t i = 0; i < count; i++) {
            if (wl_uid_owner(changes[i].uid, self->partitions) == p) {
                self->changes[taken++] = changes[i];
            }
        }
        if (taken > 0) {
            batch_changes(self, kind, line, p, self->changes, taken);
        }
    }
}

static void batch_assets(wl_intake_batch_t *self, const char *line, uint32_t partition,
                         const wl_asset_t *assets, uint32_t count) {
    size_t from = self->bodies.size;
    wl_bytes_t blob;
    wl_encoder_asset_blob(self->encoder, assets, count, &blob);
    (void)msgpack_sbuffer_write(&self->bodies, (const char *)blob.at, blob.count);
    batch_entry(self, WL_ENTRY_ASSETS, line, partition, from, count);
}

void wl_intake_batch_assets(wl_intake_batch_t *self, const char *line, const wl_asset_t *assets,
                            uint32_t count) {
    WL_ASSERT(count > 0 && count <= WL_PAYLOAD_ASSETS_MAX);
    if (self->partitions == 1) {
        batch_assets(self, line, 0, assets, count);
        return;
    }
    for (uint32_t p = 0; p < self->partitions; p++) {
        uint32_t taken = 0;
        for (uint32_t i = 0; i < count; i++) {
            if (wl_uid_owner(assets[i].uid, self->partitions) == p) {
                self->assets[taken++] = assets[i];
            }
        }
        if (taken > 0) {
            batch_assets(self, line, p, self->assets, taken);
        }
    }
}

void wl_intake_batch_waiter(wl_intake_batch_t *self, const wl_peer_t *peer, uint64_t msgid,
                            const char *key, uint64_t count, size_t entry_first) {
    WL_ASSERT(entry_first <= self->entry_count);
    if (self->waiter_count == self->waiter_room) {
        self->waiter_room = self->waiter_room == 0 ? 64 : self->waiter_room * 2;
        self->waiters = wl_realloc_array(self->waiters, self->waiter_room, sizeof *self->waiters);
    }
    self->waiters[self->waiter_count++] = (waiter_t){.peer = *peer,
                                                     .msgid = msgid,
                                                     .key = key,
                                                     .count = count,
                                                     .entry_first = entry_first,
                                                     .entry_end = self->entry_count};
}

wl_intake_waiter_t wl_intake_batch_waiter_at(const wl_intake_batch_t *self, uint32_t index) {
    WL_ASSERT(index < self->waiter_count);
    const waiter_t *waiter = &self->waiters[index];
    bool durable = true;
    for (size_t i = waiter->entry_first; i < waiter->entry_end; i++) {
        durable = durable && self->entries[i].id > 0;
    }
    return (wl_intake_waiter_t){&waiter->peer, waiter->msgid, waiter->key, waiter->count, durable};
}

uint32_t wl_intake_batch_waiters(const wl_intake_batch_t *self) {
    return self->waiter_count;
}

bool wl_intake_batch_full(const wl_intake_batch_t *self) {
    return self->entry_count >= ENTRIES_FULL || self->bodies.size >= BODY_BYTES_FULL;
}

size_t wl_intake_batch_entries(const wl_intake_batch_t *self) {
    return self->entry_count;
}

uint64_t wl_intake_batch_users(const wl_intake_batch_t *self) {
    return self->users;
}

wl_err_t wl_intake_batch_append(wl_intake_batch_t *self, wl_queue_t *queue,
                                uint64_t ret_last_ids[WL_PARTITIONS_MAX]) {
    WL_ASSERT(self->entry_count > 0);
    for (size_t i = 0; i < self->entry_count; i++) {
        self->entries[i].body = self->bodies.data + self->body_at[i];
    }
    wl_err_t err = wl_queue_append(queue, self->entries, self->entry_count);
    memset(ret_last_ids, 0, WL_PARTITIONS_MAX * sizeof *ret_last_ids);
    for (size_t i = 0; i < self->entry_count; i++) {
        ret_last_ids[self->entries[i].partition] = self->entries[i].id;
    }
    return err;
}
