#include "zmq_line.h"

#include "base/actor.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "details_json.h"
#include "lines/sign.h"
#include "proto/args.h"
#include "wire.h"

#include <inttypes.h>
#include <msgpack.h>
#include <string.h>

enum {
    HUGE_BYTES = 100000000,
    TURN_CALLS = 64, /* taken from one line before others get their turn */
    LATE_MAX = 4096, /* answers waiting at once; more are dropped */
    TEXT_MAX = WL_PULL_UIDS_MAX * 21,
};

/* An answer that waits, if only for the end of the turn: what comes together is under way
 * together. */
typedef struct {
    int64_t due_ms;
    zsock_t *router; /* borrowed */
    zmsg_t *message; /* owned */
    sim_call_t call;
} late_t;

typedef struct {
    sim_t *sim;
    zsock_t *routers[SIM_LINES_MAX];
    late_t late[LATE_MAX];
    uint32_t late_count;
} zmq_lines_t;

static void pack_text(msgpack_packer *pack, const char *text) {
    size_t bytes = strlen(text);
    msgpack_pack_str(pack, bytes);
    msgpack_pack_str_body(pack, text, bytes);
}

static void pack_asset(msgpack_packer *pack, const wl_asset_t *asset, sim_fault_t fault) {
    msgpack_pack_map(pack, 11);
    pack_text(pack, "uid");
    msgpack_pack_uint64(pack, asset->uid);
    pack_text(pack, "version");
    msgpack_pack_uint64(pack, asset->version);
    pack_text(pack, "kind");
    pack_text(pack, wl_kind_name((wl_kind_t)asset->kind));
    pack_text(pack, "amount");
    if (fault == SIM_FAULT_LIE_FLOAT) {
        msgpack_pack_double(pack, (double)asset->amount + 0.5);
    } else if (fault == SIM_FAULT_LIE_BIG) {
        msgpack_pack_uint64(pack, UINT64_MAX);
    } else {
        msgpack_pack_int64(pack, asset->amount);
    }
    pack_text(pack, "pending");
    msgpack_pack_int64(pack, asset->pending);
    pack_text(pack, "unit");
    pack_text(pack, asset->unit);
    pack_text(pack, "scale");
    msgpack_pack_uint8(pack, asset->scale);
    pack_text(pack, "count");
    msgpack_pack_uint32(pack, asset->count);
    pack_text(pack, "state");
    pack_text(pack, wl_state_name((wl_state_t)asset->state));
    pack_text(pack, "expires_at");
    msgpack_pack_int64(pack, asset->expires_at);
    pack_text(pack, "changed_at");
    msgpack_pack_int64(pack, asset->changed_at);
}

/* What one call asks. */
typedef struct {
    uint64_t msgid;
    const msgpack_object *args;
    sim_what_t what;
    uint32_t count;
    uint64_t uids[WL_PULL_UIDS_MAX];
    question_t question; /* of details and summary */
} request_t;

static bool method_read(const msgpack_object *method, sim_what_t *ret) {
    char text[16];
    if (wl_value_text(method, text, sizeof text - 1) != WL_OK) {
        return false;
    }
    for (unsigned i = 0; i < SIM_WHAT_COUNT; i++) {
        if (strcmp(text, sim_what_name((sim_what_t)i)) == 0) {
            *ret = (sim_what_t)i;
            return true;
        }
    }
    return false;
}

static bool uids_read(request_t *request) {
    const msgpack_object *uids = NULL;
    if (wl_args_array(request->args, "uids", WL_PULL_UIDS_MAX, &uids, NULL) != WL_OK) {
        return false;
    }
    request->count = uids->via.array.size;
    for (uint32_t i = 0; i < request->count; i++) {
        if (wl_value_u64(&uids->via.array.ptr[i], &request->uids[i]) != WL_OK) {
            return false;
        }
    }
    return true;
}

static bool given(wl_err_t err) {
    return err == WL_OK || err == WL_ERR_NOT_FOUND;
}

static bool question_read(request_t *request) {
    question_t *question = &request->question;
    uint64_t limit = 0;
    question->what = request->what;
    if (wl_args_uid(request->args, "uid", &question->uid, NULL) != WL_OK ||
        !given(wl_args_text(request->args, "month", question->month, QUESTION_MONTH_MAX, NULL)) ||
        !given(
            wl_args_text(request->args, "cursor", question->cursor, QUESTION_CURSOR_MAX, NULL)) ||
        !given(wl_args_u64(request->args, "limit", &limit, NULL))) {
        return false;
    }
    question->limit = limit > UINT32_MAX ? UINT32_MAX : (uint32_t)limit;
    request->uids[0] = question->uid;
    request->count = 1;
    return true;
}

/* Reads [0, msgid, "assets", [{"uids": [...], ...}]], or "details" and "summary" with uid, month,
 * cursor and limit. false: something else. */
static bool request_read(const msgpack_object *body, request_t *ret) {
    if (body->type != MSGPACK_OBJECT_ARRAY || body->via.array.size != 4) {
        return false;
    }
    const msgpack_object *at = body->via.array.ptr;
    if (at[3].type != MSGPACK_OBJECT_ARRAY || at[3].via.array.size != 1 ||
        wl_value_u64(&at[1], &ret->msgid) != WL_OK || !method_read(&at[2], &ret->what)) {
        return false;
    }
    ret->args = at[3].via.array.ptr;
    if (ret->args->type != MSGPACK_OBJECT_MAP) {
        return false;
    }
    return ret->what == SIM_ASSETS ? uids_read(ret) : question_read(ret);
}

/* What is signed of the call, see lines/sign.h; returns its bytes. */
static size_t signed_text(const request_t *request, char text[TEXT_MAX + 1]) {
    const question_t *question = &request->question;
    size_t used = 0;
    if (request->what == SIM_SUMMARY) {
        return (size_t)snprintf(text, TEXT_MAX + 1, "%" PRIu64 "\n%s", question->uid,
                                question->month);
    }
    if (request->what == SIM_DETAILS) {
        char limit[16] = "";
        if (question->limit > 0) {
            (void)snprintf(limit, sizeof limit, "%" PRIu32, question->limit);
        }
        return (size_t)snprintf(text, TEXT_MAX + 1, "%" PRIu64 "\n%s\n%s\n%s", question->uid,
                                question->month, question->cursor, limit);
    }
    for (uint32_t i = 0; i < request->count; i++) {
        used += (size_t)snprintf(text + used, TEXT_MAX + 1 - used, "%s%" PRIu64, i == 0 ? "" : ",",
                                 request->uids[i]);
    }
    return used;
}

/* Is the call signed as lines/sign.h says? */
static bool call_signed(sim_t *sim, const sim_line_t *line, const request_t *call) {
    char time[32];
    char nonce[65];
    char signature[65];
    char body[TEXT_MAX + 1] = "";
    char expected[65];
    if (wl_args_text(call->args, "time", time, sizeof time - 1, NULL) != WL_OK ||
        wl_args_text(call->args, "nonce", nonce, sizeof nonce - 1, NULL) != WL_OK ||
        wl_args_text(call->args, "signature", signature, sizeof signature - 1, NULL) != WL_OK) {
        return false;
    }
    wl_sign_request_t request = {.method = "ZMQ",
                                 .path = sim_what_name(call->what),
                                 .query = "",
                                 .time = time,
                                 .nonce = nonce,
                                 .body = body,
                                 .body_bytes = signed_text(call, body)};
    wl_sign(sim->secret, strlen(sim->secret), &request, expected);
    return strcmp(expected, signature) == 0 && sim_call_in_time(sim, line, time);
}

/* [1, msgid, {code, message, retryable, retry_after_ms?}, nil] */
static void error_pack(msgpack_packer *pack, const char *code, bool retryable,
                       int64_t retry_after_ms) {
    msgpack_pack_map(pack, retry_after_ms > 0 ? 4 : 3);
    pack_text(pack, "code");
    pack_text(pack, code);
    pack_text(pack, "message");
    pack_text(pack, "injected");
    pack_text(pack, "retryable");
    if (retryable) {
        msgpack_pack_true(pack);
    } else {
        msgpack_pack_false(pack);
    }
    if (retry_after_ms > 0) {
        pack_text(pack, "retry_after_ms");
        msgpack_pack_int64(pack, retry_after_ms);
    }
    msgpack_pack_nil(pack);
}

static void assets_pack(zmq_lines_t *self, const sim_call_t *call, const request_t *request,
                        msgpack_packer *pack) {
    wl_asset_t assets[WL_PULL_UIDS_MAX];
    uint32_t owned = 0;
    (void)pthread_mutex_lock(&self->sim->lock);
    for (uint32_t i = 0; call->fault != SIM_FAULT_EMPTY && i < request->count; i++) {
        owned += sim_asset(self->sim, call->line, request->uids[i], &assets[owned]);
    }
    (void)pthread_mutex_unlock(&self->sim->lock);
    msgpack_pack_nil(pack);
    msgpack_pack_map(pack, 1);
    pack_text(pack, "assets");
    msgpack_pack_array(pack, owned);
    for (uint32_t i = 0; i < owned; i++) {
        sim_call_twist(call, &assets[i]);
        pack_asset(pack, &assets[i], call->fault);
    }
}

static void question_pack(zmq_lines_t *self, const sim_call_t *call, const request_t *request,
                          msgpack_packer *pack) {
    json_t *document = NULL;
    wl_err_t err = details_answer(self->sim, call, &request->question, &document);
    if (err == WL_OK) {
        msgpack_pack_nil(pack);
        details_pack(pack, document);
        json_decref(document);
    } else {
        error_pack(pack, wl_err_wire_code(err), false, 0);
    }
}

/* [1, msgid, error, result] */
static void answer_pack(zmq_lines_t *self, const sim_call_t *call, const request_t *request,
                        msgpack_sbuffer *into) {
    msgpack_packer pack;
    msgpack_packer_init(&pack, into, msgpack_sbuffer_write);
    msgpack_pack_array(&pack, 4);
    msgpack_pack_uint8(&pack, 1);
    msgpack_pack_uint64(&pack, request->msgid);
    if (call->fault == SIM_FAULT_ERROR) {
        error_pack(&pack, "internal", true, 0);
    } else if (call->fault == SIM_FAULT_UNAVAILABLE) {
        error_pack(&pack, "unavailable", true, 0);
    } else if (call->fault == SIM_FAULT_BUSY) {
        error_pack(&pack, "busy", true, call->ms);
    } else if (request->what == SIM_ASSETS) {
        assets_pack(self, call, request, &pack);
    } else {
        question_pack(self, call, request, &pack);
    }
}

/* Takes the message; it leaves at the end of the turn, or later when the line is slow. */
static void answer_send(zmq_lines_t *self, zsock_t *router, zmsg_t *message,
                        const sim_call_t *call) {
    int64_t delay_ms = self->sim->latency_ms + (call->fault == SIM_FAULT_SLOW ? call->ms : 0);
    if (self->late_count == LATE_MAX) {
        sim_call_end(self->sim, call);
        zmsg_destroy(&message);
        return;
    }
    self->late[self->late_count++] = (late_t){
        .due_ms = wl_mono_now().ms + delay_ms, .router = router, .message = message, .call = *call};
}

static void late_send(zmq_lines_t *self) {
    int64_t now = wl_mono_now().ms;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < self->late_count; i++) {
        late_t *late = &self->late[i];
        if (late->due_ms <= now) {
            sim_call_end(self->sim, &late->call);
            (void)zmsg_send(&late->message, late->router);
            zmsg_destroy(&late->message); /* the caller is gone: it is still ours */
        } else {
            self->late[kept++] = *late;
        }
    }
    self->late_count = kept;
}

/* The answer as bytes, or nothing: the line hangs. */
static void answer_build(zmq_lines_t *self, const sim_call_t *call, const request_t *request,
                         msgpack_sbuffer *answer) {
    if (call->fault == SIM_FAULT_GARBAGE) {
        (void)msgpack_sbuffer_write(answer, "\xc1\xff\xdf garbage", 12);
    } else if (call->fault != SIM_FAULT_HANG && call->fault != SIM_FAULT_HUGE) {
        answer_pack(self, call, request, answer);
        answer->size -= call->fault == SIM_FAULT_TRUNCATED ? answer->size / 2 : 0;
    }
}

/* [1, msgid, {code: unauthorized}, nil], and no call. */
static void refusal_pack(zmq_lines_t *self, sim_line_t *line, const request_t *request,
                         msgpack_sbuffer *into) {
    (void)pthread_mutex_lock(&self->sim->lock);
    line->calls.unsigned_calls++;
    (void)pthread_mutex_unlock(&self->sim->lock);
    msgpack_packer pack;
    msgpack_packer_init(&pack, into, msgpack_sbuffer_write);
    msgpack_pack_array(&pack, 4);
    msgpack_pack_uint8(&pack, 1);
    msgpack_pack_uint64(&pack, request->msgid);
    error_pack(&pack, "unauthorized", false, 0);
}

/* Answers what was read; takes the message. */
static void serve_request(zmq_lines_t *self, uint32_t index, const request_t *request,
                          zmsg_t *message) {
    sim_line_t *line = &self->sim->lines[index];
    zframe_t *body = zmsg_last(message);
    msgpack_sbuffer answer;
    msgpack_sbuffer_init(&answer);
    if (self->sim->secret != NULL && !call_signed(self->sim, line, request)) {
        refusal_pack(self, line, request, &answer);
        zframe_reset(body, answer.data, answer.size);
        (void)zmsg_send(&message, self->routers[index]);
        zmsg_destroy(&message);
        msgpack_sbuffer_destroy(&answer);
        return;
    }
    sim_asked_t asked = {
        .what = request->what, .uids = request->uids, .uid_count = request->count, .fd = -1};
    sim_call_t call = sim_call_begin(self->sim, line, &asked);
    answer_build(self, &call, request, &answer);
    if (call.fault == SIM_FAULT_HUGE) {
        zframe_t *huge = zframe_new(NULL, HUGE_BYTES); /* fresh pages, which nobody touches */
        zmsg_remove(message, body);
        zframe_destroy(&body);
        (void)zmsg_append(message, &huge);
        answer_send(self, self->routers[index], message, &call);
    } else if (answer.size > 0) {
        zframe_reset(body, answer.data, answer.size);
        answer_send(self, self->routers[index], message, &call);
    } else {
        zmsg_destroy(&message); /* under way until its caller gives up */
        if (line->give_up_ms == 0) {
            sim_call_end(self->sim, &call);
        }
    }
    msgpack_sbuffer_destroy(&answer);
}

static void serve(zmq_lines_t *self, uint32_t index) {
    zmsg_t *message = zmsg_recv(self->routers[index]);
    zframe_t *body = message == NULL ? NULL : zmsg_last(message);
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    request_t request = {.count = 0};
    if (body != NULL &&
        msgpack_unpack_next(&unpacked, (const char *)zframe_data(body), zframe_size(body), NULL) ==
            MSGPACK_UNPACK_SUCCESS &&
        request_read(&unpacked.data, &request)) {
        serve_request(self, index, &request, message);
    } else {
        zmsg_destroy(&message);
    }
    msgpack_unpacked_destroy(&unpacked);
}

static bool routers_open(zmq_lines_t *self) {
    for (uint32_t i = 0; i < self->sim->line_count; i++) {
        uint16_t port = self->sim->lines[i].zmq_port;
        if (port == 0) {
            continue;
        }
        self->routers[i] = zsock_new(ZMQ_ROUTER);
        zsock_set_maxmsgsize(self->routers[i], 1 << 20);
        zsock_set_sndtimeo(self->routers[i], 0);
        char address[WIRE_ADDRESS_BYTES];
        wire_address(port, address);
        if (zsock_bind(self->routers[i], "ipc://%s", address) == -1) {
            return false;
        }
    }
    return true;
}

static void serve_until_term(zmq_lines_t *self, zsock_t *pipe) {
    zpoller_t *poller = zpoller_new(pipe, NULL);
    for (uint32_t i = 0; i < self->sim->line_count; i++) {
        if (self->routers[i] != NULL) {
            (void)zpoller_add(poller, self->routers[i]);
        }
    }
    for (void *ready = NULL; ready != pipe; ready = zpoller_wait(poller, 10)) {
        for (uint32_t i = 0; i < self->sim->line_count; i++) {
            for (int turn = 0; turn < TURN_CALLS && self->routers[i] != NULL &&
                               (zsock_events(self->routers[i]) & ZMQ_POLLIN) != 0;
                 turn++) {
                serve(self, i);
            }
        }
        late_send(self);
    }
    zpoller_destroy(&poller);
}

void zmq_lines_run(zsock_t *pipe, void *arg) {
    wl_boot_t *boot = arg;
    zmq_lines_t *self = wl_alloc_zero(1, sizeof *self);
    self->sim = *(sim_t *const *)boot->options;
    bool good = routers_open(self);
    boot->status = good ? WL_OK : WL_ERR_BIND;
    (void)zsock_signal(pipe, 0);
    if (good) {
        serve_until_term(self, pipe);
    }
    for (uint32_t i = 0; i < self->late_count; i++) {
        zmsg_destroy(&self->late[i].message);
    }
    for (uint32_t i = 0; i < SIM_LINES_MAX; i++) {
        zsock_destroy(&self->routers[i]);
    }
    wl_free(self);
}
