#include "actors/frontend.h"

#include "base/slot.h"
#include "read_path.h"

typedef struct {
    stage_t stage;
    neighbour_t presence[2];
    client_t *client;
} frontend_stage_t;

static frontend_stage_t self;

static void frontend_stage_prepare(void) {
    stage_open(&self.stage);
    self.presence[0] = neighbour_open(WL_ACTOR_PRESENCE, 0);
}

static void frontend_start(void) {
    stage_start(&self.stage, WL_ACTOR_FRONTEND, wl_frontend_run);
    self.client = client_open(self.stage.endpoint);
}

/* Configured, and known to be. */
static void frontend_stage_open(void) {
    frontend_stage_prepare();
    frontend_start();
    stage_configure(&self.stage);
    do {
        client_send(self.client, 1, "sys.info", NULL);
        client_expect_result(self.client, 1);
    } while (!body_has(self.client->result, "ready"));
}

static void frontend_stage_close(void) {
    self.stage.settings.server_drain_ms = 0;
    (void)stage_stop(&self.stage);
    client_close(self.client);
    neighbour_close(&self.presence[0]);
    if (self.presence[1].inbox != NULL) {
        neighbour_close(&self.presence[1]);
    }
    stage_close(&self.stage);
}

/* Any body will do: the frontend passes it on as it is. */
static void tell_reply(uint64_t ticket, uint64_t uid) {
    msgpack_sbuffer body;
    msgpack_packer packer;
    msgpack_sbuffer_init(&body);
    msgpack_packer_init(&packer, &body, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 1);
    args_key(&packer, "uid");
    msgpack_pack_uint64(&packer, uid);
    wl_reply_item_t item = {
        .ticket = ticket, .uid = uid, .body = {(const uint8_t *)body.data, body.size}};
    wl_reply_begin(self.stage.encoder, NULL);
    wl_reply_add(self.stage.encoder, &item);
    stage_send(&self.stage);
    msgpack_sbuffer_destroy(&body);
}

static wl_read_item_t expect_read(void) {
    return neighbour_expect(&self.presence[0], WL_MSG_READ, 1).items.read[0];
}

/* Sends `method` with the args in this MessagePack text. */
static void ask_raw(uint64_t msgid, const char *method, const char *args, size_t bytes) {
    msgpack_sbuffer packed = {.size = bytes};
    packed.data = wl_alloc(bytes);
    memcpy(packed.data, args, bytes);
    client_send(self.client, msgid, method, &packed);
    wl_free(packed.data);
}

#define ASK(msgid, method, args) ask_raw((msgid), (method), (args), sizeof(args) - 1)

Test(frontend, a_read_goes_to_presence_and_its_answer_to_the_client) {
    frontend_stage_open();
    int64_t now = wl_mono_now().ms;
    client_ask(self.client, 7, "wallet.home", 42, 0);
    wl_read_item_t read = expect_read();
    cr_expect_eq(read.uid, 42u);
    cr_expect_eq(read.method, (uint8_t)WL_METHOD_HOME);
    cr_expect_eq(read.filter.count, 0u);
    cr_expect(read.deadline_at >= now + 1000 && read.deadline_at < now + 1500, "the default");
    tell_reply(read.ticket, 42);
    client_expect_result(self.client, 7);
    cr_expect_eq(body_number(self.client->result, "uid"), 42);
    client_ask(self.client, 8, "wallet.golden", 43, 200000);
    read = expect_read();
    cr_expect(read.deadline_at <= now + 32000, "at most 30 s");
    tell_reply(read.ticket, 43);
    client_expect_result(self.client, 8);
    frontend_stage_close();
}

Test(frontend, a_bare_dealer_and_a_req_are_both_served) {
    frontend_stage_open();
    zsock_t *req = zsock_new_req(self.stage.endpoint);
    msgpack_sbuffer request;
    msgpack_sbuffer_init(&request);
    wl_rpc_pack_request(&request, 3, "sys.ping", (wl_bytes_t){NULL, 0});
    char reply[64];
    cr_expect_eq(zmq_send(zsock_resolve(req), request.data, request.size, 0), (int)request.size);
    cr_expect_gt(zmq_recv(zsock_resolve(req), reply, sizeof reply, 0), 4);
    zsock_destroy(&req);
    zsock_t *dealer = zsock_new_dealer(self.stage.endpoint);
    cr_expect_eq(zmq_send(zsock_resolve(dealer), request.data, request.size, 0), (int)request.size);
    cr_expect_gt(zmq_recv(zsock_resolve(dealer), reply, sizeof reply, 0), 4, "no delimiter");
    zsock_destroy(&dealer);
    msgpack_sbuffer_destroy(&request);
    frontend_stage_close();
}

Test(frontend, an_absent_user_is_answered_from_the_configuration) {
    frontend_stage_open();
    static const char *const methods[] = {"wallet.home", "wallet.golden", "wallet.assets"};
    for (uint64_t i = 0; i < 3; i++) {
        client_ask(self.client, i, methods[i], 42, 0);
        wl_reply_item_t item = {.ticket = expect_read().ticket, .absent = true, .uid = 42};
        wl_reply_begin(self.stage.encoder, NULL);
        wl_reply_add(self.stage.encoder, &item);
        stage_send(&self.stage);
        client_expect_result(self.client, i);
        cr_expect_eq(body_number(self.client->result, "uid"), 42);
        cr_expect(i == 2 || body_has(self.client->result, "has_assets\xc2"));
        cr_expect(i != 2 || body_has(self.client->result, "assets\x90"));
    }
    frontend_stage_close();
}

Test(frontend, an_absent_user_sees_campaigns_but_those_for_owners) {
    static const char page[] =
        "{\"version\":8,\"golden\":[{\"line\":\"cash\",\"campaigns\":["
        "{\"id\":\"owners\",\"line\":\"cash\",\"priority\":5,\"unless\":[\"empty\"]},"
        "{\"id\":\"all\",\"line\":\"coin\",\"end\":\"9999-01-01T00:00:00Z\"}]}]}";
    frontend_stage_open();
    stage_configure_with(&self.stage, test_integration, page);
    client_ask(self.client, 7, "wallet.golden", 42, 0);
    wl_reply_item_t item = {.ticket = expect_read().ticket, .absent = true, .uid = 42};
    wl_reply_begin(self.stage.encoder, NULL);
    wl_reply_add(self.stage.encoder, &item);
    stage_send(&self.stage);
    client_expect_result(self.client, 7);
    cr_expect(body_has(self.client->result, "campaign\xa3"
                                            "all"));
    cr_expect_not(body_has(self.client->result, "owners"));
    frontend_stage_close();
}

Test(frontend, errors_of_other_actors_reach_the_client) {
    frontend_stage_open();
    client_ask(self.client, 7, "wallet.home", 42, 0);
    wl_reply_item_t item = {.ticket = expect_read().ticket,
                            .uid = 42,
                            .error = WL_ERR_BUSY,
                            .retry_after_ms = 50,
                            .text = "full"};
    wl_reply_begin(self.stage.encoder, NULL);
    wl_reply_add(self.stage.encoder, &item);
    stage_send(&self.stage);
    client_expect_error(self.client, 7, "busy");
    cr_expect_str_eq(self.client->message, "full");
    cr_expect_eq(self.client->retry_after_ms, 50);
    frontend_stage_close();
}

Test(frontend, lines_are_checked_and_become_a_filter) {
    frontend_stage_open();
    ASK(1, "wallet.assets",
        "\x82\xa3uid\x05\xa5lines\x92\xa4"
        "coin\xa4"
        "cash");
    wl_read_item_t read = expect_read();
    cr_expect_eq(read.filter.count, 10u);
    cr_expect_eq(memcmp(read.filter.at, "coin,cash,", 10), 0);
    ASK(2, "wallet.assets",
        "\x82\xa3uid\x05\xa5lines\x91\xa5"
        "beans");
    client_expect_error(self.client, 2, "not_found");
    cr_expect(strstr(self.client->message, "beans") != NULL, "%s", self.client->message);
    ASK(3, "wallet.assets",
        "\x82\xa3uid\x05\xa5lines\x91\xa4"
        "Cash");
    client_expect_error(self.client, 3, "bad_request");
    ASK(4, "wallet.assets",
        "\x82\xa3uid\x05\xa5lines\xa4"
        "cash");
    client_expect_error(self.client, 4, "bad_request");
    ASK(5, "wallet.assets",
        "\x82\xa3uid\x05\xa5lines\xdc\x00\x41" /* 65 times 1 */
        "\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"
        "\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1");
    client_expect_error(self.client, 5, "bad_request");
    frontend_stage_close();
}

Test(frontend, requests_that_are_not_well_formed_are_told_why) {
    frontend_stage_open();
    ASK(1, "wallet.home", "\x80");
    client_expect_error(self.client, 1, "bad_request");
    cr_expect_eq(strncmp(self.client->message, "uid", 3), 0, "%s", self.client->message);
    ASK(2, "wallet.home", "\x81\xa3uid\x00");
    client_expect_error(self.client, 2, "bad_request");
    ASK(3, "wallet.home", "\x82\xa3uid\x05\xa5scene\x01");
    client_expect_error(self.client, 3, "bad_request");
    ASK(4, "wallet.home", "\x82\xa3uid\x05\xabmin_version\x90");
    client_expect_error(self.client, 4, "bad_request");
    ASK(5, "wallet.homes", "\x81\xa3uid\x05");
    client_expect_error(self.client, 5, "unknown_method");
    ASK(6, "notify.changed", "\x81\xa3uid\x05");
    client_expect_error(self.client, 6, "unknown_method");
    ASK(7, "wallet.home",
        "\x82\xa3uid\x05\xab"
        "deadline_ms\x00");
    client_expect_error(self.client, 7, "deadline");
    ASK(8, "wallet.home",
        "\x84\xa3uid\x05\xa5scene\xa1x\xabmin_version\x81\xa4"
        "cash\x07\xa2zz\x01");
    tell_reply(expect_read().ticket, 5);
    client_expect_result(self.client, 8);
    client_send_raw(self.client, "\xc1", 1);
    client_expect_error(self.client, 0, "bad_request");
    stage_expect_counter(&self.stage, rpc_malformed, 7);
    stage_expect_counter(&self.stage, rpc_expired, 1);
    stage_expect_counter(&self.stage, rpc_errors, 8);
    frontend_stage_close();
}

Test(frontend, a_notification_is_dropped_and_counted) {
    frontend_stage_open();
    client_send_raw(self.client, "\x93\x02\xabwallet.home\x91\x81\xa3uid\x05", 21);
    neighbour_hears_nothing(&self.presence[0]);
    cr_expect(!client_take(self.client, QUIET_MS));
    stage_expect_counter(&self.stage, rpc_malformed, 1);
    frontend_stage_close();
}

Test(frontend, before_the_first_configuration_reads_are_unavailable) {
    frontend_stage_prepare();
    frontend_start();
    client_ask(self.client, 1, "wallet.home", 42, 0);
    client_expect_error(self.client, 1, "unavailable");
    client_send(self.client, 2, "sys.ping", NULL);
    client_expect_result(self.client, 2);
    cr_expect(body_has(self.client->result, "pong\xc3"));
    client_send(self.client, 3, "sys.info", NULL);
    client_expect_result(self.client, 3);
    cr_expect(body_has(self.client->result, "starting"));
    cr_expect(body_has(self.client->result, WL_VERSION));
    cr_expect(body_has(self.client->result, "presence\x01"));
    frontend_stage_close();
}

/* {uids: [1..count]} */
static void ask_has(uint64_t msgid, uint32_t count) {
    msgpack_sbuffer args;
    msgpack_packer packer;
    msgpack_sbuffer_init(&args);
    msgpack_packer_init(&packer, &args, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 1);
    args_key(&packer, "uids");
    msgpack_pack_array(&packer, count);
    for (uint32_t i = 0; i < count; i++) {
        msgpack_pack_uint32(&packer, i + 1);
    }
    client_send(self.client, msgid, "wallet.has_assets", &args);
    msgpack_sbuffer_destroy(&args);
}

Test(frontend, has_assets_gathers_the_answers_of_all_presence_actors) {
    frontend_stage_prepare();
    self.stage.settings.presence_instances = 2;
    self.presence[1] = neighbour_open(WL_ACTOR_PRESENCE, 1);
    frontend_start();
    stage_configure(&self.stage);
    do {
        client_send(self.client, 1, "sys.info", NULL);
        client_expect_result(self.client, 1);
    } while (!body_has(self.client->result, "ready"));
    ask_has(9, 1000);
    uint32_t asked = 0;
    for (uint32_t presence = 0; presence < 2; presence++) {
        wl_msg_t msg = neighbour_expect(&self.presence[presence], WL_MSG_ASK, 1);
        const wl_ask_item_t *ask = &msg.items.ask[0];
        uint64_t positions[1000];
        wl_told_item_t told = {.ticket = ask->ticket, .answered = ask->uids.count};
        told.positions.at = positions;
        for (uint32_t i = 0; i < ask->uids.count; i++, asked++) {
            cr_expect_eq(ask->uids.at[i], ask->positions.at[i] + 1);
            cr_expect_eq(wl_uid_owner(ask->uids.at[i], 2), presence);
            if (ask->uids.at[i] % 3 == 0) {
                positions[told.positions.count++] = ask->positions.at[i];
            }
        }
        cr_expect(!client_take(self.client, 0), "one half is missing");
        wl_told_begin(self.stage.encoder, NULL);
        wl_told_add(self.stage.encoder, &told);
        stage_send(&self.stage);
    }
    cr_expect_eq(asked, 1000u);
    client_expect_result(self.client, 9);
    cr_assert_eq(self.client->result.count, 1u + 4u + 3u + 1000u);
    for (uint32_t i = 0; i < 1000; i++) {
        cr_expect_eq(self.client->result.at[8 + i], (i + 1) % 3 == 0 ? 0xc3 : 0xc2);
    }
    frontend_stage_close();
}

Test(frontend, has_assets_is_bounded_and_may_be_empty) {
    frontend_stage_open();
    ask_has(1, 0);
    client_expect_result(self.client, 1);
    cr_expect(body_has(self.client->result, "has\x90"));
    ask_has(2, 1001);
    client_expect_error(self.client, 2, "bad_request");
    cr_expect(strstr(self.client->message, "1000") != NULL, "%s", self.client->message);
    ASK(3, "wallet.has_assets", "\x80");
    client_expect_error(self.client, 3, "bad_request");
    ASK(4, "wallet.has_assets", "\x81\xa4uids\x92\x01\x00");
    client_expect_error(self.client, 4, "bad_request");
    neighbour_hears_nothing(&self.presence[0]);
    frontend_stage_close();
}

Test(frontend, a_request_without_an_answer_ends_at_its_deadline_and_a_late_answer_is_dropped) {
    frontend_stage_open();
    int64_t begun = wl_mono_now().ms;
    client_ask(self.client, 1, "wallet.home", 42, 80);
    uint64_t ticket = expect_read().ticket;
    client_expect_error(self.client, 1, "deadline");
    int64_t waited = wl_mono_now().ms - begun;
    cr_expect(waited >= 80 && waited < 400, "%d ms", (int)waited);
    client_ask(self.client, 2, "wallet.home", 43, 0);
    uint64_t next = expect_read().ticket;
    cr_expect_neq(next, ticket);
    tell_reply(ticket, 42);
    tell_reply(next, 43);
    client_expect_result(self.client, 2);
    cr_expect_eq(body_number(self.client->result, "uid"), 43);
    tell_reply(next, 43);
    stage_expect_counter(&self.stage, rpc_expired, 1);
    stage_expect_counter(&self.stage, rpc_late, 2);
    cr_expect(!client_take(self.client, QUIET_MS));
    frontend_stage_close();
}

Test(frontend, beyond_its_bound_it_says_busy_expensive_methods_first) {
    frontend_stage_prepare();
    self.stage.settings.frontend_requests_max = 100;
    frontend_start();
    stage_configure(&self.stage);
    do {
        client_send(self.client, 1, "sys.info", NULL);
        client_expect_result(self.client, 1);
    } while (!body_has(self.client->result, "ready"));
    static const struct {
        const char *method;
        uint64_t bound;
    } steps[] = {{"wallet.home", 85}, {"wallet.golden", 95}};
    uint64_t msgid = 100;
    uint64_t used = 0;
    for (uint32_t step = 0; step < 2; step++) {
        for (; used < steps[step].bound; used++) {
            client_ask(self.client, ++msgid, steps[step].method, used + 1, 20000);
        }
        client_ask(self.client, ++msgid, steps[step].method, 999, 20000);
        client_expect_error(self.client, msgid, "busy");
        cr_expect(self.client->retry_after_ms >= 20 && self.client->retry_after_ms <= 120);
    }
    client_send(self.client, 5, "sys.ping", NULL);
    client_expect_result(self.client, 5);
    wl_msg_t msg;
    uint64_t first = 0;
    while (first == 0 && neighbour_next(&self.presence[0], &msg, PATIENCE_MS)) {
        first = msg.items.read[0].ticket;
    }
    tell_reply(first, 1);
    client_expect_result(self.client, 101);
    client_ask(self.client, ++msgid, "wallet.golden", 1000, 20000);
    cr_expect(!client_take(self.client, QUIET_MS), "one place is free again");
    stage_expect_counter(&self.stage, rpc_busy, 2);
    frontend_stage_close();
}

/* A client with many requests under way, an actor behind that answers in any order: every request
 * gets one answer, and it is about its own user. */
Test(frontend, ten_thousand_pipelined_requests_get_one_answer_each_for_their_own_user,
     .timeout = 60) {
    enum { REQUESTS = 10000, WINDOW = 500 };
    frontend_stage_open();
    static bool answered[REQUESTS];
    static struct {
        uint64_t ticket;
        uint64_t uid;
    } waiting[WINDOW];
    memset(answered, 0, sizeof answered);
    uint64_t state = 88172645463325252u;
    uint32_t sent = 0;
    uint32_t taken = 0;
    uint32_t held = 0;
    while (taken < REQUESTS) {
        for (; sent < REQUESTS && sent - taken < WINDOW; sent++) {
            client_ask(self.client, sent, "wallet.home", sent + 1000000, 20000);
        }
        wl_msg_t msg;
        while (neighbour_next(&self.presence[0], &msg, held == 0 ? 100 : 0)) {
            for (uint32_t i = 0; i < msg.count; i++, held++) {
                waiting[held].ticket = msg.items.read[i].ticket;
                waiting[held].uid = msg.items.read[i].uid;
            }
        }
        for (uint32_t i = 0; i < 20 && held > 0; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            uint32_t at = (uint32_t)(state >> 33) % held;
            tell_reply(waiting[at].ticket, waiting[at].uid);
            waiting[at] = waiting[--held];
        }
        while (client_take(self.client, 0)) {
            cr_assert_str_eq(self.client->code, "");
            cr_assert_lt(self.client->msgid, (uint64_t)REQUESTS);
            cr_assert(!answered[self.client->msgid], "answered twice");
            cr_assert_eq(body_number(self.client->result, "uid"),
                         (int64_t)self.client->msgid + 1000000);
            answered[self.client->msgid] = true;
            taken++;
        }
    }
    cr_expect(!client_take(self.client, QUIET_MS));
    frontend_stage_close();
}

Test(frontend, a_client_that_went_away_costs_nothing_but_a_count) {
    frontend_stage_open();
    client_t *gone = client_open(self.stage.endpoint);
    client_ask(gone, 1, "wallet.home", 42, 0);
    uint64_t ticket = expect_read().ticket;
    client_close(gone);
    for (uint32_t i = 0; i < 20; i++) { /* until the server has seen it go */
        client_send(self.client, 50 + i, "sys.ping", NULL);
        client_expect_result(self.client, 50 + i);
        cr_expect(!client_take(self.client, 5));
    }
    tell_reply(ticket, 42);
    client_ask(self.client, 2, "wallet.home", 43, 0);
    tell_reply(expect_read().ticket, 43);
    client_expect_result(self.client, 2);
    stage_expect_counter(&self.stage, rpc_unroutable, 1);
    frontend_stage_close();
}

Test(frontend, a_client_that_does_not_read_does_not_stop_the_others, .timeout = 60) {
    frontend_stage_open();
    client_t *slow = wl_alloc_zero(1, sizeof *slow);
    slow->socket = zsock_new(ZMQ_DEALER);
    zsock_set_rcvhwm(slow->socket, 10);
    zsock_set_rcvbuf(slow->socket, 4096);
    cr_assert_eq(zsock_connect(slow->socket, "%s", self.stage.endpoint), 0);
    for (uint64_t i = 0; i < 20000; i++) {
        client_send(slow, i, "sys.info", NULL);
    }
    (void)stage_counter(&self.stage, WL_COUNTER_rpc_slow_client, 1);
    cr_expect_gt(self.stage.counters[WL_COUNTER_rpc_slow_client], 0u);
    client_send(self.client, 5, "sys.ping", NULL);
    client_expect_result(self.client, 5);
    client_close(slow);
    frontend_stage_close();
}

Test(frontend, messages_that_are_none_or_not_for_it_are_counted) {
    frontend_stage_open();
    stage_send_raw(&self.stage, "\xc1", 1);
    stage_send_raw(&self.stage, "", 0);
    stage_read(&self.stage, test_read(1, 2, WL_METHOD_HOME, 1000));
    ask_has(1, 3);
    wl_msg_t msg = neighbour_expect(&self.presence[0], WL_MSG_ASK, 1);
    uint64_t far[2] = {2, 70000};
    wl_told_item_t told = {
        .ticket = msg.items.ask[0].ticket, .positions = {far, 2}, .answered = 4000000000u};
    wl_told_begin(self.stage.encoder, NULL);
    wl_told_add(self.stage.encoder, &told);
    told.answered = 3;
    wl_told_add(self.stage.encoder, &told);
    stage_send(&self.stage);
    client_expect_result(self.client, 1);
    cr_expect(body_has(self.client->result, "has\x93\xc2\xc2\xc3"));
    tell_reply(12345, 1);
    stage_expect_counter(&self.stage, msg_malformed, 3);
    stage_expect_counter(&self.stage, msg_unexpected, 1);
    stage_expect_counter(&self.stage, rpc_late, 1);
    frontend_stage_close();
}

Test(frontend, stops_idle) {
    frontend_stage_open();
    cr_expect_lt(stage_stop(&self.stage), 500);
    frontend_stage_close();
}

typedef struct {
    int64_t took_ms;
} stopper_t;

static void *stopper_main(void *arg) {
    stopper_t *stopper = arg;
    stopper->took_ms = stage_stop(&self.stage);
    return NULL;
}

Test(frontend, a_stop_waits_for_requests_under_way_and_refuses_new_ones) {
    frontend_stage_open();
    client_ask(self.client, 1, "wallet.home", 42, 5000);
    uint64_t ticket = expect_read().ticket;
    stopper_t stopper = {0};
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, stopper_main, &stopper), 0);
    do { /* until it has begun to stop */
        client_send(self.client, 2, "sys.info", NULL);
        client_expect_result(self.client, 2);
    } while (!body_has(self.client->result, "draining"));
    client_ask(self.client, 3, "wallet.home", 43, 0);
    client_expect_error(self.client, 3, "unavailable");
    tell_reply(ticket, 42);
    client_expect_result(self.client, 1);
    cr_expect_eq(body_number(self.client->result, "uid"), 42);
    (void)pthread_join(thread, NULL);
    cr_expect_lt(stopper.took_ms, 1500);
    frontend_stage_close();
}

Test(frontend, a_stop_does_not_wait_longer_than_the_drain_time) {
    frontend_stage_prepare();
    self.stage.settings.server_drain_ms = 200;
    frontend_start();
    stage_configure(&self.stage);
    do {
        client_send(self.client, 1, "sys.info", NULL);
        client_expect_result(self.client, 1);
    } while (!body_has(self.client->result, "ready"));
    client_ask(self.client, 1, "wallet.home", 42, 20000);
    (void)expect_read();
    int64_t took_ms = stage_stop(&self.stage);
    cr_expect(took_ms >= 190 && took_ms < 1000, "%d ms", (int)took_ms);
    frontend_stage_close();
}

Test(frontend, stops_with_a_full_mailbox_and_without_presence) {
    frontend_stage_open();
    neighbour_close(&self.presence[0]);
    self.presence[0] = neighbour_open(WL_ACTOR_INTAKE, 0); /* something to close */
    client_ask(self.client, 9, "wallet.home", 42, 100);
    client_expect_error(self.client, 9, "deadline");
    wl_reply_item_t item = {.ticket = 5, .uid = 42};
    for (uint32_t sent = 0; sent < 60000; sent++) {
        wl_reply_begin(self.stage.encoder, NULL);
        wl_reply_add(self.stage.encoder, &item);
        if (wl_channel_send(self.stage.outbox, self.stage.encoder) != WL_OK) {
            break;
        }
    }
    cr_expect_lt(stage_stop(&self.stage), 2000);
    frontend_stage_close();
}

/* A CONFIG with this rollout, and a candidate of the same documents. */
static void configure_rollout(const char *rollout) {
    wl_bytes_t lines = {(const uint8_t *)test_integration, sizeof test_integration - 1};
    wl_bytes_t page = {(const uint8_t *)test_presentation, sizeof test_presentation - 1};
    wl_config_head_t head = {
        .seq = 5, .version = "3.7", .rollout = {(const uint8_t *)rollout, strlen(rollout)}};
    wl_config_item_t item = {lines, page, lines, page};
    wl_config_begin(self.stage.encoder, &head);
    wl_config_add(self.stage.encoder, &item);
    stage_send(&self.stage);
}

Test(frontend, a_request_says_whose_candidate_answers_it) {
    neighbour_t config = neighbour_open(WL_ACTOR_CONFIG, 0);
    frontend_stage_open();
    configure_rollout("{\"id\":5,\"percent\":100,\"scenes\":[\"home\"]}");
    wl_read_item_t read = {.rollout = 0};
    do { /* until it has heard of it */
        ASK(1, "wallet.home", "\x82\xa3uid\x2a\xa5scene\xa4home");
        read = expect_read();
        tell_reply(read.ticket, 42);
        client_expect_result(self.client, 1);
    } while (read.rollout == 0);
    cr_expect_eq(read.rollout, 5);
    ASK(2, "wallet.home", "\x82\xa3uid\x2a\xa5scene\xa4mine");
    read = expect_read();
    cr_expect_eq(read.rollout, 0);
    tell_reply(read.ticket, 42);
    client_expect_result(self.client, 2);
    ASK(3, "wallet.home",
        "\x82\xa3uid\x2a\xab"
        "app_version\xa1x");
    client_expect_error(self.client, 3, "bad_request");
    wl_msg_t msg = neighbour_expect(&config, WL_MSG_TRIAL, 1);
    while (msg.items.trial[0].candidate == 0 || msg.items.trial[0].base == 0) {
        msg = neighbour_expect(&config, WL_MSG_TRIAL, 1);
    }
    cr_expect_eq(msg.head.trial.rollout, 5);
    cr_expect_eq(msg.items.trial[0].candidate_errors, 0);
    configure_rollout("");
    do {
        ASK(4, "wallet.home", "\x82\xa3uid\x2a\xa5scene\xa4home");
        read = expect_read();
        tell_reply(read.ticket, 42);
        client_expect_result(self.client, 4);
    } while (read.rollout != 0);
    neighbour_close(&config);
    frontend_stage_close();
}
