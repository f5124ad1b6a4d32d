/* The reconciler's questions to cache and presence actors, and what it makes of the answers. */
#include "actors/hub_map.h"
#include "actors/reconciler_state.h"

#include "base/clock.h"
#include "base/slot.h"
#include "store/asset_row.h"

#include <stdlib.h>
#include <string.h>

enum {
    PATIENCE_MS = 15000, /* of all questions together */
    CACHED_ASKED = 1024, /* users of one answer, about */
    USER_PAGE = 16,      /* records read at once: most users have fewer */
};

/* ---- asking ---------------------------------------------------------------------------------- */

static uint64_t ticket_take(wl_reconciler_t *self) {
    uint64_t ticket = ++self->ticket;
    self->patience = wl_mono_now().ms + PATIENCE_MS;
    if (self->ticket_count == WL_RECONCILE_TICKETS) {
        wl_reconciler_fail(self, "too many questions at once", WL_ERR_FULL);
        return 0;
    }
    self->tickets[self->ticket_count++] = ticket;
    return ticket;
}

static bool ticket_known(const wl_reconciler_t *self, uint64_t ticket) {
    for (uint32_t i = 0; i < self->ticket_count; i++) {
        if (self->tickets[i] == ticket) {
            return true;
        }
    }
    return false;
}

static void ticket_end(wl_reconciler_t *self, uint64_t ticket) {
    for (uint32_t i = 0; i < self->ticket_count; i++) {
        if (self->tickets[i] == ticket) {
            self->tickets[i] = self->tickets[--self->ticket_count];
            return;
        }
    }
}

void wl_reconciler_ask_forget(wl_reconciler_t *self) {
    self->ticket_count = 0;
    for (uint32_t i = 0; i < wl_hub_instances(&self->hub, WL_ACTOR_CACHE); i++) {
        self->copies[i].count = 0;
    }
    for (uint32_t i = 0; i < wl_hub_instances(&self->hub, WL_ACTOR_PRESENCE); i++) {
        self->bits[i].count = 0;
    }
}

static void copies_send(wl_reconciler_t *self, uint32_t cache) {
    wl_ask_batch_t *batch = &self->copies[cache];
    uint64_t ticket = batch->count == 0 ? 0 : ticket_take(self);
    if (ticket == 0) {
        return;
    }
    wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_CACHE, cache, WL_MSG_COMPARE, ticket);
    if (!wl_encoder_begun(to)) {
        wl_compare_begin(to, &(wl_compare_head_t){.ticket = ticket});
    }
    wl_compare_add(to, &(wl_compare_item_t){.uids = {batch->uids, batch->count},
                                            .digests = {batch->digests, batch->count}});
    batch->count = 0;
}

void wl_reconciler_ask_copy(wl_reconciler_t *self, uint64_t uid, uint64_t digest) {
    uint32_t caches = wl_hub_instances(&self->hub, WL_ACTOR_CACHE);
    if (caches == 0) {
        return;
    }
    uint32_t cache = wl_uid_owner(uid, caches);
    wl_ask_batch_t *batch = &self->copies[cache];
    batch->uids[batch->count] = uid;
    batch->digests[batch->count++] = digest;
    if (batch->count == WL_RECONCILE_ASK_USERS) {
        copies_send(self, cache);
    }
}

static void bits_send(wl_reconciler_t *self, uint32_t presence, bool mark) {
    wl_ask_batch_t *batch = &self->bits[presence];
    uint64_t ticket = batch->count == 0 ? 0 : ticket_take(self);
    if (ticket == 0) {
        return;
    }
    wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_PRESENCE, presence, WL_MSG_CHECK, ticket);
    if (!wl_encoder_begun(to)) {
        wl_check_begin(to, &(wl_check_head_t){.ticket = ticket, .mark = mark});
    }
    wl_check_add(to, &(wl_check_item_t){.uids = {batch->uids, batch->count}});
    batch->count = 0;
}

void wl_reconciler_ask_bit(wl_reconciler_t *self, uint64_t uid, bool mark) {
    uint32_t presence = wl_uid_owner(uid, wl_hub_instances(&self->hub, WL_ACTOR_PRESENCE));
    wl_ask_batch_t *batch = &self->bits[presence];
    batch->uids[batch->count++] = uid;
    if (batch->count == WL_RECONCILE_ASK_USERS) {
        bits_send(self, presence, mark);
    }
}

void wl_reconciler_ask_flush(wl_reconciler_t *self, bool mark) {
    for (uint32_t i = 0; i < wl_hub_instances(&self->hub, WL_ACTOR_CACHE); i++) {
        copies_send(self, i);
    }
    for (uint32_t i = 0; i < wl_hub_instances(&self->hub, WL_ACTOR_PRESENCE); i++) {
        bits_send(self, i, mark);
    }
}

void wl_reconciler_ask_cached(wl_reconciler_t *self, uint32_t cache, uint64_t after) {
    uint64_t ticket = ticket_take(self);
    if (ticket == 0) {
        return;
    }
    wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_CACHE, cache, WL_MSG_TELL_CACHED, ticket);
    if (!wl_encoder_begun(to)) {
        wl_tell_cached_head_t head = {.ticket = ticket, .after = after, .max = CACHED_ASKED};
        wl_tell_cached_begin(to, &head);
    }
}

/* ---- close looks ----------------------------------------------------------------------------- */

/* All records of a user, tombstones included, behind those in rows. */
static wl_err_t user_read(wl_reconciler_t *self, uint64_t uid) {
    wl_asset_db_t *db = wl_reconciler_db(self, wl_hub_shard(&self->hub, uid));
    if (db == NULL) {
        return WL_ERR_UNAVAILABLE;
    }
    wl_asset_cursor_t cursor = {.started = true, .uid = uid}; /* before the user's first line */
    bool more = true;
    while (more) {
        uint32_t first = self->rows.count;
        wl_err_t err = wl_asset_db_scan(db, &cursor, USER_PAGE, &self->rows);
        if (err != WL_OK) {
            return err;
        }
        more =
            self->rows.count == first + USER_PAGE && self->rows.at[self->rows.count - 1].uid == uid;
        while (self->rows.count > first && self->rows.at[self->rows.count - 1].uid != uid) {
            self->rows.count--; /* another user's */
        }
    }
    return WL_OK;
}

static bool rows_own(const wl_asset_t *rows, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (rows[i].state != WL_STATE_GONE && !wl_asset_is_consent(&rows[i])) {
            return true;
        }
    }
    return false;
}

/* Were the records read where the users are? Their slots may be moving. */
static wl_err_t maps_hold(wl_reconciler_t *self) {
    wl_err_t err = WL_OK;
    for (uint32_t i = 0; err == WL_OK && i < WL_RECONCILE_SHARDS; i++) {
        err = self->dbs[i] == NULL ? WL_OK : wl_hub_map_holds(&self->hub, self->dbs[i]);
    }
    return err;
}

wl_err_t wl_reconciler_look(wl_reconciler_t *self) {
    uint32_t left = self->suspect_count - self->looked;
    uint32_t count = left < WL_RECONCILE_LOOK_USERS ? left : WL_RECONCILE_LOOK_USERS;
    wl_asset_rows_clear(&self->rows);
    self->chunk = count;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t uid = self->suspects[self->looked + i];
        uint32_t first = self->rows.count;
        wl_err_t err = user_read(self, uid);
        if (err != WL_OK) {
            return err;
        }
        wl_reconciler_ask_copy(self, uid, 0);
        if (rows_own(self->rows.at + first, self->rows.count - first)) {
            wl_reconciler_ask_bit(self, uid, false);
        }
    }
    wl_reconciler_ask_flush(self, false);
    return maps_hold(self);
}

/* The records of one of the users who are being looked at. */
static const wl_asset_t *rows_of(const wl_reconciler_t *self, uint64_t uid, uint32_t *ret_count) {
    uint32_t at = 0;
    while (at < self->rows.count && self->rows.at[at].uid != uid) {
        at++;
    }
    uint32_t end = at;
    while (end < self->rows.count && self->rows.at[end].uid == uid) {
        end++;
    }
    *ret_count = end - at;
    return self->rows.at + at;
}

static bool same(const wl_difference_t *a, const wl_difference_t *b) {
    return a->uid == b->uid && a->kind == b->kind && a->in_db == b->in_db &&
           a->in_copy == b->in_copy && strcmp(a->line, b->line) == 0 &&
           strcmp(a->bucket, b->bucket) == 0;
}

/* Remembers the record of the copy, which is borrowed from a message. */
static void restore_add(wl_reconciler_t *self, const wl_difference_t *difference,
                        const wl_asset_t *copy, uint32_t copy_count) {
    for (uint32_t i = 0; i < copy_count; i++) {
        if (strcmp(copy[i].line, difference->line) == 0 &&
            strcmp(copy[i].bucket, difference->bucket) == 0) {
            wl_asset_rows_add(&self->restores, &copy[i]);
        }
    }
}

/* A difference in the look under way. The second look writes it down, the third and those of
 * verifying say that it is still there. */
static void difference_seen(wl_reconciler_t *self, const wl_difference_t *seen,
                            const wl_asset_t *copy, uint32_t copy_count) {
    if (self->state == WL_STEP_SECOND) {
        if (self->found_count == WL_REPORT_STEP_DIFFERENCES) {
            self->found_over = true;
            return;
        }
        self->found[self->found_count++] = (wl_found_again_t){.difference = *seen};
        return;
    }
    for (uint32_t i = 0; i < self->found_count; i++) {
        if (same(&self->found[i].difference, seen)) {
            self->found[i].again = true;
            if (self->state == WL_STEP_THIRD && seen->repair == WL_REPAIR_RESTORE) {
                restore_add(self, seen, copy, copy_count);
            }
        }
    }
}

static bool looks_closely(const wl_reconciler_t *self) {
    return self->state == WL_STEP_SECOND || self->state == WL_STEP_THIRD ||
           self->state == WL_STEP_VERIFY;
}

static void copy_take(wl_reconciler_t *self, const wl_compared_item_t *item) {
    wl_difference_t *differences = self->seen;
    uint32_t rows = 0;
    const wl_asset_t *db = rows_of(self, item->uid, &rows);
    uint32_t count = wl_compare(self->hub.config, db, rows, item->assets.at, item->assets.count,
                                differences, WL_RECONCILE_USER_DIFFERENCES);
    for (uint32_t i = 0; i < count && i < WL_RECONCILE_USER_DIFFERENCES; i++) {
        difference_seen(self, &differences[i], item->assets.at, item->assets.count);
    }
}

/* ---- answers --------------------------------------------------------------------------------- */

static void take_compared(wl_reconciler_t *self, const wl_msg_t *msg) {
    const wl_compared_head_t *head = &msg->head.compared;
    if (!ticket_known(self, head->ticket)) {
        return; /* of a step that was begun again */
    }
    if (head->error != WL_OK) {
        wl_reconciler_fail(self, "a cache could not be asked", (wl_err_t)head->error);
        return;
    }
    for (uint32_t i = 0; i < msg->count; i++) {
        if (looks_closely(self)) {
            copy_take(self, &msg->items.compared[i]);
        } else {
            wl_reconciler_suspect(self, msg->items.compared[i].uid);
        }
    }
    if (head->last) {
        if (!looks_closely(self)) {
            self->sums.equal += head->equal;
            self->sums.uncached += head->uncached;
        }
        ticket_end(self, head->ticket);
    }
}

static void take_checked(wl_reconciler_t *self, const wl_msg_t *msg) {
    const wl_checked_head_t *head = &msg->head.checked;
    if (!ticket_known(self, head->ticket)) {
        return;
    }
    if (head->error != WL_OK) {
        wl_reconciler_fail(self, "presence could not be asked", (wl_err_t)head->error);
        return;
    }
    for (uint32_t i = 0; i < msg->count && self->state != WL_STEP_MARK; i++) {
        const wl_u64_list_t *missing = &msg->items.checked[i].missing;
        for (uint32_t k = 0; k < missing->count; k++) {
            if (looks_closely(self)) {
                wl_difference_t absent = {.uid = missing->at[k],
                                          .kind = WL_DIFFERENCE_ABSENT,
                                          .repair = WL_REPAIR_MARK,
                                          .cause = "presence says no"};
                difference_seen(self, &absent, NULL, 0);
            } else {
                wl_reconciler_suspect(self, missing->at[k]);
            }
        }
    }
    ticket_end(self, head->ticket);
}

void wl_reconciler_take(wl_reconciler_t *self, const wl_msg_t *msg) {
    switch ((int)msg->id) {
    case WL_MSG_COMPARED: take_compared(self, msg); break;
    case WL_MSG_CHECKED: take_checked(self, msg); break;
    case WL_MSG_CACHED:
        if (ticket_known(self, msg->head.cached.ticket)) {
            ticket_end(self, msg->head.cached.ticket);
            wl_reconciler_take_cached(self, msg);
        }
        break;
    default: WL_COUNT(&self->hub.counters, msg_unexpected, 1);
    }
}
