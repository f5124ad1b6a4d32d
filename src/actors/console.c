#include "actors/console.h"

#include "actors/console_rebuild.h"
#include "base/alloc.h"
#include "base/log.h"
#include "proto/rpc.h"
#include "proto/unpacker.h"

#include <string.h>

enum {
    INSTANCES_MAX = 64, /* largest number of instances of one kind, see settings.def */
    ARGS_OBJECTS_MAX = 32,
};

typedef struct {
    bool known;
    wl_counters_t counters;
} copy_t;

typedef struct {
    wl_hub_t hub;
    msgpack_sbuffer body;    /* reused */
    wl_unpacker_t *unpacker; /* owned */
    wl_console_rebuild_t rebuild;
    copy_t copies[WL_ACTOR_KINDS][INSTANCES_MAX]; /* newest counters of each actor */
} console_t;

static void pack_text(msgpack_packer *pack, const char *text) {
    size_t bytes = strlen(text);
    msgpack_pack_str(pack, bytes);
    msgpack_pack_str_body(pack, text, bytes);
}

/* {actors: [{actor, instance, counters: {name: number}}]} */
static void stats_write(console_t *self, msgpack_packer *pack) {
    uint32_t known = 0;
    for (uint32_t i = 0; i < WL_ACTOR_KINDS * INSTANCES_MAX; i++) {
        known += self->copies[i / INSTANCES_MAX][i % INSTANCES_MAX].known;
    }
    msgpack_pack_map(pack, 1);
    pack_text(pack, "actors");
    msgpack_pack_array(pack, known);
    for (uint32_t i = 0; i < WL_ACTOR_KINDS * INSTANCES_MAX; i++) {
        const copy_t *copy = &self->copies[i / INSTANCES_MAX][i % INSTANCES_MAX];
        if (!copy->known) {
            continue;
        }
        msgpack_pack_map(pack, 3);
        pack_text(pack, "actor");
        pack_text(pack, wl_actor_kind_name((wl_actor_kind_t)(i / INSTANCES_MAX)));
        pack_text(pack, "instance");
        msgpack_pack_uint32(pack, i % INSTANCES_MAX);
        pack_text(pack, "counters");
        msgpack_pack_map(pack, WL_COUNTERS);
        for (uint32_t row = 0; row < WL_COUNTERS; row++) {
            pack_text(pack, wl_counter_info((wl_counter_t)row)->name);
            msgpack_pack_uint64(pack, copy->counters.at[row]);
        }
    }
}

static uint64_t counter_sum(const console_t *self, wl_actor_kind_t kind, wl_counter_t counter) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < INSTANCES_MAX; i++) {
        sum += self->copies[kind][i].counters.at[counter];
    }
    return sum;
}

/* Ready when every presence actor of this process has said so in its gauge. */
static bool presence_ready(const console_t *self) {
    uint32_t here = 0;
    for (uint32_t i = 0; i < wl_hub_instances(&self->hub, WL_ACTOR_PRESENCE); i++) {
        here += wl_topology_here(self->hub.settings, WL_ACTOR_PRESENCE, i);
    }
    return counter_sum(self, WL_ACTOR_PRESENCE, WL_COUNTER_presence_ready) == here;
}

static double share(uint64_t part, uint64_t whole) {
    return whole == 0 ? 0.0 : (double)part / (double)whole;
}

static void presence_write(console_t *self, msgpack_packer *pack) {
    const wl_settings_t *settings = self->hub.settings;
    bool hashed = strcmp(settings->presence_mode, "hashed") == 0;
    uint64_t members = counter_sum(self, WL_ACTOR_PRESENCE, WL_COUNTER_presence_members);
    uint64_t bytes = counter_sum(self, WL_ACTOR_PRESENCE, WL_COUNTER_presence_bytes);
    uint64_t absent = counter_sum(self, WL_ACTOR_PRESENCE, WL_COUNTER_presence_no);
    uint64_t wrong = counter_sum(self, WL_ACTOR_QUERY, WL_COUNTER_presence_false_positive);
    double expected = hashed ? share(members, 1ull << settings->presence_hash_bits) : 0.0;
    msgpack_pack_map(pack, 8);
    pack_text(pack, "mode");
    pack_text(pack, settings->presence_mode);
    pack_text(pack, "hash_bits");
    msgpack_pack_uint64(pack, hashed ? settings->presence_hash_bits : 0);
    pack_text(pack, "members");
    msgpack_pack_uint64(pack, members);
    pack_text(pack, "bytes");
    msgpack_pack_uint64(pack, bytes);
    pack_text(pack, "bytes_per_user");
    msgpack_pack_double(pack, share(bytes, members));
    pack_text(pack, "fp_expected");
    msgpack_pack_double(pack, expected);
    pack_text(pack, "fp_observed");
    msgpack_pack_double(pack, share(wrong, wrong + absent));
    pack_text(pack, "ready");
    presence_ready(self) ? msgpack_pack_true(pack) : msgpack_pack_false(pack);
}

static wl_err_t console_do(console_t *self, const wl_admin_item_t *request, wl_fault_t *fault) {
    static const wl_walk_limits_t limits = {WL_WALK_DEPTH_MAX, ARGS_OBJECTS_MAX};
    const msgpack_object *args = NULL;
    msgpack_packer pack;
    msgpack_sbuffer_clear(&self->body);
    msgpack_packer_init(&pack, &self->body, msgpack_sbuffer_write);
    switch ((int)request->method) {
    case WL_METHOD_ADMIN_STATS: stats_write(self, &pack); return WL_OK;
    case WL_METHOD_ADMIN_PRESENCE_STATS: presence_write(self, &pack); return WL_OK;
    case WL_METHOD_ADMIN_PRESENCE_REBUILD:
        if (wl_unpacker_read(self->unpacker, request->args.at, request->args.count, &limits,
                             &args) != WL_OK) {
            return wl_fault(fault, WL_ERR_BAD_REQUEST, "params", "params: too many arguments");
        }
        return wl_console_rebuild_admin(
            &self->rebuild, &self->hub,
            counter_sum(self, WL_ACTOR_PRESENCE, WL_COUNTER_presence_members), args, &pack, fault);
    default: return WL_ERR_UNKNOWN_METHOD;
    }
}

static void console_answer(console_t *self, uint32_t intake, const wl_admin_item_t *request) {
    wl_fault_t fault = {.where = ""};
    wl_err_t err = console_do(self, request, &fault);
    wl_reply_item_t reply = {.ticket = request->ticket, .error = (uint32_t)err};
    if (err == WL_OK) {
        reply.body = (wl_bytes_t){(const uint8_t *)self->body.data, self->body.size};
    } else {
        (void)snprintf(reply.text, sizeof reply.text, "%.*s", WL_MESSAGE_TEXT_MAX, fault.message);
    }
    wl_reply_head_t head = {0};
    wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_INTAKE, intake, WL_MSG_REPLY, 0);
    if (!wl_encoder_begun(to)) {
        wl_reply_begin(to, &head);
    }
    wl_reply_add(to, &reply);
}

static void console_take_stats(console_t *self, const wl_msg_t *msg) {
    const wl_stats_head_t *head = &msg->head.stats;
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_u64_list_t *counters = &msg->items.stats[i].counters;
        if (head->actor >= WL_ACTOR_KINDS || head->instance >= INSTANCES_MAX ||
            counters->count != WL_COUNTERS) {
            WL_COUNT(&self->hub.counters, msg_malformed, 1);
            continue;
        }
        copy_t *copy = &self->copies[head->actor][head->instance];
        copy->known = true;
        memcpy(copy->counters.at, counters->at, sizeof copy->counters.at);
    }
}

static void on_message(void *arg, const wl_msg_t *msg) {
    console_t *self = arg;
    switch ((int)msg->id) {
    case WL_MSG_STATS: console_take_stats(self, msg); break;
    case WL_MSG_REBUILT:
        WL_COUNT(&self->hub.counters, msg_malformed,
                 wl_console_rebuild_take(&self->rebuild, &self->hub, &msg->head.rebuilt) != WL_OK);
        break;
    case WL_MSG_LINE: break; /* the hub has noted the health of lines */
    case WL_MSG_ADMIN:
        if (msg->head.admin.intake >= wl_hub_instances(&self->hub, WL_ACTOR_INTAKE)) {
            WL_COUNT(&self->hub.counters, msg_malformed, 1);
            break;
        }
        for (uint32_t i = 0; i < msg->count; i++) {
            console_answer(self, msg->head.admin.intake, &msg->items.admin[i]);
        }
        break;
    default: WL_COUNT(&self->hub.counters, msg_unexpected, 1);
    }
}

/* The console's own block does not travel: it is copied in place. */
static void on_tick(void *arg) {
    console_t *self = arg;
    WL_GAUGE(&self->hub.counters, log_dropped, wl_log_dropped());
    copy_t *own = &self->copies[WL_ACTOR_CONSOLE][0];
    own->known = true;
    own->counters = self->hub.counters;
}

static wl_err_t console_open(void *arg, zsock_t *pipe, wl_boot_t *boot) {
    console_t *self = arg;
    msgpack_sbuffer_init(&self->body);
    self->unpacker = wl_unpacker_new();
    wl_hub_handlers_t handlers = {.take = on_message, .tick = on_tick, .tick_ms = 1000};
    return wl_hub_open(&self->hub, pipe, boot, &handlers, self, &boot->fault);
}

static void console_close(void *arg) {
    console_t *self = arg;
    msgpack_sbuffer_destroy(&self->body);
    wl_unpacker_destroy(&self->unpacker);
    wl_hub_close(&self->hub);
}

void wl_console_run(zsock_t *pipe, void *boot) {
    console_t *self = wl_alloc_zero(1, sizeof *self);
    wl_hub_live(&self->hub, pipe, boot, console_open, console_close, self);
    wl_free(self);
}
