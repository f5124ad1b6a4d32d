/* What operators ask the dispatcher: lines, the queue; dispatcher_letters.c: dead letters. Each
 * request gets one REPLY, packed into self->body. */
#include "actors/dispatcher_state.h"

#include "base/check.h"
#include "proto/methods.h"
#include "store/queue_dead.h"

#include <stdio.h>
#include <string.h>

enum { ARGS_OBJECTS_MAX = 1000 };

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
    uint64_t classes[WL_FAILURE_COUNT];
    err = wl_queue_dead_classes(self->queue, classes);
    if (err != WL_OK) {
        return err;
    }
    wl_tally_head_t total = queue_total(self);
    int64_t wall = wl_wall_now().ms;
    msgpack_pack_map(packer, 9);
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
    wl_dispatcher_pack_classes(classes, packer);
    return WL_OK;
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
    case WL_METHOD_ADMIN_DLQ_LIST: return wl_dispatcher_letters_list(self, args, &packer, fault);
    case WL_METHOD_ADMIN_DLQ_SHOW: return wl_dispatcher_letters_show(self, args, fault);
    case WL_METHOD_ADMIN_DLQ_REDRIVE:
        return wl_dispatcher_letters_redrive(self, args, &packer, fault);
    case WL_METHOD_ADMIN_DLQ_DISCARD:
        return wl_dispatcher_letters_discard(self, args, &packer, fault);
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
