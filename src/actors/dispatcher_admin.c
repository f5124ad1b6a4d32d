/* What operators ask the dispatcher: lines, the queue, dead letters. Each request gets one REPLY,
 * packed into self->body. Reading letters blocks for milliseconds. */
#include "actors/dispatcher_state.h"

#include "base/check.h"
#include "base/slot.h"
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
        wl_lane_sum_t sum = {.waiting = 0};
        if (lane != NULL) {
            health = lane->health;
            sum = wl_dispatcher_lane_sum(self, lane);
        }
        msgpack_pack_map(packer, 21);
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
        pack_number(packer, "pending", sum.waiting);
        pack_number(packer, "flying", sum.flying);
        pack_time(packer, "last_good_at", health.last_good_at);
        pack_word(packer, "reason", health.reason);
        pack_number(packer, "live", health.live);
        pack_number(packer, "pages", health.pages);
        pack_number(packer, "hedges", health.hedges);
        pack_number(packer, "limit", health.limit);
        pack_text(packer, "quota_left");
        if (health.quota_left < 0) {
            msgpack_pack_nil(packer);
        } else {
            msgpack_pack_int64(packer, health.quota_left);
        }
        pack_number(packer, "urls_out", health.urls_out);
    }
    return WL_OK;
}

/* All partitions, whoever serves them; what waits and flies, in this process. */
static wl_tally_head_t queue_total(const wl_dispatcher_t *self) {
    wl_tally_head_t total = {0};
    for (uint32_t p = 0; p < wl_hub_instances(&self->hub, WL_ACTOR_DISPATCHER); p++) {
        wl_tally_head_t one = wl_dispatcher_tally(self, p);
        bool older = one.oldest_at > 0 && (total.oldest_at == 0 || one.oldest_at < total.oldest_at);
        total.entries += one.entries;
        total.retries += one.retries;
        total.dead += one.dead;
        total.waiting += one.waiting;
        total.flying += one.flying;
        total.oldest_at = older ? one.oldest_at : total.oldest_at;
    }
    return total;
}

static void pack_partitions(const wl_dispatcher_t *self, msgpack_packer *packer) {
    uint32_t partitions = wl_hub_instances(&self->hub, WL_ACTOR_DISPATCHER);
    pack_text(packer, "partitions");
    msgpack_pack_array(packer, partitions);
    for (uint32_t p = 0; p < partitions; p++) {
        wl_tally_head_t one = wl_dispatcher_tally(self, p);
        msgpack_pack_map(packer, 4);
        pack_number(packer, "partition", p);
        pack_number(packer, "epoch", one.epoch);
        pack_flag(packer, "held", one.held);
        pack_number(packer, "entries", one.entries);
    }
}

static wl_err_t admin_queue(wl_dispatcher_t *self, msgpack_packer *packer) {
    wl_err_t err = wl_queue_stats(self->queue, &self->stored);
    if (err != WL_OK) {
        return err;
    }
    wl_tally_head_t total = queue_total(self);
    int64_t wall = wl_wall_now().ms;
    msgpack_pack_map(packer, 8);
    pack_number(packer, "entries", total.entries);
    pack_number(packer, "pending", total.waiting);
    pack_number(packer, "in_flight", total.flying);
    pack_number(packer, "retries_waiting", total.retries);
    pack_number(packer, "dead", total.dead);
    bool aged = total.oldest_at > 0 && total.oldest_at < wall;
    pack_time(packer, "oldest_ms", aged ? wall - total.oldest_at : 0);
    pack_partitions(self, packer);
    pack_text(packer, "lines");
    msgpack_pack_array(packer, self->lane_count);
    for (uint32_t i = 0; i < self->lane_count; i++) {
        wl_lane_sum_t sum = wl_dispatcher_lane_sum(self, self->lanes[i]);
        msgpack_pack_map(packer, 5);
        pack_word(packer, "line", self->lanes[i]->line);
        pack_number(packer, "pending", sum.waiting);
        pack_number(packer, "in_flight", sum.flying);
        pack_time(packer, "paused_ms", sum.paused_ms);
        pack_flag(packer, "behind", sum.behind);
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

static void letter_trail(wl_dispatcher_t *self, wl_trail_what_t what, const wl_retry_row_t *row) {
    wl_trail_tell(&self->trail,
                  &(wl_trail_event_t){
                      .uid = row->uid, .at = wl_wall_now().ms, .what = what, .line = row->line});
}

/* Also those of partitions that are held elsewhere: it was asked for here. */
static void on_redriven(const wl_retry_row_t *row, void *arg) {
    wl_dispatcher_t *self = arg;
    letter_trail(self, WL_TRAIL_REDRIVE, row);
    wl_dispatcher_take_retry(row, self);
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
                                    on_redriven, self, &count);
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

/* Nobody brings this change any more, so its copy need not be called stale for it. What has come
 * since then says so itself. */
static void letter_forget(wl_dispatcher_t *self, const char *line, uint64_t uid) {
    if (self->epoch > 0 && strcmp(wl_pending_state(self->pending, line, uid), "none") == 0) {
        wl_dispatcher_notice(self, line, uid, wl_pending_seq(self->pending), WL_MARK_NONE);
    }
}

/* Whoever serves the partition knows whether more is coming. In another process: the label stays
 * until the next change or look. */
static void on_discarded(const wl_retry_row_t *row, void *arg) {
    wl_dispatcher_t *self = arg;
    letter_trail(self, WL_TRAIL_DISCARDED, row);
    if (wl_dispatcher_owns(self, row->uid)) {
        letter_forget(self, row->line, row->uid);
        return;
    }
    uint32_t owner = wl_uid_owner(row->uid, wl_hub_instances(&self->hub, WL_ACTOR_DISPATCHER));
    wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_DISPATCHER, owner, WL_MSG_NOTICE, 0);
    if (!wl_encoder_begun(to)) {
        wl_notice_head_t head = {.dispatcher = self->hub.instance};
        wl_notice_begin(to, &head);
    }
    wl_notice_item_t item = {.uid = row->uid, .state = WL_MARK_NONE};
    memcpy(item.line, row->line, sizeof item.line);
    wl_notice_add(to, &item);
}

void wl_dispatcher_take_notice(wl_dispatcher_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_notice_item_t *item = &msg->items.notice[i];
        if (item->state != WL_MARK_NONE || !wl_dispatcher_owns(self, item->uid)) {
            WL_COUNT(&self->hub.counters, msg_malformed, 1);
        } else {
            letter_forget(self, item->line, item->uid);
        }
    }
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
        err = wl_queue_dead_discard(self->queue, id, line, note, WL_DEAD_BATCH_MAX, on_discarded,
                                    self, &count);
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
    case WL_METHOD_ADMIN_BACKFILL: return wl_dispatcher_backfill_admin(self, args, &packer, fault);
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
