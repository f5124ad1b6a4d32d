#include "actors/details.h"

#include "actors/consent_way.h"
#include "actors/cursor_key.h"
#include "actors/details_state.h"
#include "actors/render.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/slot.h"

#include <inttypes.h>
#include <string.h>

enum {
    TICK_MS = 5,         /* how late a deadline may be noticed */
    MARGIN_MS = 10,      /* a list is cut so much before its deadline, to be there in time */
    REQUESTS_MAX = 2048, /* under way */
    PAGES_MAX = 4096,    /* held by them, 18 KB each */
    BUSY_RETRY_MS = 100,
    BODY_BYTES_KEPT = 262144,
};

/* ---- the end of a request -------------------------------------------------------------------- */

static void request_free(wl_details_t *self, wl_details_request_t *request) {
    for (uint32_t i = 0; i < request->place.count; i++) {
        wl_free(request->sources[i].page);
        wl_free(request->sources[i].keys);
        wl_details_question_t *question = NULL;
        uint64_t asked = request->sources[i].asked;
        HASH_FIND(hh, self->questions, &asked, sizeof asked, question);
        if (asked != 0 && question != NULL) {
            HASH_DEL(self->questions, question);
            wl_free(question);
        }
    }
    HASH_DEL(self->requests, request);
    self->pages -= request->place.count;
    msgpack_sbuffer_destroy(&request->items);
    wl_free(request);
}

void wl_details_reply(wl_details_t *self, wl_details_request_t *request) {
    wl_reply_item_t reply = {
        .ticket = request->asked.ticket,
        .uid = request->asked.uid,
        .body = {(const uint8_t *)self->body.data, self->body.size},
    };
    wl_reply_add(wl_render_to(&self->hub, request->frontend), &reply);
    request_free(self, request);
    if (self->body.alloc > BODY_BYTES_KEPT) {
        msgpack_sbuffer_destroy(&self->body);
        msgpack_sbuffer_init(&self->body);
    }
}

static void details_refuse(wl_details_t *self, uint32_t frontend, const wl_statement_item_t *asked,
                           wl_err_t err, const char *text, uint32_t retry_after_ms) {
    wl_read_item_t read = {.ticket = asked->ticket, .uid = asked->uid};
    wl_render_error(&self->hub, frontend, &read, err, text, retry_after_ms);
}

void wl_details_fail(wl_details_t *self, wl_details_request_t *request, wl_err_t err,
                     const char *text, uint32_t retry_after_ms) {
    WL_COUNT(&self->hub.counters, details_failures, 1);
    details_refuse(self, request->frontend, &request->asked, err, text, retry_after_ms);
    request_free(self, request);
}

/* ---- questions to lines ---------------------------------------------------------------------- */

void wl_details_ask(wl_details_t *self, wl_details_request_t *request, uint32_t source,
                    wl_live_what_t what) {
    const wl_timeline_place_t *place = &request->place.places[source];
    wl_details_source_t *from = &request->sources[source];
    wl_details_question_t *question = wl_alloc_zero(1, sizeof *question);
    question->number = ++self->numbers;
    question->request = request->number;
    question->source = source;
    question->what = what;
    HASH_ADD(hh, self->questions, number, sizeof question->number, question);
    from->asked = question->number;
    from->first = place->cursor_bytes == 0;
    request->questions++;
    uint64_t uid = request->asked.uid;
    uint32_t owner = wl_uid_owner(uid, wl_hub_instances(&self->hub, WL_ACTOR_PRESENCE));
    uint64_t key = wl_table_hash(place->line, strlen(place->line));
    wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_PRESENCE, owner, WL_MSG_LIVE, key);
    if (!wl_encoder_begun(to)) {
        wl_live_head_t head = {
            .asker = WL_ACTOR_DETAILS,
            .instance = self->hub.instance,
            .sent_at = wl_hub_sent_at(&self->hub, WL_ACTOR_PRESENCE, owner),
        };
        memcpy(head.line, place->line, sizeof head.line);
        wl_live_begin(to, &head);
    }
    wl_live_item_t item = {
        .ticket = question->number,
        .uid = uid,
        .deadline_at = request->asked.deadline_at - MARGIN_MS,
        .what = (uint8_t)what,
        .limit = request->asked.limit,
        .cursor = {place->cursor, place->cursor_bytes},
    };
    memcpy(item.month, request->asked.month, sizeof item.month);
    wl_live_add(to, &item);
    WL_COUNT(&self->hub.counters, details_questions, 1);
}

/* ---- requests -------------------------------------------------------------------------------- */

static void details_begin(wl_details_t *self, uint32_t frontend, const wl_statement_item_t *asked) {
    wl_details_request_t *request = wl_alloc_zero(1, sizeof *request);
    wl_fault_t fault = {.message = ""};
    request->number = ++self->numbers;
    request->asked = *asked;
    request->asked.cursor = (wl_bytes_t){0};
    request->frontend = frontend;
    request->as_of = wl_wall_now();
    request->has_month = wl_month_parse(asked->month, &request->month);
    msgpack_sbuffer_init(&request->items);
    HASH_ADD(hh, self->requests, number, sizeof request->number, request);
    if (asked->deadline_at - MARGIN_MS < self->next_sweep) {
        self->next_sweep = asked->deadline_at - MARGIN_MS;
    }
    if (asked->method == WL_METHOD_SUMMARY) {
        request->place.count = 1;
        memcpy(request->place.places[0].line, asked->line, sizeof asked->line);
        self->pages++;
        wl_details_sums_begin(self, request);
        return;
    }
    wl_err_t err = wl_details_list_begin(self, request, asked->cursor, &fault);
    self->pages += request->place.count;
    if (err != WL_OK) {
        wl_details_fail(self, request, err, fault.message, 0);
    } else {
        wl_details_list_go(self, request, false);
    }
}

static void details_take_statement(wl_details_t *self, const wl_msg_t *msg) {
    uint32_t frontend = msg->head.statement.frontend;
    int64_t now = wl_mono_now().ms;
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_statement_item_t *asked = &msg->items.statement[i];
        bool known = asked->method == WL_METHOD_DETAILS || asked->method == WL_METHOD_SUMMARY;
        if (!known || frontend >= wl_hub_instances(&self->hub, WL_ACTOR_FRONTEND)) {
            WL_COUNT(&self->hub.counters, msg_malformed, 1);
        } else if (asked->deadline_at < now) {
            WL_COUNT(&self->hub.counters, rpc_late, 1);
        } else if (self->hub.config == NULL) {
            details_refuse(self, frontend, asked, WL_ERR_UNAVAILABLE, "no configuration yet", 0);
        } else if (HASH_COUNT(self->requests) >= REQUESTS_MAX ||
                   self->pages + WL_TIMELINE_LINES_MAX > PAGES_MAX) {
            WL_COUNT(&self->hub.counters, rpc_busy, 1);
            details_refuse(self, frontend, asked, WL_ERR_BUSY, "too many lists are under way",
                           BUSY_RETRY_MS);
        } else {
            details_begin(self, frontend, asked);
        }
    }
}

/* ---- answers of lines ------------------------------------------------------------------------ */

/* The line has failed this request. */
static void request_failed(wl_details_t *self, wl_details_request_t *request, uint32_t source,
                           wl_live_what_t what, const wl_lived_item_t *lived) {
    wl_details_source_t *from = &request->sources[source];
    const wl_line_t *line =
        wl_config_line(wl_details_config(self, request), request->place.places[source].line);
    wl_err_t err = lived->error < WL_ERR_COUNT ? (wl_err_t)lived->error : WL_ERR_UNAVAILABLE;
    if (what == WL_LIVE_SUMMARY && err == WL_ERR_NOT_FOUND && line != NULL && line->details) {
        wl_details_sums_count(self, request);
        return;
    }
    (void)snprintf(request->problem, sizeof request->problem, "%s", lived->reason);
    from->error = err == WL_ERR_UNAUTHORIZED ? err : WL_ERR_UNAVAILABLE;
    from->retry_after_ms = lived->retry_after_ms;
    if (request->asked.method == WL_METHOD_SUMMARY) {
        wl_details_fail(self, request, from->error,
                        from->error == WL_ERR_UNAUTHORIZED ? "the user has not given consent"
                                                           : request->problem,
                        from->retry_after_ms);
    } else {
        wl_details_list_go(self, request, false);
    }
}

static void request_answered(wl_details_t *self, wl_details_request_t *request, uint32_t source,
                             wl_live_what_t what, const wl_lived_item_t *lived) {
    wl_lived_item_t failed = *lived;
    wl_sums_t sums;
    wl_err_t err = (wl_err_t)lived->error;
    if (lived->error == WL_OK) {
        err = what == WL_LIVE_SUMMARY
                  ? wl_sums_decode(self->reader, lived->body.at, lived->body.count, &sums)
                  : wl_page_decode(self->reader, lived->body.at, lived->body.count, &self->page);
        WL_COUNT(&self->hub.counters, msg_malformed, err != WL_OK);
        failed.error = (uint32_t)err;
    }
    if (err != WL_OK) {
        request_failed(self, request, source, what, &failed);
        return;
    }
    request->rounds++;
    request->as_of.ms = lived->at < request->as_of.ms ? lived->at : request->as_of.ms;
    if (what == WL_LIVE_SUMMARY) {
        wl_details_sums_told(self, request, &sums);
    } else if (request->asked.method == WL_METHOD_SUMMARY) {
        wl_details_sums_page(self, request, &self->page);
    } else {
        wl_details_list_keep(self, request, source, lived->body, (wl_wall_ms_t){lived->at});
        wl_details_list_page(self, request, source, &self->page);
        wl_details_list_go(self, request, false);
    }
}

static void details_take_lived(wl_details_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_lived_item_t *lived = &msg->items.lived[i];
        wl_details_question_t *question = NULL;
        wl_details_request_t *request = NULL;
        HASH_FIND(hh, self->questions, &lived->ticket, sizeof lived->ticket, question);
        if (question != NULL) {
            HASH_FIND(hh, self->requests, &question->request, sizeof question->request, request);
        }
        if (request == NULL || request->asked.uid != lived->uid || question->what != lived->what) {
            WL_COUNT(&self->hub.counters, rpc_late, 1);
            continue;
        }
        uint32_t source = question->source;
        HASH_DEL(self->questions, question);
        wl_free(question);
        request->sources[source].asked = 0;
        request->questions--;
        if (request->sources[source].error != WL_OK) { /* the list has gone on without the line */
            WL_COUNT(&self->hub.counters, rpc_late, 1);
            continue;
        }
        request_answered(self, request, source, (wl_live_what_t)lived->what, lived);
    }
}

/* ---- changes --------------------------------------------------------------------------------- */

static void details_take_notice(wl_details_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; i < msg->count; i++) {
        wl_recent_drop(self->recent, msg->items.notice[i].uid, msg->items.notice[i].line);
    }
}

/* Nothing of this line may be shown to anybody who asked before: requests under way begin anew. */
static void details_withdraw(wl_details_t *self, uint64_t uid, const char *line) {
    wl_details_request_t *request = NULL;
    wl_details_request_t *next = NULL;
    wl_recent_drop(self->recent, uid, line);
    HASH_ITER(hh, self->requests, request, next) {
        bool concerned = false;
        for (uint32_t i = 0; i < request->place.count; i++) {
            concerned = concerned || strcmp(request->place.places[i].line, line) == 0;
        }
        if (concerned && request->asked.uid == uid) {
            wl_details_fail(self, request, WL_ERR_UNAVAILABLE,
                            "the user's consent has just changed: ask again", 1);
        }
    }
}

/* A withdrawn consent on its way. */
static void details_take_stored(wl_details_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_stored_item_t *stored = &msg->items.stored[i];
        if (wl_consent_withdrawn(stored)) {
            details_withdraw(self, stored->uid, msg->head.stored.line);
            wl_consent_pass_on(&self->hub, &msg->head.stored, stored);
        } else {
            WL_COUNT(&self->hub.counters, msg_unexpected, 1);
        }
    }
}

/* Changes may be missed from now on, or may have been until now. */
static void details_take_cover(wl_details_t *self, const wl_msg_t *msg) {
    bool lost = false;
    if (wl_cache_cover_take(self->cover, msg, &lost) != WL_OK) {
        WL_COUNT(&self->hub.counters, msg_malformed, 1);
    } else {
        wl_recent_flush(self->recent);
    }
}

/* ---- handlers -------------------------------------------------------------------------------- */

static void details_take(void *actor, const wl_msg_t *msg) {
    wl_details_t *self = actor;
    switch ((int)msg->id) {
    case WL_MSG_STATEMENT: details_take_statement(self, msg); break;
    case WL_MSG_LIVED: details_take_lived(self, msg); break;
    case WL_MSG_NOTICE: details_take_notice(self, msg); break;
    case WL_MSG_STORED: details_take_stored(self, msg); break;
    case WL_MSG_COVER: details_take_cover(self, msg); break;
    case WL_MSG_LINE: break;
    default: WL_COUNT(&self->hub.counters, msg_unexpected, 1);
    }
}

static bool details_hurried(void *actor) {
    const wl_details_t *self = actor;
    return self->requests != NULL;
}

/* Answers those whose time is up. */
static void details_tick(void *actor) {
    wl_details_t *self = actor;
    int64_t now = wl_mono_now().ms;
    WL_GAUGE(&self->hub.counters, details_users, wl_recent_users(self->recent));
    WL_GAUGE(&self->hub.counters, details_bytes, wl_recent_bytes(self->recent));
    if (now < self->next_sweep) {
        return;
    }
    self->next_sweep = INT64_MAX;
    wl_details_request_t *request = NULL;
    wl_details_request_t *next = NULL;
    HASH_ITER(hh, self->requests, request, next) {
        int64_t cut_at = request->asked.deadline_at - MARGIN_MS;
        if (cut_at > now) {
            self->next_sweep = cut_at < self->next_sweep ? cut_at : self->next_sweep;
        } else if (request->asked.method == WL_METHOD_SUMMARY) {
            wl_details_fail(self, request, WL_ERR_DEADLINE, "the line has not answered in time", 0);
        } else {
            wl_details_list_go(self, request, true);
        }
    }
}

/* Units may be other ones, and lines as well. */
static void details_configured(void *actor) {
    wl_details_t *self = actor;
    wl_recent_flush(self->recent);
}

static bool details_drained(void *actor) {
    const wl_details_t *self = actor;
    return self->requests == NULL;
}

static wl_err_t details_open(void *actor, zsock_t *pipe, wl_boot_t *boot) {
    wl_details_t *self = actor;
    const wl_hub_handlers_t handlers = {
        .take = details_take,
        .tick = details_tick,
        .configured = details_configured,
        .hurried = details_hurried,
        .drained = details_drained,
        .tick_ms = TICK_MS,
    };
    self->next_sweep = INT64_MAX;
    msgpack_sbuffer_init(&self->body);
    wl_err_t err = wl_hub_open(&self->hub, pipe, boot, &handlers, self, &boot->fault);
    if (err != WL_OK) {
        return err;
    }
    const wl_settings_t *settings = self->hub.settings;
    self->recent = wl_recent_new(settings->details_bytes_max / settings->details_instances);
    self->cover = wl_cache_cover_new(settings);
    self->reader = wl_page_reader_new();
    return wl_cursor_key_read(settings, self->key, &boot->fault);
}

static void details_close(void *actor) {
    wl_details_t *self = actor;
    while (self->requests != NULL) {
        request_free(self, self->requests);
    }
    wl_recent_destroy(&self->recent);
    wl_cache_cover_destroy(&self->cover);
    wl_page_reader_destroy(&self->reader);
    msgpack_sbuffer_destroy(&self->body);
    wl_hub_close(&self->hub);
    wl_free(self);
}

void wl_details_run(zsock_t *pipe, void *boot) {
    wl_details_t *self = wl_alloc_zero(1, sizeof *self);
    wl_hub_live(&self->hub, pipe, boot, details_open, details_close, self);
}
