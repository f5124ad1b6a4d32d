#include "actors/details_state.h"
#include "base/alloc.h"
#include "base/check.h"
#include "domain/home_pack.h"

#include <string.h>

enum { ROUNDS_MAX = 64 }; /* pages of lines that one page of a list may cost */

/* ---- places ---------------------------------------------------------------------------------- */

static bool list_has(const wl_details_request_t *request, const wl_line_t *line) {
    return line->details && line->mode != WL_MODE_LINK &&
           (request->asked.line[0] == '\0' || strcmp(request->asked.line, line->id) == 0) &&
           (request->asked.kind >= WL_KIND_COUNT || request->asked.kind == line->kind);
}

/* Lines that came into the configuration after the first page are not in its cursor: the list stays
 * what it was. */
wl_err_t wl_details_list_begin(wl_details_t *self, wl_details_request_t *request, wl_bytes_t cursor,
                               wl_fault_t *fault) {
    const wl_statement_item_t *asked = &request->asked;
    const wl_config_t *config = wl_details_config(self, request);
    wl_cursor_t *place = &request->place;
    uint64_t filter = wl_cursor_filter(asked->line, asked->month, asked->kind);
    if (cursor.count > 0) {
        wl_err_t err = wl_cursor_open((const char *)cursor.at, cursor.count, self->key, asked->uid,
                                      filter, wl_wall_now(), place, fault);
        if (err != WL_OK) {
            place->count = 0; /* of no use, whatever it has read */
        }
        return err;
    }
    place->uid = asked->uid;
    place->filter = filter;
    for (uint32_t i = 0; i < config->line_count; i++) {
        if (!list_has(request, &config->lines[i])) {
            continue;
        }
        if (place->count == WL_TIMELINE_LINES_MAX) {
            return wl_fault(fault, WL_ERR_BAD_REQUEST, "line",
                            "line: one list takes %d lines: name one, or a kind",
                            WL_TIMELINE_LINES_MAX);
        }
        memcpy(place->places[place->count++].line, config->lines[i].id, WL_LINE_ID_MAX + 1);
    }
    return WL_OK;
}

/* ---- pages ----------------------------------------------------------------------------------- */

/* A page that was shown to its end gives way to the next one. */
static void source_settle(wl_details_source_t *source, wl_timeline_place_t *place) {
    wl_page_t *page = source->page;
    if (page == NULL || source->at < page->count) {
        return;
    }
    place->ended = page->next_bytes == 0;
    place->cursor_bytes = (uint16_t)page->next_bytes;
    memcpy(place->cursor, page->next, page->next_bytes);
    wl_free(source->page);
    wl_free(source->keys);
    source->page = NULL;
    source->keys = NULL;
}

void wl_details_list_page(wl_details_t *self, wl_details_request_t *request, uint32_t source,
                          const wl_page_t *page) {
    (void)self;
    wl_details_source_t *from = &request->sources[source];
    wl_timeline_place_t *place = &request->place.places[source];
    WL_ASSERT(from->page == NULL);
    from->page = wl_alloc(sizeof *from->page);
    from->keys = wl_alloc_zero(WL_DETAILS_MAX, sizeof *from->keys);
    *from->page = *page;
    from->page->count = 0;
    from->at = 0;
    for (uint32_t i = 0; i < page->count; i++) {
        const wl_page_item_t *item = &page->items[i];
        wl_timeline_key_t key = {.time = item->time};
        memcpy(key.id, item->id, sizeof item->id);
        if (wl_timeline_behind(place, &key) &&
            (!request->has_month || wl_month_has(&request->month, item->time))) {
            from->keys[from->page->count] = key;
            from->page->items[from->page->count++] = *item;
        }
    }
    source_settle(from, place);
}

static void list_name(const wl_details_request_t *request, char into[WL_RECENT_NAME_MAX + 1]) {
    (void)snprintf(into, WL_RECENT_NAME_MAX + 1, "p%s %u", request->asked.month,
                   request->asked.limit);
}

/* The first page as it was kept; false: it has to be asked for. */
static bool list_take_recent(wl_details_t *self, wl_details_request_t *request, uint32_t source) {
    const wl_timeline_place_t *place = &request->place.places[source];
    char name[WL_RECENT_NAME_MAX + 1];
    size_t bytes = 0;
    wl_wall_ms_t at;
    if (place->cursor_bytes > 0) {
        return false;
    }
    list_name(request, name);
    const uint8_t *body = wl_recent_get(self->recent, request->asked.uid, place->line, name,
                                        wl_mono_now(), &bytes, &at);
    if (body == NULL || wl_page_decode(self->reader, body, bytes, &self->page) != WL_OK) {
        return false;
    }
    WL_COUNT(&self->hub.counters, details_kept, 1);
    request->as_of.ms = at.ms < request->as_of.ms ? at.ms : request->as_of.ms;
    wl_details_list_page(self, request, source, &self->page);
    return true;
}

void wl_details_list_keep(wl_details_t *self, const wl_details_request_t *request, uint32_t source,
                          wl_bytes_t body, wl_wall_ms_t at) {
    const char *id = request->place.places[source].line;
    const wl_line_t *line = wl_config_line(wl_details_config(self, request), id);
    char name[WL_RECENT_NAME_MAX + 1];
    if (line == NULL || line->details_fresh_ms == 0 || !request->sources[source].first ||
        !wl_cache_cover_serves(self->cover, request->asked.uid)) {
        return;
    }
    list_name(request, name);
    wl_mono_ms_t until = {wl_mono_now().ms + (int64_t)line->details_fresh_ms};
    wl_recent_put(self->recent, request->asked.uid, id, name, body.at, body.count, at, until,
                  request->sources[source].token);
}

/* ---- the reply ------------------------------------------------------------------------------- */

static void list_pack_item(wl_details_request_t *request, const char *line,
                           const wl_page_item_t *item) {
    msgpack_sbuffer *into = &request->items;
    wl_pack_map(into, 8);
    WL_PACK_KEY(into, "line");
    wl_pack_text(into, line);
    WL_PACK_KEY(into, "id");
    wl_pack_text(into, item->id);
    WL_PACK_KEY(into, "time");
    wl_pack_i64(into, item->time);
    WL_PACK_KEY(into, "title");
    wl_pack_text(into, item->title);
    WL_PACK_KEY(into, "amount");
    wl_pack_i64(into, item->amount);
    WL_PACK_KEY(into, "unit");
    wl_pack_text(into, item->unit);
    WL_PACK_KEY(into, "scale");
    wl_pack_u64(into, item->scale);
    WL_PACK_KEY(into, "kind");
    wl_pack_text(into, item->kind);
}

/* The names of the lines that have failed so, or otherwise. */
static void list_pack_lines(const wl_details_request_t *request, msgpack_sbuffer *into,
                            bool unauthorized) {
    uint32_t count = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < request->place.count; i++) {
            wl_err_t error = request->sources[i].error;
            if (error == WL_OK || (error == WL_ERR_UNAUTHORIZED) != unauthorized) {
                continue;
            }
            if (pass == 0) {
                count++;
            } else {
                wl_pack_text(into, request->place.places[i].line);
            }
        }
        if (pass == 0) {
            wl_pack_array(into, count);
        }
    }
}

static void list_reply(wl_details_t *self, wl_details_request_t *request, bool more) {
    msgpack_sbuffer *into = &self->body;
    msgpack_sbuffer_clear(into);
    bool candidate = wl_details_candidate(self, request);
    wl_pack_map(into, 5 + wl_pack_variant_keys(candidate));
    WL_PACK_KEY(into, "uid");
    wl_pack_u64(into, request->asked.uid);
    WL_PACK_KEY(into, "items");
    wl_pack_array(into, request->shown);
    (void)msgpack_sbuffer_write(into, request->items.data, request->items.size);
    WL_PACK_KEY(into, "next");
    if (more) {
        char text[WL_CURSOR_TEXT_MAX + 1];
        request->place.issued_at = wl_wall_now();
        wl_cursor_seal(&request->place, self->key, text);
        wl_pack_text(into, text);
    } else {
        wl_pack_nil(into);
    }
    WL_PACK_KEY(into, "degraded");
    list_pack_lines(request, into, false);
    WL_PACK_KEY(into, "unauthorized");
    list_pack_lines(request, into, true);
    wl_pack_variant(into, candidate);
    wl_details_reply(self, request);
}

/* Nothing came from anywhere: an error says more than an empty list. */
static void list_end(wl_details_t *self, wl_details_request_t *request) {
    uint32_t left = 0;
    uint32_t failed = 0;
    uint32_t unauthorized = 0;
    uint32_t retry_after_ms = 0;
    for (uint32_t i = 0; i < request->place.count; i++) {
        const wl_details_source_t *source = &request->sources[i];
        left += !request->place.places[i].ended;
        failed += source->error != WL_OK;
        unauthorized += source->error == WL_ERR_UNAUTHORIZED;
        retry_after_ms =
            source->retry_after_ms > retry_after_ms ? source->retry_after_ms : retry_after_ms;
    }
    if (request->shown > 0 || failed == 0 || failed < request->place.count) {
        list_reply(self, request, left > unauthorized);
    } else if (unauthorized == failed) {
        wl_details_fail(self, request, WL_ERR_UNAUTHORIZED, "the user has not given consent", 0);
    } else {
        wl_details_fail(self, request, WL_ERR_UNAVAILABLE,
                        request->problem[0] != '\0' ? request->problem
                                                    : "no line has answered in time",
                        retry_after_ms);
    }
}

/* ---- merging --------------------------------------------------------------------------------- */

/* Sees to it that the lines without anything at hand are asked. false: all that can be are. */
static bool list_ask(wl_details_t *self, wl_details_request_t *request) {
    bool filled = false;
    for (uint32_t i = 0; i < request->place.count; i++) {
        wl_details_source_t *source = &request->sources[i];
        wl_timeline_place_t *place = &request->place.places[i];
        if (source->page != NULL || place->ended || source->error != WL_OK || source->asked != 0) {
            continue;
        }
        const wl_line_t *line = wl_config_line(wl_details_config(self, request), place->line);
        if (line == NULL || !line->details) { /* not configured any more */
            place->ended = true;
            filled = true;
        } else if (list_take_recent(self, request, i)) {
            filled = true;
        } else {
            source->token = wl_recent_token(self->recent, request->asked.uid, place->line);
            wl_details_ask(self, request, i, WL_LIVE_DETAILS);
        }
    }
    return filled;
}

static void list_show(wl_details_request_t *request, uint32_t index) {
    wl_details_source_t *source = &request->sources[index];
    wl_timeline_place_t *place = &request->place.places[index];
    list_pack_item(request, place->line, &source->page->items[source->at]);
    const wl_timeline_key_t *key = &source->keys[source->at];
    for (uint32_t i = 0; i < request->place.count; i++) {
        if (request->sources[i].error == WL_OK) { /* what the others miss comes when they answer */
            wl_timeline_reached(&request->place.places[i], key->time);
        }
    }
    wl_timeline_shown(place, key);
    source->at++;
    request->shown++;
    request->place.shown++;
    source_settle(source, place);
}

/* Who has not answered by now is left out of this page. */
static void list_cut(wl_details_request_t *request) {
    for (uint32_t i = 0; i < request->place.count; i++) {
        wl_details_source_t *source = &request->sources[i];
        if (source->page == NULL && !request->place.places[i].ended && source->error == WL_OK) {
            source->error = WL_ERR_DEADLINE;
        }
    }
}

void wl_details_list_go(wl_details_t *self, wl_details_request_t *request, bool last) {
    if (last || request->rounds >= ROUNDS_MAX) {
        list_cut(request);
    }
    while (request->shown < request->asked.limit) {
        wl_timeline_source_t sources[WL_TIMELINE_LINES_MAX];
        for (uint32_t i = 0; i < request->place.count; i++) {
            const wl_details_source_t *source = &request->sources[i];
            sources[i].head = source->page == NULL ? NULL : &source->keys[source->at];
            sources[i].more = !request->place.places[i].ended && source->error == WL_OK;
        }
        int next = wl_timeline_next(sources, request->place.count);
        if (next == WL_TIMELINE_END) {
            break;
        }
        if (next >= 0) {
            list_show(request, (uint32_t)next);
        } else if (last) {
            list_cut(request); /* a page that is wanted now comes too late */
        } else if (!list_ask(self, request)) {
            if (request->questions > 0) {
                return;
            }
            list_cut(request);
        }
    }
    list_end(self, request);
}
