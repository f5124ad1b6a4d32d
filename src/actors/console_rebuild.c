#include "actors/console_rebuild.h"

#include "actors/presence_renewal.h"
#include "base/clock.h"
#include "proto/args.h"

#include <string.h>

enum { ACTION_MAX = 16 };

static const char *const state_names[WL_REBUILD_STATES] = {
    [WL_REBUILD_NONE] = "none", [WL_REBUILD_WAITING] = "waiting", [WL_REBUILD_READING] = "reading",
    [WL_REBUILD_DONE] = "done", [WL_REBUILD_FAILED] = "failed",
};

wl_err_t wl_console_rebuild_take(wl_console_rebuild_t *self, const wl_hub_t *hub,
                                 const wl_rebuilt_head_t *head) {
    if (head->presence >= WL_CONSOLE_PRESENCES_MAX ||
        head->presence >= wl_hub_instances(hub, WL_ACTOR_PRESENCE) ||
        head->state >= WL_REBUILD_STATES) {
        return WL_ERR_BAD_REQUEST;
    }
    self->at[head->presence] = *head;
    return WL_OK;
}

/* Of all together: what is still to come counts before how it ended. */
static wl_rebuild_state_t state_join(wl_rebuild_state_t a, wl_rebuild_state_t b) {
    static const uint8_t weight[WL_REBUILD_STATES] = {
        [WL_REBUILD_NONE] = 0,    [WL_REBUILD_DONE] = 1,    [WL_REBUILD_FAILED] = 2,
        [WL_REBUILD_WAITING] = 3, [WL_REBUILD_READING] = 4,
    };
    return weight[a] >= weight[b] ? a : b;
}

static int64_t later(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static wl_rebuilt_head_t rebuild_sum(const wl_console_rebuild_t *self, const wl_hub_t *hub) {
    wl_rebuilt_head_t sum = {.state = WL_REBUILD_NONE};
    for (uint32_t i = 0; i < wl_hub_instances(hub, WL_ACTOR_PRESENCE); i++) {
        const wl_rebuilt_head_t *at = &self->at[i];
        sum.state =
            (uint8_t)state_join((wl_rebuild_state_t)sum.state, (wl_rebuild_state_t)at->state);
        if (at->state == WL_REBUILD_FAILED) {
            memcpy(sum.reason, at->reason, sizeof sum.reason);
        }
        bool first =
            sum.started_at == 0 || (at->started_at != 0 && at->started_at < sum.started_at);
        sum.started_at = first ? at->started_at : sum.started_at;
        sum.ended_at = later(sum.ended_at, at->ended_at);
        sum.owners += at->owners;
        sum.shards += at->shards;
        sum.shards_told += at->shards_told;
        sum.members_before += at->members_before;
        sum.members_after += at->members_after;
        sum.bytes_before += at->bytes_before;
        sum.bytes_after += at->bytes_after;
        sum.probes += at->probes;
        sum.maybe_before += at->maybe_before;
        sum.maybe_after += at->maybe_after;
    }
    return sum;
}

static void pack_key(msgpack_packer *packer, const char *key) {
    (void)msgpack_pack_str_with_body(packer, key, strlen(key));
}

static void pack_number(msgpack_packer *packer, const char *key, uint64_t value) {
    pack_key(packer, key);
    (void)msgpack_pack_uint64(packer, value);
}

static void pack_share(msgpack_packer *packer, const char *key, double part, double whole) {
    pack_key(packer, key);
    (void)msgpack_pack_double(packer, whole > 0 ? part / whole : 0.0);
}

/* Users are cut into equal parts, so the expected rate is of one instance's members. */
static void pack_set(msgpack_packer *packer, const char *key, const wl_hub_t *hub, uint64_t members,
                     uint64_t bytes, uint64_t maybe, uint64_t probes) {
    const wl_settings_t *settings = hub->settings;
    bool hashed = strcmp(settings->presence_mode, "hashed") == 0;
    double room = (double)(UINT64_C(1) << settings->presence_hash_bits) *
                  (double)wl_hub_instances(hub, WL_ACTOR_PRESENCE);
    pack_key(packer, key);
    (void)msgpack_pack_map(packer, 5);
    pack_number(packer, "members", members);
    pack_number(packer, "bytes", bytes);
    pack_share(packer, "bytes_per_user", (double)bytes, (double)members);
    pack_share(packer, "fp_expected", hashed ? (double)members : 0.0, room);
    pack_share(packer, "fp_observed", (double)maybe, (double)probes);
}

static void rebuild_pack(const wl_console_rebuild_t *self, const wl_hub_t *hub, uint64_t members,
                         msgpack_packer *packer) {
    wl_rebuilt_head_t sum = rebuild_sum(self, hub);
    bool done = sum.state == WL_REBUILD_DONE;
    bool ended = done || sum.state == WL_REBUILD_FAILED;
    const char *state = state_names[sum.state];
    (void)msgpack_pack_map(packer, done ? 11 : 9);
    pack_key(packer, "state");
    pack_key(packer, state);
    pack_key(packer, "reason");
    pack_key(packer, sum.state == WL_REBUILD_FAILED ? sum.reason : "");
    pack_number(packer, "started_at", (uint64_t)sum.started_at);
    pack_number(packer, "ended_at", ended ? (uint64_t)sum.ended_at : 0);
    pack_number(packer, "owners", sum.owners);
    pack_number(packer, "shards", sum.shards);
    pack_number(packer, "shards_told", sum.shards_told);
    pack_number(packer, "members", done ? sum.members_after : members);
    bool fewer = done && sum.members_after < sum.members_before;
    pack_number(packer, "dead_bits", fewer ? sum.members_before - sum.members_after : 0);
    if (done) {
        pack_set(packer, "before", hub, sum.members_before, sum.bytes_before, sum.maybe_before,
                 sum.probes);
        pack_set(packer, "after", hub, sum.members_after, sum.bytes_after, sum.maybe_after,
                 sum.probes);
    }
}

static bool rebuild_active(const wl_rebuilt_head_t *at) {
    return at->state == WL_REBUILD_WAITING || at->state == WL_REBUILD_READING;
}

/* What is known of an older one goes at once: whoever looks must not take its end for the new
 * one's. An actor that the message does not reach stays "waiting", and another start is sent. */
static void rebuild_start(wl_console_rebuild_t *self, wl_hub_t *hub) {
    for (uint32_t i = 0; i < wl_hub_instances(hub, WL_ACTOR_PRESENCE); i++) {
        wl_encoder_t *to = wl_hub_to(hub, WL_ACTOR_PRESENCE, i, WL_MSG_REBUILD, 0);
        if (!wl_encoder_begun(to)) {
            wl_rebuild_begin(to, NULL);
        }
        if (!rebuild_active(&self->at[i])) {
            self->at[i] = (wl_rebuilt_head_t){
                .presence = i, .state = WL_REBUILD_WAITING, .started_at = wl_wall_now().ms};
        }
    }
}

wl_err_t wl_console_rebuild_admin(wl_console_rebuild_t *self, wl_hub_t *hub, uint64_t members,
                                  const msgpack_object *args, msgpack_packer *packer,
                                  wl_fault_t *fault) {
    char action[ACTION_MAX + 1] = "status";
    wl_err_t err = wl_args_text(args, "action", action, ACTION_MAX, fault);
    if (err != WL_OK && err != WL_ERR_NOT_FOUND) {
        return err;
    }
    if (strcmp(action, "start") == 0) {
        rebuild_start(self, hub);
    } else if (strcmp(action, "status") != 0) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "action", "action: start or status");
    }
    rebuild_pack(self, hub, members, packer);
    return WL_OK;
}
