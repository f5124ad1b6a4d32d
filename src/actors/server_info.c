#include "actors/server_info.h"

#include "topology.h"

#include <string.h>

static void pack_text(msgpack_packer *packer, const char *text) {
    size_t bytes = strlen(text);
    msgpack_pack_str(packer, bytes);
    msgpack_pack_str_body(packer, text, bytes);
}

static void pack_pair(msgpack_packer *packer, const char *key, const char *value) {
    pack_text(packer, key);
    pack_text(packer, value);
}

void wl_server_ping_write(msgpack_sbuffer *into) {
    msgpack_packer packer;
    msgpack_packer_init(&packer, into, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 1);
    pack_text(&packer, "pong");
    msgpack_pack_true(&packer);
}

static const char *info_state(const wl_server_info_t *info) {
    if (info->draining) {
        return "draining";
    }
    return info->config == NULL ? "starting" : "ready";
}

void wl_server_info_write(const wl_server_info_t *info, msgpack_sbuffer *into) {
    msgpack_packer packer;
    msgpack_packer_init(&packer, into, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 11);
    pack_pair(&packer, "version", WL_VERSION);
    pack_pair(&packer, "role", info->settings->server_role);
    pack_text(&packer, "uptime_ms");
    msgpack_pack_int64(&packer, info->uptime_ms);
    pack_pair(&packer, "state", info_state(info));
    pack_pair(&packer, "config_version", info->config == NULL ? "" : info->config->version);
    pack_pair(&packer, "config_source", info->config == NULL ? "" : info->config_source);
    pack_text(&packer, "config_seq");
    msgpack_pack_uint64(&packer, info->config_seq);
    pack_text(&packer, "rollout");
    msgpack_pack_uint64(&packer, info->rollout);
    pack_text(&packer, "curve");
    info->settings->curve_key_file[0] == '\0' ? msgpack_pack_false(&packer)
                                              : msgpack_pack_true(&packer);
    pack_text(&packer, "actors");
    msgpack_pack_map(&packer, WL_ACTOR_KINDS);
    for (uint32_t kind = 0; kind < WL_ACTOR_KINDS; kind++) {
        pack_text(&packer, wl_actor_kind_name((wl_actor_kind_t)kind));
        msgpack_pack_uint32(&packer, wl_topology_instances(info->settings, (wl_actor_kind_t)kind));
    }
    pack_text(&packer, "stores");
    msgpack_pack_map(&packer, 4);
    pack_pair(&packer, "assets", info->settings->shard_store);
    pack_pair(&packer, "cache", info->settings->cache_store);
    pack_pair(&packer, "queue", info->settings->queue_store);
    pack_pair(&packer, "config", info->settings->config_store);
}
