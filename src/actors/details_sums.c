#include "actors/details_state.h"
#include "base/alloc.h"
#include "domain/asset_rules.h"
#include "domain/home_pack.h"

#include <string.h>

enum {
    PAGES_SUMMED_MAX = 200, /* 20,000 items; a line with more has to offer sums itself */
    DAY_MS = 86400000,      /* how long the sums of a past month are kept */
};

static void sums_name(const wl_details_request_t *request, char into[WL_RECENT_NAME_MAX + 1]) {
    (void)snprintf(into, WL_RECENT_NAME_MAX + 1, "s%s", request->asked.month);
}

static void sums_reply(wl_details_t *self, wl_details_request_t *request, const wl_sums_t *sums) {
    msgpack_sbuffer *into = &self->body;
    msgpack_sbuffer_clear(into);
    bool candidate = wl_details_candidate(self, request);
    wl_pack_map(into, 6 + wl_pack_variant_keys(candidate));
    WL_PACK_KEY(into, "in");
    wl_pack_i64(into, sums->in);
    WL_PACK_KEY(into, "out");
    wl_pack_i64(into, sums->out);
    WL_PACK_KEY(into, "count");
    wl_pack_u64(into, sums->count);
    WL_PACK_KEY(into, "unit");
    wl_pack_text(into, sums->unit);
    WL_PACK_KEY(into, "scale");
    wl_pack_u64(into, sums->scale);
    WL_PACK_KEY(into, "as_of");
    wl_pack_i64(into, request->as_of.ms);
    wl_pack_variant(into, candidate);
    wl_details_reply(self, request);
}

static bool sums_take_recent(wl_details_t *self, wl_details_request_t *request) {
    char name[WL_RECENT_NAME_MAX + 1];
    size_t bytes = 0;
    wl_wall_ms_t at;
    wl_sums_t sums;
    sums_name(request, name);
    const uint8_t *body = wl_recent_get(self->recent, request->asked.uid, request->asked.line, name,
                                        wl_mono_now(), &bytes, &at);
    if (body == NULL || wl_sums_decode(self->reader, body, bytes, &sums) != WL_OK) {
        return false;
    }
    WL_COUNT(&self->hub.counters, details_kept, 1);
    request->as_of = at;
    sums_reply(self, request, &sums);
    return true;
}

void wl_details_sums_begin(wl_details_t *self, wl_details_request_t *request) {
    const wl_line_t *line = wl_config_line(wl_details_config(self, request), request->asked.line);
    if (sums_take_recent(self, request)) {
        return;
    }
    request->sources[0].token =
        wl_recent_token(self->recent, request->asked.uid, request->asked.line);
    if (line != NULL && line->summary) {
        wl_details_ask(self, request, 0, WL_LIVE_SUMMARY);
    } else {
        wl_details_sums_count(self, request);
    }
}

void wl_details_sums_told(wl_details_t *self, wl_details_request_t *request,
                          const wl_sums_t *sums) {
    const wl_line_t *line = wl_config_line(wl_details_config(self, request), request->asked.line);
    bool past = request->has_month && wl_month_past(&request->month, wl_wall_now());
    int64_t keep_ms = past ? DAY_MS : line == NULL ? 0 : (int64_t)line->summary_fresh_ms;
    if (keep_ms > 0 && wl_cache_cover_serves(self->cover, request->asked.uid)) {
        char name[WL_RECENT_NAME_MAX + 1];
        sums_name(request, name);
        msgpack_sbuffer_clear(&self->body);
        wl_sums_encode(sums, &self->body);
        wl_recent_put(self->recent, request->asked.uid, request->asked.line, name, self->body.data,
                      self->body.size, request->as_of, (wl_mono_ms_t){wl_mono_now().ms + keep_ms},
                      request->sources[0].token);
    }
    sums_reply(self, request, sums);
}

void wl_details_sums_count(wl_details_t *self, wl_details_request_t *request) {
    const wl_line_t *line = wl_config_line(wl_details_config(self, request), request->asked.line);
    if (line == NULL) {
        wl_details_fail(self, request, WL_ERR_NOT_FOUND, "the line is not configured any more", 0);
        return;
    }
    line = wl_hub_line(&self->hub, line->id); /* it is asked as the base says, for all users */
    request->sums.scale = line->scale;
    memcpy(request->sums.unit, line->unit, sizeof line->unit);
    wl_details_ask(self, request, 0, WL_LIVE_DETAILS);
}

/* false: it does not fit. */
static bool sums_add(wl_details_request_t *request, const wl_page_item_t *item) {
    request->sums.count++;
    if (item->amount >= 0) {
        return wl_amount_add(&request->sums.in, item->amount) == WL_OK;
    }
    return item->amount != INT64_MIN && wl_amount_add(&request->sums.out, -item->amount) == WL_OK;
}

void wl_details_sums_page(wl_details_t *self, wl_details_request_t *request,
                          const wl_page_t *page) {
    wl_timeline_place_t *place = &request->place.places[0];
    bool fits = true;
    bool below = false; /* the rest is from before the month */
    for (uint32_t i = 0; i < page->count; i++) {
        const wl_page_item_t *item = &page->items[i];
        wl_timeline_key_t key = {.time = item->time};
        memcpy(key.id, item->id, sizeof item->id);
        below = below || (request->has_month && item->time < request->month.from.ms);
        if (!wl_timeline_behind(place, &key)) {
            continue;
        }
        wl_timeline_shown(place, &key);
        if (!request->has_month || wl_month_has(&request->month, item->time)) {
            fits = fits && sums_add(request, item);
        }
    }
    if (!fits) {
        wl_details_fail(self, request, WL_ERR_UNAVAILABLE, "the sums do not fit 63 bits", 0);
    } else if (page->next_bytes == 0 || below) {
        wl_sums_t sums = request->sums;
        wl_details_sums_told(self, request, &sums);
    } else if (request->rounds >= PAGES_SUMMED_MAX) {
        wl_details_fail(self, request, WL_ERR_UNAVAILABLE,
                        "the line has too many items: only its own sums would do", 0);
    } else {
        place->cursor_bytes = (uint16_t)page->next_bytes;
        memcpy(place->cursor, page->next, page->next_bytes);
        wl_details_ask(self, request, 0, WL_LIVE_DETAILS);
    }
}
