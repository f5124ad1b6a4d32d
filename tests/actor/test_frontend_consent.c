/* A frontend and consents; the test is presence, the actors in front of it on a withdrawn consent's
 * way, and whoever comes behind it. */
#include "actors/frontend_consent.h"

#include "actors/frontend.h"
#include "read_path.h"

typedef struct {
    stage_t stage;
    neighbour_t presence;
    neighbour_t dispatcher;
    client_t *client;
} world_t;

static world_t self;

/* Clients come over inproc: what the actor has sent is there at once, before what it sends next. */
static void world_open(void) {
    stage_open(&self.stage);
    (void)snprintf(self.stage.settings.frontend_endpoint,
                   sizeof self.stage.settings.frontend_endpoint, "inproc://frontend-consent");
    (void)snprintf(self.stage.endpoint, sizeof self.stage.endpoint, "inproc://frontend-consent");
    self.presence = neighbour_open(WL_ACTOR_PRESENCE, 0);
    self.dispatcher = neighbour_open(WL_ACTOR_DISPATCHER, 0);
    stage_start(&self.stage, WL_ACTOR_FRONTEND, wl_frontend_run);
    self.client = client_open(self.stage.endpoint);
    stage_configure_with(&self.stage, live_integration, live_presentation);
    do {
        client_send(self.client, 1, "sys.info", NULL);
        client_expect_result(self.client, 1);
    } while (!body_has(self.client->result, "ready"));
}

static void world_close(void) {
    self.stage.settings.server_drain_ms = 0;
    (void)stage_stop(&self.stage);
    client_close(self.client);
    neighbour_close(&self.presence);
    neighbour_close(&self.dispatcher);
    stage_close(&self.stage);
}

/* {uid, line: "card", granted, expires_at?} */
static void ask_consent(uint64_t msgid, uint64_t uid, bool granted, int64_t expires_at) {
    msgpack_sbuffer args;
    msgpack_packer packer;
    msgpack_sbuffer_init(&args);
    msgpack_packer_init(&packer, &args, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, expires_at > 0 ? 4 : 3);
    args_key(&packer, "uid");
    msgpack_pack_uint64(&packer, uid);
    args_key(&packer, "line");
    args_key(&packer, "card");
    args_key(&packer, "granted");
    granted ? msgpack_pack_true(&packer) : msgpack_pack_false(&packer);
    if (expires_at > 0) {
        args_key(&packer, "expires_at");
        msgpack_pack_int64(&packer, expires_at);
    }
    client_send(self.client, msgid, "wallet.consent", &args);
    msgpack_sbuffer_destroy(&args);
}

static wl_live_item_t expect_live(void) {
    wl_msg_t msg = neighbour_expect(&self.presence, WL_MSG_LIVE, 1);
    cr_expect_str_eq(msg.head.live.line, "card");
    cr_expect_eq(msg.head.live.asker, (uint8_t)WL_ACTOR_FRONTEND);
    cr_expect_eq(msg.head.live.instance, 0u);
    cr_expect_eq(msg.head.live.reader, 0u);
    cr_expect_eq(msg.items.live[0].what, (uint8_t)WL_LIVE_CONSENT);
    return msg.items.live[0];
}

static void tell_lived(uint64_t ticket, uint64_t uid, wl_err_t err, int64_t at) {
    wl_lived_item_t item = {.ticket = ticket,
                            .uid = uid,
                            .what = WL_LIVE_CONSENT,
                            .error = (uint32_t)err,
                            .retry_after_ms = err == WL_OK ? 0 : 70,
                            .at = at};
    (void)snprintf(item.reason, sizeof item.reason, "%s", err == WL_OK ? "" : "not now");
    wl_lived_begin(self.stage.encoder, &(wl_lived_head_t){.line = "card"});
    wl_lived_add(self.stage.encoder, &item);
    stage_send(&self.stage);
}

static void tell_withdrawn(uint64_t uid, uint64_t seq, uint32_t dispatcher) {
    wl_asset_t gone = test_asset(uid, "card", 0, 9);
    gone.state = WL_STATE_GONE;
    (void)snprintf(gone.bucket, sizeof gone.bucket, "%s", WL_BUCKET_CONSENT);
    wl_stored_head_t head = {.dispatcher = dispatcher, .line = "card"};
    wl_stored_item_t item = {.uid = uid, .seq = seq, .assets = {&gone, 1}};
    wl_stored_begin(self.stage.encoder, &head);
    wl_stored_add(self.stage.encoder, &item);
    stage_send(&self.stage);
}

Test(frontend_consent, is_asked_of_presence_and_answered_when_it_is_in_effect) {
    world_open();
    ask_consent(7, 42, true, INT64_C(4000000000000));
    wl_live_item_t live = expect_live();
    cr_expect(live.uid == 42 && live.granted && live.expires_at == INT64_C(4000000000000));
    cr_expect_not(client_take(self.client, QUIET_MS), "not yet");
    tell_lived(live.ticket, 42, WL_OK, 12345);
    client_expect_result(self.client, 7);
    cr_expect(body_has(self.client->result, "\xa7granted\xc3"));
    cr_expect_eq(body_number(self.client->result, "granted_at"), 12345);
    cr_expect_eq(body_number(self.client->result, "expires_at"), INT64_C(4000000000000));
    ask_consent(8, 42, false, 0);
    live = expect_live();
    cr_expect(!live.granted && live.expires_at == 0);
    tell_lived(live.ticket, 43, WL_OK, 1); /* of somebody else */
    tell_lived(live.ticket + 1, 42, WL_OK, 1);
    stage_expect_counter(&self.stage, rpc_late, 2);
    tell_lived(live.ticket, 42, WL_OK, 12346);
    client_expect_result(self.client, 8);
    cr_expect(body_has(self.client->result, "\xa7granted\xc2"));
    world_close();
}

Test(frontend_consent, says_why_it_is_not_so) {
    world_open();
    ask_consent(7, 42, false, 0);
    wl_live_item_t live = expect_live();
    tell_lived(live.ticket, 42, WL_ERR_UNAVAILABLE, 0);
    client_expect_error(self.client, 7, "unavailable");
    cr_expect_str_eq(self.client->message, "not now");
    cr_expect_eq(self.client->retry_after_ms, 70);
    ask_consent(8, 0, true, 0);
    client_expect_error(self.client, 8, "bad_request");
    neighbour_hears_nothing(&self.presence);
    world_close();
}

Test(frontend_consent, a_withdrawn_one_passes_behind_the_replies_that_came_before_it) {
    world_open();
    client_ask(self.client, 5, "wallet.home", 42, 0);
    wl_read_item_t read = neighbour_expect(&self.presence, WL_MSG_READ, 1).items.read[0];
    wl_reply_item_t reply = {.ticket = read.ticket, .uid = 42, .body = {(uint8_t *)"\x80", 1}};
    wl_reply_begin(self.stage.encoder, NULL);
    wl_reply_add(self.stage.encoder, &reply);
    stage_send(&self.stage);
    tell_withdrawn(42, 77, 0);
    wl_msg_t done = neighbour_expect(&self.dispatcher, WL_MSG_DONE, 1);
    cr_expect_str_eq(done.head.done.line, "card");
    cr_expect(done.items.done[0].uid == 42 && done.items.done[0].seq == 77);
    cr_expect(client_take(self.client, 0), "the reply is out before");
    cr_expect_eq(self.client->msgid, 5u);
    world_close();
}

Test(frontend_consent, of_another_process_its_end_is_told_to_presence) {
    world_open();
    client_ask(self.client, 5, "wallet.home", 42, 20000); /* it waits for others: not for long */
    (void)neighbour_expect(&self.presence, WL_MSG_READ, 1);
    tell_withdrawn(42, 78, WL_DISPATCHER_NONE);
    wl_msg_t done = neighbour_expect(&self.presence, WL_MSG_DONE, 1);
    cr_expect(done.items.done[0].uid == 42 && done.items.done[0].seq == 78);
    neighbour_hears_nothing(&self.dispatcher);
    tell_withdrawn(42, 79, 7); /* nobody like this */
    stage_expect_counter(&self.stage, msg_malformed, 1);
    wl_stored_head_t head = {.line = "card"};
    wl_asset_t asset = test_asset(42, "card", 5, 1);
    wl_stored_begin(self.stage.encoder, &head);
    wl_stored_add(self.stage.encoder, &(wl_stored_item_t){.uid = 42, .assets = {&asset, 1}});
    stage_send(&self.stage);
    stage_expect_counter(&self.stage, msg_unexpected, 1);
    world_close();
}

/* The gate alone: its hub has a mailbox that is never empty before somebody was refused. */
typedef struct {
    wl_hub_t hub;
    wl_consent_gate_t *gate;
    zsock_t *outbox; /* to its own mailbox */
    wl_encoder_t *encoder;
} gate_t;

static _Atomic uint64_t refused;

static void on_refused(void *arg, uint64_t uid) {
    (void)arg;
    refused = uid;
}

static void gate_take(void *arg, const wl_msg_t *msg) {
    gate_t *gate = arg;
    if (msg->id == WL_MSG_STORED) {
        wl_consent_gate_take(gate->gate, msg);
    }
}

static void gate_flush(void *arg) {
    gate_t *gate = arg;
    if (refused == 0) {
        wl_told_begin(gate->encoder, NULL);
        (void)!wl_channel_send(gate->outbox, gate->encoder);
    }
    wl_consent_gate_step(gate->gate);
}

static wl_err_t gate_open(void *arg, zsock_t *pipe, wl_boot_t *boot) {
    gate_t *gate = arg;
    const wl_hub_handlers_t handlers = {.take = gate_take, .flush = gate_flush};
    gate->gate = wl_consent_gate_new(&gate->hub, on_refused, gate);
    gate->encoder = wl_encoder_new();
    wl_err_t err = wl_hub_open(&gate->hub, pipe, boot, &handlers, gate, &boot->fault);
    return err == WL_OK ? wl_topology_outbox(WL_ACTOR_FRONTEND, 0, &gate->outbox) : err;
}

static void gate_close(void *arg) {
    gate_t *gate = arg;
    wl_consent_gate_destroy(&gate->gate);
    wl_encoder_destroy(&gate->encoder);
    zsock_destroy(&gate->outbox);
    wl_hub_close(&gate->hub);
    wl_free(gate);
}

static void gate_run(zsock_t *pipe, void *boot) {
    gate_t *gate = wl_alloc_zero(1, sizeof *gate);
    wl_hub_live(&gate->hub, pipe, boot, gate_open, gate_close, gate);
}

Test(frontend_consent, a_mailbox_that_never_gets_empty_holds_nobody_up_for_long) {
    stage_open(&self.stage);
    self.dispatcher = neighbour_open(WL_ACTOR_DISPATCHER, 0);
    stage_start(&self.stage, WL_ACTOR_FRONTEND, gate_run);
    tell_withdrawn(42, 77, 0);
    wl_msg_t done = neighbour_expect(&self.dispatcher, WL_MSG_DONE, 1);
    cr_expect_eq(done.items.done[0].seq, 77u);
    cr_expect_eq(refused, 42u);
    (void)stage_stop(&self.stage);
    neighbour_close(&self.dispatcher);
    stage_close(&self.stage);
}
