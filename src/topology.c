#include "topology.h"

#include "base/check.h"
#include "base/limits.h"
#include "place.h"
#include "secure.h"

#include <string.h>

enum {
    ROUTER_HWM = 1000,       /* replies kept for one client; beyond them it does not read */
    SUBSCRIBER_HWM = 100000, /* a burst of 100,000 PUB messages is lost with less, measured */
    LINGER_MS = 200,         /* last replies on their way when the process ends */
    HANDSHAKE_MS = 3000,     /* a peer that connects and says nothing */
    HEARTBEAT_MS = 10000,    /* finds half-open connections */
    HEARTBEAT_TIMEOUT_MS = 30000,
    BACKLOG = 1024,  /* connections waiting to be accepted */
    TRAIL_HWM = 200, /* of the trail, each up to 64 KiB: what comes beyond is counted, not kept */
    PEER_HWM = 1000, /* messages to another host, each a batch; the kernel holds some more */
    PEER_HEARTBEAT_MS = 1000, /* a host that is away is noticed before its leases end */
    PEER_HEARTBEAT_TIMEOUT_MS = 3000,
    PEER_CONNECT_MS = 1000, /* a host that is away does not answer at all */
    PEER_RECONNECT_MS = 100,
    PEER_RECONNECT_MAX_MS = 1000,
    /* Twice the request bound: an oversized request still gets an error, a huge one is cut off. */
    FRAME_BYTES_MAX = 2 * WL_CONFIG_REQUEST_BYTES_MAX,
};

static const char *const kind_names[WL_ACTOR_KINDS] = {
#define WL_ACTOR_NAME(NAME, name) #name,
    WL_ACTORS(WL_ACTOR_NAME)
#undef WL_ACTOR_NAME
};

const char *wl_actor_kind_name(wl_actor_kind_t kind) {
    return (unsigned)kind < WL_ACTOR_KINDS ? kind_names[kind] : "?";
}

/* Which tiers a kind of actor belongs to. */
typedef enum { TIER_READER = 1, TIER_WRITER = 2, TIER_BOTH = 3 } tier_t;

static const tier_t kind_tiers[WL_ACTOR_KINDS] = {
    [WL_ACTOR_CONSOLE] = TIER_BOTH,      [WL_ACTOR_SHARD] = TIER_WRITER,
    [WL_ACTOR_FETCHER] = TIER_BOTH,      [WL_ACTOR_CACHE] = TIER_BOTH,
    [WL_ACTOR_PRESENCE] = TIER_BOTH,     [WL_ACTOR_QUERY] = TIER_READER,
    [WL_ACTOR_PULLER] = TIER_WRITER,     [WL_ACTOR_DISPATCHER] = TIER_WRITER,
    [WL_ACTOR_INTAKE] = TIER_WRITER,     [WL_ACTOR_FRONTEND] = TIER_READER,
    [WL_ACTOR_KEEPER] = TIER_WRITER,     [WL_ACTOR_CONFIG] = TIER_BOTH,
    [WL_ACTOR_GUARD] = TIER_BOTH,        [WL_ACTOR_DETAILS] = TIER_READER,
    [WL_ACTOR_RECONCILER] = TIER_WRITER, [WL_ACTOR_TRAIL] = TIER_WRITER,
    [WL_ACTOR_MOVER] = TIER_WRITER,
};

bool wl_role_reads(const wl_settings_t *settings) {
    return strcmp(settings->server_role, "writer") != 0;
}

bool wl_role_writes(const wl_settings_t *settings) {
    return strcmp(settings->server_role, "reader") != 0;
}

/* As if the process were of both tiers. */
static uint32_t kind_instances(const wl_settings_t *settings, wl_actor_kind_t kind) {
    switch (kind) {
    case WL_ACTOR_SHARD: return (uint32_t)settings->shard_instances;
    case WL_ACTOR_FETCHER: return (uint32_t)(settings->shard_instances * settings->shard_readers);
    case WL_ACTOR_CACHE: return (uint32_t)settings->cache_instances;
    case WL_ACTOR_PRESENCE: return (uint32_t)settings->presence_instances;
    case WL_ACTOR_QUERY: return (uint32_t)settings->query_instances;
    case WL_ACTOR_DETAILS: return (uint32_t)settings->details_instances;
    case WL_ACTOR_PULLER: return (uint32_t)settings->puller_instances;
    case WL_ACTOR_DISPATCHER: return (uint32_t)settings->queue_partitions;
    case WL_ACTOR_INTAKE: return wl_settings_list_count(settings->intake_endpoint);
    case WL_ACTOR_FRONTEND: return wl_settings_list_count(settings->frontend_endpoint);
    case WL_ACTOR_TRAIL: return settings->trail_enabled ? 1 : 0;
    case WL_ACTOR_GUARD:
    case WL_ACTOR_KEEPER:
    case WL_ACTOR_RECONCILER:
    case WL_ACTOR_MOVER:
    case WL_ACTOR_CONSOLE:
    case WL_ACTOR_CONFIG: return 1;
    case WL_ACTOR_KINDS: break;
    }
    return 0;
}

static bool role_runs(const wl_settings_t *settings, wl_actor_kind_t kind) {
    tier_t tiers = kind_tiers[kind];
    return ((tiers & TIER_READER) != 0 && wl_role_reads(settings)) ||
           ((tiers & TIER_WRITER) != 0 && wl_role_writes(settings));
}

uint32_t wl_topology_instances(const wl_settings_t *settings, wl_actor_kind_t kind) {
    WL_ASSERT((unsigned)kind < WL_ACTOR_KINDS);
    bool some = role_runs(settings, kind) || wl_place_names(settings->topology_remote, kind);
    return some ? kind_instances(settings, kind) : 0;
}

bool wl_topology_here(const wl_settings_t *settings, wl_actor_kind_t kind, uint32_t instance) {
    char endpoint[512];
    WL_ASSERT((unsigned)kind < WL_ACTOR_KINDS);
    return role_runs(settings, kind) && instance < kind_instances(settings, kind) &&
           !wl_place_find(settings->topology_remote, kind, instance, endpoint, sizeof endpoint);
}

wl_err_t wl_topology_port_add(const char *endpoint, uint32_t more, char *ret_endpoint,
                              size_t bytes) {
    const char *colon = strrchr(endpoint, ':');
    if (colon == NULL || strncmp(endpoint, "tcp://", 6) != 0) {
        int length = more == 0 ? snprintf(ret_endpoint, bytes, "%s", endpoint)
                               : snprintf(ret_endpoint, bytes, "%s.%u", endpoint, more);
        return length > 0 && (size_t)length < bytes ? WL_OK : WL_ERR_SETTINGS;
    }
    char *end = NULL;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (end == colon + 1 || *end != '\0' || port == 0 || port > UINT16_MAX ||
        port + more > UINT16_MAX) {
        return WL_ERR_SETTINGS;
    }
    int length =
        snprintf(ret_endpoint, bytes, "%.*s:%lu", (int)(colon - endpoint), endpoint, port + more);
    return length > 0 && (size_t)length < bytes ? WL_OK : WL_ERR_SETTINGS;
}

static zsock_t *socket_new(int type, int hwm) {
    zsock_t *socket = zsock_new(type);
    WL_ASSERT(socket != NULL);
    zsock_set_sndhwm(socket, hwm);
    zsock_set_rcvhwm(socket, hwm);
    zsock_set_linger(socket, LINGER_MS);
    zsock_set_sndtimeo(socket, 0); /* never wait for another actor or client */
    return socket;
}

static int mailbox_hwm(wl_actor_kind_t kind) {
    return kind == WL_ACTOR_TRAIL ? TRAIL_HWM : WL_MAILBOX_HWM;
}

wl_err_t wl_topology_inbox(wl_actor_kind_t kind, uint32_t instance, zsock_t **ret,
                           wl_fault_t *fault) {
    zsock_t *inbox = socket_new(ZMQ_PULL, mailbox_hwm(kind));
    zsock_set_linger(inbox, 0);
    if (zsock_bind(inbox, "inproc://%s.%u", wl_actor_kind_name(kind), instance) == -1) {
        zsock_destroy(&inbox);
        return wl_fault(fault, WL_ERR_BIND, wl_actor_kind_name(kind), "mailbox %u is taken",
                        instance);
    }
    *ret = inbox;
    return WL_OK;
}

wl_err_t wl_topology_outbox(wl_actor_kind_t kind, uint32_t instance, zsock_t **ret) {
    zsock_t *outbox = socket_new(ZMQ_PUSH, mailbox_hwm(kind));
    zsock_set_linger(outbox, 0);
    if (zsock_connect(outbox, "inproc://%s.%u", wl_actor_kind_name(kind), instance) == -1) {
        zsock_destroy(&outbox);
        return WL_ERR_BIND;
    }
    *ret = outbox;
    return WL_OK;
}

/* What every socket needs that strangers can reach (reliability findings 1 and 3). */
static void socket_harden(zsock_t *socket, int frame_bytes_max) {
    zsock_set_maxmsgsize(socket, frame_bytes_max);
    zsock_set_handshake_ivl(socket, HANDSHAKE_MS);
    zsock_set_heartbeat_ivl(socket, HEARTBEAT_MS);
    zsock_set_heartbeat_timeout(socket, HEARTBEAT_TIMEOUT_MS);
    zsock_set_backlog(socket, BACKLOG);
}

/* Whose socket it is, and what others come to it for. */
typedef struct {
    const wl_settings_t *settings;
    wl_actor_kind_t kind;
    uint32_t instance;
    wl_door_t door;
    const char *where; /* the setting */
} owner_t;

static wl_err_t socket_bind(zsock_t **socket, const owner_t *owner, const char *endpoint,
                            zsock_t **ret, wl_fault_t *fault) {
    wl_err_t err =
        wl_secure_bound(owner->settings, *socket, owner->kind, owner->instance, owner->door, fault);
    if (err == WL_OK && zsock_bind(*socket, "%s", endpoint) == -1) {
        err = wl_fault(fault, WL_ERR_BIND, owner->where, "%s: %s", endpoint,
                       zmq_strerror(zmq_errno()));
    }
    if (err != WL_OK) {
        zsock_destroy(socket);
        return err;
    }
    *ret = *socket;
    return WL_OK;
}

static wl_err_t socket_connect(const wl_settings_t *settings, zsock_t **socket, const char *where,
                               const char *endpoint, zsock_t **ret, wl_fault_t *fault) {
    wl_err_t err = wl_secure_connect(settings, *socket, where, endpoint, fault);
    if (err != WL_OK) {
        zsock_destroy(socket);
        return err;
    }
    *ret = *socket;
    return WL_OK;
}

/* A socket between two processes of ours, on any two hosts. */
static zsock_t *peer_socket_new(int type) {
    zsock_t *socket = socket_new(type, PEER_HWM);
    socket_harden(socket, WL_MESSAGE_BYTES_MAX);
    zsock_set_heartbeat_ivl(socket, PEER_HEARTBEAT_MS);
    zsock_set_heartbeat_timeout(socket, PEER_HEARTBEAT_TIMEOUT_MS);
    zsock_set_connect_timeout(socket, PEER_CONNECT_MS);
    zsock_set_reconnect_ivl(socket, PEER_RECONNECT_MS);
    zsock_set_reconnect_ivl_max(socket, PEER_RECONNECT_MAX_MS);
    zsock_set_immediate(socket, 1); /* nothing is kept for a host that is not there */
    return socket;
}

wl_err_t wl_topology_listen(const wl_settings_t *settings, wl_actor_kind_t kind, uint32_t instance,
                            zsock_t **ret, wl_fault_t *fault) {
    char endpoint[512];
    *ret = NULL;
    if (!wl_place_find(settings->topology_listen, kind, instance, endpoint, sizeof endpoint)) {
        return WL_OK;
    }
    zsock_t *inbox = peer_socket_new(ZMQ_PULL);
    const owner_t owner = {settings, kind, instance, WL_DOOR_TIER, "topology.listen"};
    return socket_bind(&inbox, &owner, endpoint, ret, fault);
}

wl_err_t wl_topology_remote(const wl_settings_t *settings, wl_actor_kind_t kind, uint32_t instance,
                            zsock_t **ret, wl_fault_t *fault) {
    char endpoint[512];
    if (!wl_place_find(settings->topology_remote, kind, instance, endpoint, sizeof endpoint)) {
        return wl_fault(fault, WL_ERR_SETTINGS, "topology.remote", "%s.%u is not named",
                        wl_actor_kind_name(kind), instance);
    }
    zsock_t *outbox = peer_socket_new(ZMQ_PUSH);
    return socket_connect(settings, &outbox, "topology.remote", endpoint, ret, fault);
}

wl_err_t wl_topology_router(const wl_settings_t *settings, wl_actor_kind_t kind, uint32_t instance,
                            zsock_t **ret, wl_fault_t *fault) {
    bool frontend = kind == WL_ACTOR_FRONTEND;
    WL_ASSERT(frontend || kind == WL_ACTOR_INTAKE);
    char endpoint[512];
    bool found =
        wl_settings_list_item(frontend ? settings->frontend_endpoint : settings->intake_endpoint,
                              instance, endpoint, sizeof endpoint);
    WL_ASSERT(found);
    zsock_t *router = socket_new(ZMQ_ROUTER, ROUTER_HWM);
    zsock_set_router_mandatory(router, 1); /* a client that is gone is an error, not silence */
    socket_harden(router, FRAME_BYTES_MAX);
    const owner_t owner = {settings, kind, instance, frontend ? WL_DOOR_READ : WL_DOOR_INTAKE,
                           frontend ? "frontend.endpoint" : "intake.endpoint"};
    return socket_bind(&router, &owner, endpoint, ret, fault);
}

wl_err_t wl_topology_subscriber(const wl_settings_t *settings, zsock_t **ret, wl_fault_t *fault) {
    *ret = NULL;
    if (settings->intake_subscribe[0] == '\0') {
        return WL_OK;
    }
    zsock_t *subscriber = socket_new(ZMQ_SUB, SUBSCRIBER_HWM);
    zsock_set_subscribe(subscriber, "changed.");
    socket_harden(subscriber, FRAME_BYTES_MAX);
    const owner_t owner = {settings, WL_ACTOR_INTAKE, 0, WL_DOOR_PUBLISH, "intake.subscribe"};
    return socket_bind(&subscriber, &owner, settings->intake_subscribe, ret, fault);
}

/* ---- between tiers --------------------------------------------------------------------------- */

/* Presence actor i takes the port + i. */
static wl_err_t tier_endpoint(const char *where, const char *base, uint32_t instance,
                              char ret[static 512], wl_fault_t *fault) {
    wl_err_t err = wl_topology_port_add(base, instance, ret, 512);
    return err == WL_OK
               ? WL_OK
               : wl_fault(fault, err, where, "%s has no port for instance %u", base, instance);
}

wl_err_t wl_topology_tier_router(const wl_settings_t *settings, uint32_t instance, zsock_t **ret,
                                 wl_fault_t *fault) {
    char endpoint[512];
    *ret = NULL;
    if (settings->tier_endpoint[0] == '\0') {
        return WL_OK;
    }
    wl_err_t err =
        tier_endpoint("tier.endpoint", settings->tier_endpoint, instance, endpoint, fault);
    if (err != WL_OK) {
        return err;
    }
    zsock_t *router = peer_socket_new(ZMQ_ROUTER);
    zsock_set_maxmsgsize(router, FRAME_BYTES_MAX); /* readers say little, the feed says much */
    zsock_set_router_mandatory(router, 1);         /* a reader that is gone or full is an error */
    const owner_t owner = {settings, WL_ACTOR_PRESENCE, instance, WL_DOOR_TIER, "tier.endpoint"};
    return socket_bind(&router, &owner, endpoint, ret, fault);
}

wl_err_t wl_topology_tier_dealer(const wl_settings_t *settings, uint32_t writer, uint32_t instance,
                                 zsock_t **ret, wl_fault_t *fault) {
    char base[512];
    char endpoint[512];
    bool found = wl_settings_list_item(settings->tier_writers, writer, base, sizeof base);
    WL_ASSERT(found);
    wl_err_t err = tier_endpoint("tier.writers", base, instance, endpoint, fault);
    if (err != WL_OK) {
        return err;
    }
    zsock_t *dealer = peer_socket_new(ZMQ_DEALER);
    return socket_connect(settings, &dealer, "tier.writers", endpoint, ret, fault);
}
