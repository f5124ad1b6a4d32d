/* What the reconciler does about differences. All of it may be done twice: a copy that is gone goes
 * again, a record that stands in the database is not stored again, a bit is set. */
#include "actors/reconciler_state.h"

#include "actors/change_queue.h"
#include "actors/trail_teller.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/slot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- records that go back into the database -------------------------------------------------- */

static wl_err_t restores_append(wl_reconciler_t *self) {
    uint64_t last_ids[WL_PARTITIONS_MAX] = {0};
    wl_err_t err = wl_intake_batch_append(self->batch, self->queue, last_ids);
    wl_intake_batch_clear(self->batch);
    for (uint32_t p = 0; p < WL_PARTITIONS_MAX; p++) {
        if (last_ids[p] == 0) {
            continue;
        }
        wl_encoder_t *to =
            wl_hub_to(&self->hub, WL_ACTOR_DISPATCHER, p, WL_MSG_QUEUED, last_ids[p]);
        if (!wl_encoder_begun(to)) {
            wl_queued_begin(to, &(wl_queued_head_t){.last_id = last_ids[p]});
        }
    }
    return err;
}

static int asset_compare(const void *a, const void *b) {
    const wl_asset_t *left = a;
    const wl_asset_t *right = b;
    return strcmp(left->line, right->line);
}

/* Each record goes the way of a value that its line has pushed: durable in the queue, checked, and
 * stored only if it is newer than what stands there. */
static wl_err_t restore(wl_reconciler_t *self) {
    wl_asset_rows_t *rows = &self->restores;
    wl_err_t err = WL_OK;
    if (rows->count == 0) {
        return WL_OK;
    }
    if (self->queue == NULL) {
        err = wl_change_queue_open(self->hub.settings, self->hub.name, WL_QUEUE_APPEND, 0,
                                   &self->queue, NULL);
    }
    qsort(rows->at, rows->count, sizeof *rows->at, asset_compare);
    for (uint32_t first = 0; err == WL_OK && first < rows->count;) {
        uint32_t end = first + 1;
        while (end < rows->count && end - first < WL_PAYLOAD_ASSETS_MAX &&
               strcmp(rows->at[end].line, rows->at[first].line) == 0) {
            end++;
        }
        wl_intake_batch_assets(self->batch, rows->at[first].line, rows->at + first, end - first);
        first = end;
        if (wl_intake_batch_full(self->batch) || first == rows->count) {
            err = restores_append(self);
        }
    }
    return err;
}

/* ---- copies ---------------------------------------------------------------------------------- */

static void drop(wl_reconciler_t *self, uint64_t uid) {
    uint32_t cache = wl_uid_owner(uid, wl_hub_instances(&self->hub, WL_ACTOR_CACHE));
    wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_CACHE, cache, WL_MSG_DROP, 0);
    if (!wl_encoder_begun(to)) {
        wl_drop_begin(to, &(wl_drop_head_t){.ticket = ++self->ticket});
    }
    wl_drop_add(to, &(wl_drop_item_t){.uids = {&uid, 1}});
}

/* A copy with something newer stays until that is in the database, and goes another time. */
static bool restores(const wl_reconciler_t *self, uint64_t uid) {
    for (uint32_t i = 0; i < self->restores.count; i++) {
        if (self->restores.at[i].uid == uid) {
            return true;
        }
    }
    return false;
}

/* Whoever asks later why the user sees this should hear of it. */
static void repair_tell(wl_reconciler_t *self, const wl_difference_t *found) {
    char text[WL_TRAIL_TEXT_MAX + 1];
    (void)snprintf(text, sizeof text, "%s, %s: %s", wl_difference_name(found->kind),
                   wl_repair_name(found->repair), found->cause);
    wl_trail_event_t event = {
        .uid = found->uid,
        .at = wl_wall_now().ms,
        .what = WL_TRAIL_REPAIR,
        .line = found->line,
        .bucket = found->bucket,
        .version = found->repair == WL_REPAIR_RESTORE ? found->in_copy : found->in_db,
        .before = found->repair == WL_REPAIR_RESTORE ? found->in_db : found->in_copy,
        .text = text};
    wl_trail_tell(self->trail, &event);
}

wl_err_t wl_reconciler_repair(wl_reconciler_t *self, bool *ret_marks) {
    *ret_marks = false;
    wl_err_t err = restore(self);
    if (err != WL_OK) {
        return err;
    }
    for (uint32_t i = 0; i < self->found_count; i++) {
        const wl_difference_t *found = &self->found[i].difference;
        repair_tell(self, found);
        bool first = i == 0 || self->found[i - 1].difference.uid != found->uid ||
                     self->found[i - 1].difference.repair != found->repair;
        if (found->repair == WL_REPAIR_DROP && first && !restores(self, found->uid)) {
            drop(self, found->uid);
        } else if (found->repair == WL_REPAIR_MARK) {
            wl_reconciler_ask_bit(self, found->uid, true);
            *ret_marks = true;
        }
    }
    wl_reconciler_ask_flush(self, true);
    return WL_OK;
}

/* Once a user's newer records are in the database the copy may go, too. */
void wl_reconciler_drop_again(wl_reconciler_t *self) {
    for (uint32_t i = 0; i < self->found_count; i++) {
        bool waits = false;
        uint64_t uid = self->found[i].difference.uid;
        for (uint32_t k = 0; k < self->found_count && self->restores.count > 0; k++) {
            const wl_difference_t *other = &self->found[k].difference;
            waits = waits || (self->found[k].again && other->uid == uid &&
                              other->repair == WL_REPAIR_RESTORE);
        }
        if (self->found[i].again && self->found[i].difference.repair == WL_REPAIR_DROP && !waits) {
            drop(self, uid);
        }
    }
}

/* ---- words --------------------------------------------------------------------------------- */

void wl_reconciler_tell_found(wl_reconciler_t *self) {
    uint32_t kinds[WL_DIFFERENCE_KINDS] = {0};
    uint64_t last = 0;
    for (uint32_t i = 0; i < self->found_count; i++) {
        const wl_difference_t *found = &self->found[i].difference;
        kinds[found->kind]++;
        if (i == 0 || found->uid != last) {
            wl_compare_sums_found(&self->sums, found->uid);
        }
        last = found->uid;
    }
    char text[160];
    size_t used = 0;
    for (unsigned k = 0; k < WL_DIFFERENCE_KINDS; k++) {
        if (kinds[k] > 0 && used < sizeof text) {
            used +=
                (size_t)snprintf(text + used, sizeof text - used, "%s%u %s", used == 0 ? "" : ", ",
                                 kinds[k], wl_difference_name((wl_difference_kind_t)k));
        }
    }
    WL_COUNT(&self->hub.counters, reconcile_absent, kinds[WL_DIFFERENCE_ABSENT]);
    wl_log(kinds[WL_DIFFERENCE_ABSENT] > 0 ? WL_LOG_ERROR : WL_LOG_WARN, self->hub.name,
           "reconcile_found", "%s %" PRIu64 ", part %u: %s", self->run.rolling ? "round" : "run",
           self->run.id, self->part.shard, text);
}
