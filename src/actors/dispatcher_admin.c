/* What operators ask the dispatcher: lines, the queue, dead letters. Each request gets one REPLY,
 * packed into self->body. Reading letters blocks for milliseconds. */
#include "actors/dispatcher_state.h"

#include "base/check.h"
#include "proto/args.h"
#include "proto/methods.h"
#include "store/queue_dead.h"

#include <stdio.h>
#include <string.h>

enum {
    LIST_USUAL = 100,
    LIST_MAX = 1000,
    NOTE_MAX = 200, /* bytes of the note that goes into the audit table */
    ARGS_OBJECTS_MAX = 1000,
};

static void pack_text(msgpack_packer *packer, const char *text) {
    size_t bytes = strlen(text);
    msgpack_pack_str(packer, bytes);
    msgpack_pack_str_body(packer, text, bytes);
}

static void pack_number(msgpack_packer *packer, const char *key, uint64_t value) {
    pack_text(packer, key);
    msgpack_pack_uint64(packer, value);
}

static void pack_time(msgpack_packer *packer, const char *key, int64_t value) {
    pack_text(packer, key);
    msgpack_pack_int64(packer, value);
}

static void pack_word(msgpack_packer *packer, const char *key, const char *value) {
    pack_text(packer, key);
    pack_text(packer, value);
}

static void pack_flag(msgpack_packer *packer, const char *key, bool value) {
    pack_text(packer, key);
    value ? msgpack_pack_true(packer) : msgpack_pack_false(packer);
}

/* ---- lines and queue ------------------------------------------------------------------------- */

static wl_err_t admin_lines(wl_dispatcher_t *self, msgpack_packer *packer) {
    const wl_config_t *config = self->hub.config;
    if (config == NULL) {
        return WL_ERR_UNAVAILABLE;
    }
    msgpack_pack_map(packer, 1);
    pack_text(packer, "lines");
    msgpack_pack_array(packer, config->line_count);
    for (uint32_t i = 0; i < config->line_count; i++) {
        const wl_line_t *line = &config->lines[i];
        const wl_lane_t *lane = wl_dispatcher_lane(self, line->id);
        wl_line_item_t health = {.sick = false};
        if (lane != NULL) {
            health = lane->health;
        }
        msgpack_pack_map(packer, 15);
        pack_word(packer, "line", line->id);
        pack_word(packer, "kind", wl_kind_name(line->kind));
        pack_word(packer, "mode", wl_mode_name(line->mode));
        pack_word(packer, "title", line->title);
        pack_flag(packer, "sick", health.sick);
        pack_time(packer, "since", health.since);
        pack_number(packer, "calls", health.calls);
        pack_number(packer, "failures", health.failures);
        pack_number(packer, "retries", health.retries);
        pack_number(packer, "quarantined", health.quarantined);
        pack_number(packer, "in_flight", health.in_flight);
        pack_number(packer, "pending", wl_pending_waiting(self->pending, line->id));
        pack_number(packer, "flying", wl_pending_flying(self->pending, line->id));
        pack_time(packer, "last_good_at", health.last_good_at);
        pack_word(packer, "reason", health.reason);
    }
    return WL_OK;
}

static wl_err_t admin_queue(wl_dispatcher_t *self, msgpack_packer *packer) {
    wl_queue_stats_t stored = {.entries = 0};
    wl_err_t err = wl_queue_stats(self->queue, &stored);
    if (err != WL_OK) {
        return err;
    }
    wl_pending_stats_t held = wl_pending_stats(self->pending);
    int64_t wall = wl_wall_now().ms;
    int64_t mono = wl_mono_now().ms;
    msgpack_pack_map(packer, 7);
    pack_number(packer, "entries", stored.entries);
    pack_number(packer, "pending", held.waiting);
    pack_number(packer, "in_flight", held.flying);
    pack_number(packer, "retries_waiting", stored.retries);
    pack_number(packer, "dead", stored.dead);
    bool aged = stored.oldest_at > 0 && stored.oldest_at < wall;
    pack_time(packer, "oldest_ms", aged ? wall - stored.oldest_at : 0);
    pack_text(packer, "lines");
    msgpack_pack_array(packer, self->lane_count);
    for (uint32_t i = 0; i < self->lane_count; i++) {
        const wl_lane_t *lane = self->lanes[i];
        msgpack_pack_map(packer, 5);
        pack_word(packer, "line", lane->line);
        pack_number(packer, "pending", wl_pending_waiting(self->pending, lane->line));
        pack_number(packer, "in_flight", wl_pending_flying(self->pending, lane->line));
        pack_time(packer, "paused_ms", lane->paused_until > mono ? lane->paused_until - mono : 0);
        pack_flag(packer, "behind", lane->behind);
    }
    return WL_OK;
}

/* ---- dead letters ---------------------------------------------------------------------------- */

static void pack_letter(msgpack_packer *packer, const wl_dead_letter_t *letter) {
    msgpack_pack_map(packer, 7);
    pack_number(packer, "id", letter->id);
    pack_number(packer, "uid", letter->uid);
    pack_word(packer, "line", letter->line);
    pack_word(packer, "reason", letter->reason);
    pack_number(packer, "attempts", letter->attempts);
    pack_time(packer, "at", letter->at);
    pack_number(packer, "body_bytes", letter->body_bytes);
}

static void on_letter(const wl_dead_letter_t *letter, void *arg) {
    wl_dispatcher_t *self = arg;
    if (self->listed == self->list_max) {
        self->list_more = true;
        return;
    }
    msgpack_packer packer;
    msgpack_packer_init(&packer, &self->list, msgpack_sbuffer_write);
    pack_letter(&packer, letter);
    self->listed++;
}

/* An optional line: *ret_line is NULL when it is absent. */
static wl_err_t read_line(const msgpack_object *args, char into[WL_LINE_ID_MAX + 1],
                          const char **ret_line, wl_fault_t *fault) {
    wl_err_t err = wl_args_text(args, "line", into, WL_LINE_ID_MAX, fault);
    *ret_line = err == WL_OK ? into : NULL;
    return err == WL_ERR_NOT_FOUND ? WL_OK : err;
}

/* An optional number from 1 on: 0 when it is absent. */
static wl_err_t read_number(const msgpack_object *args, const char *key, uint64_t *ret,
                            wl_fault_t *fault) {
    *ret = 0;
    wl_err_t err = wl_args_u64(args, key, ret, fault);
    if (err == WL_OK && (*ret == 0 || *ret > INT64_MAX)) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, key, "%s: is out of range", key);
    }
    return err == WL_ERR_NOT_FOUND ? WL_OK : err;
}

static wl_err_t admin_dead_list(wl_dispatcher_t *self, const msgpack_object *args,
                                msgpack_packer *packer, wl_fault_t *fault) {
    char text[WL_LINE_ID_MAX + 1] = "";
    const char *line = NULL;
    uint64_t limit = 0;
    uint64_t before = 0;
    wl_err_t err = read_line(args, text, &line, fault);
    if (err == WL_OK) {
        err = read_number(args, "limit", &limit, fault);
    }
    if (err == WL_OK) {
        err = read_number(args, "before", &before, fault);
    }
    limit = limit == 0 ? LIST_USUAL : limit > LIST_MAX ? LIST_MAX : limit;
    msgpack_sbuffer_clear(&self->list);
    self->listed = 0;
    self->list_more = false;
    self->list_max = (uint32_t)limit;
    if (err == WL_OK) {
        err = wl_queue_dead_list(self->queue, line, before, limit + 1, on_letter, self);
    }
    if (err != WL_OK) {
        return err;
    }
    msgpack_pack_map(packer, 2);
    pack_text(packer, "letters");
    msgpack_pack_array(packer, self->listed);
    (void)msgpack_sbuffer_write(&self->body, self->list.data, self->list.size);
    pack_flag(packer, "more", self->list_more);
    return WL_OK;
}

static wl_err_t admin_dead_show(wl_dispatcher_t *self, const msgpack_object *args,
                                wl_fault_t *fault) {
    uint64_t id = 0;
    wl_err_t err = read_number(args, "id", &id, fault);
    if (err == WL_OK && id == 0) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "id", "id: is required");
    }
    msgpack_sbuffer_clear(&self->list);
    self->listed = 0;
    self->list_max = 1;
    if (err == WL_OK) {
        err = wl_queue_dead_get(self->queue, id, on_letter, self);
    }
    if (err == WL_ERR_NOT_FOUND) {
        return wl_fault(fault, err, "id", "there is no letter %llu", (unsigned long long)id);
    }
    if (err == WL_OK) {
        (void)msgpack_sbuffer_write(&self->body, self->list.data, self->list.size);
    }
    return err;
}

/* Which letters: one, those of a line, or all. */
static wl_err_t read_choice(const msgpack_object *args, char text[WL_LINE_ID_MAX + 1],
                            const char **ret_line, uint64_t *ret_id, wl_fault_t *fault) {
    wl_err_t err = read_line(args, text, ret_line, fault);
    if (err == WL_OK) {
        err = read_number(args, "id", ret_id, fault);
    }
    if (err == WL_OK && *ret_id != 0 && *ret_line != NULL) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "id", "id: give an id or a line, not both");
    }
    return err;
}

static wl_err_t admin_dead_redrive(wl_dispatcher_t *self, const msgpack_object *args,
                                   msgpack_packer *packer, wl_fault_t *fault) {
    char text[WL_LINE_ID_MAX + 1] = "";
    const char *line = NULL;
    uint64_t id = 0;
    uint64_t count = 0;
    wl_err_t err = read_choice(args, text, &line, &id, fault);
    if (err == WL_OK) {
        err = wl_queue_dead_redrive(self->queue, id, line, WL_DEAD_BATCH_MAX, wl_wall_now().ms,
                                    wl_dispatcher_take_retry, self, &count);
    }
    if (err == WL_ERR_NOT_FOUND) {
        return wl_fault(fault, err, "id", "there is no such letter");
    }
    if (err == WL_OK) {
        msgpack_pack_map(packer, 1);
        pack_number(packer, "redriven", count);
    }
    return err;
}

static wl_err_t admin_dead_discard(wl_dispatcher_t *self, const msgpack_object *args,
                                   msgpack_packer *packer, wl_fault_t *fault) {
    char text[WL_LINE_ID_MAX + 1] = "";
    char note[NOTE_MAX + 1] = "";
    const char *line = NULL;
    uint64_t id = 0;
    uint64_t count = 0;
    wl_err_t err = read_choice(args, text, &line, &id, fault);
    if (err == WL_OK) {
        err = wl_args_text(args, "note", note, NOTE_MAX, fault);
    }
    if (err == WL_ERR_NOT_FOUND || (err == WL_OK && note[0] == '\0')) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "note", "note: is required, it says why");
    }
    if (err == WL_OK) {
        err = wl_queue_dead_discard(self->queue, id, line, note, WL_DEAD_BATCH_MAX, &count);
    }
    if (err == WL_ERR_NOT_FOUND) {
        return wl_fault(fault, err, "id", "there is no such letter");
    }
    if (err == WL_OK) {
        msgpack_pack_map(packer, 1);
        pack_number(packer, "discarded", count);
    }
    return err;
}

/* ---- requests -------------------------------------------------------------------------------- */

static wl_err_t admin_do(wl_dispatcher_t *self, const wl_admin_item_t *request, wl_fault_t *fault) {
    static const wl_walk_limits_t limits = {WL_WALK_DEPTH_MAX, ARGS_OBJECTS_MAX};
    const msgpack_object *args = NULL;
    wl_err_t err =
        wl_unpacker_read(self->unpacker, request->args.at, request->args.count, &limits, &args);
    if (err != WL_OK) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "params", "params: too many arguments");
    }
    msgpack_packer packer;
    msgpack_sbuffer_clear(&self->body);
    msgpack_packer_init(&packer, &self->body, msgpack_sbuffer_write);
    switch ((int)request->method) {
    case WL_METHOD_ADMIN_LINES: return admin_lines(self, &packer);
    case WL_METHOD_ADMIN_QUEUE: return admin_queue(self, &packer);
    case WL_METHOD_ADMIN_DLQ_LIST: return admin_dead_list(self, args, &packer, fault);
    case WL_METHOD_ADMIN_DLQ_SHOW: return admin_dead_show(self, args, fault);
    case WL_METHOD_ADMIN_DLQ_REDRIVE: return admin_dead_redrive(self, args, &packer, fault);
    case WL_METHOD_ADMIN_DLQ_DISCARD: return admin_dead_discard(self, args, &packer, fault);
    default: return WL_ERR_UNKNOWN_METHOD;
    }
}

void wl_dispatcher_take_admin(wl_dispatcher_t *self, const wl_msg_t *msg) {
    uint32_t intake = msg->head.admin.intake;
    if (intake >= wl_hub_instances(&self->hub, WL_ACTOR_INTAKE)) {
        WL_COUNT(&self->hub.counters, msg_malformed, 1);
        return;
    }
    for (uint32_t i = 0; i < msg->count; i++) {
        wl_fault_t fault = {.where = ""};
        wl_err_t err = admin_do(self, &msg->items.admin[i], &fault);
        wl_reply_item_t reply = {.ticket = msg->items.admin[i].ticket, .error = (uint32_t)err};
        if (err == WL_OK) {
            reply.body = (wl_bytes_t){(const uint8_t *)self->body.data, self->body.size};
        } else {
            (void)snprintf(reply.text, sizeof reply.text, "%.*s", WL_MESSAGE_TEXT_MAX,
                           fault.message);
        }
        wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_INTAKE, intake, WL_MSG_REPLY, 0);
        if (!wl_encoder_begun(to)) {
            wl_reply_head_t head = {0};
            wl_reply_begin(to, &head);
        }
        wl_reply_add(to, &reply);
    }
}
