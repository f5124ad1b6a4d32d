#include "lines/caller.h"

#include "base/alloc.h"
#include "base/check.h"
#include "lines/answer.h"
#include "lines/http_caller.h"
#include "lines/page.h"
#include "lines/secrets.h"
#include "lines/zmq_caller.h"

#include <stdio.h>
#include <string.h>

struct wl_caller {
    wl_answer_fn answered;
    void *arg;                         /* of answered */
    wl_secrets_t *secrets;             /* owned */
    wl_answer_reader_t *reader;        /* owned */
    wl_http_caller_t *http;            /* owned */
    wl_zmq_caller_t *zmq;              /* owned */
    wl_page_reader_t *pages;           /* owned */
    wl_page_t *page;                   /* owned; the last page read */
    msgpack_sbuffer page_bytes;        /* owned; page or sums, encoded */
    uint64_t last_version;             /* made for the call before, microseconds */
    uint32_t in_flight;                /* calls under way */
    uint16_t free_slots[WL_CALLS_MAX]; /* the first WL_CALLS_MAX - in_flight are free */
    wl_call_t *calls[WL_CALLS_MAX];    /* borrowed from the adapters, by slot; NULL = free */
};

static void slot_release(wl_caller_t *self, const wl_call_t *call) {
    WL_ASSERT(self->in_flight > 0 && self->calls[call->slot] == call);
    self->calls[call->slot] = NULL;
    self->in_flight--;
    self->free_slots[WL_CALLS_MAX - 1 - self->in_flight] = (uint16_t)call->slot;
}

static void assets_read(wl_caller_t *self, const wl_call_t *call, const wl_call_end_t *end,
                        wl_answer_t *answer) {
    bool json = call->line.adapter == WL_ADAPTER_HTTP;
    answer->err = json ? wl_answer_read_json(self->reader, &call->line, call->pulled_at, end->body,
                                             end->body_bytes, answer)
                       : wl_answer_read_msgpack(self->reader, &call->line, call->pulled_at,
                                                end->body, end->body_bytes, answer);
}

static wl_err_t details_read(wl_caller_t *self, const wl_call_t *call, const wl_call_end_t *end,
                             wl_fault_t *fault) {
    bool json = call->line.adapter == WL_ADAPTER_HTTP;
    wl_err_t err =
        json ? wl_page_read_json(&call->line, end->body, end->body_bytes, self->page, fault)
             : wl_page_read_msgpack(self->pages, &call->line, end->body, end->body_bytes,
                                    self->page, fault);
    if (err == WL_OK) {
        wl_page_encode(self->page, &self->page_bytes);
    }
    return err;
}

static wl_err_t summary_read(wl_caller_t *self, const wl_call_t *call, const wl_call_end_t *end,
                             wl_fault_t *fault) {
    bool json = call->line.adapter == WL_ADAPTER_HTTP;
    wl_sums_t sums;
    wl_err_t err = json ? wl_sums_read_json(&call->line, end->body, end->body_bytes, &sums, fault)
                        : wl_sums_read_msgpack(self->pages, &call->line, end->body, end->body_bytes,
                                               &sums, fault);
    if (err == WL_OK) {
        wl_sums_encode(&sums, &self->page_bytes);
    }
    return err;
}

static void page_read(wl_caller_t *self, const wl_call_t *call, const wl_call_end_t *end,
                      wl_answer_t *answer) {
    wl_fault_t fault;
    answer->err = call->kind == WL_CALL_DETAILS ? details_read(self, call, end, &fault)
                                                : summary_read(self, call, end, &fault);
    if (answer->err == WL_OK) {
        answer->page = (const uint8_t *)self->page_bytes.data;
        answer->page_bytes = self->page_bytes.size;
    } else {
        (void)snprintf(answer->reason, sizeof answer->reason, "%.95s", fault.message);
    }
}

/* Both adapters end here; what they bring is read and handed on. */
static void on_end(wl_call_t *call, const wl_call_end_t *end, void *arg) {
    wl_caller_t *self = arg;
    slot_release(self, call); /* answered() may ask again */
    wl_answer_t answer = {.call_id = call->id,
                          .err = end->err,
                          .http_status = end->http_status,
                          .retry_after_ms = end->retry_after_ms,
                          .elapsed_ms = wl_mono_now().ms - call->started.ms,
                          .uids = call->uids,
                          .made_version = call->made_version,
                          .uid_count = call->uid_count};
    memcpy(answer.reason, end->reason, sizeof answer.reason);
    answer.body = end->err == WL_OK ? end->body : NULL;
    answer.body_bytes = end->err == WL_OK ? end->body_bytes : 0;
    if (end->err == WL_OK && call->kind == WL_CALL_ASSETS) {
        assets_read(self, call, end, &answer);
    } else if (end->err == WL_OK) {
        page_read(self, call, end, &answer);
    }
    self->answered(&answer, self->arg);
}

wl_caller_t *wl_caller_new(zloop_t *loop, const char *secrets_dir, wl_answer_fn answered,
                           void *arg) {
    WL_ASSERT(loop != NULL && answered != NULL);
    wl_caller_t *self = wl_alloc_zero(1, sizeof *self);
    self->answered = answered;
    self->arg = arg;
    self->secrets = wl_secrets_new(secrets_dir);
    self->reader = wl_answer_reader_new();
    self->pages = wl_page_reader_new();
    self->page = wl_alloc_zero(1, sizeof *self->page);
    msgpack_sbuffer_init(&self->page_bytes);
    self->http = wl_http_caller_new(loop, on_end, self);
    self->zmq = wl_zmq_caller_new(loop, on_end, self);
    for (uint32_t i = 0; i < WL_CALLS_MAX; i++) {
        self->free_slots[i] = (uint16_t)i;
    }
    return self;
}

void wl_caller_destroy(wl_caller_t **pointer) {
    wl_caller_t *self = pointer == NULL ? NULL : *pointer;
    if (self == NULL) {
        return;
    }
    wl_http_caller_destroy(&self->http);
    wl_zmq_caller_destroy(&self->zmq);
    wl_answer_reader_destroy(&self->reader);
    wl_page_reader_destroy(&self->pages);
    msgpack_sbuffer_destroy(&self->page_bytes);
    wl_free(self->page);
    wl_secrets_destroy(&self->secrets);
    wl_free(self);
    *pointer = NULL;
}

/* Microseconds of the pull's start, but always more than the call before: two pulls of one
 * millisecond keep their order, and so do pulls around a clock that was set back. */
static uint64_t version_make(wl_caller_t *self, wl_wall_ms_t pulled_at) {
    int64_t us = 0;
    if (pulled_at.ms < 0 || __builtin_mul_overflow(pulled_at.ms, (int64_t)1000, &us)) {
        us = 0;
    }
    uint64_t version = (uint64_t)us > self->last_version ? (uint64_t)us : self->last_version + 1;
    self->last_version = version;
    return version;
}

static wl_err_t adapter_start(wl_caller_t *self, wl_call_t *call, wl_call_key_t key) {
    switch (call->line.adapter) {
    case WL_ADAPTER_HTTP: return wl_http_caller_start(self->http, call, key);
    case WL_ADAPTER_ZMQ: return wl_zmq_caller_start(self->zmq, call, key);
    case WL_ADAPTER_NONE:
    case WL_ADAPTER_COUNT: break;
    }
    return WL_ERR_SETTINGS; /* a link: there is nobody to ask */
}

/* Takes the call over, or destroys it. */
static wl_err_t call_start(wl_caller_t *self, wl_call_t *call) {
    wl_call_key_t key = {NULL, 0};
    const char *secret = call->line.secret;
    wl_err_t err = self->in_flight == WL_CALLS_MAX ? WL_ERR_FULL
                   : wl_call_url(call) == NULL     ? WL_ERR_SETTINGS
                                                   : WL_OK;
    call->started = wl_mono_now();
    if (err == WL_OK && secret[0] != '\0') {
        err = wl_secrets_key(self->secrets, secret, call->started, &key.at, &key.bytes);
    }
    if (err == WL_OK) {
        call->slot = self->free_slots[WL_CALLS_MAX - 1 - self->in_flight];
        err = adapter_start(self, call, key);
    }
    if (err != WL_OK) {
        wl_call_destroy(&call);
        return err;
    }
    self->calls[call->slot] = call;
    self->in_flight++;
    return WL_OK;
}

wl_err_t wl_caller_ask(wl_caller_t *self, const wl_line_t *line, const uint64_t *uids,
                       uint32_t uid_count, uint64_t call_id, wl_wall_ms_t pulled_at,
                       uint32_t url_index) {
    wl_call_t *call = wl_call_new(line, uids, uid_count);
    call->kind = WL_CALL_ASSETS;
    call->id = call_id;
    call->url_index = url_index;
    call->pulled_at = pulled_at;
    wl_err_t err = call_start(self, call);
    if (err == WL_OK) {
        call->made_version = version_make(self, pulled_at);
    }
    return err;
}

wl_err_t wl_caller_page(wl_caller_t *self, const wl_line_t *line, const wl_page_ask_t *ask,
                        uint64_t call_id) {
    if (ask->uid == 0 || ask->cursor_bytes > WL_LINE_CURSOR_MAX) {
        return WL_ERR_BAD_REQUEST; /* no bug of ours: another host may have asked */
    }
    wl_call_t *call = wl_call_new(line, &ask->uid, 1);
    call->kind = ask->kind == WL_PAGE_DETAILS ? WL_CALL_DETAILS : WL_CALL_SUMMARY;
    call->id = call_id;
    call->url_index = ask->url_index;
    memcpy(call->month, ask->month, sizeof call->month);
    if (call->kind == WL_CALL_DETAILS) {
        bool given = ask->limit >= 1 && ask->limit <= WL_DETAILS_MAX;
        call->limit = given ? ask->limit : WL_DETAILS_MAX;
        call->cursor_bytes = (uint32_t)ask->cursor_bytes;
        if (ask->cursor_bytes > 0) {
            memcpy(call->cursor, ask->cursor, ask->cursor_bytes);
        }
    }
    return call_start(self, call);
}

bool wl_caller_cancel(wl_caller_t *self, uint64_t call_id) {
    wl_call_t *call = NULL;
    for (uint32_t i = 0; i < WL_CALLS_MAX && call == NULL; i++) {
        bool meant = self->calls[i] != NULL && self->calls[i]->id == call_id;
        call = meant ? self->calls[i] : NULL;
    }
    if (call == NULL) {
        return false;
    }
    slot_release(self, call);
    if (call->line.adapter == WL_ADAPTER_HTTP) {
        wl_http_caller_cancel(self->http, call);
    } else {
        wl_zmq_caller_cancel(self->zmq, call);
    }
    return true;
}

uint32_t wl_caller_in_flight(const wl_caller_t *self) {
    return self->in_flight;
}
