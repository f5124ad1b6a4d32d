#include "zmq_line.h"

#include "base/actor.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "lines/sign.h"
#include "proto/args.h"

#include <inttypes.h>
#include <msgpack.h>
#include <string.h>

enum {
    HUGE_BYTES = 100000000,
    SLOW_MS = 3000,
    LATE_MAX = 4096, /* answers held back at once; more are dropped */
};

/* An answer that is held back. */
typedef struct {
    int64_t due_ms;
    zsock_t *router;
    zmsg_t *message;
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
    msgpack_pack_uint64(pack, fault == SIM_FAULT_LIE_USER ? asset->uid + 1000000 : asset->uid);
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
    uint32_t count;
    uint64_t uids[WL_PULL_UIDS_MAX];
} call_t;

/* Reads [0, msgid, "assets", [{"uids": [...], ...}]]. false: something else. */
static bool call_read(const msgpack_object *request, call_t *ret) {
    const msgpack_object *uids = NULL;
    if (request->type != MSGPACK_OBJECT_ARRAY || request->via.array.size != 4) {
        return false;
    }
    const msgpack_object *at = request->via.array.ptr;
    if (at[3].type != MSGPACK_OBJECT_ARRAY || at[3].via.array.size != 1 ||
        wl_value_u64(&at[1], &ret->msgid) != WL_OK) {
        return false;
    }
    ret->args = at[3].via.array.ptr;
    if (ret->args->type != MSGPACK_OBJECT_MAP ||
        wl_args_array(ret->args, "uids", WL_PULL_UIDS_MAX, &uids, NULL) != WL_OK) {
        return false;
    }
    ret->count = uids->via.array.size;
    for (uint32_t i = 0; i < ret->count; i++) {
        if (wl_value_u64(&uids->via.array.ptr[i], &ret->uids[i]) != WL_OK) {
            return false;
        }
    }
    return true;
}

/* Is the call signed as lines/sign.h says? */
static bool call_signed(const sim_t *sim, const call_t *call) {
    char time[32];
    char nonce[65];
    char signature[65];
    char body[WL_PULL_UIDS_MAX * 21 + 1] = "";
    char expected[65];
    if (wl_args_text(call->args, "time", time, sizeof time - 1, NULL) != WL_OK ||
        wl_args_text(call->args, "nonce", nonce, sizeof nonce - 1, NULL) != WL_OK ||
        wl_args_text(call->args, "signature", signature, sizeof signature - 1, NULL) != WL_OK) {
        return false;
    }
    size_t used = 0;
    for (uint32_t i = 0; i < call->count; i++) {
        used += (size_t)snprintf(body + used, sizeof body - used, "%s%" PRIu64, i == 0 ? "" : ",",
                                 call->uids[i]);
    }
    wl_sign_request_t request = {.method = "ZMQ",
                                 .path = "assets",
                                 .query = "",
                                 .time = time,
                                 .nonce = nonce,
                                 .body = body,
                                 .body_bytes = used};
    wl_sign(sim->secret, strlen(sim->secret), &request, expected);
    return strcmp(expected, signature) == 0;
}

/* [1, msgid, nil, {"assets": [...]}] for the users of the call. */
static void answer_pack(zmq_lines_t *self, const sim_line_t *line, const call_t *call,
                        sim_fault_t fault, msgpack_sbuffer *into) {
    msgpack_packer pack;
    msgpack_packer_init(&pack, into, msgpack_sbuffer_write);
    msgpack_pack_array(&pack, 4);
    msgpack_pack_uint8(&pack, 1);
    msgpack_pack_uint64(&pack, call->msgid);
    if (fault == SIM_FAULT_ERROR) {
        pack_text(&pack, "injected");
        msgpack_pack_nil(&pack);
        return;
    }
    wl_asset_t assets[WL_PULL_UIDS_MAX];
    uint32_t owned = 0;
    (void)pthread_mutex_lock(&self->sim->lock);
    for (uint32_t i = 0; fault != SIM_FAULT_EMPTY && i < call->count; i++) {
        owned += sim_asset(self->sim, line, call->uids[i], &assets[owned]);
    }
    (void)pthread_mutex_unlock(&self->sim->lock);
    msgpack_pack_nil(&pack);
    msgpack_pack_map(&pack, 1);
    pack_text(&pack, "assets");
    msgpack_pack_array(&pack, owned);
    for (uint32_t i = 0; i < owned; i++) {
        pack_asset(&pack, &assets[i], fault);
    }
}

/* Sends now, or later when the line is slow. Takes the message. */
static void answer_send(zmq_lines_t *self, zsock_t *router, zmsg_t *message, int64_t delay_ms) {
    if (delay_ms == 0) {
        (void)zmsg_send(&message, router);
    } else if (self->late_count < LATE_MAX) {
        self->late[self->late_count++] =
            (late_t){.due_ms = wl_mono_now().ms + delay_ms, .router = router, .message = message};
        return;
    }
    zmsg_destroy(&message);
}

static void late_send(zmq_lines_t *self) {
    int64_t now = wl_mono_now().ms;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < self->late_count; i++) {
        if (self->late[i].due_ms <= now) {
            (void)zmsg_send(&self->late[i].message, self->late[i].router);
        } else {
            self->late[kept++] = self->late[i];
        }
    }
    self->late_count = kept;
}

/* The answer as bytes, or nothing: the line hangs. */
static void answer_build(zmq_lines_t *self, sim_line_t *line, const call_t *call, sim_fault_t fault,
                         msgpack_sbuffer *answer) {
    if (fault == SIM_FAULT_GARBAGE) {
        (void)msgpack_sbuffer_write(answer, "\xc1\xff\xdf garbage", 12);
    } else if (fault == SIM_FAULT_HUGE) {
        char *huge = wl_alloc_zero(1, HUGE_BYTES);
        (void)msgpack_sbuffer_write(answer, huge, HUGE_BYTES);
        wl_free(huge);
    } else if (fault != SIM_FAULT_HANG) {
        answer_pack(self, line, call, fault, answer);
    }
}

static sim_fault_t call_judge(zmq_lines_t *self, sim_line_t *line, const call_t *call) {
    sim_fault_t fault = sim_call_begin(self->sim, line, call->count);
    sim_call_end(self->sim, line);
    if (self->sim->secret != NULL && !call_signed(self->sim, call)) {
        (void)pthread_mutex_lock(&self->sim->lock);
        line->unsigned_calls++;
        (void)pthread_mutex_unlock(&self->sim->lock);
        fault = SIM_FAULT_ERROR;
    }
    return fault;
}

static void serve(zmq_lines_t *self, uint32_t index) {
    sim_line_t *line = &self->sim->lines[index];
    zmsg_t *message = zmsg_recv(self->routers[index]);
    zframe_t *body = message == NULL ? NULL : zmsg_last(message);
    msgpack_unpacked request;
    msgpack_unpacked_init(&request);
    msgpack_sbuffer answer;
    msgpack_sbuffer_init(&answer);
    call_t call = {0};
    sim_fault_t fault = SIM_FAULT_HANG;
    if (body != NULL &&
        msgpack_unpack_next(&request, (const char *)zframe_data(body), zframe_size(body), NULL) ==
            MSGPACK_UNPACK_SUCCESS &&
        call_read(&request.data, &call)) {
        fault = call_judge(self, line, &call);
        answer_build(self, line, &call, fault, &answer);
    }
    if (answer.size > 0) {
        zframe_reset(body, answer.data, answer.size);
        answer_send(self, self->routers[index], message,
                    self->sim->latency_ms + (fault == SIM_FAULT_SLOW ? SLOW_MS : 0));
    } else {
        zmsg_destroy(&message);
    }
    msgpack_unpacked_destroy(&request);
    msgpack_sbuffer_destroy(&answer);
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
        if (zsock_bind(self->routers[i], "tcp://127.0.0.1:%u", port) == -1) {
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
            for (int turn = 0; turn < 64 && self->routers[i] != NULL &&
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
