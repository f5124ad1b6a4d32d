/* write_path.h: what tests of the write path share, on top of read_path.h: a configuration with
 * lines of all sorts, the durable queue, and neighbours that are listened to for one message. */
#ifndef WL_TESTS_ACTOR_WRITE_PATH_H
#define WL_TESTS_ACTOR_WRITE_PATH_H

#include "read_path.h"

#include "proto/change.h"
#include "store/queue.h"
#include "store/queue_dead.h"

#include <sys/resource.h>

/* %s: the url of cash, then more keys of cash. */
static const char writer_integration[] =
    "{\"version\":%u,\"lines\":{"
    "\"cash\":{\"kind\":\"cash\",\"url\":\"%s\",\"unit\":\"CNY\",\"scale\":2,"
    "\"attempts_max\":3,\"retry_base_ms\":20,\"retry_max_ms\":100%s},"
    "\"coin\":{\"kind\":\"coin\",\"url\":\"http://127.0.0.1:1\",\"unit\":\"bean\"},"
    "\"jump\":{\"kind\":\"coin\",\"url\":\"http://127.0.0.1:1\",\"unit\":\"bean\","
    "\"sanity\":{\"jump_max\":\"1000\",\"version_ahead_max\":\"100\"}},"
    "\"none\":{\"kind\":\"coin\",\"url\":\"http://127.0.0.1:1\",\"unit\":\"bean\","
    "\"versions\":false},"
    "\"shop\":{\"kind\":\"link\",\"mode\":\"link\",\"url\":\"https://shop.example/\"}}}";

static inline void stage_configure_text(stage_t *self, const char *integration) {
    wl_config_head_t head = {.version = "1.7"};
    wl_config_item_t item = {
        .integration = {(const uint8_t *)integration, strlen(integration)},
        .presentation = {(const uint8_t *)test_presentation, sizeof test_presentation - 1}};
    wl_config_begin(self->encoder, &head);
    wl_config_add(self->encoder, &item);
    stage_send(self);
}

static inline void stage_configure_writer(stage_t *self, unsigned version, const char *url,
                                          const char *more) {
    char text[4096];
    (void)snprintf(text, sizeof text, writer_integration, version, url, more);
    stage_configure_text(self, text);
}

/* One instance of everything, so that each neighbour is one mailbox. */
static inline void stage_open_writer(stage_t *self) {
    stage_open(self);
    self->settings.shard_instances = 1;
    self->settings.puller_instances = 1;
    self->settings.presence_instances = 1;
    self->settings.server_drain_ms = 500;
    (void)snprintf(self->endpoint, sizeof self->endpoint, "ipc://%s/writer", self->dir);
    (void)snprintf(self->settings.intake_endpoint, sizeof self->settings.intake_endpoint, "%s",
                   self->endpoint);
    (void)snprintf(self->settings.intake_subscribe, sizeof self->settings.intake_subscribe,
                   "ipc://%s/changes", self->dir);
}

/* Stops the actor and starts it again, as after a crash of it: nothing but the disk stays. */
static inline void stage_restart(stage_t *self, wl_actor_fn *body) {
    wl_actor_destroy(&self->actor);
    zsock_destroy(&self->outbox);
    wl_encoder_destroy(&self->encoder);
    /* libzmq frees the name of a closed inproc mailbox a moment later, on a thread of its own */
    zsock_t *mailbox = NULL;
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    while (wl_topology_inbox(self->options.kind, 0, &mailbox, NULL) != WL_OK &&
           wl_mono_now().ms < until) {
        (void)zmq_poll(NULL, 0, 2);
    }
    (void)zsock_unbind(mailbox, "%s", zsock_endpoint(mailbox));
    zsock_destroy(&mailbox);
    stage_start(self, self->options.kind, body);
}

/* As the keeper says it. */
static inline void stage_lease(stage_t *self, uint32_t partition, uint64_t epoch, int64_t until) {
    wl_lease_begin(self->encoder, NULL);
    wl_lease_add(self->encoder,
                 &(wl_lease_item_t){.partition = partition, .epoch = epoch, .until = until});
    stage_send(self);
}

/* The next message with this id; others are passed over. */
static inline bool neighbour_seek(neighbour_t *self, wl_msg_id_t id, wl_msg_t *ret,
                                  int64_t patience_ms) {
    int64_t until = wl_mono_now().ms + patience_ms;
    int64_t left_ms = patience_ms;
    while (left_ms >= 0 && neighbour_next(self, ret, left_ms)) {
        if (ret->id == id) {
            return true;
        }
        left_ms = until - wl_mono_now().ms;
    }
    return false;
}

static inline wl_msg_t neighbour_await(neighbour_t *self, wl_msg_id_t id) {
    wl_msg_t msg = {0};
    cr_assert(neighbour_seek(self, id, &msg, PATIENCE_MS), "no %s came", wl_msg_name(id));
    return msg;
}

/* ---- the queue ------------------------------------------------------------------------------- */

static inline wl_queue_t *queue_open(const stage_t *stage, wl_queue_use_t use) {
    char path[128];
    wl_queue_t *queue = NULL;
    wl_fault_t fault = {0};
    (void)snprintf(path, sizeof path, "%s/queue.db", stage->dir);
    wl_err_t err = wl_queue_open(&(wl_queue_options_t){.path = path, .use = use}, &queue, &fault);
    cr_assert_eq(err, WL_OK, "%s", fault.message);
    return queue;
}

static inline wl_queue_stats_t queue_stats(wl_queue_t *queue) {
    wl_queue_stats_t stats = {0};
    cr_assert_eq(wl_queue_stats(queue, &stats), WL_OK);
    return stats;
}

/* Appends one entry of changes; returns its id. */
static inline uint64_t queue_append_changes(wl_queue_t *queue, wl_entry_kind_t kind,
                                            const char *line, const wl_change_t *changes,
                                            size_t count) {
    msgpack_sbuffer body;
    msgpack_sbuffer_init(&body);
    wl_changes_pack(&body, changes, count);
    wl_queue_entry_t entry = {
        .at = wl_wall_now().ms, .kind = kind, .body = body.data, .body_bytes = body.size};
    (void)snprintf(entry.line, sizeof entry.line, "%s", line);
    cr_assert_eq(wl_queue_append(queue, &entry, 1), WL_OK);
    msgpack_sbuffer_destroy(&body);
    return entry.id;
}

static inline uint64_t queue_append_uid(wl_queue_t *queue, const char *line, uint64_t uid) {
    wl_change_t change = {.uid = uid};
    return queue_append_changes(queue, WL_ENTRY_CHANGES, line, &change, 1);
}

/* Waits until the queue holds so many entries. */
static inline bool queue_settles(wl_queue_t *queue, uint64_t entries) {
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    while (queue_stats(queue).entries != entries && wl_mono_now().ms < until) {
        (void)zmq_poll(NULL, 0, 5);
    }
    return queue_stats(queue).entries == entries;
}

static inline void stage_tell_queued(stage_t *self, uint64_t last_id) {
    wl_queued_begin(self->encoder, &(wl_queued_head_t){.last_id = last_id});
    stage_send(self);
}

/* ---- a full disk ----------------------------------------------------------------------------- */

/* From now on no file of this process grows beyond `bytes`; RLIM_INFINITY ends it. */
static inline void disk_limit(rlim_t bytes) {
    (void)signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

#endif
