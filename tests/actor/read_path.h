/* read_path.h: what tests of the read path share: the actor under test on its own thread, the test
 * playing all its neighbours over their real mailboxes, and a client of the reader port. */
#ifndef WL_TESTS_ACTOR_READ_PATH_H
#define WL_TESTS_ACTOR_READ_PATH_H

#include "actors/hub.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "proto/channel.h"
#include "proto/rpc.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATIENCE_MS = 5000, QUIET_MS = 60, LONG_DRAIN_MS = 20000 };

static const char test_integration[] =
    "{\"version\":3,\"lines\":{"
    "\"cash\":{\"kind\":\"cash\",\"url\":\"http://127.0.0.1:1\",\"unit\":\"CNY\",\"scale\":2,"
    "\"fresh_ms\":1000},"
    "\"coin\":{\"kind\":\"coin\",\"url\":\"http://127.0.0.1:1\",\"unit\":\"bean\","
    "\"fresh_ms\":100000000}}}";
static const char test_presentation[] =
    "{\"version\":7,\"golden\":[{\"line\":\"cash\"},null,{\"line\":\"coin\"},null],\"sections\":["
    "{\"kind\":\"cash\",\"lines\":[\"cash\"]},{\"kind\":\"coin\",\"lines\":[\"coin\"]}]}";

/* A mailbox of another actor, held by the test. */
typedef struct {
    zsock_t *inbox;
    wl_decoder_t *decoder;
} neighbour_t;

typedef struct {
    wl_settings_t settings;
    wl_actor_options_t options;
    wl_actor_t *actor;
    zsock_t *outbox;       /* to the actor's mailbox */
    wl_encoder_t *encoder; /* of messages to it */
    neighbour_t console;
    uint64_t counters[WL_COUNTERS]; /* the newest copy that the actor sent */
    char dir[64];
    char endpoint[96];
} stage_t;

static inline neighbour_t neighbour_open(wl_actor_kind_t kind, uint32_t instance) {
    neighbour_t self = {.decoder = wl_decoder_new()};
    wl_fault_t fault = {0};
    wl_err_t err = WL_ERR_BIND;
    for (int i = 0; i < 200 && err == WL_ERR_BIND; i++) { /* see stage_start() */
        err = wl_topology_inbox(kind, instance, &self.inbox, &fault);
        zclock_sleep(err == WL_ERR_BIND ? 5 : 0);
    }
    cr_assert_eq(err, WL_OK, "%s", fault.message);
    return self;
}

static inline void neighbour_close(neighbour_t *self) {
    zsock_destroy(&self->inbox);
    wl_decoder_destroy(&self->decoder);
}

static inline bool socket_readable(zsock_t *socket, int64_t patience_ms) {
    zmq_pollitem_t item = {.socket = zsock_resolve(socket), .events = ZMQ_POLLIN};
    return zmq_poll(&item, 1, (long)patience_ms) == 1;
}

/* The next message of the neighbour. */
static inline bool neighbour_next(neighbour_t *self, wl_msg_t *ret, int64_t patience_ms) {
    return socket_readable(self->inbox, patience_ms) &&
           wl_channel_recv(self->inbox, self->decoder, ret) == WL_OK;
}

/* The next message, which must be `id` with `count` items. */
static inline wl_msg_t neighbour_expect(neighbour_t *self, wl_msg_id_t id, uint32_t count) {
    wl_msg_t msg = {0};
    cr_assert(neighbour_next(self, &msg, PATIENCE_MS), "no %s came", wl_msg_name(id));
    cr_assert_eq(msg.id, id, "%s instead of %s", wl_msg_name(msg.id), wl_msg_name(id));
    cr_assert_eq(msg.count, count, "%u items of %s instead of %u", msg.count, wl_msg_name(id),
                 count);
    return msg;
}

static inline void neighbour_hears_nothing(neighbour_t *self) {
    wl_msg_t msg;
    bool heard = neighbour_next(self, &msg, QUIET_MS);
    cr_expect(!heard, "an unexpected %s", heard ? wl_msg_name(msg.id) : "");
}

/* Settings of the stage; call before stage_start to change some. */
static inline void stage_open(stage_t *self) {
    memset(self, 0, sizeof *self);
    zsys_init();
    zsys_handler_set(NULL);
    (void)snprintf(self->dir, sizeof self->dir, "/tmp/wl-test-XXXXXX");
    cr_assert_not_null(mkdtemp(self->dir));
    (void)snprintf(self->endpoint, sizeof self->endpoint, "ipc://%s/reader", self->dir);
    wl_settings_defaults(&self->settings);
    (void)snprintf(self->settings.server_data_dir, sizeof self->settings.server_data_dir, "%s",
                   self->dir);
    (void)snprintf(self->settings.frontend_endpoint, sizeof self->settings.frontend_endpoint, "%s",
                   self->endpoint);
    self->settings.server_drain_ms = 2000;
    self->console = neighbour_open(WL_ACTOR_CONSOLE, 0);
}

static inline void stage_start(stage_t *self, wl_actor_kind_t kind, wl_actor_fn *body) {
    char name[24];
    wl_fault_t fault = {0};
    (void)snprintf(name, sizeof name, "%s.0", wl_actor_kind_name(kind));
    self->options = (wl_actor_options_t){.settings = &self->settings, .kind = kind};
    wl_err_t err = WL_ERR_BIND;
    for (int i = 0; i < 200 && err == WL_ERR_BIND; i++) { /* a name is free a moment later */
        err = wl_actor_start(name, body, &self->options, &self->actor, &fault);
        zclock_sleep(err == WL_ERR_BIND ? 5 : 0);
    }
    cr_assert_eq(err, WL_OK, "%s", fault.message);
    cr_assert_eq(wl_topology_outbox(kind, 0, &self->outbox), WL_OK);
    self->encoder = wl_encoder_new();
}

/* Sends what stands in self->encoder. */
static inline void stage_send(stage_t *self) {
    cr_assert_eq(wl_channel_send(self->outbox, self->encoder), WL_OK);
}

static inline void stage_send_raw(stage_t *self, const void *bytes, size_t count) {
    cr_assert_eq(zmq_send(zsock_resolve(self->outbox), bytes, count, ZMQ_DONTWAIT), (int)count);
}

static inline void stage_configure_with(stage_t *self, const char *integration,
                                        const char *presentation) {
    wl_config_head_t head = {.version = "3.7"};
    wl_config_item_t item = {.integration = {(const uint8_t *)integration, strlen(integration)},
                             .presentation = {(const uint8_t *)presentation, strlen(presentation)}};
    wl_config_begin(self->encoder, &head);
    wl_config_add(self->encoder, &item);
    stage_send(self);
}

/* With a rollout: its conditions, and the candidate's documents; the base is test_*. */
static inline void stage_configure_rollout(stage_t *self, const char *rollout,
                                           const char *integration, const char *presentation) {
    wl_config_head_t head = {.version = "3.7",
                             .source = "store",
                             .seq = 12,
                             .rollout = {(const uint8_t *)rollout, (uint32_t)strlen(rollout)}};
    wl_config_item_t item = {
        .integration = {(const uint8_t *)test_integration, sizeof test_integration - 1},
        .presentation = {(const uint8_t *)test_presentation, sizeof test_presentation - 1},
        .candidate_integration = {(const uint8_t *)integration, (uint32_t)strlen(integration)},
        .candidate_presentation = {(const uint8_t *)presentation, (uint32_t)strlen(presentation)}};
    wl_config_begin(self->encoder, &head);
    wl_config_add(self->encoder, &item);
    stage_send(self);
}

/* The candidate of these tests: one line more, before the others so that indexes differ, in another
 * golden slot; live as far as asking goes. */
static const char candidate_integration[] =
    "{\"version\":4,\"lines\":{"
    "\"bonus\":{\"kind\":\"coin\",\"mode\":\"live\",\"url\":\"http://127.0.0.1:1\","
    "\"unit\":\"bean\",\"fresh_ms\":10000},"
    "\"cash\":{\"kind\":\"cash\",\"url\":\"http://127.0.0.1:1\",\"unit\":\"CNY\",\"scale\":2,"
    "\"fresh_ms\":1000},"
    "\"coin\":{\"kind\":\"coin\",\"url\":\"http://127.0.0.1:1\",\"unit\":\"bean\","
    "\"fresh_ms\":100000000}}}";
static const char candidate_presentation[] =
    "{\"version\":8,\"golden\":[{\"line\":\"coin\",\"title\":\"Tried\"},null,null,null],"
    "\"sections\":[{\"kind\":\"coin\",\"lines\":[\"bonus\",\"coin\"]}]}";

/* Answers from it hold these. */
#define VARIANT_TEXT \
    "variant\xa9"    \
    "candidate"
#define BASE_VERSION_TEXT \
    "config_version\xa3"  \
    "3.7"
#define CANDIDATE_VERSION_TEXT \
    "config_version\xa3"       \
    "4.8"

static inline void stage_try(stage_t *self, const char *rollout) {
    stage_configure_rollout(self, rollout, candidate_integration, candidate_presentation);
}

static inline void stage_configure(stage_t *self) {
    stage_configure_with(self, test_integration, test_presentation);
}

/* The same with lines that have to be asked: cash must be revalidated, live is a live line of use
 * for 10 s and 10 s more, slow another one, card a live one that needs consent. */
static const char live_integration[] =
    "{\"version\":3,\"lines\":{"
    "\"cash\":{\"kind\":\"cash\",\"url\":\"http://127.0.0.1:1\",\"unit\":\"CNY\",\"scale\":2,"
    "\"fresh_ms\":10000,\"must_revalidate\":true},"
    "\"coin\":{\"kind\":\"coin\",\"url\":\"http://127.0.0.1:1\",\"unit\":\"bean\"},"
    "\"live\":{\"kind\":\"coin\",\"mode\":\"live\",\"url\":\"http://"
    "127.0.0.1:1\",\"unit\":\"bean\","
    "\"fresh_ms\":10000,\"swr_ms\":10000},"
    "\"slow\":{\"kind\":\"coin\",\"mode\":\"live\",\"url\":\"http://"
    "127.0.0.1:1\",\"unit\":\"bean\","
    "\"fresh_ms\":10000},"
    "\"card\":{\"kind\":\"cash\",\"mode\":\"live\",\"url\":\"http://127.0.0.1:1\",\"unit\":\"CNY\","
    "\"scale\":2,\"consent\":true,\"fresh_ms\":10000}}}";
static const char live_presentation[] =
    "{\"version\":7,\"golden\":[{\"line\":\"cash\"},null,{\"line\":\"coin\"},null],\"sections\":["
    "{\"kind\":\"cash\",\"lines\":[\"cash\",\"card\"]},"
    "{\"kind\":\"coin\",\"lines\":[\"coin\",\"live\",\"slow\"]}]}";

/* One of the actor's counters, once it says at least `least`; they come every second. */
static inline uint64_t stage_counter(stage_t *self, wl_counter_t counter, uint64_t least) {
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    wl_msg_t msg;
    do {
        if (neighbour_next(&self->console, &msg, 100) && msg.id == WL_MSG_STATS && msg.count == 1) {
            for (uint32_t i = 0; i < msg.items.stats[0].counters.count && i < WL_COUNTERS; i++) {
                self->counters[i] = msg.items.stats[0].counters.at[i];
            }
        }
    } while (self->counters[counter] < least && wl_mono_now().ms < until);
    return self->counters[counter];
}

#define stage_expect_counter(stage, name, value)                                        \
    cr_expect_eq(stage_counter((stage), WL_COUNTER_##name, (value)), (uint64_t)(value), \
                 #name " is %llu", (unsigned long long)(stage)->counters[WL_COUNTER_##name])

/* $TERM; returns the ms that the end took. */
static inline int64_t stage_stop(stage_t *self) {
    int64_t begun = wl_mono_now().ms;
    wl_actor_destroy(&self->actor);
    return wl_mono_now().ms - begun;
}

static inline void stage_close(stage_t *self) {
    char command[128];
    wl_actor_destroy(&self->actor);
    zsock_destroy(&self->outbox);
    wl_encoder_destroy(&self->encoder);
    neighbour_close(&self->console);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", self->dir);
    cr_expect_eq(system(command), 0);
    zsys_shutdown();
}

static inline wl_asset_t test_asset(uint64_t uid, const char *line, int64_t amount,
                                    uint64_t version) {
    wl_asset_t asset = {.uid = uid,
                        .version = version,
                        .amount = amount,
                        .pulled_at = wl_wall_now().ms,
                        .kind = line[1] == 'a' ? WL_KIND_CASH : WL_KIND_COIN,
                        .scale = line[1] == 'a' ? 2 : 0};
    (void)snprintf(asset.line, sizeof asset.line, "%s", line);
    (void)snprintf(asset.unit, sizeof asset.unit, "%s", line[1] == 'a' ? "CNY" : "bean");
    return asset;
}

/* A READ of one user, from frontend 0. */
static inline wl_read_item_t test_read(uint64_t ticket, uint64_t uid, wl_method_t method,
                                       int64_t budget_ms) {
    return (wl_read_item_t){.ticket = ticket,
                            .uid = uid,
                            .deadline_at = wl_mono_now().ms + budget_ms,
                            .method = (uint8_t)method};
}

static inline void stage_read(stage_t *self, wl_read_item_t read) {
    wl_read_begin(self->encoder, &(wl_read_head_t){.frontend = 0});
    wl_read_add(self->encoder, &read);
    stage_send(self);
}

/* ---- bodies ---------------------------------------------------------------------------------- */

/* Does the MessagePack body hold this text somewhere? */
static inline bool body_has(wl_bytes_t body, const char *text) {
    return memmem(body.at, body.count, text, strlen(text)) != NULL;
}

/* The value of a key of the outermost map as an integer; -1 when it is not there. */
static inline int64_t body_number(wl_bytes_t body, const char *key) {
    msgpack_unpacked root;
    int64_t number = -1;
    msgpack_unpacked_init(&root);
    if (body.at != NULL && msgpack_unpack_next(&root, (const char *)body.at, body.count, NULL) ==
                               MSGPACK_UNPACK_SUCCESS) {
        uint64_t value = 0;
        if (root.data.type == MSGPACK_OBJECT_MAP &&
            wl_args_u64(&root.data, key, &value, NULL) == WL_OK) {
            number = (int64_t)value;
        }
    }
    msgpack_unpacked_destroy(&root);
    return number;
}

/* ---- a client --------------------------------------------------------------------------------- */

typedef struct {
    zsock_t *socket;
    uint8_t bytes[1 << 17]; /* of the last reply */
    wl_bytes_t result;      /* of the last reply, in bytes; count 0 = nil */
    char code[32];          /* of its error, "" = none */
    char message[200];
    int64_t retry_after_ms;
    uint64_t msgid;
} client_t;

static inline client_t *client_open(const char *endpoint) {
    client_t *self = wl_alloc_zero(1, sizeof *self);
    self->socket = zsock_new(ZMQ_DEALER);
    zsock_set_sndhwm(self->socket, 100000);
    zsock_set_rcvhwm(self->socket, 100000);
    cr_assert_eq(zsock_connect(self->socket, "%s", endpoint), 0);
    return self;
}

static inline void client_close(client_t *self) {
    zsock_destroy(&self->socket);
    wl_free(self);
}

static inline void client_send_raw(client_t *self, const void *bytes, size_t count) {
    void *socket = zsock_resolve(self->socket);
    cr_assert_eq(zmq_send(socket, "", 0, ZMQ_SNDMORE), 0);
    cr_assert_eq(zmq_send(socket, bytes, count, 0), (int)count);
}

/* `args` packs the args map; NULL = an empty one. */
static inline void client_send(client_t *self, uint64_t msgid, const char *method,
                               const msgpack_sbuffer *args) {
    msgpack_sbuffer request;
    msgpack_sbuffer_init(&request);
    wl_bytes_t bytes = {NULL, 0};
    if (args != NULL) {
        bytes = (wl_bytes_t){(const uint8_t *)args->data, args->size};
    }
    wl_rpc_pack_request(&request, msgid, method, bytes);
    client_send_raw(self, request.data, request.size);
    msgpack_sbuffer_destroy(&request);
}

static inline void args_key(msgpack_packer *packer, const char *key) {
    msgpack_pack_str(packer, strlen(key));
    msgpack_pack_str_body(packer, key, strlen(key));
}

/* {uid, deadline_ms?} */
static inline void client_ask(client_t *self, uint64_t msgid, const char *method, uint64_t uid,
                              int64_t deadline_ms) {
    msgpack_sbuffer args;
    msgpack_packer packer;
    msgpack_sbuffer_init(&args);
    msgpack_packer_init(&packer, &args, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, deadline_ms > 0 ? 2 : 1);
    args_key(&packer, "uid");
    msgpack_pack_uint64(&packer, uid);
    if (deadline_ms > 0) {
        args_key(&packer, "deadline_ms");
        msgpack_pack_int64(&packer, deadline_ms);
    }
    client_send(self, msgid, method, &args);
    msgpack_sbuffer_destroy(&args);
}

static inline void client_read_error(client_t *self, const msgpack_object *error) {
    uint64_t retry = 0;
    self->code[0] = '\0';
    self->message[0] = '\0';
    self->retry_after_ms = 0;
    if (error->type == MSGPACK_OBJECT_MAP) {
        cr_expect_eq(wl_args_text(error, "code", self->code, sizeof self->code - 1, NULL), WL_OK);
        cr_expect_eq(wl_args_text(error, "message", self->message, sizeof self->message - 1, NULL),
                     WL_OK);
        if (wl_args_u64(error, "retry_after_ms", &retry, NULL) == WL_OK) {
            self->retry_after_ms = (int64_t)retry;
        }
    }
}

/* Takes one reply; its result is packed again into self->bytes. */
static inline bool client_take(client_t *self, int64_t patience_ms) {
    if (!socket_readable(self->socket, patience_ms)) {
        return false;
    }
    void *socket = zsock_resolve(self->socket);
    char body[sizeof self->bytes];
    cr_assert_eq(zmq_recv(socket, body, sizeof body, 0), 0, "the delimiter comes first");
    int bytes = zmq_recv(socket, body, sizeof body, 0);
    cr_assert(bytes > 0 && bytes < (int)sizeof body);
    msgpack_unpacked reply;
    msgpack_unpacked_init(&reply);
    cr_assert_eq(msgpack_unpack_next(&reply, body, (size_t)bytes, NULL), MSGPACK_UNPACK_SUCCESS);
    cr_assert_eq(reply.data.type, MSGPACK_OBJECT_ARRAY);
    cr_assert_eq(reply.data.via.array.size, 4u);
    const msgpack_object *at = reply.data.via.array.ptr;
    cr_assert_eq(at[0].via.u64, 1u);
    self->msgid = at[1].via.u64;
    client_read_error(self, &at[2]);
    msgpack_sbuffer packed;
    msgpack_packer packer;
    msgpack_sbuffer_init(&packed);
    msgpack_packer_init(&packer, &packed, msgpack_sbuffer_write);
    msgpack_pack_object(&packer, at[3]);
    memcpy(self->bytes, packed.data, packed.size);
    self->result = (wl_bytes_t){self->bytes, packed.size};
    msgpack_sbuffer_destroy(&packed);
    msgpack_unpacked_destroy(&reply);
    return true;
}

static inline void client_expect_error(client_t *self, uint64_t msgid, const char *code) {
    cr_assert(client_take(self, PATIENCE_MS), "no reply came");
    cr_expect_eq(self->msgid, msgid);
    cr_expect_str_eq(self->code, code, "%s: %s", self->code, self->message);
}

static inline void client_expect_result(client_t *self, uint64_t msgid) {
    cr_assert(client_take(self, PATIENCE_MS), "no reply came");
    cr_expect_eq(self->msgid, msgid);
    cr_expect_str_eq(self->code, "", "%s: %s", self->code, self->message);
}

#endif
