#include "actors/shard_back.h"

#include <stdio.h>
#include <string.h>

/* Ready for one more item of this head. */
static wl_encoder_t *back_to(wl_shard_back_t *self, uint32_t dispatcher, const char *line,
                             uint64_t key, int64_t pause_ms) {
    wl_encoder_t *to = wl_hub_to(self->hub, WL_ACTOR_DISPATCHER, dispatcher, WL_MSG_PULLED, key);
    if (!wl_encoder_begun(to)) {
        wl_pulled_head_t head = {.pause_ms = pause_ms, .shard = self->hub->instance + 1};
        (void)snprintf(head.line, sizeof head.line, "%s", line);
        wl_pulled_begin(to, &head);
    }
    return to;
}

static void back_add(wl_encoder_t *to, uint64_t uid, uint64_t seq, const char *reason) {
    wl_pulled_item_t item = {.uid = uid, .seq = seq, .outcome = WL_PULL_RETRY, .held = true};
    (void)snprintf(item.reason, sizeof item.reason, "%s", reason);
    wl_pulled_add(to, &item);
}

void wl_shard_back_batch(wl_shard_back_t *self, wl_store_batch_t *batch, int64_t pause_ms,
                         const char *reason) {
    self->sent++;
    for (size_t i = 0; i < batch->item_count; i++) {
        const wl_stored_user_t *from = &batch->items[i];
        const wl_stored_line_t *shared = &batch->heads[from->head];
        back_add(back_to(self, shared->dispatcher, shared->line,
                         self->sent * WL_STORE_BATCH_HEADS + from->head, pause_ms),
                 from->uid, from->seq, reason);
    }
    WL_COUNT(&self->hub->counters, store_handed_back, batch->item_count);
    wl_store_batch_clear(batch);
}

void wl_shard_back_item(wl_shard_back_t *self, const wl_store_head_t *head,
                        const wl_store_item_t *item, int64_t pause_ms) {
    back_add(
        back_to(self, head->dispatcher, head->line, ++self->sent * WL_STORE_BATCH_HEADS, pause_ms),
        item->uid, item->seq, "its slot belongs to another shard");
    WL_COUNT(&self->hub->counters, store_handed_back, 1);
}
