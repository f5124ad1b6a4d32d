#include "actors/live_reads.h"

#include "actors/gather.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/slot.h"
#include "domain/floors.h"

#include <string.h>

enum {
    READS_MAX = 4096,           /* reads waiting for lines */
    READS_BYTES_MAX = 67108864, /* 64 MiB, of their copies */
    LINE_READS_MAX = 1024,      /* of them for one line */
    NOTHINGS = 65536,           /* (user, line) pairs remembered as having nothing; others may take
                                   their place */
    MARGIN_MS_MAX =
        20, /* an answer leaves so long before the deadline, so that it is there in time */
    MARGIN_MS_MIN = 6, /* and so long, more than a tick, if a quarter of the budget is less */
    AGAIN_MS = 20,     /* a line whose answer is too old is asked again, later each time */
    AGAIN_MS_MAX = 160,
    BUSY_RETRY_AFTER_MS = 50, /* for wallet.balance beyond the bounds */
};

typedef struct {
    uint64_t key;
    int64_t until; /* monotonic ms */
} nothing_t;

struct wl_live_reads {
    wl_hub_t *hub;       /* borrowed */
    wl_render_t *render; /* borrowed */
    wl_gathers_t *gathers;
    nothing_t *nothings;               /* owned, by key */
    uint32_t waiting[2][WL_LINES_MAX]; /* reads that await a line of base or candidate, by index */
    int64_t next_at;                   /* nothing is due before, monotonic ms */
};

wl_live_reads_t *wl_live_reads_new(wl_hub_t *hub, wl_render_t *render) {
    wl_live_reads_t *self = wl_alloc_zero(1, sizeof *self);
    self->hub = hub;
    self->render = render;
    self->gathers = wl_gathers_new(READS_MAX, READS_BYTES_MAX);
    self->nothings = wl_alloc_zero(NOTHINGS, sizeof *self->nothings);
    self->next_at = INT64_MAX;
    return self;
}

void wl_live_reads_destroy(wl_live_reads_t **self) {
    if (self != NULL && *self != NULL) {
        wl_gathers_destroy(&(*self)->gathers);
        wl_free((*self)->nothings);
        wl_free(*self);
        *self = NULL;
    }
}

/* ---- who has nothing ------------------------------------------------------------------------ */

/* Most users have nothing in most lines, and a copy cannot say so. */
static nothing_t *reads_nothing(wl_live_reads_t *self, uint64_t uid, const char *line_id,
                                uint64_t *ret_key) {
    uint64_t line = wl_table_hash(line_id, strlen(line_id));
    *ret_key = wl_mix64(wl_mix64(uid) ^ (line + 1));
    return &self->nothings[*ret_key % NOTHINGS];
}

static void reads_remember(wl_live_reads_t *self, uint64_t uid, const wl_line_t *line,
                           int64_t now) {
    uint64_t key = 0;
    nothing_t *nothing = reads_nothing(self, uid, line->id, &key);
    *nothing = (nothing_t){key, now + (int64_t)line->fresh_ms};
}

static void reads_forget(wl_live_reads_t *self, uint64_t uid, const char *line_id) {
    uint64_t key = 0;
    nothing_t *nothing = reads_nothing(self, uid, line_id, &key);
    if (nothing->key == key) {
        nothing->until = 0;
    }
}

/* Has the line said a moment ago that it has nothing, and is nothing newer known? */
static bool reads_recall(wl_live_reads_t *self, const wl_home_view_t *view, uint32_t index,
                         int64_t now) {
    const wl_line_t *line = &view->config->lines[index];
    uint64_t key = 0;
    const nothing_t *nothing = reads_nothing(self, view->uid, line->id, &key);
    return nothing->key == key && now < nothing->until && view->shows != WL_SHOWS_BALANCE &&
           wl_floors_get(view->floors, view->floors_bytes, line->id) == 0 &&
           wl_marks_text_get(view->marks, view->marks_bytes, line->id) == WL_MARK_NONE;
}

/* The configuration that a read is answered from, and the line's place in it; -1: not there. */
static int reads_index(const wl_live_reads_t *self, const wl_gather_t *gather,
                       const char *line_id) {
    return wl_config_line_index(wl_hub_config(self->hub, gather->read.rollout), line_id);
}

/* ---- asking --------------------------------------------------------------------------------- */

static void reads_send(wl_live_reads_t *self, wl_gather_t *gather, wl_gather_line_t *line,
                       uint32_t index) {
    wl_hub_t *hub = self->hub;
    uint32_t presence = wl_uid_owner(gather->read.uid, wl_hub_instances(hub, WL_ACTOR_PRESENCE));
    uint64_t place = index + wl_hub_variant(hub, gather->read.rollout) * WL_LINES_MAX;
    uint64_t key = ((self->render->config_number << 8) | place) << 16 | hub->instance;
    wl_encoder_t *to = wl_hub_to(hub, WL_ACTOR_PRESENCE, presence, WL_MSG_LIVE, key);
    if (!wl_encoder_begun(to)) {
        wl_live_head_t head = {.asker = WL_ACTOR_QUERY, .instance = hub->instance};
        memcpy(head.line, line->id, sizeof head.line);
        head.sent_at = wl_hub_sent_at(hub, WL_ACTOR_PRESENCE, presence);
        wl_live_begin(to, &head);
    }
    wl_live_add(to, &(wl_live_item_t){
                        .ticket = gather->number,
                        .uid = gather->read.uid,
                        .deadline_at = gather->answer_by,
                        .what = WL_LIVE_ASSETS,
                    });
    line->tries++;
    line->again_at = 0;
    WL_COUNT(&hub->counters, live_asked, 1);
}

/* From now on a line is awaited, or is not any more. */
static void reads_await(wl_live_reads_t *self, wl_gather_t *gather, wl_gather_line_t *line,
                        bool awaited) {
    int index = reads_index(self, gather, line->id);
    if (index >= 0 && line->awaited != awaited) {
        self->waiting[wl_hub_variant(self->hub, gather->read.rollout)][index] +=
            awaited ? 1u : UINT32_MAX;
    }
    wl_gather_await(gather, line, awaited);
}

static void reads_due(wl_live_reads_t *self, int64_t at) {
    self->next_at = at < self->next_at ? at : self->next_at;
}

/* ---- answers -------------------------------------------------------------------------------- */

static void on_left(wl_live_reads_t *self, wl_gather_t *gather) {
    for (uint32_t i = 0; i < gather->line_count; i++) {
        reads_await(self, gather, &gather->lines[i], false);
    }
}

/* Replies with what there is. */
static void reads_finish(wl_live_reads_t *self, wl_gather_t *gather) {
    uint8_t asked[WL_LINES_MAX] = {WL_ASKED_NOT};
    on_left(self, gather);
    wl_home_view_t view = wl_render_view(self->render, self->hub, &gather->read, gather->assets,
                                         gather->asset_count, gather->source);
    for (uint32_t i = 0; i < gather->line_count; i++) {
        int index = reads_index(self, gather, gather->lines[i].id);
        if (index >= 0) {
            asked[index] = (uint8_t)gather->lines[i].asked;
        }
    }
    view.asked = asked;
    view.answered = gather->answered;
    wl_render_send(self->render, self->hub, gather->frontend, &gather->read, &view);
    wl_gathers_close(self->gathers, &gather);
}

/* Takes the lines that need not or cannot be asked now out of the demand. */
static void reads_sift(wl_live_reads_t *self, uint64_t rollout, const wl_home_view_t *view,
                       wl_demand_t *demand, uint8_t asked[WL_LINES_MAX], int64_t now) {
    const uint32_t *waiting = self->waiting[wl_hub_variant(self->hub, rollout)];
    uint32_t kept = 0;
    for (uint32_t i = 0; i < demand->count; i++) {
        uint8_t line = demand->lines[i];
        if (reads_recall(self, view, line, now)) {
            asked[line] = WL_ASKED_NOTHING;
        } else if (waiting[line] >= LINE_READS_MAX) {
            asked[line] = WL_ASKED_FAILED;
            WL_COUNT(&self->hub->counters, live_refused, 1);
        } else {
            demand->lines[kept++] = line;
        }
    }
    demand->count = kept;
}

/* When the reply must leave. */
static int64_t reads_answer_by(int64_t deadline_at, int64_t now) {
    int64_t margin = (deadline_at - now) / 4;
    margin = margin > MARGIN_MS_MAX ? MARGIN_MS_MAX : margin;
    return deadline_at - (margin < MARGIN_MS_MIN ? MARGIN_MS_MIN : margin);
}

/* Opens a gathering for these lines and asks them. false: there is no room. */
static bool reads_gather(wl_live_reads_t *self, uint32_t frontend, const wl_read_item_t *read,
                         const wl_home_view_t *view, const wl_demand_t *demand, int64_t answer_by) {
    const wl_config_t *config = view->config;
    wl_asset_list_t assets = {(wl_asset_t *)view->assets, view->asset_count}; /* only read */
    wl_gather_t *gather =
        wl_gathers_open(self->gathers, frontend, read, assets, view->source, config->line_count);
    if (gather == NULL) {
        return false;
    }
    gather->answer_by = answer_by;
    reads_due(self, answer_by);
    for (uint32_t i = 0; i < config->line_count; i++) {
        if (view->asked[i] != WL_ASKED_NOT) {
            wl_gather_add_line(gather, config->lines[i].id)->asked = (wl_asked_t)view->asked[i];
        }
    }
    for (uint32_t i = 0; i < demand->count; i++) {
        uint32_t index = demand->lines[i];
        wl_gather_line_t *line = wl_gather_add_line(gather, config->lines[index].id);
        line->floor = wl_floors_get(view->floors, view->floors_bytes, line->id);
        line->asked = WL_ASKED_FAILED; /* until it has answered */
        reads_await(self, gather, line, true);
        reads_send(self, gather, line, index);
    }
    return true;
}

void wl_live_reads_take(wl_live_reads_t *self, uint32_t frontend, const wl_read_item_t *read,
                        wl_asset_list_t assets, wl_source_t source) {
    wl_hub_t *hub = self->hub;
    wl_method_t method = (wl_method_t)read->method;
    const wl_config_t *config = wl_hub_config(hub, read->rollout);
    if (config == NULL || !wl_render_method(method) ||
        !wl_demand_possible(config, wl_render_shows(method), read->floors.count)) {
        wl_render_reply(self->render, hub, frontend, read, assets.at, assets.count, source);
        return;
    }
    uint8_t asked[WL_LINES_MAX] = {WL_ASKED_NOT};
    wl_demand_t demand;
    int64_t now = wl_mono_now().ms;
    wl_home_view_t view = wl_render_view(self->render, hub, read, assets.at, assets.count, source);
    view.asked = asked;
    wl_demand_first(&view, &demand);
    reads_sift(self, read->rollout, &view, &demand, asked, now);
    int64_t answer_by = reads_answer_by(read->deadline_at, now);
    if (demand.count > 0 && answer_by > now &&
        reads_gather(self, frontend, read, &view, &demand, answer_by)) {
        return;
    }
    if (demand.count > 0 && answer_by > now) {
        WL_COUNT(&hub->counters, live_refused, demand.count);
        if (view.shows == WL_SHOWS_BALANCE) {
            wl_render_error(hub, frontend, read, WL_ERR_BUSY, "too many reads wait for lines",
                            BUSY_RETRY_AFTER_MS);
            return;
        }
    }
    for (uint32_t i = 0; i < demand.count; i++) {
        asked[demand.lines[i]] = WL_ASKED_FAILED;
    }
    wl_render_send(self->render, hub, frontend, read, &view);
}

/* ---- what lines say ------------------------------------------------------------------------- */

/* The line has answered below the floor: asks again in a moment if there is time for it. */
static bool reads_again(wl_live_reads_t *self, wl_gather_t *gather, wl_gather_line_t *line,
                        int64_t now) {
    if (line->floor == 0 || wl_gather_version(gather, line->id) >= line->floor) {
        return false;
    }
    int64_t pause = AGAIN_MS;
    for (uint32_t i = 1; i < line->tries && pause < AGAIN_MS_MAX; i++) {
        pause *= 2;
    }
    if (now + pause >= gather->answer_by) {
        return false;
    }
    line->again_at = now + pause;
    reads_due(self, line->again_at);
    return true;
}

static void reads_answered(wl_live_reads_t *self, wl_gather_t *gather, wl_gather_line_t *line,
                           const wl_lived_item_t *lived, int64_t now) {
    const wl_line_t *config =
        wl_config_line(wl_hub_config(self->hub, gather->read.rollout), line->id);
    if (lived->error == WL_ERR_UNAUTHORIZED && config != NULL && config->consent) {
        reads_await(self, gather, line, false);
        wl_gather_bar(gather, line->id);
        return;
    }
    uint32_t said = 0;
    bool sane = config == NULL || wl_gather_sane(gather, config, lived->assets);
    if (lived->error == WL_OK && sane) {
        said = wl_gathers_merge(self->gathers, gather, line->id, lived->assets);
    }
    if (lived->error != WL_OK || (said == 0 && lived->assets.count > 0)) {
        WL_COUNT(&self->hub->counters, live_failed, 1);
        reads_await(self, gather, line, false);
        return;
    }
    line->asked = said > 0 ? WL_ASKED_OK : WL_ASKED_NOTHING;
    if (line->asked == WL_ASKED_NOTHING && config != NULL) {
        reads_remember(self, gather->read.uid, config, now);
    }
    if (!reads_again(self, gather, line, now)) {
        reads_await(self, gather, line, false);
    }
}

void wl_live_reads_lived(wl_live_reads_t *self, const wl_msg_t *msg) {
    const wl_lived_head_t *head = &msg->head.lived;
    int64_t now = wl_mono_now().ms;
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_lived_item_t *lived = &msg->items.lived[i];
        if (lived->ticket == 0) { /* nobody waits: the shard has what it said */
            continue;
        }
        wl_gather_t *gather = wl_gathers_find(self->gathers, lived->ticket);
        wl_gather_line_t *line = gather == NULL ? NULL : wl_gather_line(gather, head->line);
        if (line == NULL || gather->read.uid != lived->uid || lived->what != WL_LIVE_ASSETS ||
            !line->awaited || line->again_at != 0) {
            WL_COUNT(&self->hub->counters, rpc_late, 1);
            continue;
        }
        reads_answered(self, gather, line, lived, now);
        if (gather->awaited == 0) {
            reads_finish(self, gather);
        }
    }
}

typedef struct {
    wl_live_reads_t *reads;
    uint64_t uid;
    const char *line_id;
    int64_t now;
} visit_t;

static void on_withdrawn(wl_gather_t *gather, void *arg) {
    const visit_t *visit = arg;
    if (gather->read.uid != visit->uid) {
        return;
    }
    wl_gather_line_t *line = wl_gather_line(gather, visit->line_id);
    if (line != NULL) {
        reads_await(visit->reads, gather, line, false);
    }
    wl_gather_bar(gather, visit->line_id);
    if (gather->awaited == 0) {
        reads_finish(visit->reads, gather);
    }
}

void wl_live_reads_withdrawn(wl_live_reads_t *self, uint64_t uid, const char *line_id) {
    visit_t visit = {.reads = self, .uid = uid, .line_id = line_id};
    reads_forget(self, uid, line_id);
    wl_gathers_each(self->gathers, on_withdrawn, &visit);
}

/* ---- time ----------------------------------------------------------------------------------- */

static void on_due(wl_gather_t *gather, void *arg) {
    const visit_t *visit = arg;
    wl_live_reads_t *self = visit->reads;
    if (gather->answer_by <= visit->now) {
        WL_COUNT(&self->hub->counters, live_late, gather->awaited);
        reads_finish(self, gather);
        return;
    }
    reads_due(self, gather->answer_by);
    for (uint32_t i = 0; i < gather->line_count; i++) {
        wl_gather_line_t *line = &gather->lines[i];
        int index = reads_index(self, gather, line->id);
        if (!line->awaited || line->again_at == 0 || index < 0) {
            continue;
        }
        if (line->again_at <= visit->now) {
            reads_send(self, gather, line, (uint32_t)index);
        } else {
            reads_due(self, line->again_at);
        }
    }
}

void wl_live_reads_tick(wl_live_reads_t *self, int64_t now) {
    if (now >= self->next_at) {
        visit_t visit = {.reads = self, .now = now};
        self->next_at = INT64_MAX;
        wl_gathers_each(self->gathers, on_due, &visit);
    }
}

bool wl_live_reads_waiting(const wl_live_reads_t *self) {
    return wl_gathers_count(self->gathers) > 0;
}

static void on_recount(wl_gather_t *gather, void *arg) {
    wl_live_reads_t *self = arg;
    for (uint32_t i = 0; i < gather->line_count; i++) {
        int index = reads_index(self, gather, gather->lines[i].id);
        if (index >= 0 && gather->lines[i].awaited) {
            self->waiting[wl_hub_variant(self->hub, gather->read.rollout)][index]++;
        }
    }
}

void wl_live_reads_configured(wl_live_reads_t *self) {
    memset(self->waiting, 0, sizeof self->waiting);
    memset(self->nothings, 0, NOTHINGS * sizeof *self->nothings);
    wl_gathers_each(self->gathers, on_recount, self);
}
