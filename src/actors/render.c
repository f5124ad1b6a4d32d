#include "actors/render.h"

#include "actors/store_options.h"
#include "base/check.h"
#include "base/slot.h"

#include <string.h>

enum {
    BODY_BYTES_KEPT = 262144, /* a larger buffer is given back after the answer that needed it */
    LIVE_MORE_MS = 1000,      /* a question that nobody waits for may wait so long for its turn */
};

void wl_render_open(wl_render_t *self) {
    memset(self, 0, sizeof *self);
    msgpack_sbuffer_init(&self->body);
    wl_render_tick(self);
}

void wl_render_close(wl_render_t *self) {
    msgpack_sbuffer_destroy(&self->body);
}

void wl_render_configured(wl_render_t *self) {
    self->config_number++;
    memset(self->probe_at, 0, sizeof self->probe_at);
}

void wl_render_tick(wl_render_t *self) {
    (void)wl_campaign_clock_at(&self->clock, wl_wall_now(), wl_mono_now());
}

wl_wall_ms_t wl_render_campaign_now(wl_render_t *self, const wl_config_t *config,
                                    wl_wall_ms_t wall) {
    return config->campaign_count == 0 ? (wl_wall_ms_t){0}
                                       : wl_campaign_clock_at(&self->clock, wall, wl_mono_now());
}

bool wl_render_method(wl_method_t method) {
    return method == WL_METHOD_HOME || method == WL_METHOD_GOLDEN || method == WL_METHOD_ASSETS ||
           method == WL_METHOD_BALANCE;
}

wl_shows_t wl_render_shows(wl_method_t method) {
    switch ((int)method) {
    case WL_METHOD_HOME: return WL_SHOWS_HOME;
    case WL_METHOD_GOLDEN: return WL_SHOWS_GOLDEN;
    case WL_METHOD_BALANCE: return WL_SHOWS_BALANCE;
    default: return WL_SHOWS_ASSETS;
    }
}

wl_bytes_t wl_render_body(wl_render_t *self, wl_method_t method, const wl_home_view_t *view) {
    WL_ASSERT(wl_render_method(method) && view->config != NULL);
    if (self->body.alloc > BODY_BYTES_KEPT) {
        msgpack_sbuffer_destroy(&self->body);
        msgpack_sbuffer_init(&self->body);
    }
    msgpack_sbuffer_clear(&self->body);
    if (method == WL_METHOD_HOME) {
        wl_home_write(view, &self->body);
    } else if (method == WL_METHOD_GOLDEN) {
        wl_golden_write(view, &self->body);
    } else if (method == WL_METHOD_BALANCE) {
        wl_balance_write(view, &self->body);
    } else {
        wl_assets_write(view, &self->body);
    }
    return (wl_bytes_t){(const uint8_t *)self->body.data, self->body.size};
}

wl_encoder_t *wl_render_to(wl_hub_t *hub, uint32_t frontend) {
    wl_encoder_t *to = wl_hub_to(hub, WL_ACTOR_FRONTEND, frontend, WL_MSG_REPLY, 0);
    if (!wl_encoder_begun(to)) {
        wl_reply_begin(to, NULL);
    }
    return to;
}

void wl_render_error(wl_hub_t *hub, uint32_t frontend, const wl_read_item_t *read, wl_err_t err,
                     const char *text, uint32_t retry_after_ms) {
    wl_reply_item_t reply = {
        .ticket = read->ticket,
        .error = (uint32_t)err,
        .retry_after_ms = retry_after_ms,
        .uid = read->uid,
    };
    (void)snprintf(reply.text, sizeof reply.text, "%s", text == NULL ? wl_err_text(err) : text);
    wl_reply_add(wl_render_to(hub, frontend), &reply);
}

/* ---- hints to pull -------------------------------------------------------------------------- */

typedef struct {
    wl_render_t *render;
    wl_hub_t *hub;
    uint64_t uid;
    const wl_config_t *config; /* which the lines are of */
    uint32_t variant;          /* wl_hub_variant() */
} hint_t;

/* Where hints about this user go. Of several writers presence knows which one serves the user; a
 * process that is alone with its files need not ask. false: nowhere. */
static bool hint_owner(const wl_hub_t *hub, uint64_t uid, wl_actor_kind_t *ret_kind,
                       uint32_t *ret_instance) {
    bool alone = !wl_store_shared(hub->settings);
    *ret_kind = alone ? WL_ACTOR_DISPATCHER : WL_ACTOR_PRESENCE;
    uint32_t instances = wl_hub_instances(hub, *ret_kind);
    *ret_instance = instances == 0 ? 0 : wl_uid_owner(uid, instances);
    return instances > 0;
}

static uint64_t hint_key(const hint_t *hint, const wl_line_t *line) {
    uint64_t line_index = (uint64_t)(line - hint->config->lines) + hint->variant * WL_LINES_MAX;
    return (hint->render->config_number << 8) | line_index;
}

static void hint_refresh(const hint_t *hint, const wl_line_t *line) {
    wl_actor_kind_t kind = WL_ACTOR_DISPATCHER;
    uint32_t instance = 0;
    if (!hint_owner(hint->hub, hint->uid, &kind, &instance)) {
        return;
    }
    wl_encoder_t *to = wl_hub_to(hint->hub, kind, instance, WL_MSG_REFRESH, hint_key(hint, line));
    if (!wl_encoder_begun(to)) {
        wl_refresh_head_t head = {0};
        memcpy(head.line, line->id, sizeof head.line);
        wl_refresh_begin(to, &head);
    }
    wl_refresh_add(to, &(wl_refresh_item_t){.uid = hint->uid});
}

/* Not by the dispatcher, which tries again what fails: whoever looks next asks again. */
static void hint_live(const hint_t *hint, const wl_line_t *line) {
    wl_hub_t *hub = hint->hub;
    uint32_t presences = wl_hub_instances(hub, WL_ACTOR_PRESENCE);
    uint32_t queries = wl_hub_instances(hub, WL_ACTOR_QUERY);
    if (presences == 0 || queries == 0) {
        return;
    }
    uint32_t presence = wl_uid_owner(hint->uid, presences);
    uint32_t query = wl_uid_owner(hint->uid, queries);
    uint64_t key = hint_key(hint, line) << 16 | query;
    wl_encoder_t *to = wl_hub_to(hub, WL_ACTOR_PRESENCE, presence, WL_MSG_LIVE, key);
    if (!wl_encoder_begun(to)) {
        wl_live_head_t head = {.asker = WL_ACTOR_QUERY, .instance = query};
        memcpy(head.line, line->id, sizeof head.line);
        head.sent_at = wl_hub_sent_at(hub, WL_ACTOR_PRESENCE, presence);
        wl_live_begin(to, &head);
    }
    wl_live_add(to, &(wl_live_item_t){
                        .uid = hint->uid,
                        .deadline_at = wl_mono_now().ms + line->timeout_ms + LIVE_MORE_MS,
                        .what = WL_LIVE_ASSETS,
                    });
}

/* One user looking again and again hints again and again: equal pulls are joined behind us. */
static void on_behind(const wl_line_t *line, void *arg) {
    hint_t *hint = arg;
    wl_render_t *render = hint->render;
    uint32_t index = (uint32_t)(line - hint->config->lines);
    int64_t *probe_at = &render->probe_at[hint->variant][index];
    int64_t now = wl_mono_now().ms;
    if (now / 1000 != render->second) {
        render->second = now / 1000;
        render->hints = 0;
    }
    bool probe = (hint->variant == 1 ? hint->hub->candidate_sick : hint->hub->sick)[index];
    if (render->hints >= WL_REFRESH_HINTS_PER_S || (probe && now < *probe_at)) {
        return;
    }
    *probe_at = now + WL_PROBE_MS;
    render->hints++;
    WL_COUNT(&hint->hub->counters, refresh_hints, 1);
    if (probe || line->mode == WL_MODE_LIVE) {
        hint_live(hint, line);
    } else {
        hint_refresh(hint, line);
    }
}

wl_home_view_t wl_render_view(wl_render_t *self, const wl_hub_t *hub, const wl_read_item_t *read,
                              const wl_asset_t *assets, uint32_t asset_count, wl_source_t source) {
    wl_wall_ms_t now = wl_wall_now();
    const wl_config_t *config = wl_hub_config(hub, read->rollout);
    return (wl_home_view_t){
        .config = config,
        .sick = wl_hub_sick(hub, read->rollout),
        .assets = assets,
        .asset_count = asset_count,
        .shows = wl_render_shows((wl_method_t)read->method),
        .uid = read->uid,
        .now = now,
        .campaign_now = wl_render_campaign_now(self, config, now),
        .source = source,
        .marks = read->marks.at,
        .marks_bytes = read->marks.count,
        .filter = read->filter.count == 0 ? NULL : (const char *)read->filter.at,
        .filter_bytes = read->filter.count,
        .floors = read->floors.at,
        .floors_bytes = read->floors.count,
        .candidate = wl_hub_variant(hub, read->rollout) == 1,
        .unseen = wl_hub_variant(hub, read->rollout) == 1 ? NULL : hub->candidate,
    };
}

void wl_render_send(wl_render_t *self, wl_hub_t *hub, uint32_t frontend, const wl_read_item_t *read,
                    const wl_home_view_t *view) {
    wl_reply_item_t reply = {.ticket = read->ticket, .uid = read->uid};
    reply.body = wl_render_body(self, (wl_method_t)read->method, view);
    wl_reply_add(wl_render_to(hub, frontend), &reply);
    hint_t hint = {.render = self,
                   .hub = hub,
                   .uid = read->uid,
                   .config = view->config,
                   .variant = wl_hub_variant(hub, read->rollout)};
    wl_demand_each_behind(view, on_behind, &hint);
}

bool wl_render_asks(wl_render_t *self, const wl_hub_t *hub, const wl_read_item_t *read,
                    const wl_asset_t *assets, uint32_t asset_count) {
    wl_method_t method = (wl_method_t)read->method;
    const wl_config_t *config = wl_hub_config(hub, read->rollout);
    if (config == NULL || !wl_render_method(method) ||
        !wl_demand_possible(config, wl_render_shows(method), read->floors.count)) {
        return false;
    }
    wl_home_view_t view = wl_render_view(self, hub, read, assets, asset_count, WL_SOURCE_CACHE);
    wl_demand_t demand;
    wl_demand_first(&view, &demand);
    return demand.count > 0;
}

void wl_render_reply(wl_render_t *self, wl_hub_t *hub, uint32_t frontend,
                     const wl_read_item_t *read, const wl_asset_t *assets, uint32_t asset_count,
                     wl_source_t source) {
    if (!wl_render_method((wl_method_t)read->method)) {
        WL_COUNT(&hub->counters, msg_malformed, 1);
        return;
    }
    if (hub->config == NULL) {
        wl_render_error(hub, frontend, read, WL_ERR_UNAVAILABLE, "no configuration yet", 0);
        return;
    }
    wl_home_view_t view = wl_render_view(self, hub, read, assets, asset_count, source);
    wl_render_send(self, hub, frontend, read, &view);
}
