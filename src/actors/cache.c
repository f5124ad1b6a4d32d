#include "actors/cache.h"

#include "actors/cache_compare.h"
#include "actors/cache_cover.h"
#include "actors/cache_remote.h"
#include "actors/consent_way.h"
#include "actors/mark_ends.h"
#include "actors/render.h"
#include "actors/store_options.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/slot.h"
#include "base/table.h"
#include "domain/marks.h"
#include "store/cache.h"

enum {
    TICK_MS = 500,              /* how often gauges are taken */
    REMOTE_TICK_MS = 50,        /* the same with Redis, whose markers are looked at */
    USERS_MARKED_MAX = 1000000, /* more users behind at once lose the label, never data */
    REPLIES_BATCH = 16,         /* then the frontend sends them while the next are rendered */
    MARKS_BYTES_MAX = 4096,     /* of READ.marks: 64 lines of 32 bytes are under 2,300 */
};

typedef struct {
    wl_hub_t hub;
    wl_render_t render;
    wl_cache_t *store;                /* owned; NULL: copies are in Redis, or nobody reads here */
    wl_cache_remote_t *remote;        /* owned; NULL: copies are in memory */
    wl_marks_t *marks;                /* owned */
    wl_mark_ends_t *ends;             /* owned; of marks whose put may be under way; with Redis */
    wl_cache_cover_t *cover;          /* owned; whose changes all arrive here */
    wl_cache_compare_t *compare;      /* owned; the reconciler's questions */
    uint64_t batch;                   /* counts messages taken: items of two never share a head */
    char marks_text[MARKS_BYTES_MAX]; /* of the user being read */
} cache_t;

/* ---- reads ---------------------------------------------------------------------------------- */

static void cache_pass_on(cache_t *self, uint32_t frontend, const wl_read_item_t *read) {
    uint32_t owner = wl_uid_owner(read->uid, wl_hub_instances(&self->hub, WL_ACTOR_QUERY));
    wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_QUERY, owner, WL_MSG_READ, frontend);
    if (!wl_encoder_begun(to)) {
        int64_t sent_at = wl_hub_sent_at(&self->hub, WL_ACTOR_QUERY, owner);
        wl_read_begin(to, &(wl_read_head_t){.frontend = frontend, .sent_at = sent_at});
    }
    wl_read_item_t passed = *read;
    passed.seen = self->store == NULL ? 0 : wl_cache_fence(self->store, read->uid);
    wl_read_add(to, &passed);
}

/* A hit that cannot be shown before lines were asked. */
static void cache_gather(cache_t *self, uint32_t frontend, const wl_read_item_t *read,
                         const wl_asset_t *assets, uint32_t count) {
    uint32_t owner = wl_uid_owner(read->uid, wl_hub_instances(&self->hub, WL_ACTOR_QUERY));
    wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_QUERY, owner, WL_MSG_GATHER, frontend);
    if (!wl_encoder_begun(to)) {
        int64_t sent_at = wl_hub_sent_at(&self->hub, WL_ACTOR_QUERY, owner);
        wl_gather_begin(to, &(wl_gather_head_t){.frontend = frontend, .sent_at = sent_at});
    }
    wl_gather_add(to, &(wl_gather_item_t){
                          .ticket = read->ticket,
                          .uid = read->uid,
                          .deadline_at = read->deadline_at,
                          .method = read->method,
                          .filter = read->filter,
                          .marks = read->marks,
                          .floors = read->floors,
                          .rollout = read->rollout,
                          .assets = {(wl_asset_t *)assets, count}, /* only read */
                      });
}

/* Renders a hit, or passes a miss on; with what is known now about changes on their way. */
static void cache_answer(cache_t *self, uint32_t frontend, wl_read_item_t *read,
                         const wl_asset_t *assets, uint32_t count, bool hit) {
    read->marks.at = (const uint8_t *)self->marks_text;
    read->marks.count =
        wl_marks_text(self->marks, read->uid, self->marks_text, sizeof self->marks_text);
    if (hit) {
        WL_COUNT(&self->hub.counters, cache_hits, 1);
        if (wl_render_asks(&self->render, &self->hub, read, assets, count)) {
            cache_gather(self, frontend, read, assets, count);
            return;
        }
        wl_render_reply(&self->render, &self->hub, frontend, read, assets, count, WL_SOURCE_CACHE);
    } else {
        WL_COUNT(&self->hub.counters, cache_misses, 1);
        cache_pass_on(self, frontend, read);
    }
}

/* Redis has answered. */
static void on_answered(void *ctx, uint32_t frontend, wl_read_item_t *read,
                        const wl_asset_t *assets, uint32_t count) {
    cache_answer(ctx, frontend, read, assets, count, assets != NULL);
}

static void cache_read(cache_t *self, const wl_msg_t *msg) {
    uint32_t frontend = msg->head.read.frontend;
    if (frontend >= wl_hub_instances(&self->hub, WL_ACTOR_FRONTEND)) {
        WL_COUNT(&self->hub.counters, msg_malformed, 1);
        return;
    }
    int64_t now = wl_mono_now().ms;
    for (uint32_t i = 0; i < msg->count; i++) {
        wl_read_item_t *read = &msg->items.read[i];
        if (read->deadline_at < now) { /* the frontend has given it up */
            WL_COUNT(&self->hub.counters, rpc_late, 1);
            continue;
        }
        if (self->remote != NULL) {
            wl_cache_remote_read(self->remote, frontend, read);
            continue;
        }
        const wl_asset_t *assets = NULL;
        uint32_t count = 0;
        bool sound = self->store != NULL && wl_cache_cover_serves(self->cover, read->uid) &&
                     wl_cache_get(self->store, read->uid, &assets, &count);
        cache_answer(self, frontend, read, sound ? assets : NULL, count, sound);
        if (i % REPLIES_BATCH == REPLIES_BATCH - 1) {
            wl_hub_flush(&self->hub);
        }
    }
}

static void cache_fill(cache_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_fill_item_t *fill = &msg->items.fill[i];
        const wl_fill_head_t *head = &msg->head.fill;
        if (self->remote != NULL) {
            wl_cache_remote_fill(self->remote, head->commit_seq, fill);
            continue;
        }
        bool sound = self->store != NULL &&
                     wl_cache_cover_keeps(self->cover, fill->uid, head->shard, head->commit_seq);
        if (!sound || wl_cache_fill(self->store, fill->uid, fill->assets.at, fill->assets.count,
                                    head->commit_seq) != WL_OK) {
            WL_COUNT(&self->hub.counters, cache_fill_refused, 1);
        }
    }
}

/* ---- changes -------------------------------------------------------------------------------- */

static void cache_mark(cache_t *self, uint64_t uid, const char *line, uint64_t seq,
                       wl_mark_state_t state) {
    if (wl_marks_set(self->marks, uid, line, seq, state) != WL_OK) {
        WL_COUNT(&self->hub.counters, cache_marks_refused, 1);
    }
}

static void cache_notice(cache_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_notice_item_t *notice = &msg->items.notice[i];
        if (notice->state > WL_MARK_FAILING) {
            WL_COUNT(&self->hub.counters, msg_malformed, 1);
            continue;
        }
        cache_mark(self, notice->uid, notice->line, notice->seq, (wl_mark_state_t)notice->state);
    }
}

static void cache_tell_done(void *ctx, uint32_t dispatcher, const char *line,
                            const wl_done_item_t *done) {
    cache_t *self = ctx;
    uint64_t key = wl_table_hash(line, strlen(line));
    wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_DISPATCHER, dispatcher, WL_MSG_DONE, key);
    if (!wl_encoder_begun(to)) {
        wl_done_head_t head = {0};
        memcpy(head.line, line, sizeof head.line);
        wl_done_begin(to, &head);
    }
    wl_done_add(to, done);
}

/* What is known of the copy from now on: a change of this line has taken effect, or failed. */
static void cache_settle_mark(cache_t *self, uint64_t uid, const char *line, uint64_t seq,
                              uint8_t outcome) {
    if (outcome == WL_PULL_OK) {
        wl_marks_clear(self->marks, uid, line, seq);
    } else {
        cache_mark(self, uid, line, seq, WL_MARK_FAILING);
    }
}

/* What a writer has put is nearly always in Redis by now. A put that takes longer leaves the old
 * copy without its label for the rest of that time; one that fails breaks the writer's marker, and
 * then the copy is not served at all. */
static void cache_end_marks(cache_t *self) {
    wl_mark_end_t end;
    while (wl_mark_ends_pop(self->ends, wl_mono_now(), &end)) {
        wl_marks_clear(self->marks, end.uid, end.line, end.seq);
    }
}

/* A put to Redis has taken effect: until now the copy there was the old one. */
static void on_put(void *ctx, uint32_t dispatcher, const char *line, const wl_done_item_t *done) {
    cache_settle_mark(ctx, done->uid, line, done->seq, done->outcome);
    cache_tell_done(ctx, dispatcher, line, done);
}

/* In Redis, too, nothing of it is left. */
static void on_withdrawn(void *ctx, const wl_stored_head_t *head, const wl_stored_item_t *item) {
    cache_t *self = ctx;
    cache_settle_mark(self, item->uid, head->line, item->seq, item->outcome);
    wl_consent_pass_on(&self->hub, head, item);
}

/* A consent was withdrawn: the whole user goes, and no read of before may bring anything back. */
static void cache_withdraw(cache_t *self, const wl_stored_head_t *head,
                           const wl_stored_item_t *stored) {
    if (self->remote != NULL) {
        wl_cache_remote_withdraw(self->remote, head, stored);
        return;
    }
    if (self->store != NULL) {
        (void)wl_cache_put(self->store, stored->uid, stored->assets.at, stored->assets.count,
                           head->commit_seq);
        wl_cache_drop(self->store, stored->uid);
    }
    wl_consent_pass_on(&self->hub, head, stored);
}

/* The values of one user; awaited: somebody waits to hear that they have taken effect. */
static void cache_keep(cache_t *self, const wl_stored_head_t *head, const wl_stored_item_t *stored,
                       bool awaited) {
    if (self->remote != NULL) { /* a writer puts; readers share what it has put */
        if (awaited) {
            wl_cache_remote_put(self->remote, head, stored);
        }
        return;
    }
    if (self->store != NULL) {
        uint32_t older = wl_cache_put(self->store, stored->uid, stored->assets.at,
                                      stored->assets.count, head->commit_seq);
        WL_COUNT(&self->hub.counters, cache_older_refused, older);
    }
    if (awaited) {
        wl_done_item_t done = {.uid = stored->uid,
                               .seq = stored->seq,
                               .outcome = stored->outcome,
                               .notified_at = stored->notified_at};
        cache_tell_done(self, head->dispatcher, head->line, &done);
    }
}

static void cache_stored(cache_t *self, const wl_msg_t *msg) {
    const wl_stored_head_t *head = &msg->head.stored;
    bool awaited = head->dispatcher != WL_DISPATCHER_NONE;
    if (awaited && head->dispatcher >= wl_hub_instances(&self->hub, WL_ACTOR_DISPATCHER)) {
        WL_COUNT(&self->hub.counters, msg_malformed, 1);
        return;
    }
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_stored_item_t *stored = &msg->items.stored[i];
        if (self->remote == NULL || (!awaited && stored->outcome != WL_PULL_OK)) {
            cache_settle_mark(self, stored->uid, head->line, stored->seq, stored->outcome);
        } else if (!awaited) {
            cache_end_marks(self);
            wl_mark_ends_push(self->ends, stored->uid, head->line, stored->seq, wl_mono_now());
        }
        if (wl_consent_withdrawn(stored)) {
            cache_withdraw(self, head, stored);
        } else {
            cache_keep(self, head, stored, awaited);
        }
    }
}

/* Changes of some users may have been missed, or are not missed any more. */
static void cache_cover(cache_t *self, const wl_msg_t *msg) {
    bool lost = false;
    if (wl_cache_cover_take(self->cover, msg, &lost) != WL_OK) {
        WL_COUNT(&self->hub.counters, msg_malformed, 1);
    } else if (lost) {
        (void)wl_marks_drop(self->marks, wl_cache_cover_lost, self->cover);
        if (self->store != NULL) {
            wl_cache_flush(self->store);
        }
    }
}

/* ---- handlers ------------------------------------------------------------------------------- */

static void cache_take(void *actor, const wl_msg_t *msg) {
    cache_t *self = actor;
    self->batch++;
    if (msg->id == WL_MSG_READ) {
        cache_read(self, msg);
    } else if (msg->id == WL_MSG_FILL) {
        cache_fill(self, msg);
    } else if (msg->id == WL_MSG_NOTICE) {
        cache_notice(self, msg);
    } else if (msg->id == WL_MSG_STORED) {
        cache_stored(self, msg);
    } else if (msg->id == WL_MSG_COVER) {
        cache_cover(self, msg);
    } else if (msg->id == WL_MSG_LEASE) {
        if (self->remote != NULL) {
            wl_cache_remote_lease(self->remote, msg);
        }
    } else if (!wl_cache_compare_take(self->compare, msg) && msg->id != WL_MSG_LINE) {
        WL_COUNT(&self->hub.counters, msg_unexpected, 1);
    }
}

/* The turn's questions go to Redis together. */
static void cache_turn_end(void *actor) {
    cache_t *self = actor;
    if (self->remote != NULL) {
        wl_cache_remote_turn(self->remote);
    }
}

static void cache_configured(void *actor) {
    cache_t *self = actor;
    wl_render_configured(&self->render);
}

static void cache_tick(void *actor) {
    cache_t *self = actor;
    wl_render_tick(&self->render);
    if (self->remote != NULL) {
        wl_cache_remote_tick(self->remote);
        cache_end_marks(self);
    }
    if (self->store == NULL) {
        return;
    }
    wl_cache_stats_t stats = wl_cache_stats(self->store);
    WL_GAUGE(&self->hub.counters, cache_users, stats.users);
    WL_GAUGE(&self->hub.counters, cache_bytes, stats.bytes);
    WL_GAUGE(&self->hub.counters, cache_evictions, stats.evictions);
}

static wl_err_t cache_open(void *actor, zsock_t *pipe, wl_boot_t *boot) {
    cache_t *self = actor;
    const wl_actor_options_t *given = boot->options;
    bool redis = strcmp(given->settings->cache_store, "redis") == 0;
    const wl_hub_handlers_t handlers = {
        .take = cache_take,
        .flush = cache_turn_end,
        .tick = cache_tick,
        .configured = cache_configured,
        .tick_ms = redis ? REMOTE_TICK_MS : TICK_MS,
    };
    wl_err_t err = wl_hub_open(&self->hub, pipe, boot, &handlers, self, &boot->fault);
    if (err != WL_OK) {
        return err;
    }
    wl_render_open(&self->render);
    self->marks = wl_marks_new(USERS_MARKED_MAX);
    self->cover = wl_cache_cover_new(self->hub.settings);
    if (redis) {
        self->ends = wl_mark_ends_new();
        wl_cache_remote_to_t to = {on_answered, on_put, on_withdrawn, self};
        err = wl_cache_remote_open(&self->hub, &to, &self->remote, &boot->fault);
    } else if (wl_role_reads(self->hub.settings)) { /* else nobody would ever read what is kept */
        wl_cache_options_t options = wl_store_options_cache(self->hub.settings);
        err = wl_cache_open(&options, &self->store);
    }
    self->compare = wl_cache_compare_new(&self->hub, self->store, self->remote, self->cover);
    return err;
}

static void cache_close(void *actor) {
    cache_t *self = actor;
    wl_cache_remote_close(&self->remote);
    wl_cache_compare_destroy(&self->compare);
    wl_cache_close(&self->store);
    wl_marks_destroy(&self->marks);
    wl_mark_ends_destroy(&self->ends);
    wl_cache_cover_destroy(&self->cover);
    wl_render_close(&self->render);
    wl_hub_close(&self->hub);
    wl_free(self);
}

void wl_cache_run(zsock_t *pipe, void *boot) {
    cache_t *self = wl_alloc_zero(1, sizeof *self);
    wl_hub_live(&self->hub, pipe, boot, cache_open, cache_close, self);
}
