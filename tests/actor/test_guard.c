#include "actors/guard.h"

#include "base/key_file.h"
#include "base/random.h"
#include "door_probe.h"
#include "proto/zap.h"
#include "read_path.h"
#include "secure.h"

#include <sodium.h>
#include <sys/stat.h>

/* The guard at work, and the test as frontend 0. */
typedef struct {
    stage_t stage;
    neighbour_t frontend;
    zsock_t *router; /* the door of the frontend */
    wl_key_file_t server;
    char clients[96];
    char endpoint[64];
} gate_t;

/* A port that was free a moment ago; by chance, as other tests look for theirs at the same time. */
static void port_find(char endpoint[64]) {
    zsock_t *socket = zsock_new(ZMQ_PULL);
    int port = -1;
    while (port == -1) {
        (void)snprintf(endpoint, 64, "tcp://127.0.0.1:%u", 20000 + wl_random_below(10000));
        port = zsock_bind(socket, "%s", endpoint);
    }
    zsock_destroy(&socket);
}

static wl_key_file_t key_make(const char *folder, const char *name, const char *scope) {
    wl_key_file_t key;
    wl_key_file_new(&key);
    (void)snprintf(key.name, sizeof key.name, "%s", name);
    (void)snprintf(key.scope, sizeof key.scope, "%s", scope);
    cr_assert_eq(wl_key_file_write(folder, &key, NULL), WL_OK);
    return key;
}

/* Writes NAME.key into the folder of clients. */
static wl_key_file_t key_authorise(const gate_t *gate, const char *name, const char *scope) {
    char secret[200];
    wl_key_file_t key = key_make(gate->clients, name, scope);
    (void)snprintf(secret, sizeof secret, "%s/%s.key_secret", gate->clients, name);
    cr_assert_eq(unlink(secret), 0);
    return key;
}

static void key_revoke(const gate_t *gate, const char *name) {
    char path[200];
    (void)snprintf(path, sizeof path, "%s/%s.key", gate->clients, name);
    cr_assert_eq(unlink(path), 0);
}

static void gate_prepare(gate_t *gate) {
    memset(gate, 0, sizeof *gate);
    cr_assert_neq(sodium_init(), -1);
    (void)umask(022);
    stage_open(&gate->stage);
    wl_settings_t *settings = &gate->stage.settings;
    port_find(gate->endpoint);
    (void)snprintf(gate->clients, sizeof gate->clients, "%s/clients", gate->stage.dir);
    cr_assert_eq(mkdir(gate->clients, 0755), 0);
    gate->server = key_make(gate->stage.dir, "server", "peer");
    (void)snprintf(settings->frontend_endpoint, 512, "%s", gate->endpoint);
    (void)snprintf(settings->curve_key_file, 512, "%s/server.key_secret", gate->stage.dir);
    (void)snprintf(settings->curve_clients, 512, "%s", gate->clients);
    (void)snprintf(settings->curve_server_key, 512, "%s/server.key", gate->stage.dir);
    gate->frontend = neighbour_open(WL_ACTOR_FRONTEND, 0);
}

static void gate_open_door(gate_t *gate) {
    wl_fault_t fault = {.where = ""};
    wl_err_t err = WL_ERR_BIND;
    for (int i = 0; i < 200 && err == WL_ERR_BIND; i++) { /* the port is free a moment later */
        err = wl_topology_router(&gate->stage.settings, WL_ACTOR_FRONTEND, 0, &gate->router,
                                 &fault);
        zclock_sleep(err == WL_ERR_BIND ? 10 : 0);
    }
    cr_assert_eq(err, WL_OK, "%s: %s", fault.where, fault.message);
}

static void gate_close(gate_t *gate) {
    zsock_destroy(&gate->router);
    neighbour_close(&gate->frontend);
    stage_close(&gate->stage);
}

static zsock_t *visitor_open(const gate_t *gate, const wl_key_file_t *key) {
    zsock_t *client = zsock_new(ZMQ_DEALER);
    zsock_set_linger(client, 0);
    zsock_set_curve_publickey_bin(client, key->public_key);
    zsock_set_curve_secretkey_bin(client, key->secret_key);
    zsock_set_curve_serverkey_bin(client, gate->server.public_key);
    cr_assert_neq(zsock_connect(client, "%s", gate->endpoint), -1);
    return client;
}

/* The user that comes with the next message at the door, "" when none comes. */
static void heard(gate_t *gate, int64_t patience_ms, char ret_user[128]) {
    ret_user[0] = '\0';
    while (socket_readable(gate->router, patience_ms)) {
        wl_rpc_t *rpc = wl_rpc_new();
        wl_rpc_request_t request;
        wl_fault_t fault;
        wl_err_t err = wl_rpc_recv(rpc, gate->router, WL_PORT_READER, &request, &fault);
        const char *user = err == WL_ERR_EMPTY ? NULL : wl_rpc_user(rpc);
        cr_expect(err == WL_ERR_EMPTY || wl_rpc_connection(rpc) >= 0);
        (void)snprintf(ret_user, 128, "%s", user == NULL ? "" : user);
        wl_rpc_destroy(&rpc);
        if (err != WL_ERR_EMPTY) {
            return;
        }
    }
}

static bool admitted(gate_t *gate, const wl_key_file_t *key, int64_t patience_ms) {
    char user[128];
    zsock_t *client = visitor_open(gate, key);
    (void)zstr_send(client, "hello");
    heard(gate, patience_ms, user);
    zsock_destroy(&client);
    return user[0] != '\0';
}

Test(guard, lets_in_who_has_a_key_for_the_door_and_says_who_it_is) {
    gate_t gate;
    gate_prepare(&gate);
    wl_key_file_t app = key_authorise(&gate, "app", "read");
    wl_key_file_t cash = key_authorise(&gate, "cash", "notify:cash");
    wl_key_file_t stranger;
    wl_key_file_new(&stranger);
    stage_start(&gate.stage, WL_ACTOR_GUARD, wl_guard_run);
    wl_msg_t msg = neighbour_expect(&gate.frontend, WL_MSG_KEYS, 2);
    cr_expect_eq(msg.head.keys.total, 2);
    gate_open_door(&gate);
    char user[128];
    char expected[128];
    char fingerprint[17];
    zsock_t *client = visitor_open(&gate, &app);
    (void)zstr_send(client, "hello");
    heard(&gate, PATIENCE_MS, user);
    wl_key_fingerprint(app.public_key, fingerprint);
    (void)snprintf(expected, sizeof expected, "app/%s", fingerprint);
    cr_expect_str_eq(user, expected);
    zsock_destroy(&client);
    cr_expect_not(admitted(&gate, &cash, 300), "a key for another door");
    cr_expect_not(admitted(&gate, &stranger, 300), "an unknown key");
    stage_expect_counter(&gate.stage, auth_handshakes_refused, 2);
    stage_expect_counter(&gate.stage, auth_handshakes, 1);
    cr_expect_eq(gate.stage.counters[WL_COUNTER_auth_keys], 2);
    gate_close(&gate);
}

Test(guard, keys_come_and_go_while_it_works) {
    gate_t gate;
    gate_prepare(&gate);
    wl_key_file_t app = key_authorise(&gate, "app", "read");
    stage_start(&gate.stage, WL_ACTOR_GUARD, wl_guard_run);
    (void)neighbour_expect(&gate.frontend, WL_MSG_KEYS, 1);
    gate_open_door(&gate);
    cr_expect(admitted(&gate, &app, PATIENCE_MS));
    wl_key_file_t late = key_authorise(&gate, "late", "read");
    int64_t begun = wl_mono_now().ms;
    wl_msg_t msg = neighbour_expect(&gate.frontend, WL_MSG_KEYS, 2);
    cr_expect_eq(msg.head.keys.revision, 2);
    while (!admitted(&gate, &late, 200) && wl_mono_now().ms < begun + PATIENCE_MS) {
    }
    cr_expect_lt(wl_mono_now().ms, begun + 2000, "a new key works within two seconds");
    key_revoke(&gate, "app");
    (void)neighbour_expect(&gate.frontend, WL_MSG_KEYS, 1);
    cr_expect_not(admitted(&gate, &app, 300));
    cr_expect(admitted(&gate, &late, PATIENCE_MS));
    gate_close(&gate);
}

Test(guard, the_doors_withstand_a_stranger_while_it_works) {
    gate_t gate;
    gate_prepare(&gate);
    wl_fault_t fault = {.where = ""};
    stage_start(&gate.stage, WL_ACTOR_GUARD, wl_guard_run);
    gate_open_door(&gate);
    cr_expect_eq(wl_probe_doors(&gate.stage.settings, true, &fault), WL_OK, "%s", fault.message);
    cr_expect_eq(wl_probe_stranger(gate.endpoint, ZMQ_ROUTER, gate.server.public_key, PATIENCE_MS),
                 WL_PROBE_REFUSED);
    cr_expect_eq(wl_probe_plain(gate.endpoint, PATIENCE_MS), WL_PROBE_CUT);
    stage_expect_counter(&gate.stage, auth_handshakes_refused, 1); /* the probe is not counted */
    cr_expect_eq(gate.stage.counters[WL_COUNTER_auth_handshakes_refused], 1);
    gate_close(&gate);
}

/* What libzmq does when nobody answers its question is why the probe exists. */
Test(guard, the_probe_sees_that_the_handler_is_gone) {
    gate_t gate;
    gate_prepare(&gate);
    gate_open_door(&gate); /* CURVE, a domain, and no guard */
    cr_expect_eq(wl_probe_stranger(gate.endpoint, ZMQ_ROUTER, gate.server.public_key, PATIENCE_MS),
                 WL_PROBE_ADMITTED);
    cr_expect_eq(wl_probe_plain(gate.endpoint, PATIENCE_MS), WL_PROBE_CUT);
    zsock_destroy(&gate.router);
    gate.stage.settings.curve_key_file[0] = '\0';
    gate_open_door(&gate);
    cr_expect_eq(wl_probe_plain(gate.endpoint, PATIENCE_MS), WL_PROBE_ADMITTED);
    zsock_destroy(&gate.router);
    int64_t until = wl_mono_now().ms + PATIENCE_MS; /* libzmq closes it in the background */
    while (wl_probe_plain(gate.endpoint, 300) != WL_PROBE_SILENT && wl_mono_now().ms < until) {
    }
    cr_expect_lt(wl_mono_now().ms, until);
    cr_expect_eq(wl_probe_stranger(gate.endpoint, ZMQ_ROUTER, gate.server.public_key, 300),
                 WL_PROBE_SILENT);
    gate_close(&gate);
}

/* The whole check: the desk answers, but the handshakes are judged by somebody who lets all in. */
static void open_house_run(zsock_t *pipe, void *arg) {
    zsock_t *handler = arg;
    zpoller_t *poller = zpoller_new(pipe, handler, NULL);
    (void)zsock_signal(pipe, 0);
    while (zpoller_wait(poller, -1) == handler) {
        wl_zap_request_t request;
        if (wl_zap_recv(handler, &request) == WL_OK) {
            (void)wl_zap_reply(handler, &request, WL_ZAP_ADMIT, "", "anybody");
        }
    }
    zpoller_destroy(&poller);
}

Test(guard, an_open_door_is_an_error_of_the_check) {
    gate_t gate;
    gate_prepare(&gate);
    wl_settings_t curve = gate.stage.settings;
    gate.stage.settings.curve_key_file[0] = '\0'; /* a guard without a handler */
    zsock_t *handler = zsock_new(ZMQ_ROUTER);
    cr_assert_neq(zsock_bind(handler, WL_ZAP_ENDPOINT), -1);
    zactor_t *open_house = zactor_new(open_house_run, handler);
    stage_start(&gate.stage, WL_ACTOR_GUARD, wl_guard_run);
    wl_fault_t fault = {.where = ""};
    gate.stage.settings = curve;
    gate_open_door(&gate);
    cr_expect_eq(wl_probe_doors(&curve, false, &fault), WL_ERR_FORBIDDEN);
    cr_expect(strstr(fault.message, "let in") != NULL, "%s", fault.message);
    zsock_destroy(&gate.router);
    zactor_destroy(&open_house);
    zsock_destroy(&handler);
    gate_close(&gate);
}

Test(guard, peers_connect_with_the_key_of_the_server_even_while_it_is_changed) {
    gate_t gate;
    gate_prepare(&gate);
    (void)key_authorise(&gate, "app", "read");
    wl_settings_t *settings = &gate.stage.settings;
    wl_key_file_t next = key_make(gate.stage.dir, "next", "");
    (void)next;
    /* This process is its own peer: its key is authorised, and the tier's door is its own. */
    char from[200];
    char to[200];
    (void)snprintf(from, sizeof from, "%s/server.key", gate.stage.dir);
    (void)snprintf(to, sizeof to, "%s/server.key", gate.clients);
    cr_assert_eq(link(from, to), 0);
    char endpoint[64];
    port_find(endpoint);
    (void)snprintf(settings->tier_endpoint, 512, "%s", endpoint);
    (void)snprintf(settings->tier_writers, 512, "%s", endpoint);
    (void)snprintf(settings->curve_server_key, 512,
                   "%s/next.key, 127.0.0.9=%s/x.key, %s/server.key", gate.stage.dir, gate.stage.dir,
                   gate.stage.dir);
    stage_start(&gate.stage, WL_ACTOR_GUARD, wl_guard_run);
    zsock_t *feed = NULL;
    zsock_t *follower = NULL;
    wl_fault_t fault = {.where = ""};
    cr_assert_eq(wl_topology_tier_router(settings, 0, &feed, &fault), WL_OK, "%s", fault.message);
    cr_assert_eq(wl_topology_tier_dealer(settings, 0, 0, &follower, &fault), WL_OK, "%s",
                 fault.message);
    zsock_set_sndtimeo(follower, PATIENCE_MS);
    cr_assert_eq(zstr_send(follower, "follow"), 0);
    cr_expect(socket_readable(feed, PATIENCE_MS));
    char *name = zstr_recv(feed);
    zstr_free(&name);
    char *word = zstr_recv(feed);
    cr_expect_str_eq(word, "follow");
    zstr_free(&word);
    /* The peer key goes: the connection is cut and cannot come back. */
    cr_assert_eq(unlink(to), 0);
    zsock_set_sndtimeo(follower, 50);
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    while (zstr_send(follower, "still here") == 0 && wl_mono_now().ms < until) {
        zclock_sleep(20);
    }
    cr_expect_lt(wl_mono_now().ms, until, "a peer without a key goes on");
    zsock_destroy(&follower);
    zsock_destroy(&feed);
    gate_close(&gate);
}

Test(guard, keys_that_protect_nothing_are_refused_by_the_check) {
    gate_t gate;
    gate_prepare(&gate);
    wl_settings_t *settings = &gate.stage.settings;
    wl_fault_t fault = {.where = ""};
    cr_expect_eq(wl_secure_check(settings, &fault), WL_OK, "%s", fault.message);
    (void)chmod(settings->curve_key_file, 0644);
    cr_expect_eq(wl_secure_check(settings, &fault), WL_ERR_SETTINGS);
    cr_expect_str_eq(fault.where, "curve.key_file");
    (void)chmod(settings->curve_key_file, 0600);
    (void)snprintf(settings->curve_server_key, 512, "%s/none.key", gate.stage.dir);
    cr_expect_eq(wl_secure_check(settings, &fault), WL_ERR_SETTINGS);
    cr_expect_str_eq(fault.where, "curve.server_key");
    settings->curve_server_key[0] = '\0';
    settings->curve_clients[0] = '\0';
    cr_expect_eq(wl_secure_check(settings, &fault), WL_ERR_SETTINGS);
    cr_expect_str_eq(fault.where, "curve.clients");
    (void)snprintf(settings->curve_clients, 512, "%s", gate.clients);
    zsock_t *dealer = NULL;
    (void)snprintf(settings->tier_writers, 512, "tcp://127.0.0.1:9");
    cr_expect_eq(wl_topology_tier_dealer(settings, 0, 0, &dealer, &fault), WL_ERR_SETTINGS);
    settings->curve_key_file[0] = '\0';
    cr_expect_eq(wl_secure_check(settings, &fault), WL_ERR_SETTINGS);
    settings->curve_clients[0] = '\0';
    cr_expect_eq(wl_secure_check(settings, &fault), WL_OK);
    gate_close(&gate);
}

Test(guard, without_curve_it_watches_connections) {
    gate_t gate;
    gate_prepare(&gate);
    gate.stage.settings.curve_key_file[0] = '\0';
    stage_start(&gate.stage, WL_ACTOR_GUARD, wl_guard_run);
    gate_open_door(&gate);
    neighbour_hears_nothing(&gate.frontend);
    zsock_t *client = zsock_new(ZMQ_DEALER);
    cr_assert_neq(zsock_connect(client, "%s", gate.endpoint), -1);
    (void)zstr_send(client, "hello");
    cr_expect(socket_readable(gate.router, PATIENCE_MS));
    stage_expect_counter(&gate.stage, peers, 1);
    /* 2 MB of messages that the door has not taken yet: it is asked. */
    char *bulk = zmalloc(100001);
    memset(bulk, 'x', 100000);
    for (int i = 0; i < 20; i++) {
        (void)zstr_send(client, bulk);
    }
    wl_msg_t msg = neighbour_expect(&gate.frontend, WL_MSG_SUSPECT, 1);
    cr_expect_eq(msg.items.suspect[0].door, WL_DOOR_READ);
    cr_expect_not(msg.items.suspect[0].over);
    wl_seen_begin(gate.stage.encoder, &(wl_seen_head_t){.door = WL_DOOR_READ});
    wl_seen_add(gate.stage.encoder,
                &(wl_seen_item_t){.fd = msg.items.suspect[0].fd, .delivered = true});
    stage_send(&gate.stage);
    free(bulk);
    zsock_destroy(&client);
    gate_close(&gate);
}
