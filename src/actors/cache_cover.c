#include "actors/cache_cover.h"

#include "base/alloc.h"
#include "base/slot.h"

#include <string.h>

enum { PRESENCES_MAX = 16, PARTITIONS_MAX = 16, SHARDS_MAX = 64 }; /* as settings.def allows */

struct wl_cache_cover {
    const wl_settings_t *settings; /* borrowed */
    bool closed[PRESENCES_MAX][PARTITIONS_MAX];
    uint64_t floor[PRESENCES_MAX][SHARDS_MAX]; /* reads that have seen less are too old */
    bool lost[PARTITIONS_MAX];                 /* of the last message */
    uint32_t presence;                         /* that sent it */
};

wl_cache_cover_t *wl_cache_cover_new(const wl_settings_t *settings) {
    wl_cache_cover_t *self = wl_alloc_zero(1, sizeof *self);
    self->settings = settings;
    return self;
}

static uint32_t cover_presence(const wl_cache_cover_t *self, uint64_t uid) {
    return wl_uid_owner(uid, (uint32_t)self->settings->presence_instances);
}

static uint32_t cover_partition(const wl_cache_cover_t *self, uint64_t uid) {
    return wl_uid_owner(uid, (uint32_t)self->settings->queue_partitions);
}

wl_err_t wl_cache_cover_take(wl_cache_cover_t *self, const wl_msg_t *msg, bool *ret_lost) {
    const wl_cover_head_t *head = &msg->head.cover;
    if (head->presence >= self->settings->presence_instances || head->commits.count > SHARDS_MAX) {
        return WL_ERR_MALFORMED;
    }
    for (uint32_t i = 0; i < msg->count; i++) {
        if (msg->items.cover[i].partition >= self->settings->queue_partitions) {
            return WL_ERR_MALFORMED;
        }
    }
    self->presence = head->presence;
    memset(self->lost, 0, sizeof self->lost);
    for (uint32_t i = 0; i < msg->count; i++) {
        self->closed[head->presence][msg->items.cover[i].partition] = !head->covered;
        self->lost[msg->items.cover[i].partition] = !head->covered;
    }
    if (head->commits.count > 0) {
        memcpy(self->floor[head->presence], head->commits.at,
               head->commits.count * sizeof *head->commits.at);
    }
    *ret_lost = !head->covered && msg->count > 0;
    return WL_OK;
}

bool wl_cache_cover_lost(void *cover, uint64_t uid) {
    const wl_cache_cover_t *self = cover;
    return cover_presence(self, uid) == self->presence && self->lost[cover_partition(self, uid)];
}

bool wl_cache_cover_serves(const wl_cache_cover_t *self, uint64_t uid) {
    return !self->closed[cover_presence(self, uid)][cover_partition(self, uid)];
}

bool wl_cache_cover_keeps(const wl_cache_cover_t *self, uint64_t uid, uint32_t shard,
                          uint64_t commit_seq) {
    return wl_cache_cover_serves(self, uid) && shard < SHARDS_MAX &&
           commit_seq >= self->floor[cover_presence(self, uid)][shard];
}

void wl_cache_cover_destroy(wl_cache_cover_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_free(*self);
    *self = NULL;
}
