#include "actors/cache_compare.h"

#include "base/alloc.h"
#include "base/slot.h"
#include "domain/compare.h"

#include <string.h>
#include <utlist.h>

enum {
    WINDOW = 64, /* copies asked of Redis at once */
    QUESTIONS_MAX = 64,
    CACHED_MAX = 3000, /* users of one CACHED: with WL_CACHE_WALK_MORE it fits the message */
};

/* A COMPARE that is being answered. */
typedef struct question {
    wl_cache_compare_t *owner;
    uint64_t ticket;
    uint32_t asked;    /* of its users: so many were looked at, */
    uint32_t answered; /* and of so many it is known how they are */
    uint32_t equal;
    uint32_t uncached;
    wl_err_t err;
    struct question *prev, *next; /* utlist */
    uint32_t count;
    uint64_t users[]; /* uids, then digests */
} question_t;

/* One user of a question, being asked of Redis. */
typedef struct {
    question_t *question;
    uint32_t index;
} peek_t;

/* A TELL_CACHED that Redis is asked for. */
typedef struct {
    wl_cache_compare_t *owner;
    uint64_t ticket;
} scan_t;

struct wl_cache_compare {
    wl_hub_t *hub;             /* borrowed */
    wl_cache_t *store;         /* borrowed */
    wl_cache_remote_t *remote; /* borrowed */
    wl_cache_cover_t *cover;   /* borrowed */
    question_t *questions;     /* owned, oldest first */
    uint32_t question_count;
    uint32_t flying; /* asked of Redis */
    uint64_t uids[CACHED_MAX + WL_CACHE_WALK_MORE];
};

wl_cache_compare_t *wl_cache_compare_new(wl_hub_t *hub, wl_cache_t *store,
                                         wl_cache_remote_t *remote, wl_cache_cover_t *cover) {
    wl_cache_compare_t *self = wl_alloc_zero(1, sizeof *self);
    self->hub = hub;
    self->store = store;
    self->remote = remote;
    self->cover = cover;
    return self;
}

void wl_cache_compare_destroy(wl_cache_compare_t **pointer) {
    wl_cache_compare_t *self = pointer == NULL ? NULL : *pointer;
    if (self == NULL) {
        return;
    }
    question_t *question = NULL;
    question_t *after = NULL;
    DL_FOREACH_SAFE(self->questions, question, after) {
        DL_DELETE(self->questions, question);
        wl_free(question);
    }
    wl_free(self);
    *pointer = NULL;
}

/* ---- answers --------------------------------------------------------------------------------- */

/* The message for what differs, or, when last, the one that ends the answer. */
static wl_encoder_t *compared_to(wl_cache_compare_t *self, const question_t *question, bool last) {
    wl_encoder_t *to =
        wl_hub_to(self->hub, WL_ACTOR_RECONCILER, 0, WL_MSG_COMPARED, question->ticket * 2 + last);
    if (!wl_encoder_begun(to)) {
        wl_compared_head_t head = {.ticket = question->ticket, .last = last};
        if (last) {
            head.equal = question->equal;
            head.uncached = question->uncached;
            head.error = (uint32_t)question->err;
        }
        wl_compared_begin(to, &head);
    }
    return to;
}

/* assets NULL: no copy, or one that nobody would be served. */
static void user_judge(wl_cache_compare_t *self, question_t *question, uint32_t index,
                       const wl_asset_t *assets, uint32_t count) {
    uint64_t digest = question->users[question->count + index];
    if (assets == NULL) {
        question->uncached++;
        return;
    }
    if (wl_compare_digest(assets, count) == digest) {
        question->equal++;
        return;
    }
    wl_compared_item_t item = {.uid = question->users[index],
                               .assets = {(wl_asset_t *)assets, count}}; /* only read */
    wl_compared_add(compared_to(self, question, false), &item);
}

static void question_end(wl_cache_compare_t *self, question_t *question) {
    (void)compared_to(self, question, true);
    DL_DELETE(self->questions, question);
    self->question_count--;
    wl_free(question);
}

/* ---- Redis ----------------------------------------------------------------------------------- */

static void questions_pump(wl_cache_compare_t *self);

static void on_peeked(void *ctx, wl_err_t err, const wl_asset_t *assets, uint32_t count) {
    peek_t *peek = ctx;
    question_t *question = peek->question;
    wl_cache_compare_t *self = question->owner;
    uint32_t index = peek->index;
    wl_free(peek);
    self->flying--;
    question->answered++;
    if (err == WL_OK) {
        user_judge(self, question, index, assets, count);
    } else {
        question->err = err;
    }
    if (question->answered == question->count) {
        question_end(self, question);
    }
    if (!self->hub->draining) {
        questions_pump(self);
    }
}

static void questions_pump(wl_cache_compare_t *self) {
    question_t *question = NULL;
    question_t *after = NULL;
    DL_FOREACH_SAFE(self->questions, question, after) {
        while (question->asked < question->count && self->flying < WINDOW) {
            peek_t *peek = wl_alloc(sizeof *peek);
            *peek = (peek_t){question, question->asked++};
            self->flying++;
            wl_cache_remote_peek(self->remote, question->users[peek->index], on_peeked, peek);
        }
    }
}

static void cached_tell(wl_cache_compare_t *self, uint64_t ticket, wl_err_t err, uint64_t after,
                        uint32_t count) {
    wl_encoder_t *to = wl_hub_to(self->hub, WL_ACTOR_RECONCILER, 0, WL_MSG_CACHED, ticket);
    if (!wl_encoder_begun(to)) {
        wl_cached_head_t head = {.ticket = ticket, .after = after, .error = (uint32_t)err};
        wl_cached_begin(to, &head);
    }
    wl_cached_add(to, &(wl_cached_item_t){.uids = {count > 0 ? self->uids : NULL, count}});
}

/* Users of other cache actors are theirs to tell. */
static uint32_t uids_ours(wl_cache_compare_t *self, const uint64_t *uids, uint32_t count) {
    uint32_t kept = 0;
    uint32_t caches = wl_hub_instances(self->hub, WL_ACTOR_CACHE);
    for (uint32_t i = 0; i < count && kept < CACHED_MAX; i++) {
        if (wl_uid_owner(uids[i], caches) == self->hub->instance) {
            self->uids[kept++] = uids[i];
        }
    }
    return kept;
}

static void on_scanned(wl_err_t err, const uint64_t *uids, uint32_t count, uint64_t next,
                       void *ctx) {
    scan_t *scan = ctx;
    wl_cache_compare_t *self = scan->owner;
    if (count > CACHED_MAX) { /* SCAN may tell more than was wanted: not so many more */
        err = WL_ERR_TOO_BIG;
    }
    uint32_t kept = err == WL_OK ? uids_ours(self, uids, count) : 0;
    cached_tell(self, scan->ticket, err, next, kept);
    wl_free(scan);
}

/* ---- questions ------------------------------------------------------------------------------- */

static bool users_ours(const wl_cache_compare_t *self, const wl_u64_list_t *uids) {
    uint32_t caches = wl_hub_instances(self->hub, WL_ACTOR_CACHE);
    for (uint32_t i = 0; i < uids->count; i++) {
        if (wl_uid_owner(uids->at[i], caches) != self->hub->instance) {
            return false;
        }
    }
    return true;
}

static void question_add(wl_cache_compare_t *self, uint64_t ticket, const wl_compare_item_t *item) {
    uint32_t count = item->uids.count;
    question_t *question = wl_alloc_zero(1, sizeof *question + 2 * count * sizeof(uint64_t));
    question->owner = self;
    question->ticket = ticket;
    question->count = count;
    memcpy(question->users, item->uids.at, count * sizeof(uint64_t));
    memcpy(question->users + count, item->digests.at, count * sizeof(uint64_t));
    DL_APPEND(self->questions, question);
    self->question_count++;
    if (self->question_count > QUESTIONS_MAX) {
        question->err = WL_ERR_BUSY;
        question_end(self, question);
        return;
    }
    if (self->remote != NULL) {
        questions_pump(self);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        const wl_asset_t *assets = NULL;
        uint32_t records = 0;
        bool served = self->store != NULL &&
                      wl_cache_cover_serves(self->cover, question->users[i]) &&
                      wl_cache_peek(self->store, question->users[i], &assets, &records);
        static const wl_asset_t none;
        user_judge(self, question, i, !served ? NULL : assets != NULL ? assets : &none, records);
    }
    question_end(self, question);
}

static void take_compare(wl_cache_compare_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_compare_item_t *item = &msg->items.compare[i];
        if (i > 0 || item->uids.count == 0 || item->uids.count != item->digests.count ||
            !users_ours(self, &item->uids)) {
            WL_COUNT(&self->hub->counters, msg_malformed, 1);
            continue;
        }
        question_add(self, msg->head.compare.ticket, item);
    }
}

static void take_tell_cached(wl_cache_compare_t *self, const wl_tell_cached_head_t *asked) {
    uint32_t max = asked->max == 0 || asked->max > CACHED_MAX / 2 ? CACHED_MAX / 2 : asked->max;
    uint64_t after = asked->after;
    if (self->remote != NULL) {
        scan_t *scan = wl_alloc(sizeof *scan);
        *scan = (scan_t){self, asked->ticket};
        wl_cache_remote_scan(self->remote, after, max / 2, on_scanned, scan);
        return;
    }
    uint32_t count = self->store == NULL ? 0 : wl_cache_walk(self->store, &after, max, self->uids);
    cached_tell(self, asked->ticket, WL_OK, self->store == NULL ? 0 : after, count);
}

static void take_drop(wl_cache_compare_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_u64_list_t *uids = &msg->items.drop[i].uids;
        if (!users_ours(self, uids)) {
            WL_COUNT(&self->hub->counters, msg_malformed, 1);
            continue;
        }
        for (uint32_t k = 0; k < uids->count; k++) {
            if (self->remote != NULL) {
                wl_cache_remote_drop(self->remote, uids->at[k]);
            } else if (self->store != NULL) {
                wl_cache_drop(self->store, uids->at[k]);
            }
        }
    }
}

bool wl_cache_compare_take(wl_cache_compare_t *self, const wl_msg_t *msg) {
    switch ((int)msg->id) {
    case WL_MSG_COMPARE: take_compare(self, msg); return true;
    case WL_MSG_TELL_CACHED: take_tell_cached(self, &msg->head.tell_cached); return true;
    case WL_MSG_DROP: take_drop(self, msg); return true;
    default: return false;
    }
}
