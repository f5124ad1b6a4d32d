#include "tools/walletbench/fleet.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/slot.h"
#include "tools/walletbench/bench.h"

#include <string.h>
#include <zmq.h>

enum {
    STALL_MS = 5000, /* no reply for so long ends the benchmark */
    FLEET_HWM = 100000,
    MSGID_AT = 3, /* where the four bytes of the msgid begin */
    UID_AT = 26,  /* where the eight bytes of the uid begin */
    REQUEST_BYTES = UID_AT + 8,
};

/* [0, msgid as u32, "wallet.home", [{"uid": u64}]]: numbers have fixed places. */
static const uint8_t request_form[REQUEST_BYTES] = {
    0x94, 0x00, 0xce, 0,   0,   0,   0,    0xab, 'w',  'a', 'l', 'l', 'e',
    't',  '.',  'h',  'o', 'm', 'e', 0x91, 0x81, 0xa3, 'u', 'i', 'd', 0xcf};

typedef struct {
    void *socket;     /* owned DEALER */
    uint32_t waiting; /* requests under way */
} client_t;

struct bench_fleet {
    void *context;         /* owned */
    client_t *clients;     /* owned */
    zmq_pollitem_t *items; /* owned: a socket each */
    uint8_t *flying;       /* [msgid]: this request waits for its reply */
    uint32_t client_count;
    uint32_t window;
    uint64_t uid_first; /* users of the run */
    uint64_t uid_count;
    uint64_t asked;       /* requests of the run */
    uint64_t ask_max;     /* of the run, 0 = until the time is over */
    uint64_t replies;     /* since opening */
    uint64_t reply_bytes; /* since opening */
    uint64_t random;      /* picks users */
    bool over;            /* no new requests */
};

bench_fleet_t *bench_fleet_open(const char *endpoint, uint32_t clients, uint32_t window) {
    WL_ASSERT(clients * window <= 65536);
    bench_fleet_t *self = wl_alloc_zero(1, sizeof *self);
    self->context = zmq_ctx_new();
    self->clients = wl_alloc_zero(clients, sizeof *self->clients);
    self->items = wl_alloc_zero(clients, sizeof *self->items);
    self->flying = wl_alloc_zero((size_t)clients * window, 1);
    self->client_count = clients;
    self->window = window;
    self->random = wl_random_u64();
    int hwm = FLEET_HWM;
    int linger = 0;
    for (uint32_t i = 0; i < clients; i++) {
        void *socket = zmq_socket(self->context, ZMQ_DEALER);
        WL_ASSERT(socket != NULL);
        (void)zmq_setsockopt(socket, ZMQ_SNDHWM, &hwm, sizeof hwm);
        (void)zmq_setsockopt(socket, ZMQ_RCVHWM, &hwm, sizeof hwm);
        (void)zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
        if (zmq_connect(socket, endpoint) == -1) {
            bench_fail("%s: %s", endpoint, zmq_strerror(zmq_errno()));
        }
        self->clients[i].socket = socket;
        self->items[i] = (zmq_pollitem_t){.socket = socket, .events = ZMQ_POLLIN};
    }
    return self;
}

void bench_fleet_close(bench_fleet_t **self) {
    if (*self == NULL) {
        return;
    }
    for (uint32_t i = 0; i < (*self)->client_count; i++) {
        (void)zmq_close((*self)->clients[i].socket);
    }
    (void)zmq_ctx_term((*self)->context);
    wl_free((*self)->clients);
    wl_free((*self)->items);
    wl_free((*self)->flying);
    wl_free(*self);
    *self = NULL;
}

static void bytes_put(uint8_t *at, uint64_t number, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++) {
        at[i] = (uint8_t)(number >> (8 * (bytes - 1 - i)));
    }
}

/* A number in any of its unsigned encodings. */
static uint64_t number_take(const uint8_t *at, size_t left, size_t *ret_bytes) {
    unsigned width = left == 0 || at[0] < 0x80        ? 0
                     : at[0] >= 0xcc && at[0] <= 0xcf ? 1u << (at[0] - 0xcc)
                                                      : 99;
    if (left < 1 + width) {
        bench_fail("a reply without a msgid");
    }
    uint64_t number = width == 0 ? at[0] : 0;
    for (unsigned i = 0; i < width; i++) {
        number = number << 8 | at[1 + i];
    }
    *ret_bytes = 1 + width;
    return number;
}

static uint64_t fleet_pick(bench_fleet_t *self) {
    if (self->ask_max > 0) {
        return self->uid_first + self->asked;
    }
    self->random += 0x9e3779b97f4a7c15u; /* the step of splitmix64 */
    return self->uid_first + wl_mix64(self->random) % self->uid_count;
}

/* The msgid is the place of the request: client * window + number. */
static void fleet_ask(bench_fleet_t *self, uint32_t client, uint32_t msgid) {
    if (self->over || (self->ask_max > 0 && self->asked >= self->ask_max)) {
        return;
    }
    uint8_t body[REQUEST_BYTES];
    memcpy(body, request_form, sizeof body);
    bytes_put(body + MSGID_AT, msgid, 4);
    bytes_put(body + UID_AT, fleet_pick(self), 8);
    void *socket = self->clients[client].socket;
    if (zmq_send(socket, "", 0, ZMQ_SNDMORE) == -1 ||
        zmq_send(socket, body, sizeof body, 0) == -1) {
        bench_fail("a request cannot be sent: %s", zmq_strerror(zmq_errno()));
    }
    self->asked++;
    self->flying[msgid] = 1;
    self->clients[client].waiting++;
}

static uint32_t fleet_check(bench_fleet_t *self, const uint8_t *bytes, size_t count) {
    if (count < 4 || bytes[0] != 0x94 || bytes[1] != 0x01) {
        bench_fail("something came that is no reply");
    }
    size_t used = 0;
    uint64_t msgid = number_take(bytes + 2, count - 2, &used);
    if (msgid >= (uint64_t)self->client_count * self->window || self->flying[msgid] == 0) {
        bench_fail("a reply to a question that nobody asked");
    }
    if (count <= 2 + used || bytes[2 + used] != 0xc0) {
        bench_fail("an error reply: %.*s", (int)(count > 80 ? 80 : count), (const char *)bytes);
    }
    self->flying[msgid] = 0;
    self->replies++;
    self->reply_bytes += count;
    return (uint32_t)msgid;
}

/* Takes what has come and asks again at once. */
static void fleet_serve(bench_fleet_t *self, uint32_t client) {
    zmq_msg_t body;
    (void)zmq_msg_init(&body);
    while (self->clients[client].waiting > 0 &&
           zmq_msg_recv(&body, self->clients[client].socket, ZMQ_DONTWAIT) != -1) {
        if (zmq_msg_more(&body)) {
            continue;
        }
        uint32_t msgid = fleet_check(self, zmq_msg_data(&body), zmq_msg_size(&body));
        self->clients[client].waiting--;
        fleet_ask(self, client, msgid);
    }
    (void)zmq_msg_close(&body);
}

static uint32_t fleet_waiting(const bench_fleet_t *self) {
    uint32_t waiting = 0;
    for (uint32_t i = 0; i < self->client_count; i++) {
        waiting += self->clients[i].waiting;
    }
    return waiting;
}

static double fleet_go(bench_fleet_t *self, uint32_t ms) {
    uint64_t before = self->replies;
    self->asked = 0;
    self->over = false;
    uint64_t begun = wl_mono_ns();
    for (uint32_t i = 0; i < self->client_count * self->window; i++) {
        fleet_ask(self, i / self->window, i);
    }
    uint64_t measured = 0;
    uint64_t measured_ns = 1;
    while (fleet_waiting(self) > 0) {
        if (zmq_poll(self->items, (int)self->client_count, STALL_MS) <= 0) {
            bench_fail("no reply within %d ms, %u under way", STALL_MS, fleet_waiting(self));
        }
        for (uint32_t i = 0; i < self->client_count; i++) {
            if ((self->items[i].revents & ZMQ_POLLIN) != 0) {
                fleet_serve(self, i);
            }
        }
        if (!self->over) { /* the tail, with ever fewer under way, does not count */
            measured = self->replies - before;
            measured_ns = wl_mono_ns() - begun;
            self->over = ms > 0 && measured_ns >= (uint64_t)ms * 1000000u;
        }
    }
    return (double)measured * 1e9 / (double)measured_ns;
}

double bench_fleet_run(bench_fleet_t *self, uint64_t uid_first, uint64_t uid_count, uint32_t ms) {
    WL_ASSERT(uid_count > 0 && ms > 0);
    self->uid_first = uid_first;
    self->uid_count = uid_count;
    self->ask_max = 0;
    return fleet_go(self, ms);
}

void bench_fleet_visit(bench_fleet_t *self, uint64_t uid_first, uint64_t uid_count) {
    self->uid_first = uid_first;
    self->uid_count = uid_count;
    self->ask_max = uid_count;
    (void)fleet_go(self, 0);
}

uint32_t bench_fleet_reply_bytes(const bench_fleet_t *self) {
    return self->replies == 0 ? 0 : (uint32_t)(self->reply_bytes / self->replies);
}
