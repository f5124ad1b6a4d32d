#include "actors/puller_state.h"

#include <string.h>

/* Lines that are no longer asked give back what they have, too. */
void wl_puller_reserve(wl_puller_t *self) {
    if (!self->shared) {
        return;
    }
    wl_mono_ms_t now = wl_mono_now();
    wl_wall_ms_t wall = wl_wall_now();
    for (uint32_t i = 0; i < self->line_count; i++) {
        wl_puller_line_t *line = self->lines[i];
        wl_quota_ask_t ask;
        if (!wl_puller_quota_ask(wl_puller_limits_quota(wl_puller_line_limits(line)), now, wall,
                                 &ask)) {
            continue;
        }
        WL_COUNT(&self->hub.counters, quota_failures, ask.unanswered);
        wl_reserve_item_t item = {
            .limit = ask.limit, .chunk = ask.chunk, .back_day = ask.day, .back = ask.back};
        (void)snprintf(item.line, sizeof item.line, "%s", wl_puller_line_id(line));
        wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_KEEPER, 0, WL_MSG_RESERVE, 0);
        if (!wl_encoder_begun(to)) {
            wl_reserve_begin(to, &(wl_reserve_head_t){.puller = self->hub.instance});
        }
        wl_reserve_add(to, &item);
    }
}

static void line_take_reserved(wl_puller_t *self, const wl_reserved_item_t *item) {
    for (uint32_t i = 0; i < self->line_count; i++) {
        if (strcmp(wl_puller_line_id(self->lines[i]), item->line) == 0) {
            wl_puller_limits_t *limits = wl_puller_line_limits(self->lines[i]);
            wl_puller_quota_answer(wl_puller_limits_quota(limits), (wl_err_t)item->error, item->day,
                                   item->granted, item->left, wl_mono_now(), wl_wall_now());
            return;
        }
    } /* of a line that made room for another one: lost */
}

void wl_puller_take_reserved(wl_puller_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_reserved_item_t *item = &msg->items.reserved[i];
        if (!self->shared) {
            WL_COUNT(&self->hub.counters, msg_unexpected, 1);
            return;
        }
        WL_COUNT(&self->hub.counters, quota_failures, item->error != WL_OK);
        line_take_reserved(self, item);
    }
}

void wl_puller_close_quotas(wl_puller_t *self) {
    for (uint32_t i = 0; i < self->line_count; i++) {
        wl_puller_quota_close(wl_puller_limits_quota(wl_puller_line_limits(self->lines[i])));
    }
}
