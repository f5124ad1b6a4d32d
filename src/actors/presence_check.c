#include "actors/presence_check.h"

#include "actors/presence_renew.h"
#include "base/alloc.h"
#include "base/slot.h"

#include <string.h>

enum { CHECKS_MAX = 64 };

/* What readers are told of a bit: a change that comes, and does not. No line has this name. */
#define NO_LINE "!presence"

typedef struct {
    uint64_t ticket;
    bool begun; /* the snapshot that is being written has its bits */
} waiting_t;

struct wl_presence_check {
    wl_presence_t *presence; /* borrowed */
    waiting_t waiting[CHECKS_MAX];
    uint32_t count;
    uint64_t missing[WL_HAS_UIDS_MAX];
};

wl_presence_check_t *wl_presence_check_new(wl_presence_t *presence) {
    wl_presence_check_t *self = wl_alloc_zero(1, sizeof *self);
    self->presence = presence;
    return self;
}

void wl_presence_check_destroy(wl_presence_check_t **self) {
    if (self != NULL && *self != NULL) {
        wl_free(*self);
        *self = NULL;
    }
}

static void check_answer(wl_presence_check_t *self, uint64_t ticket, wl_err_t err,
                         uint32_t missing) {
    wl_encoder_t *to =
        wl_hub_to(&self->presence->hub, WL_ACTOR_RECONCILER, 0, WL_MSG_CHECKED, ticket);
    if (!wl_encoder_begun(to)) {
        wl_checked_begin(to, &(wl_checked_head_t){.ticket = ticket, .error = (uint32_t)err});
    }
    if (missing > 0) {
        wl_checked_add(to, &(wl_checked_item_t){.missing = {self->missing, missing}});
    }
}

/* Readers set the bit when a change is on its way, and keep it when it is given up. */
static void check_feed(wl_presence_check_t *self, uint32_t count) {
    wl_presence_t *presence = self->presence;
    const uint8_t states[] = {WL_MARK_PENDING, WL_MARK_NONE};
    if (presence->feed == NULL) {
        return;
    }
    for (uint32_t s = 0; s < sizeof states; s++) {
        for (uint32_t at = 0; at < count;) {
            wl_notice_begin(presence->letter,
                            &(wl_notice_head_t){.dispatcher = WL_DISPATCHER_NONE});
            for (; at < count && !wl_encoder_full(presence->letter); at++) {
                wl_notice_item_t notice = {
                    .uid = self->missing[at], .seq = 1, .state = states[s], .line = NO_LINE};
                wl_notice_add(presence->letter, &notice);
            }
            wl_presence_feed_publish(presence->feed, wl_encoder_finish(presence->letter));
            wl_encoder_reset(presence->letter);
        }
    }
}

/* Of users who are not covered here no "no" is ever said, so nothing is missing either; what is to
 * be marked is marked all the same. */
static uint32_t users_missing(wl_presence_check_t *self, const wl_u64_list_t *uids, bool all) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < uids->count; i++) {
        if (!wl_presence_set_test(self->presence->set, uids->at[i]) &&
            (all || wl_presence_knows(self->presence, uids->at[i]))) {
            self->missing[count++] = uids->at[i];
        }
    }
    return count;
}

/* A bit of somebody else's user would be asked by nobody, and kept for ever. */
static bool users_ours(const wl_presence_check_t *self, const wl_u64_list_t *uids) {
    const wl_hub_t *hub = &self->presence->hub;
    uint32_t instances = wl_hub_instances(hub, WL_ACTOR_PRESENCE);
    for (uint32_t i = 0; i < uids->count; i++) {
        if (wl_uid_owner(uids->at[i], instances) != hub->instance) {
            return false;
        }
    }
    return true;
}

void wl_presence_check_take(wl_presence_check_t *self, const wl_msg_t *msg) {
    wl_presence_t *presence = self->presence;
    const wl_check_head_t *head = &msg->head.check;
    if (msg->count != 1 || msg->items.check[0].uids.count > WL_HAS_UIDS_MAX ||
        !users_ours(self, &msg->items.check[0].uids)) {
        WL_COUNT(&presence->hub.counters, msg_malformed, 1);
        return;
    }
    if (!presence->ready) {
        check_answer(self, head->ticket, WL_ERR_UNAVAILABLE, 0);
        return;
    }
    uint32_t missing = users_missing(self, &msg->items.check[0].uids, head->mark);
    if (!head->mark) {
        check_answer(self, head->ticket, WL_OK, missing);
        return;
    }
    if (self->count == CHECKS_MAX) {
        check_answer(self, head->ticket, WL_ERR_BUSY, 0);
        return;
    }
    wl_presence_mark(presence, self->missing, missing);
    check_feed(self, missing);
    presence->changed = true;
    self->waiting[self->count++] = (waiting_t){.ticket = head->ticket};
    wl_presence_check_tick(self);
}

void wl_presence_check_tick(wl_presence_check_t *self) {
    bool due = false;
    for (uint32_t i = 0; i < self->count; i++) {
        due = due || !self->waiting[i].begun;
    }
    self->presence->changed = self->presence->changed || due;
    if (!due || !wl_presence_save(self->presence)) {
        return;
    }
    for (uint32_t i = 0; i < self->count; i++) {
        self->waiting[i].begun = true;
    }
}

void wl_presence_check_saved(wl_presence_check_t *self, wl_err_t err) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < self->count; i++) {
        if (self->waiting[i].begun) {
            check_answer(self, self->waiting[i].ticket, err, 0);
        } else {
            self->waiting[kept++] = self->waiting[i];
        }
    }
    self->count = kept;
}
