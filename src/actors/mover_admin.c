/* What operators ask the mover: where slots are, moves, their way back and their end. Each request
 * gets one REPLY, and may block for the timeout of shard 0. */
#include "actors/mover_state.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "domain/slot_moves.h"
#include "proto/args.h"
#include "proto/methods.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    MOVES_USUAL = 3,
    MOVES_MAX = 20,
    ARGS_OBJECTS_MAX = 64,
    RATE_MAX = 10000000, /* records a second */
    MAP_TEXT = 65536,
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

/* ---- status ---------------------------------------------------------------------------------- */

static const char *wish_word(wl_move_wish_t wish) {
    switch (wish) {
    case WL_MOVE_WISH_NONE: return "";
    case WL_MOVE_WISH_BACK: return "back";
    case WL_MOVE_WISH_FINISH: return "finish";
    }
    return "?";
}

static void pack_move(msgpack_packer *packer, const wl_slot_move_t *move) {
    char slots[24];
    (void)snprintf(slots, sizeof slots, "%u-%u", move->first, move->last);
    msgpack_pack_map(packer, 20);
    pack_number(packer, "move", move->id);
    pack_word(packer, "state", wl_move_state_word(move->state));
    pack_word(packer, "wish", wish_word(move->wish));
    pack_word(packer, "slots", slots);
    pack_number(packer, "source", move->source);
    pack_number(packer, "target", move->target);
    pack_number(packer, "rate", move->rate);
    pack_number(packer, "users", move->users);
    pack_number(packer, "records", move->records);
    pack_number(packer, "followed", move->followed);
    pack_number(packer, "compared", move->compared);
    pack_number(packer, "mended", move->mended);
    pack_number(packer, "cleaned", move->cleaned);
    pack_time(packer, "pause_ms", move->pause_ms);
    pack_word(packer, "by", move->asked_by);
    pack_word(packer, "note", move->note);
    pack_time(packer, "started_at", move->started_at);
    pack_time(packer, "fenced_at", move->fenced_at);
    pack_time(packer, "flipped_at", move->flipped_at);
    pack_time(packer, "ended_at", move->ended_at);
}

static void pack_map(wl_mover_t *self, msgpack_packer *packer, uint64_t version,
                     const uint8_t map[WL_SLOTS]) {
    uint32_t shards = wl_hub_instances(&self->hub, WL_ACTOR_SHARD);
    uint32_t slots[UINT8_MAX + 1] = {0};
    char *text = wl_alloc(MAP_TEXT);
    wl_move_map_text(map, text, MAP_TEXT);
    pack_text(packer, "map");
    msgpack_pack_map(packer, 2);
    pack_number(packer, "version", version);
    pack_word(packer, "text", text);
    wl_free(text);
    for (uint32_t slot = 0; slot < WL_SLOTS; slot++) {
        slots[map[slot]]++;
    }
    pack_text(packer, "shards");
    msgpack_pack_array(packer, shards);
    for (uint32_t shard = 0; shard < shards; shard++) {
        msgpack_pack_map(packer, 2);
        pack_number(packer, "shard", shard);
        pack_number(packer, "slots", slots[shard]);
    }
}

/* With SQLite nothing has ever moved. */
static wl_err_t admin_status(wl_mover_t *self, const msgpack_object *args, msgpack_packer *packer,
                             wl_fault_t *fault) {
    wl_slot_move_t moves[MOVES_MAX];
    uint8_t map[WL_SLOTS];
    uint64_t version = 0;
    uint64_t limit = MOVES_USUAL;
    uint32_t count = 0;
    wl_err_t err = wl_args_u64(args, "limit", &limit, fault);
    err = err == WL_ERR_NOT_FOUND ? WL_OK : err;
    limit = limit == 0 || limit > MOVES_MAX ? MOVES_MAX : limit;
    memcpy(map, self->hub.shard_of_slot, sizeof map);
    if (err == WL_OK && self->db != NULL) {
        err = wl_mover_map(self, &version, map);
    }
    if (err == WL_OK && self->db != NULL) {
        err = wl_move_db_list(self->db, moves, (uint32_t)limit, &count);
    }
    if (err != WL_OK) {
        return err;
    }
    msgpack_pack_map(packer, 3);
    pack_map(self, packer, version, map);
    pack_text(packer, "moves");
    msgpack_pack_array(packer, count);
    for (uint32_t i = 0; i < count; i++) {
        bool ours = self->held && self->move.id == moves[i].id;
        pack_move(packer, ours ? &self->move : &moves[i]); /* ours is a second newer */
    }
    return WL_OK;
}

/* ---- moving ---------------------------------------------------------------------------------- */

static wl_err_t files_fault(wl_fault_t *fault) {
    return wl_fault(fault, WL_ERR_CONFLICT, "shards",
                    "shards: slots move between servers only: shard.store is sqlite here");
}

static wl_err_t read_slot(const msgpack_object *args, const char *key, uint64_t below,
                          uint32_t *ret, wl_fault_t *fault) {
    uint64_t number = 0;
    wl_err_t err = wl_args_u64(args, key, &number, fault);
    if (err == WL_ERR_NOT_FOUND) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, key, "%s: is required", key);
    }
    if (err == WL_OK && number >= below) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, key, "%s: must be below %llu", key,
                        (unsigned long long)below);
    }
    *ret = (uint32_t)number;
    return err;
}

static wl_err_t move_read(const wl_mover_t *self, const msgpack_object *args, wl_slot_move_t *ret,
                          wl_fault_t *fault) {
    uint32_t shards = wl_hub_instances(&self->hub, WL_ACTOR_SHARD);
    *ret = (wl_slot_move_t){.rate = 0};
    wl_err_t err = wl_args_text(args, "author", ret->asked_by, WL_MOVE_BY_MAX, fault);
    if (err == WL_ERR_NOT_FOUND || (err == WL_OK && ret->asked_by[0] == '\0')) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "author",
                        "author: is required, it says who asks");
    }
    if (err == WL_OK) {
        err = read_slot(args, "first", WL_SLOTS, &ret->first, fault);
    }
    if (err == WL_OK) {
        err = read_slot(args, "last", WL_SLOTS, &ret->last, fault);
    }
    if (err == WL_OK) {
        err = read_slot(args, "to", UINT32_MAX, &ret->target, fault);
    }
    if (err == WL_OK && ret->target >= shards) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "to",
                        "to: there is no shard %u: shard.instances is %u", ret->target, shards);
    }
    if (err == WL_OK) {
        err = wl_args_u64(args, "rate", &ret->rate, fault);
        err = err == WL_ERR_NOT_FOUND ? WL_OK : err;
    }
    if (err == WL_OK && ret->rate > RATE_MAX) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "rate", "rate: must be at most %d", RATE_MAX);
    }
    if (err == WL_OK) {
        err = wl_args_text(args, "note", ret->note, WL_MOVE_NOTE_MAX, fault);
        err = err == WL_ERR_NOT_FOUND ? WL_OK : err;
    }
    return err;
}

static wl_err_t admin_move(wl_mover_t *self, const msgpack_object *args, msgpack_packer *packer,
                           wl_fault_t *fault) {
    wl_slot_move_t move;
    uint8_t map[WL_SLOTS];
    uint64_t version = 0;
    uint64_t id = 0;
    if (self->db == NULL) {
        return files_fault(fault);
    }
    wl_err_t err = move_read(self, args, &move, fault);
    if (err == WL_OK) {
        err = wl_mover_map(self, &version, map);
    }
    if (err == WL_OK) {
        err = wl_move_source(map, move.first, move.last, move.target, &move.source, fault);
    }
    if (err != WL_OK) {
        return err;
    }
    err = wl_move_db_begin(self->db, &move, &id);
    if (err == WL_ERR_CONFLICT) {
        return wl_fault(fault, err, "move",
                        "another move is open: finish it or take it back first");
    }
    if (err == WL_OK) {
        self->next_at = 0;
        msgpack_pack_map(packer, 2);
        pack_number(packer, "move", id);
        pack_number(packer, "source", move.source);
    }
    return err;
}

static wl_err_t admin_wish(wl_mover_t *self, wl_move_wish_t wish, msgpack_packer *packer,
                           wl_fault_t *fault) {
    wl_slot_move_t move;
    uint32_t count = 0;
    if (self->db == NULL) {
        return files_fault(fault);
    }
    wl_err_t err = wl_move_db_list(self->db, &move, 1, &count);
    if (err == WL_OK && (count == 0 || wl_move_ended(move.state))) {
        return wl_fault(fault, WL_ERR_NOT_FOUND, "move", "no slots are being moved");
    }
    if (err == WL_OK) {
        err = wl_move_may(&move, wish, wl_wall_now().ms, fault);
    }
    if (err == WL_OK) {
        err = wl_move_db_wish(self->db, move.id, wish);
    }
    if (err == WL_OK) {
        if (self->held && self->move.id == move.id) {
            self->move.wish = wish;
        }
        self->next_at = 0;
        msgpack_pack_map(packer, 2);
        pack_number(packer, "move", move.id);
        pack_word(packer, "state", wl_move_state_word(move.state));
    }
    return err;
}

/* ---- requests -------------------------------------------------------------------------------- */

static wl_err_t admin_do(wl_mover_t *self, const wl_admin_item_t *request, wl_fault_t *fault) {
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
    case WL_METHOD_SHARDS_STATUS: return admin_status(self, args, &packer, fault);
    case WL_METHOD_SHARDS_MOVE: return admin_move(self, args, &packer, fault);
    case WL_METHOD_SHARDS_BACK: return admin_wish(self, WL_MOVE_WISH_BACK, &packer, fault);
    case WL_METHOD_SHARDS_FINISH: return admin_wish(self, WL_MOVE_WISH_FINISH, &packer, fault);
    default: return WL_ERR_UNKNOWN_METHOD;
    }
}

void wl_mover_take_admin(wl_mover_t *self, const wl_msg_t *msg) {
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
            wl_reply_begin(to, &(wl_reply_head_t){0});
        }
        wl_reply_add(to, &reply);
    }
}
