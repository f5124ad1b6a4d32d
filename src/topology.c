#include "topology.h"

#include "base/check.h"
#include "base/limits.h"

#include <string.h>

enum {
    ROUTER_HWM = 1000,       /* replies kept for one client; beyond them it does not read */
    SUBSCRIBER_HWM = 100000, /* a burst of 100,000 PUB messages is lost with less, measured */
    LINGER_MS = 200,         /* last replies on their way when the process ends */
    TIER_HWM = 1000,         /* of the feed kept for a slow reader; their bytes are shared by all */
    TIER_RECONNECT_MS = 100, /* a writer that comes back is followed at once */
    TIER_RECONNECT_MS_MAX = 1000,
    TIER_CONNECT_MS = 1000, /* the kernel would try the first packet again and again for minutes */
    TIER_HEARTBEAT_MS = 1000, /* a link that was cut is given up soon and made anew */
    TIER_HEARTBEAT_TIMEOUT_MS = 3000,
    HANDSHAKE_MS = 3000,  /* a peer that connects and says nothing */
    HEARTBEAT_MS = 10000, /* finds half-open connections */
    HEARTBEAT_TIMEOUT_MS = 30000,
    BACKLOG = 1024, /* connections waiting to be accepted */
    /* Twice the request bound: an oversized request still gets an error, a huge one is cut off. */
    FRAME_BYTES_MAX = 2 * WL_REQUEST_BYTES_MAX,
};

static const char *const kind_names[WL_ACTOR_KINDS] = {
#define WL_ACTOR_NAME(NAME, name) #name,
    WL_ACTORS(WL_ACTOR_NAME)
#undef WL_ACTOR_NAME
};

const char *wl_actor_kind_name(wl_actor_kind_t kind) {
    return (unsigned)kind < WL_ACTOR_KINDS ? kind_names[kind] : "?";
}

uint32_t wl_topology_instances(const wl_settings_t *settings, wl_actor_kind_t kind) {
    WL_ASSERT((unsigned)kind < WL_ACTOR_KINDS);
    switch (kind) {
    case WL_ACTOR_SHARD: return (uint32_t)settings->shard_instances;
    case WL_ACTOR_CACHE: return (uint32_t)settings->cache_instances;
    case WL_ACTOR_PRESENCE: return (uint32_t)settings->presence_instances;
    case WL_ACTOR_QUERY: return (uint32_t)settings->query_instances;
    case WL_ACTOR_PULLER: return (uint32_t)settings->puller_instances;
    case WL_ACTOR_INTAKE: return wl_settings_list_count(settings->intake_endpoint);
    case WL_ACTOR_FRONTEND: return wl_settings_list_count(settings->frontend_endpoint);
    case WL_ACTOR_CONSOLE:
    case WL_ACTOR_DISPATCHER:
    case WL_ACTOR_CONFIG: return 1;
    case WL_ACTOR_KINDS: break;
    }
    return 0;
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

wl_err_t wl_topology_inbox(wl_actor_kind_t kind, uint32_t instance, zsock_t **ret,
                           wl_fault_t *fault) {
    zsock_t *inbox = socket_new(ZMQ_PULL, WL_MAILBOX_HWM);
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
    zsock_t *outbox = socket_new(ZMQ_PUSH, WL_MAILBOX_HWM);
    zsock_set_linger(outbox, 0);
    if (zsock_connect(outbox, "inproc://%s.%u", wl_actor_kind_name(kind), instance) == -1) {
        zsock_destroy(&outbox);
        return WL_ERR_BIND;
    }
    *ret = outbox;
    return WL_OK;
}

static bool endpoint_loopback(const char *endpoint) {
    static const char *const local[] = {"inproc://", "ipc://", "tcp://127.",
                                        "tcp://localhost:", "tcp://[::1]:"};
    for (size_t i = 0; i < sizeof local / sizeof *local; i++) {
        if (strncmp(endpoint, local[i], strlen(local[i])) == 0) {
            return true;
        }
    }
    return false;
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
    if (!endpoint_loopback(endpoint) && !settings->server_allow_plaintext) {
        return wl_fault(fault, WL_ERR_SETTINGS, where,
                        "%s is not loopback; set server.allow_plaintext = yes to serve it "
                        "without encryption",
                        endpoint);
    }
    return WL_OK;
}

/* Checks each endpoint of a list and that none stands in `taken` or twice in itself. */
static wl_err_t list_check(const wl_settings_t *settings, const char *where, const char *list,
                           const char *taken, wl_fault_t *fault) {
    char item[512];
    char other[512];
    for (uint32_t i = 0; wl_settings_list_item(list, i, item, sizeof item); i++) {
        wl_err_t err = endpoint_check(settings, where, item, fault);
        if (err != WL_OK) {
            return err;
        }
        bool twice = false;
        for (uint32_t j = 0; j < i && wl_settings_list_item(list, j, other, sizeof other); j++) {
            twice = twice || strcmp(item, other) == 0;
        }
        for (uint32_t j = 0; wl_settings_list_item(taken, j, other, sizeof other); j++) {
            twice = twice || strcmp(item, other) == 0;
        }
        if (twice) {
            return wl_fault(fault, WL_ERR_SETTINGS, where, "%s is used twice", item);
        }
    }
    return WL_OK;
}

wl_err_t wl_topology_check(const wl_settings_t *settings, wl_fault_t *fault) {
    if (wl_settings_list_count(settings->frontend_endpoint) == 0) {
        return wl_fault(fault, WL_ERR_SETTINGS, "frontend.endpoint", "is empty");
    }
    if (wl_settings_list_count(settings->intake_endpoint) == 0) {
        return wl_fault(fault, WL_ERR_SETTINGS, "intake.endpoint", "is empty");
    }
    wl_err_t err =
        list_check(settings, "frontend.endpoint", settings->frontend_endpoint, "", fault);
    if (err == WL_OK) {
        err = list_check(settings, "intake.endpoint", settings->intake_endpoint,
                         settings->frontend_endpoint, fault);
    }
    if (err == WL_OK) {
        err = list_check(settings, "intake.subscribe", settings->intake_subscribe,
                         settings->intake_endpoint, fault);
    }
    if (err == WL_OK) {
        err = list_check(settings, "tier.endpoint", settings->tier_endpoint,
                         settings->intake_endpoint, fault);
    }
    if (err == WL_OK && wl_settings_list_count(settings->tier_endpoint) > 1) {
        err = wl_fault(fault, WL_ERR_SETTINGS, "tier.endpoint", "one endpoint, not a list");
    }
    return err == WL_OK ? list_check(settings, "tier.writers", settings->tier_writers, "", fault)
                        : err;
}

/* What every socket needs that strangers can reach (reliability findings 1 and 3). */
static void socket_harden(zsock_t *socket) {
    zsock_set_maxmsgsize(socket, FRAME_BYTES_MAX);
    zsock_set_handshake_ivl(socket, HANDSHAKE_MS);
    zsock_set_heartbeat_ivl(socket, HEARTBEAT_MS);
    zsock_set_heartbeat_timeout(socket, HEARTBEAT_TIMEOUT_MS);
    zsock_set_backlog(socket, BACKLOG);
}

static wl_err_t socket_bind(zsock_t **socket, const char *where, const char *endpoint,
                            zsock_t **ret, wl_fault_t *fault) {
    if (zsock_bind(*socket, "%s", endpoint) == -1) {
        zsock_destroy(socket);
        return wl_fault(fault, WL_ERR_BIND, where, "%s: %s", endpoint, zmq_strerror(zmq_errno()));
    }
    *ret = *socket;
    return WL_OK;
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
    socket_harden(router);
    return socket_bind(&router, frontend ? "frontend.endpoint" : "intake.endpoint", endpoint, ret,
                       fault);
}

wl_err_t wl_topology_subscriber(const wl_settings_t *settings, zsock_t **ret, wl_fault_t *fault) {
    *ret = NULL;
    if (settings->intake_subscribe[0] == '\0') {
        return WL_OK;
    }
    zsock_t *subscriber = socket_new(ZMQ_SUB, SUBSCRIBER_HWM);
    zsock_set_subscribe(subscriber, "changed.");
    socket_harden(subscriber);
    return socket_bind(&subscriber, "intake.subscribe", settings->intake_subscribe, ret, fault);
}

/* ---- between tiers ---------------------------------------------------------------------------- */

/* The endpoint of one instance: the port + instance, or a suffix where there is no port. */
static wl_err_t tier_endpoint(const char *where, const char *base, uint32_t instance,
                              char ret[static 512], wl_fault_t *fault) {
    if (strncmp(base, "tcp://", 6) != 0) {
        int bytes = instance == 0 ? snprintf(ret, 512, "%s", base)
                                  : snprintf(ret, 512, "%s.%u", base, instance);
        return bytes > 0 && bytes < 512 ? WL_OK : WL_ERR_TOO_BIG;
    }
    const char *colon = strrchr(base, ':');
    uint32_t port = 0;
    for (const char *at = colon + 1; *at >= '0' && *at <= '9' && port <= UINT16_MAX; at++) {
        port = port * 10 + (uint32_t)(*at - '0');
    }
    bool valid = port > 0 && port + instance <= UINT16_MAX;
    if (!valid) {
        return wl_fault(fault, WL_ERR_SETTINGS, where, "%s has no port for instance %u", base,
                        instance);
    }
    (void)snprintf(ret, 512, "%.*s:%u", (int)(colon - base), base, port + instance);
    return WL_OK;
}

static void tier_harden(zsock_t *socket) {
    socket_harden(socket);
    zsock_set_heartbeat_ivl(socket, TIER_HEARTBEAT_MS);
    zsock_set_heartbeat_timeout(socket, TIER_HEARTBEAT_TIMEOUT_MS);
}

wl_err_t wl_topology_tier_router(const wl_settings_t *settings, uint32_t instance, zsock_t **ret,
                                 wl_fault_t *fault) {
    char base[512];
    char endpoint[512];
    *ret = NULL;
    if (!wl_settings_list_item(settings->tier_endpoint, 0, base, sizeof base)) {
        return WL_OK;
    }
    wl_err_t err = tier_endpoint("tier.endpoint", base, instance, endpoint, fault);
    if (err != WL_OK) {
        return err;
    }
    zsock_t *router = socket_new(ZMQ_ROUTER, TIER_HWM);
    zsock_set_router_mandatory(router, 1); /* a reader that is gone or full is an error */
    tier_harden(router);
    return socket_bind(&router, "tier.endpoint", endpoint, ret, fault);
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
    zsock_t *dealer = socket_new(ZMQ_DEALER, TIER_HWM);
    tier_harden(dealer);
    zsock_set_maxmsgsize(dealer, WL_MESSAGE_BYTES_MAX);
    zsock_set_connect_timeout(dealer, TIER_CONNECT_MS);
    zsock_set_immediate(dealer, 1);
    zsock_set_reconnect_ivl(dealer, TIER_RECONNECT_MS);
    zsock_set_reconnect_ivl_max(dealer, TIER_RECONNECT_MS_MAX);
    if (zsock_connect(dealer, "%s", endpoint) == -1) {
        zsock_destroy(&dealer);
        return wl_fault(fault, WL_ERR_BIND, "tier.writers", "%s: %s", endpoint,
                        zmq_strerror(zmq_errno()));
    }
    *ret = dealer;
    return WL_OK;
}
