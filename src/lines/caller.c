#include "lines/caller.h"

#include "base/alloc.h"
#include "base/check.h"
#include "lines/answer.h"
#include "lines/http_caller.h"
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
    uint64_t last_version;             /* made for the call before, microseconds */
    uint32_t in_flight;                /* calls under way */
    uint16_t free_slots[WL_CALLS_MAX]; /* the first WL_CALLS_MAX - in_flight are free */
};

static void slot_release(wl_caller_t *self, const wl_call_t *call) {
    WL_ASSERT(self->in_flight > 0);
    self->in_flight--;
    self->free_slots[WL_CALLS_MAX - 1 - self->in_flight] = (uint16_t)call->slot;
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
    if (end->err == WL_OK && call->line.adapter == WL_ADAPTER_ZMQ) {
        answer.err = wl_answer_read_msgpack(self->reader, &call->line, call->pulled_at, end->body,
                                            end->body_bytes, &answer);
    } else if (end->err == WL_OK) {
        answer.err = wl_answer_read_json(self->reader, &call->line, call->pulled_at, end->body,
                                         end->body_bytes, &answer);
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

static wl_err_t call_start(wl_caller_t *self, wl_call_t *call, wl_call_key_t key) {
    switch (call->line.adapter) {
    case WL_ADAPTER_HTTP: return wl_http_caller_start(self->http, call, key);
    case WL_ADAPTER_ZMQ: return wl_zmq_caller_start(self->zmq, call, key);
    case WL_ADAPTER_NONE:
    case WL_ADAPTER_COUNT: break;
    }
    return WL_ERR_SETTINGS; /* a link: there is nobody to ask */
}

wl_err_t wl_caller_ask(wl_caller_t *self, const wl_line_t *line, const uint64_t *uids,
                       uint32_t uid_count, uint64_t call_id, wl_wall_ms_t pulled_at) {
    WL_ASSERT(uid_count >= 1 && uid_count <= WL_PULL_UIDS_MAX);
    wl_call_key_t key = {NULL, 0};
    wl_mono_ms_t now = wl_mono_now();
    if (self->in_flight == WL_CALLS_MAX) {
        return WL_ERR_FULL;
    }
    if (line->secret[0] != '\0') {
        wl_err_t err = wl_secrets_key(self->secrets, line->secret, now, &key.at, &key.bytes);
        if (err != WL_OK) {
            return err;
        }
    }
    wl_call_t *call = wl_call_new(line, uids, uid_count);
    call->id = call_id;
    call->pulled_at = pulled_at;
    call->started = now;
    call->slot = self->free_slots[WL_CALLS_MAX - 1 - self->in_flight];
    wl_err_t err = call_start(self, call, key);
    if (err != WL_OK) {
        wl_call_destroy(&call);
        return err;
    }
    call->made_version = version_make(self, pulled_at);
    self->in_flight++;
    return WL_OK;
}

uint32_t wl_caller_in_flight(const wl_caller_t *self) {
    return self->in_flight;
}
