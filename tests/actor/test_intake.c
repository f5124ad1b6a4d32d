#include "write_path.h"

#include "actors/intake.h"

typedef struct {
    stage_t stage;
    neighbour_t dispatcher;
    wl_queue_t *queue; /* the test's own look at what is durable */
    client_t *client;
} intake_world_t;

static void world_open_bare(intake_world_t *self) {
    stage_open_writer(&self->stage);
    self->dispatcher = neighbour_open(WL_ACTOR_DISPATCHER, 0);
}

static void world_start(intake_world_t *self, bool configured) {
    stage_start(&self->stage, WL_ACTOR_INTAKE, wl_intake_run);
    self->queue = queue_open(&self->stage, WL_QUEUE_SETTLE);
    self->client = client_open(self->stage.endpoint);
    if (configured) {
        stage_configure_writer(&self->stage, 1, "http://127.0.0.1:1", "");
        /* until a line is known: the configuration and requests come through different sockets */
        int64_t until = wl_mono_now().ms + PATIENCE_MS;
        do {
            client_ask(self->client, 1, "wallet.refresh", 1, 0);
            cr_assert(client_take(self->client, PATIENCE_MS));
        } while (self->client->code[0] != '\0' && wl_mono_now().ms < until);
        wl_settle_t settle = {.ack_count = 0};
        uint64_t ids[8];
        for (uint64_t i = 0; i < 8; i++) {
            ids[i] = i + 1;
        }
        settle.acks = ids;
        settle.ack_count = 8;
        cr_assert_eq(wl_queue_settle(self->queue, &settle), WL_OK);
        cr_assert_eq(queue_stats(self->queue).entries, 0u);
        (void)neighbour_await(&self->dispatcher, WL_MSG_QUEUED);
    }
}

static void world_open(intake_world_t *self) {
    world_open_bare(self);
    world_start(self, true);
}

static void world_close(intake_world_t *self) {
    client_close(self->client);
    wl_queue_close(&self->queue);
    neighbour_close(&self->dispatcher);
    stage_close(&self->stage);
}

/* ---- requests -------------------------------------------------------------------------------- */

typedef struct {
    msgpack_sbuffer bytes;
    msgpack_packer packer;
} args_t;

static void args_open(args_t *self, uint32_t keys) {
    msgpack_sbuffer_init(&self->bytes);
    msgpack_packer_init(&self->packer, &self->bytes, msgpack_sbuffer_write);
    msgpack_pack_map(&self->packer, keys);
}

static void args_text(args_t *self, const char *key, const char *value) {
    args_key(&self->packer, key);
    args_key(&self->packer, value);
}

static void args_number(args_t *self, const char *key, uint64_t value) {
    args_key(&self->packer, key);
    msgpack_pack_uint64(&self->packer, value);
}

static void args_list(args_t *self, const char *key, uint32_t count) {
    args_key(&self->packer, key);
    msgpack_pack_array(&self->packer, count);
}

static void args_send(args_t *self, client_t *client, uint64_t msgid, const char *method) {
    client_send(client, msgid, method, &self->bytes);
    msgpack_sbuffer_destroy(&self->bytes);
}

/* notify.changed of users from..from+count-1, each at this version (0 = none). */
static void send_changed(client_t *client, uint64_t msgid, const char *line, uint64_t from,
                         uint32_t count, uint64_t version) {
    args_t args;
    args_open(&args, 2);
    args_text(&args, "line", line);
    args_list(&args, "changes", count);
    for (uint32_t i = 0; i < count; i++) {
        msgpack_pack_map(&args.packer, version > 0 ? 2 : 1);
        args_number(&args, "uid", from + i);
        if (version > 0) {
            args_number(&args, "version", version);
        }
    }
    args_send(&args, client, msgid, "notify.changed");
}

/* What stands in the queue. */
typedef struct {
    uint32_t entries;
    wl_entry_kind_t kind; /* of the last one */
    char line[WL_LINE_ID_MAX + 1];
    wl_change_t changes[WL_CHANGES_MAX];
    size_t change_count;
    wl_decoder_t *decoder;
    wl_asset_list_t assets;
    uint64_t users; /* of all */
} durable_t;

static void on_durable(const wl_queue_entry_t *entry, void *arg) {
    durable_t *self = arg;
    self->entries++;
    self->kind = entry->kind;
    memcpy(self->line, entry->line, sizeof self->line);
    if (entry->kind == WL_ENTRY_ASSETS) {
        cr_assert_eq(
            wl_decoder_asset_blob(self->decoder, entry->body, entry->body_bytes, &self->assets),
            WL_OK);
        self->users += self->assets.count;
    } else {
        cr_assert_eq(
            wl_changes_unpack(entry->body, entry->body_bytes, self->changes, &self->change_count),
            WL_OK);
        self->users += self->change_count;
    }
}

static durable_t *durable_read(intake_world_t *world) {
    durable_t *self = wl_alloc_zero(1, sizeof *self);
    self->decoder = wl_decoder_new();
    uint64_t after = 0;
    uint64_t last = 0;
    do {
        after = last;
        cr_assert_eq(wl_queue_read(world->queue, after, 100, on_durable, self, &last), WL_OK);
    } while (last != after);
    return self;
}

static void durable_free(durable_t *self) {
    wl_decoder_destroy(&self->decoder);
    wl_free(self);
}

/* ---- notifications --------------------------------------------------------------------------- */

Test(intake, acknowledges_a_notification_that_is_durable) {
    intake_world_t world;
    world_open(&world);
    send_changed(world.client, 5, "cash", 100, 3, 9);
    client_expect_result(world.client, 5);
    cr_expect_eq(body_number(world.client->result, "accepted"), 3);
    durable_t *durable = durable_read(&world);
    cr_expect_eq(durable->entries, 1u);
    cr_expect_eq(durable->kind, WL_ENTRY_CHANGES);
    cr_expect_str_eq(durable->line, "cash");
    cr_assert_eq(durable->change_count, 3u);
    cr_expect_eq(durable->changes[2].uid, 102u);
    cr_expect_eq(durable->changes[2].version, 9u);
    durable_free(durable);
    wl_msg_t msg = neighbour_await(&world.dispatcher, WL_MSG_QUEUED);
    cr_expect_gt(msg.head.queued.last_id, 0u);
    world_close(&world);
}

Test(intake, acknowledges_each_of_many_requests_sent_at_once) {
    intake_world_t world;
    world_open(&world);
    enum { REQUESTS = 1500 };
    for (uint64_t i = 0; i < REQUESTS; i++) {
        send_changed(world.client, 10 + i, "cash", 1 + i, 1, 0);
    }
    static uint8_t seen[REQUESTS];
    for (uint64_t i = 0; i < REQUESTS; i++) {
        cr_assert(client_take(world.client, PATIENCE_MS), "only %llu", (unsigned long long)i);
        cr_assert_str_eq(world.client->code, "");
        cr_assert_eq(seen[world.client->msgid - 10]++, 0);
    }
    cr_expect_eq(queue_stats(world.queue).entries, (uint64_t)REQUESTS);
    world_close(&world);
}

Test(intake, answers_a_bare_dealer_and_a_req_alike) {
    intake_world_t world;
    world_open(&world);
    zsock_t *bare = zsock_new(ZMQ_DEALER);
    cr_assert_eq(zsock_connect(bare, "%s", world.stage.endpoint), 0);
    args_t args;
    args_open(&args, 1);
    args_number(&args, "uid", 3);
    msgpack_sbuffer request;
    msgpack_sbuffer_init(&request);
    wl_rpc_pack_request(&request, 77, "wallet.refresh",
                        (wl_bytes_t){(uint8_t *)args.bytes.data, args.bytes.size});
    cr_assert_eq(zmq_send(zsock_resolve(bare), request.data, request.size, 0), (int)request.size);
    cr_assert(socket_readable(bare, PATIENCE_MS));
    uint8_t reply[256];
    int bytes = zmq_recv(zsock_resolve(bare), reply, sizeof reply, 0);
    cr_assert_gt(bytes, 4);
    cr_expect_eq(reply[0], 0x94);
    cr_expect_eq(reply[2], 77);
    msgpack_sbuffer_destroy(&request);
    msgpack_sbuffer_destroy(&args.bytes);
    zsock_destroy(&bare);
    world_close(&world);
}

Test(intake, names_the_element_it_refuses) {
    intake_world_t world;
    world_open(&world);
    client_t *client = world.client;
    send_changed(client, 1, "nope", 1, 1, 0);
    client_expect_error(client, 1, "not_found");
    cr_expect_str_eq(client->message, "line \"nope\" is not configured");
    send_changed(client, 2, "shop", 1, 1, 0);
    client_expect_error(client, 2, "bad_request");
    send_changed(client, 3, "BAD LINE", 1, 1, 0);
    client_expect_error(client, 3, "bad_request");
    send_changed(client, 4, "cash", 0, 1, 0);
    client_expect_error(client, 4, "bad_request");
    cr_expect_str_eq(client->message, "changes/0/uid: must not be 0");
    send_changed(client, 5, "cash", 1, 1, (uint64_t)INT64_MAX + 1);
    client_expect_error(client, 5, "bad_request");
    cr_expect_not_null(strstr(client->message, "changes/0/version: must be at most"));
    send_changed(client, 6, "cash", 1, WL_CHANGES_MAX + 1, 0);
    client_expect_error(client, 6, "bad_request");
    send_changed(client, 7, "cash", 1, 0, 0);
    client_expect_error(client, 7, "bad_request");
    cr_expect_str_eq(client->message, "changes: must not be empty");

    args_t args;
    args_open(&args, 2);
    args_text(&args, "line", "cash");
    args_list(&args, "changes", 3);
    for (int i = 0; i < 2; i++) {
        msgpack_pack_map(&args.packer, 1);
        args_number(&args, "uid", 4);
    }
    msgpack_pack_map(&args.packer, 1);
    args_key(&args.packer, "uid");
    msgpack_pack_int64(&args.packer, -4);
    args_send(&args, client, 8, "notify.changed");
    client_expect_error(client, 8, "bad_request");
    cr_expect_str_eq(client->message, "changes/2/uid: must not be negative");

    args_open(&args, 2);
    args_text(&args, "line", "cash");
    args_list(&args, "changes", 2);
    msgpack_pack_map(&args.packer, 1);
    args_text(&args, "uid", "7");
    msgpack_pack_nil(&args.packer);
    args_send(&args, client, 9, "notify.changed");
    client_expect_error(client, 9, "bad_request");
    cr_expect_str_eq(client->message, "changes/0/uid: must be an integer, got str");
    client_ask(client, 10, "wallet.home", 1, 0);
    client_expect_error(client, 10, "unknown_method");
    cr_expect_eq(queue_stats(world.queue).entries, 0u, "nothing refused is kept");
    world_close(&world);
}

Test(intake, takes_a_notification_envelope_without_a_reply) {
    intake_world_t world;
    world_open(&world);
    msgpack_sbuffer body;
    msgpack_packer packer;
    msgpack_sbuffer_init(&body);
    msgpack_packer_init(&packer, &body, msgpack_sbuffer_write);
    msgpack_pack_array(&packer, 3);
    msgpack_pack_int(&packer, 2);
    args_key(&packer, "notify.changed");
    msgpack_pack_array(&packer, 1);
    msgpack_pack_map(&packer, 2);
    args_key(&packer, "line");
    args_key(&packer, "cash");
    args_key(&packer, "changes");
    msgpack_pack_array(&packer, 1);
    msgpack_pack_map(&packer, 1);
    args_key(&packer, "uid");
    msgpack_pack_uint64(&packer, 5);
    client_send_raw(world.client, body.data, body.size);
    msgpack_sbuffer_destroy(&body);
    cr_expect(queue_settles(world.queue, 1));
    cr_expect_not(client_take(world.client, QUIET_MS));
    world_close(&world);
}

static void pack_asset(args_t *args, uint64_t uid, const char *line, uint64_t version) {
    msgpack_pack_map(&args->packer, line == NULL ? 6 : 7);
    args_number(args, "uid", uid);
    args_text(args, "kind", "cash");
    args_text(args, "amount", "1250");
    args_text(args, "unit", "CNY");
    args_number(args, "scale", 2);
    args_number(args, "version", version);
    if (line != NULL) {
        args_text(args, "line", line);
    }
}

static void send_assets(client_t *client, uint64_t msgid, const char *line, const char *asset_line,
                        uint64_t version) {
    args_t args;
    args_open(&args, 2);
    args_text(&args, "line", line);
    args_list(&args, "assets", 2);
    pack_asset(&args, 5, NULL, version > 0 ? version : 1);
    pack_asset(&args, 6, asset_line, version);
    args_send(&args, client, msgid, "notify.assets");
}

Test(intake, keeps_the_values_that_come_with_a_notification) {
    intake_world_t world;
    world_open(&world);
    send_assets(world.client, 1, "cash", "cash", 8);
    client_expect_result(world.client, 1);
    cr_expect_eq(body_number(world.client->result, "accepted"), 2);
    durable_t *durable = durable_read(&world);
    cr_expect_eq(durable->kind, WL_ENTRY_ASSETS);
    cr_assert_eq(durable->assets.count, 2u);
    cr_expect_eq(durable->assets.at[1].amount, 1250);
    cr_expect_str_eq(durable->assets.at[1].line, "cash");
    cr_expect_gt(durable->assets.at[1].pulled_at, 0, "our clock says when");
    durable_free(durable);

    send_assets(world.client, 2, "cash", "coin", 8);
    client_expect_error(world.client, 2, "bad_request");
    cr_expect_not_null(strstr(world.client->message, "assets/1/line"), "%s", world.client->message);
    send_assets(world.client, 3, "cash", "cash", 0);
    client_expect_error(world.client, 3, "bad_request");
    cr_expect_not_null(strstr(world.client->message, "assets/1/version"), "%s",
                       world.client->message);
    world_close(&world);
}

Test(intake, takes_a_payload_without_versions_as_a_mere_change) {
    intake_world_t world;
    world_open(&world);
    send_assets(world.client, 1, "none", "none", 0);
    client_expect_result(world.client, 1);
    durable_t *durable = durable_read(&world);
    cr_expect_eq(durable->kind, WL_ENTRY_CHANGES);
    cr_assert_eq(durable->change_count, 2u);
    cr_expect_eq(durable->changes[1].uid, 6u);
    cr_expect_eq(durable->changes[1].version, 0u);
    durable_free(durable);
    world_close(&world);
}

Test(intake, queues_a_refresh_for_each_line) {
    intake_world_t world;
    world_open(&world);
    client_ask(world.client, 1, "wallet.refresh", 42, 0);
    client_expect_result(world.client, 1);
    cr_expect_eq(body_number(world.client->result, "queued"), 4, "all but the link");
    args_t args;
    args_open(&args, 2);
    args_number(&args, "uid", 43);
    args_list(&args, "lines", 1);
    args_key(&args.packer, "coin");
    args_send(&args, world.client, 2, "wallet.refresh");
    client_expect_result(world.client, 2);
    cr_expect_eq(body_number(world.client->result, "queued"), 1);
    durable_t *durable = durable_read(&world);
    cr_expect_eq(durable->entries, 5u);
    cr_expect_eq(durable->kind, WL_ENTRY_REFRESH);
    cr_expect_eq(durable->changes[0].uid, 43u);
    durable_free(durable);
    args_open(&args, 2);
    args_number(&args, "uid", 43);
    args_list(&args, "lines", 2);
    args_key(&args.packer, "coin");
    args_key(&args.packer, "nope");
    args_send(&args, world.client, 3, "wallet.refresh");
    client_expect_error(world.client, 3, "not_found");
    cr_expect_eq(queue_stats(world.queue).entries, 5u, "all or none");
    world_close(&world);
}

Test(intake, is_unavailable_before_the_first_configuration) {
    intake_world_t world;
    world_open_bare(&world);
    world_start(&world, false);
    send_changed(world.client, 1, "cash", 1, 1, 0);
    client_expect_error(world.client, 1, "unavailable");
    cr_expect_gt(world.client->retry_after_ms, 0);
    client_ask(world.client, 2, "wallet.refresh", 1, 0);
    client_expect_error(world.client, 2, "unavailable");
    world_close(&world);
}

Test(intake, acknowledges_nothing_while_the_disk_is_full_and_recovers) {
    intake_world_t world;
    world_open(&world);
    disk_limit(4096);
    for (uint64_t i = 0; i < 20; i++) {
        send_changed(world.client, 100 + i, "cash", 1 + i, 50, 0);
    }
    for (uint64_t i = 0; i < 20; i++) {
        cr_assert(client_take(world.client, 3 * PATIENCE_MS));
        cr_expect_str_eq(world.client->code, "busy");
        cr_expect_gt(world.client->retry_after_ms, 0);
    }
    disk_limit(RLIM_INFINITY);
    cr_expect_eq(queue_stats(world.queue).entries, 0u);
    send_changed(world.client, 5, "cash", 1, 1, 0);
    client_expect_result(world.client, 5);
    stage_expect_counter(&world.stage, intake_refused_disk, 20);
    world_close(&world);
}

/* ---- publications ---------------------------------------------------------------------------- */

static void publish(zsock_t *pub, const char *topic, const char *line, uint64_t seq, uint64_t uid) {
    msgpack_sbuffer body;
    msgpack_packer packer;
    msgpack_sbuffer_init(&body);
    msgpack_packer_init(&packer, &body, msgpack_sbuffer_write);
    msgpack_pack_array(&packer, 3);
    msgpack_pack_int(&packer, 2);
    args_key(&packer, "notify.changed");
    msgpack_pack_array(&packer, 1);
    msgpack_pack_map(&packer, 4);
    args_key(&packer, "line");
    args_key(&packer, line);
    args_key(&packer, "source");
    args_key(&packer, "node-1");
    args_key(&packer, "seq");
    msgpack_pack_uint64(&packer, seq);
    args_key(&packer, "changes");
    msgpack_pack_array(&packer, 1);
    msgpack_pack_map(&packer, 1);
    args_key(&packer, "uid");
    msgpack_pack_uint64(&packer, uid);
    void *socket = zsock_resolve(pub);
    cr_assert_eq(zmq_send(socket, topic, strlen(topic), ZMQ_SNDMORE), (int)strlen(topic));
    cr_assert_eq(zmq_send(socket, body.data, body.size, 0), (int)body.size);
    msgpack_sbuffer_destroy(&body);
}

/* A publisher whose subscription has arrived. */
static zsock_t *publisher_open(const stage_t *stage) {
    zsock_t *pub = zsock_new(ZMQ_XPUB);
    cr_assert_eq(zsock_connect(pub, "%s", stage->settings.intake_subscribe), 0);
    cr_assert(socket_readable(pub, PATIENCE_MS));
    uint8_t subscription[64];
    cr_assert_gt(zmq_recv(zsock_resolve(pub), subscription, sizeof subscription, 0), 0);
    return pub;
}

Test(intake, makes_publications_durable_and_counts_what_is_missing) {
    intake_world_t world;
    world_open(&world);
    zsock_t *pub = publisher_open(&world.stage);
    publish(pub, "changed.cash", "cash", 1, 11);
    publish(pub, "changed.cash", "cash", 2, 12);
    publish(pub, "changed.cash", "cash", 6, 13);
    publish(pub, "changed.coin", "coin", 1, 14); /* another line: its own sequence */
    cr_expect(queue_settles(world.queue, 4));
    stage_expect_counter(&world.stage, intake_pub_changes, 4);
    stage_expect_counter(&world.stage, intake_pub_gaps, 1);
    stage_expect_counter(&world.stage, intake_pub_lost, 3);
    zsock_destroy(&pub);
    world_close(&world);
}

Test(intake, refuses_publications_under_the_key_of_another_line) {
    intake_world_t world;
    world_open(&world);
    zsock_t *pub = publisher_open(&world.stage);
    publish(pub, "changed.cash", "coin", 1, 11);
    publish(pub, "changed.nope", "nope", 1, 11);
    publish(pub, "changed.", "cash", 1, 11);
    publish(pub, "changed.cash/x", "cash", 1, 11);
    publish(pub, "changed.cash", "cash", 1, 0);
    void *socket = zsock_resolve(pub);
    cr_assert_eq(zmq_send(socket, "changed.cash", 12, 0), 12); /* no body */
    cr_assert_eq(zmq_send(socket, "changed.cash", 12, ZMQ_SNDMORE), 12);
    cr_assert_eq(zmq_send(socket, "\xc1", 1, ZMQ_SNDMORE), 1); /* one frame too many */
    cr_assert_eq(zmq_send(socket, "x", 1, 0), 1);
    cr_assert_eq(zmq_send(socket, "changed.cash", 12, ZMQ_SNDMORE), 12);
    cr_assert_eq(zmq_send(socket, "\xdf\xff\xff\xff\xff", 5, 0), 5); /* no MessagePack */
    publish(pub, "changed.cash", "cash", 2, 12);
    cr_expect(queue_settles(world.queue, 1), "the sound one still arrives");
    stage_expect_counter(&world.stage, intake_pub_refused, 8);
    zsock_destroy(&pub);
    world_close(&world);
}

Test(intake, leaves_publications_in_their_socket_until_it_is_configured) {
    intake_world_t world;
    world_open_bare(&world);
    world_start(&world, false);
    zsock_t *pub = publisher_open(&world.stage);
    publish(pub, "changed.cash", "cash", 1, 11);
    (void)zmq_poll(NULL, 0, QUIET_MS);
    cr_expect_eq(queue_stats(world.queue).entries, 0u);
    stage_configure_writer(&world.stage, 1, "http://127.0.0.1:1", "");
    cr_expect(queue_settles(world.queue, 1));
    zsock_destroy(&pub);
    world_close(&world);
}

/* ---- operators ------------------------------------------------------------------------------- */

static void send_reply(stage_t *stage, uint64_t ticket, wl_err_t err, const char *text) {
    static const uint8_t body[] = {0x81, 0xa5, 'l', 'i', 'n', 'e', 's', 0x05};
    wl_reply_item_t reply = {.ticket = ticket, .error = (uint32_t)err};
    if (err == WL_OK) {
        reply.body = (wl_bytes_t){body, sizeof body};
    }
    (void)snprintf(reply.text, sizeof reply.text, "%s", text);
    wl_reply_begin(stage->encoder, &(wl_reply_head_t){0});
    wl_reply_add(stage->encoder, &reply);
    stage_send(stage);
}

Test(intake, hands_operators_to_the_owner_and_its_answer_back) {
    intake_world_t world;
    world_open(&world);
    client_send(world.client, 21, "admin.lines", NULL);
    wl_msg_t msg = neighbour_await(&world.dispatcher, WL_MSG_ADMIN);
    cr_expect_eq(msg.head.admin.intake, 0u);
    cr_expect_eq(msg.items.admin[0].method, WL_METHOD_ADMIN_LINES);
    uint64_t ticket = msg.items.admin[0].ticket;
    send_reply(&world.stage, ticket + 1, WL_OK, ""); /* a ticket of nobody */
    send_reply(&world.stage, ticket, WL_OK, "");
    client_expect_result(world.client, 21);
    cr_expect_eq(body_number(world.client->result, "lines"), 5);
    send_reply(&world.stage, ticket, WL_OK, ""); /* twice: only once told */
    cr_expect_not(client_take(world.client, QUIET_MS));

    args_t args;
    args_open(&args, 1);
    args_number(&args, "id", 9);
    args_send(&args, world.client, 22, "admin.dlq.show");
    msg = neighbour_await(&world.dispatcher, WL_MSG_ADMIN);
    cr_expect_eq(body_number(msg.items.admin[0].args, "id"), 9);
    send_reply(&world.stage, msg.items.admin[0].ticket, WL_ERR_NOT_FOUND, "there is no letter 9");
    client_expect_error(world.client, 22, "not_found");
    cr_expect_str_eq(world.client->message, "there is no letter 9");

    client_send(world.client, 23, "admin.stats", NULL);
    (void)neighbour_await(&world.stage.console, WL_MSG_ADMIN);
    world_close(&world);
}

Test(intake, tells_operators_when_the_deadline_has_passed) {
    intake_world_t world;
    world_open(&world);
    args_t args;
    args_open(&args, 1);
    args_number(&args, "deadline_ms", 80);
    args_send(&args, world.client, 21, "admin.queue");
    client_expect_error(world.client, 21, "deadline");
    stage_expect_counter(&world.stage, rpc_expired, 1);
    world_close(&world);
}

Test(intake, lets_a_bounded_number_of_operators_wait) {
    intake_world_t world;
    world_open_bare(&world);
    world.stage.settings.intake_requests_max = 16;
    world_start(&world, true);
    for (uint64_t i = 0; i < 20; i++) {
        client_send(world.client, 30 + i, "admin.queue", NULL);
    }
    for (uint64_t i = 0; i < 4; i++) {
        cr_assert(client_take(world.client, PATIENCE_MS));
        cr_expect_str_eq(world.client->code, "busy");
    }
    cr_expect_not(client_take(world.client, QUIET_MS));
    world_close(&world);
}

/* ---- the end --------------------------------------------------------------------------------- */

Test(intake, ends_soon_while_nothing_happens) {
    intake_world_t world;
    world_open(&world);
    cr_expect_lt(stage_stop(&world.stage), 300);
    world_close(&world);
}

Test(intake, waits_for_operators_no_longer_than_the_drain_allows) {
    intake_world_t world;
    world_open(&world);
    client_send(world.client, 21, "admin.lines", NULL);
    (void)neighbour_await(&world.dispatcher, WL_MSG_ADMIN);
    int64_t took_ms = stage_stop(&world.stage);
    cr_expect_geq(took_ms, 400);
    cr_expect_lt(took_ms, 2000);
    world_close(&world);
}

Test(intake, loses_nothing_acknowledged_when_it_ends_in_a_burst) {
    intake_world_t world;
    world_open(&world);
    for (uint64_t i = 0; i < 3000; i++) {
        send_changed(world.client, 10 + i, "cash", 1 + i, 1, 0);
    }
    for (int i = 0; i < 100; i++) {
        cr_assert(client_take(world.client, PATIENCE_MS));
    }
    (void)stage_stop(&world.stage);
    uint64_t acknowledged = 100;
    while (client_take(world.client, QUIET_MS)) {
        acknowledged += world.client->code[0] == '\0';
    }
    cr_expect_geq(queue_stats(world.queue).entries, acknowledged);
    world_close(&world);
}

Test(intake, goes_on_when_clients_leave_before_their_answer) {
    intake_world_t world;
    world_open(&world);
    client_t *gone = client_open(world.stage.endpoint);
    client_send(gone, 1, "admin.lines", NULL);
    wl_msg_t msg = neighbour_await(&world.dispatcher, WL_MSG_ADMIN);
    uint64_t ticket = msg.items.admin[0].ticket;
    client_close(gone);
    (void)zmq_poll(NULL, 0, QUIET_MS);
    send_reply(&world.stage, ticket, WL_OK, "");
    stage_expect_counter(&world.stage, rpc_unroutable, 1);
    send_changed(world.client, 5, "cash", 1, 1, 0);
    client_expect_result(world.client, 5);
    world_close(&world);
}
