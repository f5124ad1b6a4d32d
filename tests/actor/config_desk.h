/* config_desk.h: for tests of changes of the configuration: the actor of config_stage.h with nodes,
 * a trial and a mailbox of the intake that its late answers go to, without its loop, on a clock
 * that stands still. */
#ifndef WL_TESTS_ACTOR_CONFIG_DESK_H
#define WL_TESTS_ACTOR_CONFIG_DESK_H

#include "actors/config_publish.h"
#include "actors/config_trial.h"
#include "config_stage.h"
#include "proto/channel.h"
#include "still_clock.h"

static zsock_t *desk_inbox; /* of intake.0 */
static wl_decoder_t *desk_decoder;

static inline void desk_actor_fill(wl_config_actor_t *actor, const char *name) {
    (void)snprintf(actor->hub.name, sizeof actor->hub.name, "config.0");
    actor->nodes = wl_config_nodes_new(name);
    actor->trial = wl_config_trial_new();
    msgpack_sbuffer_init(&actor->body);
}

static inline void desk_actor_empty(wl_config_actor_t *actor) {
    wl_config_publishing_destroy(&actor->publishing);
    wl_config_trial_destroy(&actor->trial);
    wl_config_nodes_destroy(&actor->nodes);
    msgpack_sbuffer_destroy(&actor->body);
}

static inline void desk_open(void) {
    zsys_init();
    zsys_handler_set(NULL);
    stage_open();
    desk_actor_fill(&stage.self, "web-1");
    stage.self.hub.instances[WL_ACTOR_INTAKE] = 1;
    cr_assert_eq(wl_topology_inbox(WL_ACTOR_INTAKE, 0, &desk_inbox, &stage.fault), WL_OK, "%s",
                 stage.fault.message);
    desk_decoder = wl_decoder_new();
}

static inline void desk_close(void) {
    desk_actor_empty(&stage.self);
    wl_hub_close(&stage.self.hub);
    stage_close();
    zsock_destroy(&desk_inbox);
    wl_decoder_destroy(&desk_decoder);
    zsys_shutdown();
}

/* Change 1, and it is live. */
static inline void desk_import(void) {
    stage_import();
    wl_config_look(&stage.self);
}

static inline uint64_t desk_seq(void) {
    return wl_config_sources_state(stage.self.sources)->seq;
}

static inline wl_config_log_t *desk_store(void) {
    return wl_config_sources_store(stage.self.sources);
}

/* ---- answers --------------------------------------------------------------------------------- */

/* The next answer that the intake got: its error and text, or -1 when there is none. */
static inline int desk_answer(uint64_t ticket, char text[401]) {
    wl_msg_t msg;
    wl_hub_flush(&stage.self.hub);
    while (wl_channel_recv(desk_inbox, desk_decoder, &msg) == WL_OK) {
        if (msg.id == WL_MSG_REPLY) {
            cr_assert_eq(msg.count, 1);
            cr_expect_eq(msg.items.reply[0].ticket, ticket);
            (void)snprintf(text, 401, "%s", msg.items.reply[0].text);
            cr_expect((msg.items.reply[0].error == WL_OK) == (msg.items.reply[0].body.count > 0));
            return (int)msg.items.reply[0].error;
        }
    }
    return -1;
}

static inline void desk_want_no_answer(void) {
    char text[401] = "";
    int err = desk_answer(0, text);
    cr_expect_eq(err, -1, "%d %s", err, text);
}

static inline void desk_want_answer(uint64_t ticket, wl_err_t wanted, const char *part) {
    char text[401] = "";
    int err = desk_answer(ticket, text);
    cr_expect_eq(err, (int)wanted, "%d instead of %s: %s", err, wl_err_name(wanted), text);
    cr_expect_not_null(strstr(text, part), "\"%s\" is not in \"%s\"", part, text);
}

/* ---- another process ------------------------------------------------------------------------- */

/* Shares the store, and knows what is published. */
static inline void desk_peer_open(wl_config_actor_t *peer) {
    static wl_settings_t settings;
    settings = stage.settings;
    (void)snprintf(settings.server_data_dir, 200, "%s/peer", stage.folder);
    cr_assert_eq(mkdir(settings.server_data_dir, 0700), 0);
    memset(peer, 0, sizeof *peer);
    peer->hub.settings = &settings;
    cr_assert_eq(wl_config_sources_new(&settings, &peer->sources, &stage.fault), WL_OK);
    desk_actor_fill(peer, "web-2");
    wl_config_look(peer);
    cr_assert_not_null(peer->live);
}

static inline void desk_peer_close(wl_config_actor_t *peer) {
    desk_actor_empty(peer);
    wl_config_live_destroy(&peer->live);
    wl_config_live_destroy(&peer->below);
    wl_config_sources_destroy(&peer->sources);
}

/* A process that is there, and says this of a proposal. */
static inline void desk_node_says(const char *name, const char *digest, bool accepted,
                                  const char *why) {
    wl_config_nodes_t *nodes = wl_config_nodes_new(name);
    wl_config_verdict_t verdict = {.accepted = accepted};
    wl_config_node_t node = {
        .version = "3.7", .source = "store", .problem = "", .verdict = &verdict};
    (void)snprintf(verdict.digest, sizeof verdict.digest, "%s", digest);
    (void)snprintf(verdict.why, sizeof verdict.why, "%s", why);
    cr_assert_eq(wl_config_nodes_tell(nodes, desk_store(), &node), WL_OK);
    wl_config_nodes_destroy(&nodes);
}

/* The hash of what is proposed, "" = nothing. */
static inline const char *desk_proposal(void) {
    static char digest[WL_DIGEST_HEX + 1];
    char *text = NULL;
    size_t bytes = 0;
    digest[0] = '\0';
    if (wl_config_log_note_get(desk_store(), "proposal", &text, &bytes) == WL_OK) {
        wl_config_digest(text, bytes, digest);
    }
    wl_free(text);
    return digest;
}

#endif
