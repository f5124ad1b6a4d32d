/* Questions that somebody waits for. They join what is asked already, or are asked next; who waits
 * is told what that call brings and takes no part in retries. Where a line cannot be asked, they
 * are told so at once, with the time when it may be. */
#include "actors/line_flow.h"
#include "actors/puller_state.h"

#include <string.h>

enum {
    AGAIN_MS = 200,         /* when what is missing should be there */
    AGAIN_BUSY_MS = 500,    /* beyond the bound of those who wait */
    RETRY_MS_MAX = 3600000, /* what is told: nobody plans for more than an hour */
};

/* ---- telling --------------------------------------------------------------------------------- */

static bool lived_head_same(const wl_lived_head_t *a, const wl_lived_head_t *b) {
    return a->asker == b->asker && a->instance == b->instance && a->reader == b->reader &&
           a->presence == b->presence && strcmp(a->line, b->line) == 0;
}

static void lived_send(wl_puller_t *self, const wl_lived_head_t *head,
                       const wl_lived_item_t *lived) {
    if (self->lived.number == 0 || !lived_head_same(&self->lived.head, head)) {
        self->lived.head = *head;
        self->lived.number = ++self->heads;
    }
    wl_encoder_t *to =
        wl_hub_to(&self->hub, WL_ACTOR_PRESENCE, head->presence, WL_MSG_LIVED, self->lived.number);
    if (!wl_encoder_begun(to)) {
        wl_lived_begin(to, head);
    }
    wl_lived_add(to, lived);
}

void wl_puller_tell(wl_puller_t *self, const char *line, const wl_ask_t *ask,
                    wl_lived_item_t *lived) {
    lived->uid = ask->pull.uid;
    lived->what = (uint8_t)ask->what;
    for (const wl_waiter_t *waiter = ask->waiters; waiter != NULL; waiter = waiter->next) {
        wl_lived_head_t head = {.asker = waiter->asker,
                                .instance = waiter->instance,
                                .reader = waiter->reader,
                                .presence = waiter->presence};
        (void)snprintf(head.line, sizeof head.line, "%s", line);
        lived->ticket = waiter->ticket;
        lived_send(self, &head, lived);
    }
}

static wl_lived_item_t lived_error(wl_err_t err, int64_t retry_after_ms, const char *reason) {
    int64_t retry_ms = retry_after_ms < RETRY_MS_MAX ? retry_after_ms : RETRY_MS_MAX;
    wl_lived_item_t lived = {.error = (uint32_t)err,
                             .retry_after_ms = (uint32_t)(retry_ms > 0 ? retry_ms : 0)};
    (void)snprintf(lived.reason, sizeof lived.reason, "%s", reason);
    return lived;
}

void wl_puller_tell_error(wl_puller_t *self, const char *line, const wl_ask_t *ask, wl_err_t err,
                          int64_t retry_after_ms, const char *reason) {
    if (ask->waiters != NULL) {
        wl_lived_item_t lived = lived_error(err, retry_after_ms, reason);
        wl_puller_tell(self, line, ask, &lived);
    }
}

/* ---- taking ---------------------------------------------------------------------------------- */

/* Why a question is not asked. */
typedef struct {
    wl_err_t err;
    int64_t retry_after_ms;
    const char *reason; /* static text */
} refusal_t;

static void live_refuse(wl_puller_t *self, const wl_live_head_t *from, const wl_live_item_t *item,
                        const refusal_t *why) {
    wl_lived_head_t head = {.asker = from->asker,
                            .instance = from->instance,
                            .reader = from->reader,
                            .presence = from->presence};
    memcpy(head.line, from->line, sizeof head.line);
    wl_lived_item_t lived = lived_error(why->err, why->retry_after_ms, why->reason);
    lived.ticket = item->ticket;
    lived.uid = item->uid;
    lived.what = item->what;
    lived_send(self, &head, &lived);
}

static bool live_valid(const wl_live_item_t *item) {
    bool page = item->what == WL_LIVE_DETAILS;
    return item->uid != 0 && item->what <= WL_LIVE_SUMMARY &&
           item->cursor.count <= WL_LINE_CURSOR_MAX &&
           (!page || (item->limit >= 1 && item->limit <= WL_DETAILS_MAX));
}

/* What holds for all questions to a line; false: it can be asked. */
static bool live_refused(wl_puller_t *self, wl_puller_line_t *line, const wl_live_item_t *item,
                         refusal_t *ret) {
    const wl_line_t *config = wl_puller_line_config(line);
    wl_puller_limits_t *limits = wl_puller_line_limits(line);
    wl_mono_ms_t now = wl_mono_now();
    if ((item->what == WL_LIVE_DETAILS && !config->details) ||
        (item->what == WL_LIVE_SUMMARY && !config->summary)) {
        *ret = (refusal_t){WL_ERR_NOT_FOUND, 0, "the line has no such page"};
        return true;
    }
    if (self->hub.draining) {
        *ret = (refusal_t){WL_ERR_UNAVAILABLE, AGAIN_MS, "the puller is stopping"};
        return true;
    }
    if (wl_asks_flies(wl_puller_line_asks(line), item)) {
        return false; /* an answer is on its way */
    }
    *ret = (refusal_t){.err = WL_ERR_UNAVAILABLE};
    ret->retry_after_ms = wl_puller_limits_pause_ms(limits, now, wl_wall_now(), &ret->reason);
    if (ret->retry_after_ms == 0 && wl_puller_limits_undecided(limits)) {
        ret->retry_after_ms = AGAIN_MS;
        ret->reason = "the line is being tried again";
    }
    return ret->retry_after_ms > 0;
}

static void live_take(wl_puller_t *self, wl_puller_line_t *line, const wl_live_head_t *head,
                      const wl_live_item_t *item) {
    wl_mono_ms_t now = wl_mono_now();
    refusal_t why = {0};
    bool joined = false;
    if (item->deadline_at < now.ms) {
        WL_COUNT(&self->hub.counters, rpc_late, 1);
        return; /* nobody waits any more */
    }
    if (live_refused(self, line, item, &why)) {
        live_refuse(self, head, item, &why);
        return;
    }
    wl_err_t err = wl_asks_live(wl_puller_line_asks(line), head, item, now, &joined);
    if (err != WL_OK) {
        why = (refusal_t){err, AGAIN_BUSY_MS, "too many wait for this line"};
        WL_COUNT(&self->hub.counters, pull_live_busy, 1);
        live_refuse(self, head, item, &why);
        return;
    }
    WL_COUNT(&self->hub.counters, pull_live, 1);
    WL_COUNT(&self->hub.counters, pull_live_joined, joined);
}

void wl_puller_take_live(wl_puller_t *self, const wl_msg_t *msg) {
    const wl_live_head_t *head = &msg->head.live;
    if (head->presence >= wl_hub_instances(&self->hub, WL_ACTOR_PRESENCE) ||
        head->dispatcher >= wl_hub_instances(&self->hub, WL_ACTOR_DISPATCHER)) {
        WL_COUNT(&self->hub.counters, msg_malformed, 1);
        return;
    }
    const wl_line_t *config =
        self->hub.config == NULL ? NULL : wl_config_line(self->hub.config, head->line);
    config = wl_line_asked(config) ? config : NULL;
    uint32_t slot = config == NULL ? WL_PULLER_LINES_MAX : wl_puller_slot(self, head->line, config);
    refusal_t unready = {WL_ERR_UNAVAILABLE, AGAIN_MS, "the puller is not ready for this line"};
    if (self->hub.config != NULL && config == NULL) {
        unready = (refusal_t){WL_ERR_UNAVAILABLE, 0, "line is not configured"};
    }
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_live_item_t *item = &msg->items.live[i];
        if (!live_valid(item)) {
            WL_COUNT(&self->hub.counters, msg_malformed, 1);
        } else if (slot == WL_PULLER_LINES_MAX) {
            live_refuse(self, head, item, &unready);
        } else {
            live_take(self, self->lines[slot], head, item);
        }
    }
}
