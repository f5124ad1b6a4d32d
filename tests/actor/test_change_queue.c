/* The intake over a queue in Redis with several partitions; the server is the test's own. */
#include "actors/change_queue.h"

#include "../unit/store/redis_world.h"
#include "base/slot.h"
#include "write_path.h"

#include "actors/intake.h"

enum { PARTS = 3, USERS = 60 };

typedef struct {
    server_t server;
    stage_t stage;
    neighbour_t dispatchers[PARTS];
    client_t *client;
} redis_intake_t;

TestSuite(change_queue, .init = folder_make, .fini = folder_remove, .timeout = 120);

static void redis_start(redis_intake_t *self) {
    server_start(&self->server, "--appendonly", "yes", "--appendfsync", "always", NULL);
}

static void world_open(redis_intake_t *self) {
    memset(self, 0, sizeof *self);
    redis_start(self);
    stage_open_writer(&self->stage);
    wl_settings_t *settings = &self->stage.settings;
    (void)snprintf(settings->queue_store, sizeof settings->queue_store, "redis");
    (void)snprintf(settings->queue_redis, sizeof settings->queue_redis, "%s", self->server.at);
    settings->queue_partitions = PARTS;
    settings->redis_timeout_ms = 1000;
    for (uint32_t p = 0; p < PARTS; p++) {
        self->dispatchers[p] = neighbour_open(WL_ACTOR_DISPATCHER, p);
    }
    stage_start(&self->stage, WL_ACTOR_INTAKE, wl_intake_run);
    self->client = client_open(self->stage.endpoint);
    stage_configure_writer(&self->stage, 1, "http://127.0.0.1:1", "");
}

static void world_close(redis_intake_t *self) {
    client_close(self->client);
    for (uint32_t p = 0; p < PARTS; p++) {
        neighbour_close(&self->dispatchers[p]);
    }
    stage_close(&self->stage);
    server_kill(&self->server);
}

static wl_queue_t *part_open(redis_intake_t *self, uint32_t partition) {
    wl_queue_t *queue = NULL;
    wl_fault_t fault = {0};
    wl_err_t err = wl_change_queue_open(&self->stage.settings, "test", WL_QUEUE_SETTLE, partition,
                                        &queue, &fault);
    cr_assert_eq(err, WL_OK, "%s", fault.message);
    cr_assert_eq(wl_queue_claim(queue, 1), WL_OK);
    return queue;
}

/* Users 1..USERS, as changes or as assets. */
static void notify_send(client_t *client, uint64_t msgid, bool payload) {
    msgpack_sbuffer bytes;
    msgpack_packer packer;
    msgpack_sbuffer_init(&bytes);
    msgpack_packer_init(&packer, &bytes, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 2);
    args_key(&packer, "line");
    args_key(&packer, "cash");
    args_key(&packer, payload ? "assets" : "changes");
    msgpack_pack_array(&packer, USERS);
    for (uint64_t uid = 1; uid <= USERS; uid++) {
        msgpack_pack_map(&packer, payload ? 6 : 1);
        args_key(&packer, "uid");
        msgpack_pack_uint64(&packer, uid);
        if (payload) {
            args_key(&packer, "kind");
            args_key(&packer, "cash");
            args_key(&packer, "amount");
            args_key(&packer, "1250");
            args_key(&packer, "unit");
            args_key(&packer, "CNY");
            args_key(&packer, "scale");
            msgpack_pack_uint64(&packer, 2);
            args_key(&packer, "version");
            msgpack_pack_uint64(&packer, 7);
        }
    }
    client_send(client, msgid, payload ? "notify.assets" : "notify.changed", &bytes);
    msgpack_sbuffer_destroy(&bytes);
}

static void notify(client_t *client, uint64_t msgid, bool payload) {
    notify_send(client, msgid, payload);
    cr_assert(client_take(client, PATIENCE_MS));
}

/* Until the configuration has come and Redis takes changes. */
static void notify_until_taken(redis_intake_t *self) {
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    do {
        notify(self->client, 1, false);
    } while (self->client->code[0] != '\0' && wl_mono_now().ms < until);
    cr_assert_str_eq(self->client->code, "", "%s", self->client->message);
}

/* What stands in one partition. */
typedef struct {
    uint32_t partition;
    uint32_t entries;
    uint32_t assets; /* users of payload entries */
    bool seen[USERS + 1];
    wl_decoder_t *decoder;
} part_t;

static void part_see(part_t *self, uint64_t uid) {
    cr_assert(uid >= 1 && uid <= USERS);
    cr_assert_eq(wl_uid_owner(uid, PARTS), self->partition);
    self->seen[uid] = true;
}

static void on_entry(const wl_queue_entry_t *entry, void *arg) {
    static wl_change_t changes[WL_CHANGES_MAX];
    part_t *self = arg;
    size_t count = 0;
    wl_asset_list_t assets = {NULL, 0};
    self->entries++;
    cr_assert_str_eq(entry->line, "cash");
    if (entry->kind == WL_ENTRY_ASSETS) {
        cr_assert_eq(wl_decoder_asset_blob(self->decoder, entry->body, entry->body_bytes, &assets),
                     WL_OK);
        self->assets += assets.count;
        for (uint32_t i = 0; i < assets.count; i++) {
            part_see(self, assets.at[i].uid);
        }
        return;
    }
    cr_assert_eq(wl_changes_unpack(entry->body, entry->body_bytes, changes, &count), WL_OK);
    for (size_t i = 0; i < count; i++) {
        part_see(self, changes[i].uid);
    }
}

Test(change_queue, splits_a_notification_and_tells_each_partition_of_its_own) {
    redis_intake_t world;
    world_open(&world);
    notify_until_taken(&world);
    cr_assert_eq(body_number(world.client->result, "accepted"), USERS);
    notify(world.client, 2, true);
    cr_assert_eq(body_number(world.client->result, "accepted"), USERS, "%s", world.client->message);
    size_t users = 0;
    size_t assets = 0;
    for (uint32_t p = 0; p < PARTS; p++) {
        wl_queue_t *queue = part_open(&world, p);
        part_t part = {.partition = p, .decoder = wl_decoder_new()};
        uint64_t last = 0;
        cr_assert_eq(wl_queue_read(queue, 0, 1000, on_entry, &part, &last), WL_OK);
        cr_assert_geq(part.entries, 2);
        for (uint64_t uid = 1; uid <= USERS; uid++) {
            users += part.seen[uid];
        }
        assets += part.assets;
        uint64_t told = 0;
        while (told < last) { /* the last one tells the newest id */
            wl_msg_t msg = neighbour_await(&world.dispatchers[p], WL_MSG_QUEUED);
            cr_assert(msg.head.queued.last_id > told && msg.head.queued.last_id <= last);
            told = msg.head.queued.last_id;
        }
        wl_decoder_destroy(&part.decoder);
        wl_queue_close(&queue);
    }
    cr_assert_eq(users, USERS);
    cr_assert_eq(assets, USERS);
    world_close(&world);
}

Test(change_queue, acknowledges_nothing_while_redis_is_gone_and_goes_on_with_the_next) {
    redis_intake_t world;
    world_open(&world);
    notify_until_taken(&world);
    server_kill(&world.server);
    for (uint64_t i = 0; i < 5; i++) {
        notify(world.client, 10 + i, false);
        cr_assert_str_eq(world.client->code, "unavailable", "%s", world.client->message);
    }
    redis_start(&world);
    notify_until_taken(&world);
    for (uint32_t p = 0; p < PARTS; p++) {
        wl_queue_t *queue = part_open(&world, p);
        cr_assert_geq(queue_stats(queue).entries, 2, "what was acknowledged before, too");
        wl_queue_close(&queue);
    }
    world_close(&world);
}
