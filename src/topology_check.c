#include "base/check.h"
#include "domain/compare_pace.h"
#include "domain/shard_map.h"
#include "place.h"
#include "secure.h"
#include "store/store_address.h"
#include "topology.h"

#include <string.h>

enum {
    THREADS_MAX = 64,   /* readers of all shards together: instances that the console keeps */
    TAKEN_BYTES = 3072, /* all endpoints that one process binds, as one list */
};

static bool endpoint_loopback(const char *endpoint) {
    return strncmp(endpoint, "tcp://", 6) != 0 || wl_store_address_loopback(endpoint + 6);
}

/* libzmq takes a port modulo 65,536: 99999 would be bound as 34463 without a word. */
static bool endpoint_port_valid(const char *endpoint) {
    const char *colon = strrchr(endpoint, ':');
    size_t digits = strspn(colon + 1, "0123456789");
    uint32_t port = 0;
    for (size_t i = 1; i <= digits && port <= UINT16_MAX; i++) {
        port = port * 10 + (uint32_t)(colon[i] - '0');
    }
    return colon[1 + digits] == '\0' && port > 0 && port <= UINT16_MAX;
}

static wl_err_t endpoint_check(const wl_settings_t *settings, const char *where,
                               const char *endpoint, wl_fault_t *fault) {
    if (strncmp(endpoint, "tcp://", 6) != 0 && strncmp(endpoint, "ipc://", 6) != 0 &&
        strncmp(endpoint, "inproc://", 9) != 0) {
        return wl_fault(fault, WL_ERR_SETTINGS, where,
                        "\"%s\" is not an endpoint such as tcp://127.0.0.1:7700", endpoint);
    }
    if (strncmp(endpoint, "tcp://", 6) == 0 && !endpoint_port_valid(endpoint)) {
        return wl_fault(fault, WL_ERR_SETTINGS, where, "\"%s\" has no port from 1 to 65535",
                        endpoint);
    }
    if (!endpoint_loopback(endpoint) && !settings->server_allow_plaintext &&
        !wl_secure_wanted(settings)) {
        return wl_fault(fault, WL_ERR_SETTINGS, where,
                        "%s is not loopback; set curve.key_file, or server.allow_plaintext = yes "
                        "to serve it without encryption",
                        endpoint);
    }
    return WL_OK;
}

/* What has been looked at so far: the endpoints that this process binds. */
typedef struct {
    const wl_settings_t *settings; /* borrowed */
    wl_fault_t *fault;             /* borrowed, may be NULL */
    char taken[TAKEN_BYTES];       /* a comma-separated list */
} check_t;

/* One endpoint that is bound: valid, and not bound twice. */
static wl_err_t check_bound(check_t *self, const char *where, const char *endpoint) {
    char other[512];
    wl_err_t err = endpoint_check(self->settings, where, endpoint, self->fault);
    for (uint32_t i = 0; err == WL_OK && wl_settings_list_item(self->taken, i, other, sizeof other);
         i++) {
        if (strcmp(endpoint, other) == 0) {
            return wl_fault(self->fault, WL_ERR_SETTINGS, where, "%s is used twice", endpoint);
        }
    }
    size_t used = strlen(self->taken);
    size_t bytes = strlen(endpoint) + 1;
    if (err == WL_OK && used + bytes < sizeof self->taken) {
        (void)snprintf(self->taken + used, sizeof self->taken - used, "%s,", endpoint);
    }
    return err;
}

static wl_err_t check_bound_list(check_t *self, const char *where, const char *list) {
    char item[512];
    wl_err_t err = WL_OK;
    for (uint32_t i = 0; err == WL_OK && wl_settings_list_item(list, i, item, sizeof item); i++) {
        err = check_bound(self, where, item);
    }
    return err;
}

static wl_err_t check_not_empty(check_t *self, const char *where, const char *list) {
    return wl_settings_list_count(list) > 0
               ? WL_OK
               : wl_fault(self->fault, WL_ERR_SETTINGS, where, "is empty");
}

static wl_err_t check_reader(check_t *self) {
    const wl_settings_t *settings = self->settings;
    if (strcmp(settings->server_role, "reader") == 0 &&
        strcmp(settings->shard_store, "mysql") != 0) {
        return wl_fault(self->fault, WL_ERR_SETTINGS, "shard.store",
                        "a reader needs shard.store = mysql: files of another process cannot be "
                        "shared");
    }
    if (strcmp(settings->server_role, "reader") == 0 &&
        wl_settings_list_count(settings->tier_writers) == 0) {
        return wl_fault(self->fault, WL_ERR_SETTINGS, "tier.writers",
                        "a reader needs the tier.endpoint of every writer");
    }
    wl_err_t err = check_not_empty(self, "frontend.endpoint", settings->frontend_endpoint);
    if (err == WL_OK) {
        err = check_bound_list(self, "frontend.endpoint", settings->frontend_endpoint);
    }
    char item[512];
    for (uint32_t i = 0;
         err == WL_OK && wl_settings_list_item(settings->tier_writers, i, item, sizeof item); i++) {
        err = endpoint_check(settings, "tier.writers", item, self->fault);
    }
    return err;
}

/* Presence actor i binds the port + i. */
static wl_err_t check_feed(check_t *self) {
    const wl_settings_t *settings = self->settings;
    if (settings->tier_endpoint[0] == '\0') {
        return WL_OK;
    }
    if (wl_settings_list_count(settings->tier_endpoint) > 1) {
        return wl_fault(self->fault, WL_ERR_SETTINGS, "tier.endpoint", "one endpoint, not a list");
    }
    char endpoint[512];
    wl_err_t err = WL_OK;
    for (uint32_t i = 0; err == WL_OK && i < settings->presence_instances; i++) {
        err = wl_topology_port_add(settings->tier_endpoint, i, endpoint, sizeof endpoint);
        if (err != WL_OK) {
            return wl_fault(self->fault, WL_ERR_SETTINGS, "tier.endpoint",
                            "\"%s\" leaves no port for presence actor %u", settings->tier_endpoint,
                            i);
        }
        err = check_bound(self, "tier.endpoint", endpoint);
    }
    return err;
}

static wl_err_t check_writer(check_t *self) {
    const wl_settings_t *settings = self->settings;
    if (settings->queue_partitions > 1 && strcmp(settings->queue_store, "redis") != 0) {
        return wl_fault(self->fault, WL_ERR_SETTINGS, "queue.partitions",
                        "more than one needs queue.store = redis");
    }
    wl_err_t err = check_not_empty(self, "intake.endpoint", settings->intake_endpoint);
    if (err == WL_OK) {
        err = check_bound_list(self, "intake.endpoint", settings->intake_endpoint);
    }
    if (err == WL_OK) {
        err = check_bound_list(self, "intake.subscribe", settings->intake_subscribe);
    }
    return err == WL_OK ? check_feed(self) : err;
}

/* Entries of both lists: an actor that exists, at an endpoint that another process can reach. */
static wl_err_t check_place(check_t *self, const char *where, wl_actor_kind_t kind,
                            uint32_t instance, const char *endpoint) {
    uint32_t instances = wl_topology_instances(self->settings, kind);
    if (kind == WL_ACTOR_CONSOLE || kind == WL_ACTOR_CONFIG || kind == WL_ACTOR_GUARD ||
        kind == WL_ACTOR_KEEPER || kind == WL_ACTOR_RECONCILER || kind == WL_ACTOR_TRAIL ||
        kind == WL_ACTOR_MOVER) {
        return wl_fault(self->fault, WL_ERR_SETTINGS, where, "every process has its own %s",
                        wl_actor_kind_name(kind));
    }
    if (instance != WL_PLACE_ALL && instance >= instances) {
        return wl_fault(self->fault, WL_ERR_SETTINGS, where, "there are %u actors %s, no %s.%u",
                        instances, wl_actor_kind_name(kind), wl_actor_kind_name(kind), instance);
    }
    if (strncmp(endpoint, "inproc://", 9) == 0) {
        return wl_fault(self->fault, WL_ERR_SETTINGS, where, "%s does not leave the process",
                        endpoint);
    }
    return endpoint_check(self->settings, where, endpoint, self->fault);
}

static wl_err_t on_remote(void *arg, wl_actor_kind_t kind, uint32_t instance,
                          const char *endpoint) {
    check_t *self = arg;
    const wl_settings_t *settings = self->settings;
    wl_err_t err = check_place(self, "topology.remote", kind, instance, endpoint);
    uint32_t instances = wl_topology_instances(settings, kind);
    char found[512];
    for (uint32_t i = 0; err == WL_OK && i < instances; i++) {
        bool away = wl_place_find(settings->topology_remote, kind, i, found, sizeof found);
        if (!away && !wl_topology_here(settings, kind, i)) {
            return wl_fault(self->fault, WL_ERR_SETTINGS, "topology.remote",
                            "%s.%u runs nowhere: this role does not run it, name its host too",
                            wl_actor_kind_name(kind), i);
        }
        if (instance == WL_PLACE_ALL && !away) {
            return wl_fault(self->fault, WL_ERR_SETTINGS, "topology.remote",
                            "\"%s\" leaves no port for %s.%u", endpoint, wl_actor_kind_name(kind),
                            i);
        }
    }
    return err;
}

static wl_err_t on_listen(void *arg, wl_actor_kind_t kind, uint32_t instance,
                          const char *endpoint) {
    check_t *self = arg;
    const wl_settings_t *settings = self->settings;
    wl_err_t err = check_place(self, "topology.listen", kind, instance, endpoint);
    uint32_t instances = wl_topology_instances(settings, kind);
    bool any = false;
    for (uint32_t i = 0; err == WL_OK && i < instances; i++) {
        char found[512];
        if ((instance != WL_PLACE_ALL && instance != i) || !wl_topology_here(settings, kind, i)) {
            continue;
        }
        any = true;
        if (!wl_place_find(settings->topology_listen, kind, i, found, sizeof found)) {
            return wl_fault(self->fault, WL_ERR_SETTINGS, "topology.listen",
                            "\"%s\" leaves no port for %s.%u", endpoint, wl_actor_kind_name(kind),
                            i);
        }
        err = check_bound(self, "topology.listen", found);
    }
    return err == WL_OK && !any
               ? wl_fault(self->fault, WL_ERR_SETTINGS, "topology.listen",
                          "%s does not run in this process", wl_actor_kind_name(kind))
               : err;
}

static wl_err_t check_places(check_t *self) {
    wl_err_t err = wl_place_each(self->settings->topology_remote, "topology.remote", on_remote,
                                 self, self->fault);
    return err == WL_OK ? wl_place_each(self->settings->topology_listen, "topology.listen",
                                        on_listen, self, self->fault)
                        : err;
}

static wl_err_t check_shards(check_t *self) {
    const wl_settings_t *settings = self->settings;
    uint32_t servers = wl_settings_list_count(settings->shard_at);
    if (strcmp(settings->shard_store, "mysql") == 0 && servers != settings->shard_instances) {
        return wl_fault(self->fault, WL_ERR_SETTINGS, "shard.at",
                        "names %u databases, shard.instances says %u", servers,
                        (uint32_t)settings->shard_instances);
    }
    if (settings->shard_instances * settings->shard_readers > THREADS_MAX) {
        return wl_fault(self->fault, WL_ERR_SETTINGS, "shard.readers",
                        "shard.instances * shard.readers is above %d", THREADS_MAX);
    }
    uint8_t map[WL_SLOTS];
    return wl_shard_map_parse(settings->shard_map, (uint32_t)settings->shard_instances, map,
                              self->fault);
}

/* Redis and MySQL are spoken to without encryption: only those that this role uses are looked at.
 */
static wl_err_t check_stores(check_t *self) {
    const wl_settings_t *settings = self->settings;
    wl_err_t err = WL_OK;
    if (settings->server_allow_plaintext_stores) {
        return WL_OK;
    }
    if (strcmp(settings->cache_store, "redis") == 0) {
        err = wl_store_address_check("cache.redis", settings->cache_redis, self->fault);
    }
    if (err == WL_OK && wl_role_writes(settings) && strcmp(settings->queue_store, "redis") == 0) {
        err = wl_store_address_check("queue.redis", settings->queue_redis, self->fault);
    }
    if (err == WL_OK && strcmp(settings->shard_store, "mysql") == 0) {
        err = wl_store_address_check("shard.at", settings->shard_at, self->fault);
    }
    return err;
}

/* "HH:MM", or empty. */
static wl_err_t check_time(check_t *self, const char *key, const char *at) {
    int32_t minute = 0;
    return wl_compare_at_parse(at, &minute)
               ? WL_OK
               : wl_fault(self->fault, WL_ERR_SETTINGS, key,
                          "\"%s\" is not a time of day from 00:00 to 23:59", at);
}

static wl_err_t check_times(check_t *self) {
    wl_err_t err = check_time(self, "presence.rebuild_at", self->settings->presence_rebuild_at);
    return err == WL_OK ? check_time(self, "reconcile.at", self->settings->reconcile_at) : err;
}

/* Numbers that rest on each other. */
static wl_err_t check_numbers(check_t *self) {
    const wl_settings_t *settings = self->settings;
    if (wl_role_writes(settings) && strcmp(settings->cache_store, "redis") == 0 &&
        settings->cache_instances > 1) { /* they share the markers, but fail one by one */
        return wl_fault(self->fault, WL_ERR_SETTINGS, "cache.instances",
                        "must be 1 where a writer puts into Redis");
    }
    if (settings->tier_silence_ms >= settings->keeper_lease_ms) {
        return wl_fault(
            self->fault, WL_ERR_SETTINGS, "tier.silence_ms",
            "must be below keeper.lease_ms: a writer is missed before another takes over");
    }
    return WL_OK;
}

wl_err_t wl_topology_check(const wl_settings_t *settings, wl_fault_t *fault) {
    check_t check = {.settings = settings, .fault = fault};
    wl_err_t err = check_shards(&check);
    if (err == WL_OK && wl_role_reads(settings)) {
        err = check_reader(&check);
    }
    if (err == WL_OK && wl_role_writes(settings)) {
        err = check_writer(&check);
    }
    if (err == WL_OK) {
        err = check_places(&check);
    }
    if (err == WL_OK) {
        err = check_stores(&check);
    }
    if (err == WL_OK) {
        err = check_numbers(&check);
    }
    if (err == WL_OK) {
        err = check_times(&check);
    }
    return err == WL_OK ? wl_secure_check(settings, fault) : err;
}
