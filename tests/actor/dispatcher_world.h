/* dispatcher_world.h: the dispatcher with the test as all its neighbours, for several test files. */
#ifndef WL_TESTS_ACTOR_DISPATCHER_WORLD_H
#define WL_TESTS_ACTOR_DISPATCHER_WORLD_H

#include "write_path.h"

#include "actors/dispatcher.h"
#include "domain/marks.h"

/* The dispatcher with the test as all its neighbours. */
typedef struct {
    stage_t stage;
    neighbour_t presence;
    neighbour_t puller;
    neighbour_t shard;
    neighbour_t intake;
    wl_queue_t *queue; /* of intake: the test appends */
} world_t;

static inline void world_open_bare(world_t *self) {
    stage_open_writer(&self->stage);
    self->stage.settings.dispatcher_settle_ms = 5;
    self->presence = neighbour_open(WL_ACTOR_PRESENCE, 0);
    self->puller = neighbour_open(WL_ACTOR_PULLER, 0);
    self->shard = neighbour_open(WL_ACTOR_SHARD, 0);
    self->intake = neighbour_open(WL_ACTOR_INTAKE, 0);
    self->queue = queue_open(&self->stage, WL_QUEUE_APPEND);
}

static inline void world_configure(world_t *self, const char *more) {
    static unsigned version = 0;
    stage_configure_writer(&self->stage, ++version, "http://127.0.0.1:1", more);
}

/* Of files there is one holder, for ever. */
static inline void world_start(world_t *self) {
    stage_start(&self->stage, WL_ACTOR_DISPATCHER, wl_dispatcher_run);
    stage_lease(&self->stage, 0, 1, INT64_MAX);
}

static inline void world_restart(world_t *self) {
    stage_restart(&self->stage, wl_dispatcher_run);
    stage_lease(&self->stage, 0, 1, INT64_MAX);
}

static inline void world_open(world_t *self) {
    world_open_bare(self);
    world_start(self);
    world_configure(self, "");
}

static inline void world_close(world_t *self) {
    wl_queue_close(&self->queue);
    neighbour_close(&self->presence);
    neighbour_close(&self->puller);
    neighbour_close(&self->shard);
    neighbour_close(&self->intake);
    stage_close(&self->stage);
}

static inline void append(world_t *self, const char *line, uint64_t uid) {
    stage_tell_queued(&self->stage, queue_append_uid(self->queue, line, uid));
}

static inline void send_done(world_t *self, const char *line, const wl_pull_item_t *pull,
                             wl_pull_outcome_t outcome) {
    wl_done_head_t head = {0};
    (void)snprintf(head.line, sizeof head.line, "%s", line);
    wl_done_begin(self->stage.encoder, &head);
    wl_done_add(self->stage.encoder, &(wl_done_item_t){.uid = pull->uid,
                                                       .seq = pull->seq,
                                                       .outcome = (uint8_t)outcome,
                                                       .notified_at = pull->notified_at});
    stage_send(&self->stage);
}

static inline void send_pulled(world_t *self, const char *line, const wl_pull_item_t *pull,
                               wl_pull_outcome_t outcome, bool held, int64_t pause_ms) {
    wl_pulled_head_t head = {.pause_ms = pause_ms};
    (void)snprintf(head.line, sizeof head.line, "%s", line);
    wl_pulled_begin(self->stage.encoder, &head);
    wl_pulled_item_t item = {.uid = pull->uid, .seq = pull->seq, .outcome = (uint8_t)outcome};
    item.held = held;
    (void)snprintf(item.reason, sizeof item.reason, "the line is down");
    wl_pulled_add(self->stage.encoder, &item);
    stage_send(&self->stage);
}

/* The next pull, which must be a message of one. */
static inline wl_pull_item_t next_pull(world_t *self, const char *line) {
    wl_msg_t msg = neighbour_await(&self->puller, WL_MSG_PULL);
    cr_assert_str_eq(msg.head.pull.line, line);
    cr_assert_eq(msg.count, 1u);
    wl_pull_item_t pull = msg.items.pull[0];
    pull.hints.at = NULL; /* borrowed from the message */
    return pull;
}

static inline wl_notice_item_t next_notice(world_t *self, uint64_t uid, wl_mark_state_t state) {
    wl_msg_t msg = neighbour_await(&self->presence, WL_MSG_NOTICE);
    wl_notice_item_t notice = msg.items.notice[0];
    cr_expect_eq(notice.uid, uid);
    cr_expect_eq(notice.state, state);
    return notice;
}

static inline bool retries_settle(world_t *self, uint64_t retries, uint64_t dead) {
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    wl_queue_stats_t stats = queue_stats(self->queue);
    while ((stats.retries != retries || stats.dead != dead) && wl_mono_now().ms < until) {
        (void)zmq_poll(NULL, 0, 5);
        stats = queue_stats(self->queue);
    }
    return stats.retries == retries && stats.dead == dead;
}

/* Asks as intake does; the reply lives until the intake's mailbox is read again. */
static inline wl_reply_item_t ask_admin(world_t *self, wl_method_t method,
                                        const msgpack_sbuffer *args) {
    static const uint8_t none[] = {0x80};
    wl_admin_item_t item = {.ticket = 4, .method = (uint8_t)method, .args = {none, sizeof none}};
    if (args != NULL) {
        item.args = (wl_bytes_t){(const uint8_t *)args->data, args->size};
    }
    wl_admin_begin(self->stage.encoder, &(wl_admin_head_t){.intake = 0});
    wl_admin_add(self->stage.encoder, &item);
    stage_send(&self->stage);
    wl_msg_t msg = neighbour_await(&self->intake, WL_MSG_REPLY);
    cr_assert_eq(msg.items.reply[0].ticket, 4u);
    return msg.items.reply[0];
}

static inline wl_reply_item_t ask_admin_about(world_t *self, wl_method_t method, const char *line,
                                              const char *note) {
    msgpack_sbuffer args;
    msgpack_packer packer;
    msgpack_sbuffer_init(&args);
    msgpack_packer_init(&packer, &args, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, note == NULL ? 1 : 2);
    args_key(&packer, "line");
    args_key(&packer, line);
    if (note != NULL) {
        args_key(&packer, "note");
        args_key(&packer, note);
    }
    wl_reply_item_t reply = ask_admin(self, method, &args);
    msgpack_sbuffer_destroy(&args);
    return reply;
}

/* Fails a pull until it is given up. */
static inline void make_dead(world_t *world, const char *line, uint64_t uid) {
    append(world, line, uid);
    for (uint32_t attempt = 0; attempt < 3; attempt++) {
        wl_pull_item_t pull = next_pull(world, line);
        cr_expect_eq(pull.attempt, attempt);
        send_pulled(world, line, &pull, WL_PULL_RETRY, false, 0);
    }
}

static inline void append_assets(world_t *self, const char *line, const wl_asset_t *assets,
                                 uint32_t count) {
    wl_encoder_t *encoder = wl_encoder_new();
    wl_bytes_t blob;
    wl_encoder_asset_blob(encoder, assets, count, &blob);
    wl_queue_entry_t entry = {
        .at = wl_wall_now().ms, .kind = WL_ENTRY_ASSETS, .body = blob.at, .body_bytes = blob.count};
    (void)snprintf(entry.line, sizeof entry.line, "%s", line);
    cr_assert_eq(wl_queue_append(self->queue, &entry, 1), WL_OK);
    stage_tell_queued(&self->stage, entry.id);
    wl_encoder_destroy(&encoder);
}

static inline void send_hint(world_t *self, const char *line, uint64_t uid) {
    wl_refresh_head_t head = {0};
    (void)snprintf(head.line, sizeof head.line, "%s", line);
    wl_refresh_begin(self->stage.encoder, &head);
    wl_refresh_add(self->stage.encoder, &(wl_refresh_item_t){.uid = uid});
    stage_send(&self->stage);
}

#endif
