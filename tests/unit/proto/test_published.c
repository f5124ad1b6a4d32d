#include "proto/published.h"

#include <criterion/criterion.h>
#include <string.h>

/* A publisher and a subscriber that takes everything. */
typedef struct {
    zsock_t *pub;
    zsock_t *sub;
    wl_published_t *published;
    char line[WL_LINE_ID_MAX + 1];
    wl_rpc_request_t request;
    wl_fault_t fault;
} world_t;

static void world_open(world_t *self) {
    memset(self, 0, sizeof *self);
    zsys_init();
    zsys_handler_set(NULL);
    self->sub = zsock_new(ZMQ_PULL); /* frames are frames, and PUSH loses none at the start */
    self->pub = zsock_new(ZMQ_PUSH);
    cr_assert_eq(zsock_bind(self->sub, "inproc://published"), 0);
    cr_assert_eq(zsock_connect(self->pub, "inproc://published"), 0);
    self->published = wl_published_new();
}

static void world_close(world_t *self) {
    wl_published_destroy(&self->published);
    wl_published_destroy(&self->published);
    zsock_destroy(&self->pub);
    zsock_destroy(&self->sub);
    zsys_shutdown();
}

/* [2, method, [{"seq": 4}]] with another type when it is not 2. */
static size_t body_of(uint8_t *into, int type, const char *method) {
    msgpack_sbuffer bytes;
    msgpack_packer packer;
    msgpack_sbuffer_init(&bytes);
    msgpack_packer_init(&packer, &bytes, msgpack_sbuffer_write);
    msgpack_pack_array(&packer, type == 2 ? 3 : 4);
    msgpack_pack_int(&packer, type);
    if (type != 2) {
        msgpack_pack_int(&packer, 9);
    }
    msgpack_pack_str(&packer, strlen(method));
    msgpack_pack_str_body(&packer, method, strlen(method));
    msgpack_pack_array(&packer, 1);
    msgpack_pack_map(&packer, 1);
    msgpack_pack_str(&packer, 3);
    msgpack_pack_str_body(&packer, "seq", 3);
    msgpack_pack_int(&packer, 4);
    memcpy(into, bytes.data, bytes.size);
    size_t size = bytes.size;
    msgpack_sbuffer_destroy(&bytes);
    return size;
}

static wl_err_t publish(world_t *self, const char *topic, size_t topic_bytes, int type,
                        const char *method, int more) {
    uint8_t body[256];
    size_t bytes = body_of(body, type, method);
    void *socket = zsock_resolve(self->pub);
    cr_assert_geq(zmq_send(socket, topic, topic_bytes, ZMQ_SNDMORE), 0);
    cr_assert_geq(zmq_send(socket, body, bytes, more), 0);
    if (more != 0) {
        cr_assert_geq(zmq_send(socket, "x", 1, 0), 0);
    }
    return wl_published_recv(self->published, self->sub, self->line, &self->request, &self->fault);
}

#define PUBLISH(world, topic) publish((world), (topic), sizeof(topic) - 1, 2, "notify.changed", 0)

Test(published, reads_the_line_of_the_topic_and_the_body) {
    world_t world;
    world_open(&world);
    cr_expect_eq(PUBLISH(&world, "changed.cash"), WL_OK);
    cr_expect_str_eq(world.line, "cash");
    cr_expect_eq(world.request.method, WL_METHOD_NOTIFY_CHANGED);
    cr_expect(world.request.notification);
    uint64_t seq = 0;
    cr_expect_eq(wl_args_u64(world.request.args, "seq", &seq, NULL), WL_OK);
    cr_expect_eq(seq, 4u);
    cr_expect_eq(wl_published_recv(world.published, world.sub, world.line, &world.request,
                                   &world.fault), WL_ERR_EMPTY);
    world_close(&world);
}

Test(published, throws_one_wrong_message_away_and_goes_on) {
    world_t world;
    world_open(&world);
    cr_expect_eq(PUBLISH(&world, "changed."), WL_ERR_MALFORMED);
    cr_expect_eq(PUBLISH(&world, "change.cash"), WL_ERR_MALFORMED);
    cr_expect_eq(PUBLISH(&world, "changed.CASH"), WL_ERR_MALFORMED);
    cr_expect_eq(PUBLISH(&world, "changed.ca\0sh"), WL_ERR_MALFORMED);
    cr_expect_eq(PUBLISH(&world, "changed.a23456789012345678901234567890123"), WL_ERR_MALFORMED);
    cr_expect_eq(PUBLISH(&world, ""), WL_ERR_MALFORMED);
    cr_expect_eq(publish(&world, "changed.cash", 12, 2, "notify.changed", ZMQ_SNDMORE),
                 WL_ERR_MALFORMED, "three frames");
    cr_expect_eq(publish(&world, "changed.cash", 12, 0, "notify.changed", 0), WL_ERR_MALFORMED,
                 "a request");
    cr_expect_eq(publish(&world, "changed.cash", 12, 2, "admin.lines", 0), WL_ERR_UNKNOWN_METHOD);
    cr_expect_eq(publish(&world, "changed.cash", 12, 2, "notify.assets", 0),
                 WL_ERR_UNKNOWN_METHOD);
    cr_assert_eq(zmq_send(zsock_resolve(world.pub), "changed.cash", 12, 0), 12);
    cr_expect_eq(wl_published_recv(world.published, world.sub, world.line, &world.request,
                                   &world.fault), WL_ERR_MALFORMED, "one frame");
    cr_expect_eq(PUBLISH(&world, "changed.coin"), WL_OK);
    cr_expect_str_eq(world.line, "coin");
    world_close(&world);
}
