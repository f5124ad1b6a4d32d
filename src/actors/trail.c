#include "actors/trail.h"

#include "actors/trail_state.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    TICK_MS = 250,
    FLUSH_MS = 500,        /* what a killed process loses */
    OPEN_AGAIN_MS = 10000, /* between attempts to open the file */
    HOUR_MS = 3600000,
};

/* ---- the file -------------------------------------------------------------------------------- */

static void trail_open_failed(wl_trail_actor_t *self, const wl_fault_t *fault) {
    WL_COUNT(&self->hub.counters, trail_failures, 1);
    if (self->problem[0] == '\0') {
        wl_log(WL_LOG_ERROR, self->hub.name, "trail_away",
               "%s: %s; nothing is kept to be explained until it can be opened", fault->where,
               fault->message);
    }
    (void)snprintf(self->problem, sizeof self->problem, "trail.db cannot be opened: %.*s",
                   (int)sizeof self->problem - 40, fault->message);
}

/* It is no truth: without it the server works. */
static void trail_open_db(wl_trail_actor_t *self) {
    const wl_settings_t *settings = self->hub.settings;
    wl_trail_db_options_t options = {.path = self->path,
                                     .events_max = settings->trail_events_max,
                                     .bytes_max = settings->trail_bytes_max,
                                     .keep_ms = settings->trail_keep_h * HOUR_MS};
    wl_fault_t fault = {.where = ""};
    bool set_aside = false;
    wl_err_t err = wl_trail_db_open(&options, wl_wall_now().ms, &self->db, &set_aside, &fault);
    if (set_aside) {
        WL_COUNT(&self->hub.counters, trail_failures, 1);
        wl_log(WL_LOG_ERROR, self->hub.name, "trail_damaged",
               "%s was renamed to .damaged and a new one begun: %s", self->path, fault.message);
    }
    if (err != WL_OK) {
        self->open_at = wl_mono_now().ms + OPEN_AGAIN_MS;
        trail_open_failed(self, &fault);
        return;
    }
    self->problem[0] = '\0';
}

/* Everything that was in memory with it is lost. */
static void trail_close_db(wl_trail_actor_t *self) {
    self->dropped += self->db == NULL ? 0 : wl_trail_db_waiting(self->db);
    wl_trail_db_close(&self->db);
}

static void trail_add(wl_trail_actor_t *self, int64_t at, const uint8_t *event, size_t count) {
    if (self->db == NULL) {
        self->dropped++;
        WL_COUNT(&self->hub.counters, trail_dropped, 1);
        return;
    }
    wl_trail_db_add(self->db, at, event, count);
    WL_COUNT(&self->hub.counters, trail_events, 1);
}

/* An event of everybody. */
static void trail_note(wl_trail_actor_t *self, wl_trail_event_t event) {
    uint8_t bytes[WL_TRAIL_BYTES_MAX];
    event.at = wl_wall_now().ms;
    event.line = "";
    event.bucket = "";
    event.text = event.text == NULL ? "" : event.text;
    trail_add(self, event.at, bytes, wl_trail_pack(&event, bytes));
}

static void flush_failed(wl_trail_actor_t *self, wl_err_t err, uint64_t lost) {
    self->dropped += lost;
    WL_COUNT(&self->hub.counters, trail_dropped, lost);
    WL_COUNT(&self->hub.counters, trail_failures, 1);
    if (!self->failed) {
        wl_log(WL_LOG_ERROR, self->hub.name, "trail_failed",
               "%" PRIu64 " events were lost, further ones are tried: %s: %s", lost,
               wl_err_text(err), wl_trail_db_problem(self->db));
    }
    if (err == WL_ERR_DAMAGED) { /* a page; header and schema may be as they should be */
        trail_close_db(self);
        wl_err_t moved = wl_trail_db_set_aside(self->path);
        wl_log(WL_LOG_ERROR, self->hub.name, "trail_damaged", "%s %s", self->path,
               moved == WL_OK ? "was renamed to .damaged and a new one begun"
                              : "is damaged and cannot be renamed");
        self->open_at = wl_mono_now().ms + OPEN_AGAIN_MS;
        if (moved == WL_OK) {
            trail_open_db(self);
        }
    }
}

static void trail_flush(wl_trail_actor_t *self) {
    uint64_t lost = 0;
    if (self->db == NULL) {
        return;
    }
    if (self->dropped > 0) {
        uint64_t dropped = self->dropped;
        self->dropped = 0;
        trail_note(self, (wl_trail_event_t){.what = WL_TRAIL_DROPPED, .number = dropped});
    }
    self->flushed_at = wl_mono_now().ms;
    wl_err_t err = wl_trail_db_flush(self->db, wl_wall_now().ms, &lost);
    if (err != WL_OK) {
        flush_failed(self, err, lost);
    }
    self->failed = err != WL_OK;
}

/* ---- messages -------------------------------------------------------------------------------- */

/* Serials that jump tell how many events a full mailbox has dropped. */
static void trail_follow(wl_trail_actor_t *self, const wl_trail_head_t *head,
                         const wl_trail_item_t *item) {
    uint64_t *told = &self->serials[head->actor][head->instance];
    if (item->serial > *told) {
        self->dropped += item->serial - *told;
        WL_COUNT(&self->hub.counters, trail_dropped, item->serial - *told);
    }
    *told = item->serial + item->count;
}

static void trail_take(wl_trail_actor_t *self, const wl_msg_t *msg) {
    const wl_trail_head_t *head = &msg->head.trail;
    if (head->actor >= WL_ACTOR_KINDS || head->instance >= WL_TRAIL_TELLERS_MAX) {
        WL_COUNT(&self->hub.counters, msg_malformed, 1);
        return;
    }
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_trail_item_t *item = &msg->items.trail[i];
        size_t bytes = 0;
        size_t used = 0;
        uint64_t uid = 0;
        int64_t at = 0;
        trail_follow(self, head, item);
        while (
            wl_trail_peek(&item->events.at[used], item->events.count - used, &bytes, &uid, &at)) {
            trail_add(self, at, &item->events.at[used], bytes);
            used += bytes;
        }
        WL_COUNT(&self->hub.counters, msg_malformed, used != item->events.count);
    }
}

static void trail_take_lease(wl_trail_actor_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_lease_item_t *item = &msg->items.lease[i];
        if (item->partition >= WL_TRAIL_PARTITIONS_MAX) {
            WL_COUNT(&self->hub.counters, msg_malformed, 1);
            continue;
        }
        self->lease_until[item->partition] = item->until;
    }
}

static void on_message(void *arg, const wl_msg_t *msg) {
    wl_trail_actor_t *self = arg;
    switch ((int)msg->id) {
    case WL_MSG_TRAIL: trail_take(self, msg); break;
    case WL_MSG_ADMIN: wl_trail_explain_take(self, msg); break;
    case WL_MSG_TRAIL_NOW: wl_trail_explain_now(self, msg); break;
    case WL_MSG_TRAIL_SHOWN: wl_trail_explain_shown(self, msg); break;
    case WL_MSG_LEASE: trail_take_lease(self, msg); break;
    case WL_MSG_LINE: break;
    default: WL_COUNT(&self->hub.counters, msg_unexpected, 1);
    }
}

/* Every change of what users are shown is an event of everybody. */
static void on_configured(void *arg) {
    wl_trail_actor_t *self = arg;
    char text[sizeof self->config_text];
    (void)snprintf(text, sizeof text, "%s from %s", self->hub.config->version,
                   self->hub.config_source);
    if (strcmp(text, self->config_text) == 0 && self->hub.config_seq == self->config_seq) {
        return;
    }
    memcpy(self->config_text, text, sizeof text);
    self->config_seq = self->hub.config_seq;
    trail_note(self, (wl_trail_event_t){
                         .what = WL_TRAIL_CONFIG, .version = self->config_seq, .text = text});
}

static void on_tick(void *arg) {
    wl_trail_actor_t *self = arg;
    int64_t now = wl_mono_now().ms;
    if (self->db == NULL && now >= self->open_at) {
        trail_open_db(self);
    }
    if (now - self->flushed_at >= FLUSH_MS) {
        trail_flush(self);
    }
    if (self->db != NULL) {
        wl_trail_db_stats_t stats;
        wl_trail_db_stats(self->db, &stats);
        WL_GAUGE(&self->hub.counters, trail_kept, stats.events);
        WL_GAUGE(&self->hub.counters, trail_bytes, stats.bytes);
    }
    wl_trail_explain_step(self, false);
}

static bool tick_hurried(void *arg) {
    const wl_trail_actor_t *self = arg;
    return wl_trail_explains_wait(self) || self->dropped > 0 ||
           (self->db != NULL && wl_trail_db_waiting(self->db) > 0);
}

/* Everybody who could tell something has stopped. */
static void on_drain(void *arg) {
    wl_trail_actor_t *self = arg;
    wl_trail_explain_step(self, true);
    trail_flush(self);
}

/* ---- life ------------------------------------------------------------------------------------ */

static wl_err_t trail_open(void *arg, zsock_t *pipe, wl_boot_t *boot) {
    wl_trail_actor_t *self = arg;
    const wl_actor_options_t *options = boot->options;
    wl_hub_handlers_t handlers = {.take = on_message,
                                  .tick = on_tick,
                                  .configured = on_configured,
                                  .hurried = tick_hurried,
                                  .drain = on_drain,
                                  .tick_ms = TICK_MS};
    wl_trail_explain_open(self);
    wl_err_t err = wl_hub_open(&self->hub, pipe, boot, &handlers, self, &boot->fault);
    if (err != WL_OK) {
        return err;
    }
    WL_ASSERT(options->settings->queue_partitions <= WL_TRAIL_PARTITIONS_MAX);
    (void)snprintf(self->path, sizeof self->path, "%s/trail.db",
                   options->settings->server_data_dir);
    trail_open_db(self);
    return WL_OK;
}

static void trail_close(void *arg) {
    wl_trail_actor_t *self = arg;
    wl_trail_db_close(&self->db);
    wl_trail_explain_close(self);
    wl_hub_close(&self->hub);
}

void wl_trail_run(zsock_t *pipe, void *boot) {
    wl_trail_actor_t *self = wl_alloc_zero(1, sizeof *self);
    wl_hub_live(&self->hub, pipe, boot, trail_open, trail_close, self);
    wl_free(self);
}
