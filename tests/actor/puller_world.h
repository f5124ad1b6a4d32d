/* puller_world.h: what tests of the puller share, on top of write_path.h: a line over ZeroMQ that the
 * test plays itself, request by request, and the puller's neighbours. */
#ifndef WL_TESTS_ACTOR_PULLER_WORLD_H
#define WL_TESTS_ACTOR_PULLER_WORLD_H

#include "write_path.h"

#include "actors/puller.h"

/* A line over ZeroMQ that the test plays itself, request by request. */
typedef struct {
    zsock_t *router;
    char url[64];
    uint8_t identity[256];
    int identity_bytes;
    uint64_t msgid;
    char method[16];
    uint64_t uids[WL_PULL_UIDS_MAX];
    uint32_t uid_count;
    msgpack_sbuffer reply;
    msgpack_packer packer;
} line_t;

static inline line_t *line_open(void) {
    line_t *self = wl_alloc_zero(1, sizeof *self);
    self->router = zsock_new(ZMQ_ROUTER);
    int port = zsock_bind(self->router, "tcp://127.0.0.1:*");
    cr_assert_gt(port, 0);
    (void)snprintf(self->url, sizeof self->url, "tcp://127.0.0.1:%d", port);
    msgpack_sbuffer_init(&self->reply);
    return self;
}

static inline void line_close(line_t *self) {
    zsock_destroy(&self->router);
    msgpack_sbuffer_destroy(&self->reply);
    wl_free(self);
}

/* Takes the next call; false: none came. */
static inline bool line_asked(line_t *self, int64_t patience_ms) {
    if (!socket_readable(self->router, patience_ms)) {
        return false;
    }
    static char body[65536];
    void *socket = zsock_resolve(self->router);
    self->identity_bytes = zmq_recv(socket, self->identity, sizeof self->identity, 0);
    cr_assert_eq(zmq_recv(socket, body, sizeof body, 0), 0);
    int bytes = zmq_recv(socket, body, sizeof body, 0);
    cr_assert_gt(bytes, 0);
    msgpack_unpacked root;
    msgpack_unpacked_init(&root);
    cr_assert_eq(msgpack_unpack_next(&root, body, (size_t)bytes, NULL), MSGPACK_UNPACK_SUCCESS);
    const msgpack_object *at = root.data.via.array.ptr;
    self->msgid = at[1].via.u64;
    (void)snprintf(self->method, sizeof self->method, "%.*s", (int)at[2].via.str.size,
                   at[2].via.str.ptr);
    const msgpack_object *args = &at[3].via.array.ptr[0];
    const msgpack_object *uids = NULL;
    if (strcmp(self->method, "assets") == 0) {
        cr_assert_eq(wl_args_array(args, "uids", WL_PULL_UIDS_MAX, &uids, NULL), WL_OK);
        self->uid_count = uids->via.array.size;
    } else { /* a page of one user */
        cr_assert_eq(wl_args_u64(args, "uid", &self->uids[0], NULL), WL_OK);
        self->uid_count = 1;
    }
    for (uint32_t i = 0; uids != NULL && i < self->uid_count; i++) {
        self->uids[i] = uids->via.array.ptr[i].via.u64;
    }
    msgpack_unpacked_destroy(&root);
    return true;
}

static inline void line_await(line_t *self) {
    cr_assert(line_asked(self, PATIENCE_MS), "the line was not asked");
}

static inline void reply_open(line_t *self) {
    msgpack_sbuffer_clear(&self->reply);
    msgpack_packer_init(&self->packer, &self->reply, msgpack_sbuffer_write);
    msgpack_pack_array(&self->packer, 4);
    msgpack_pack_int(&self->packer, 1);
    msgpack_pack_uint64(&self->packer, self->msgid);
}

static inline void reply_send(line_t *self) {
    void *socket = zsock_resolve(self->router);
    cr_assert_geq(zmq_send(socket, self->identity, (size_t)self->identity_bytes, ZMQ_SNDMORE), 0);
    cr_assert_eq(zmq_send(socket, "", 0, ZMQ_SNDMORE), 0);
    cr_assert_geq(zmq_send(socket, self->reply.data, self->reply.size, 0), 0);
    msgpack_sbuffer_destroy(&self->reply); /* copies of self answer too: nothing is left in them */
    msgpack_sbuffer_init(&self->reply);
}

static inline void reply_records(line_t *self, uint32_t count) {
    reply_open(self);
    msgpack_pack_nil(&self->packer);
    msgpack_pack_map(&self->packer, 1);
    args_key(&self->packer, "assets");
    msgpack_pack_array(&self->packer, count);
}

static inline void reply_record(line_t *self, uint64_t uid, const char *bucket, int64_t amount,
                                uint64_t version) {
    msgpack_pack_map(&self->packer, 4);
    args_key(&self->packer, "uid");
    msgpack_pack_uint64(&self->packer, uid);
    args_key(&self->packer, "bucket");
    args_key(&self->packer, bucket);
    args_key(&self->packer, "amount");
    msgpack_pack_int64(&self->packer, amount);
    args_key(&self->packer, "version");
    msgpack_pack_uint64(&self->packer, version);
}

/* Everybody who was asked for owns uid * 10. */
static inline void reply_good(line_t *self) {
    reply_records(self, self->uid_count);
    for (uint32_t i = 0; i < self->uid_count; i++) {
        reply_record(self, self->uids[i], "", (int64_t)self->uids[i] * 10, 1);
    }
    reply_send(self);
}

static inline void reply_error(line_t *self, uint64_t retry_after_ms) {
    reply_open(self);
    msgpack_pack_map(&self->packer, retry_after_ms > 0 ? 2 : 1);
    args_key(&self->packer, "code");
    args_key(&self->packer, "unavailable");
    if (retry_after_ms > 0) {
        args_key(&self->packer, "retry_after_ms");
        msgpack_pack_uint64(&self->packer, retry_after_ms);
    }
    msgpack_pack_nil(&self->packer);
    reply_send(self);
}

/* ---- the puller and its neighbours ----------------------------------------------------------- */

typedef struct {
    stage_t stage;
    neighbour_t dispatcher;
    neighbour_t shard;
    neighbour_t frontend;
    neighbour_t cache;
    neighbour_t query;
    neighbour_t presence;
    line_t *line;
} world_t;

/* Its settings may be changed before it starts. */
static inline void world_prepare(world_t *self) {
    stage_open_writer(&self->stage);
    self->dispatcher = neighbour_open(WL_ACTOR_DISPATCHER, 0);
    self->shard = neighbour_open(WL_ACTOR_SHARD, 0);
    self->frontend = neighbour_open(WL_ACTOR_FRONTEND, 0);
    self->cache = neighbour_open(WL_ACTOR_CACHE, 0);
    self->query = neighbour_open(WL_ACTOR_QUERY, 0);
    self->presence = neighbour_open(WL_ACTOR_PRESENCE, 0);
    self->line = line_open();
}

static inline void world_open_bare(world_t *self) {
    world_prepare(self);
    stage_start(&self->stage, WL_ACTOR_PULLER, wl_puller_run);
}

static inline void world_start(world_t *self, const char *more) {
    stage_start(&self->stage, WL_ACTOR_PULLER, wl_puller_run);
    stage_configure_writer(&self->stage, 1, self->line->url, more);
    /* the first health says that the configuration has arrived */
    (void)neighbour_await(&self->frontend, WL_MSG_LINE);
}

static inline void world_open(world_t *self, const char *more) {
    world_prepare(self);
    world_start(self, more);
}

static inline void world_close(world_t *self) {
    wl_actor_destroy(&self->stage.actor);
    line_close(self->line);
    neighbour_close(&self->dispatcher);
    neighbour_close(&self->shard);
    neighbour_close(&self->frontend);
    neighbour_close(&self->cache);
    neighbour_close(&self->query);
    neighbour_close(&self->presence);
    stage_close(&self->stage);
}

static inline void send_pulls(world_t *self, const char *line, uint64_t from, uint32_t count,
                              bool interactive) {
    wl_pull_head_t head = {.interactive = interactive};
    (void)snprintf(head.line, sizeof head.line, "%s", line);
    wl_pull_begin(self->stage.encoder, &head);
    for (uint32_t i = 0; i < count; i++) {
        wl_pull_add(self->stage.encoder,
                    &(wl_pull_item_t){.uid = from + i, .seq = 1000 + from + i, .notified_at = 5});
    }
    stage_send(&self->stage);
}

static inline void send_pull_hint(world_t *self, uint64_t uid, const char *bucket,
                                  uint64_t version) {
    wl_hint_t hint = {.version = version};
    (void)snprintf(hint.bucket, sizeof hint.bucket, "%s", bucket);
    wl_pull_begin(self->stage.encoder, &(wl_pull_head_t){.line = "cash"});
    wl_pull_add(self->stage.encoder,
                &(wl_pull_item_t){.uid = uid, .seq = uid, .hints = {&hint, 1}});
    stage_send(&self->stage);
}

/* The next message of one STORE. */
static inline wl_store_item_t next_store(world_t *self) {
    wl_msg_t msg = neighbour_await(&self->shard, WL_MSG_STORE);
    cr_assert_eq(msg.count, 1u);
    return msg.items.store[0];
}

static inline wl_msg_t next_pulled(world_t *self) {
    return neighbour_await(&self->dispatcher, WL_MSG_PULLED);
}

#endif
