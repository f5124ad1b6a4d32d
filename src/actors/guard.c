#include "actors/guard.h"

#include "actors/hub.h"
#include "actors/key_folder.h"
#include "actors/peer_watch.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "proto/monitor.h"
#include "proto/zap.h"
#include "secure.h"

#include <inttypes.h>
#include <sodium.h>
#include <string.h>

enum {
    KEYS_LOOK_MS = 500,  /* how often the folder of keys is looked at; twice this bounds a change */
    KEYS_TELL_MS = 5000, /* keys are told again so often, should a full mailbox have lost them */
    PEERS_LOOK_MS = 15,  /* how often connections are looked at: loopback brings 20 MB in it */
    SUSPECTS_LOOK_MS = 5, /* and those that are suspected */
    TURN_EVENTS = 256,    /* of one monitor, or handshakes */
    DOORS_MAX = 128,      /* sockets that are bound */
    MONITOR_HWM = 100000, /* events on their way; libzmq's own thread waits when there are more */
};

/* A socket that others can reach. */
typedef struct {
    zsock_t *monitor; /* owned, NULL = the place is free */
    wl_actor_kind_t kind;
    uint32_t instance;
    wl_door_t door;
    int type;           /* ZMQ_ROUTER... */
    char endpoint[128]; /* "" until it listens */
} door_t;

typedef struct {
    wl_hub_t hub;
    zsock_t *handler;                /* owned ROUTER, NULL without CURVE */
    zsock_t *desk;                   /* owned REP */
    wl_key_folder_t *folder;         /* owned, NULL without CURVE */
    wl_peer_watch_t *peers;          /* owned */
    uint64_t revision;               /* of the keys */
    int64_t told_at;                 /* monotonic ms: the keys */
    uint64_t refused_files;          /* of the last load */
    bool probing;                    /* probe_key is set */
    uint8_t probe_key[WL_KEY_BYTES]; /* of our own attempts to come in: refused, and not counted */
    bool peers_timer;                /* runs while there are connections */
    bool suspects_timer;             /* runs while some of them are suspected */
    door_t doors[DOORS_MAX];
} guard_t;

/* ---- keys -------------------------------------------------------------------------------------
 * */

static void keys_tell_one(guard_t *self, wl_actor_kind_t kind, uint32_t instance) {
    char scope[WL_KEY_SCOPE_MAX + 1];
    wl_keys_head_t head = {.revision = self->revision, .total = wl_key_folder_count(self->folder)};
    wl_encoder_t *to = wl_hub_to(&self->hub, kind, instance, WL_MSG_KEYS, head.revision);
    if (!wl_encoder_begun(to)) {
        wl_keys_begin(to, &head);
    }
    for (const wl_known_key_t *key = wl_key_folder_first(self->folder); key != NULL;
         key = key->hh.next) {
        wl_keys_item_t item = {.key = ""};
        to = wl_hub_to(&self->hub, kind, instance, WL_MSG_KEYS, head.revision);
        if (!wl_encoder_begun(to)) {
            wl_keys_begin(to, &head);
        }
        wl_scopes_format(&key->scopes, scope, sizeof scope);
        memcpy(item.key, key->id, sizeof key->id);
        memcpy(item.scope, scope, strlen(scope) + 1);
        wl_keys_add(to, &item);
    }
}

/* To all who judge messages in this process. */
static void keys_tell(guard_t *self) {
    static const wl_actor_kind_t judges[] = {WL_ACTOR_FRONTEND, WL_ACTOR_INTAKE};
    for (size_t i = 0; i < WL_COUNT_OF(judges); i++) {
        for (uint32_t j = 0; j < wl_hub_instances(&self->hub, judges[i]); j++) {
            if (wl_topology_here(self->hub.settings, judges[i], j)) {
                keys_tell_one(self, judges[i], j);
            }
        }
    }
    wl_hub_flush(&self->hub);
    self->told_at = wl_mono_now().ms;
}

static void on_file_refused(const char *file, const wl_fault_t *fault, void *arg) {
    guard_t *self = arg;
    self->refused_files++;
    wl_log(WL_LOG_WARN, self->hub.name, "key_refused", "%s/%s:%u: %s %s",
           self->hub.settings->curve_clients, file, fault->line, fault->where, fault->message);
}

/* Other processes that are no longer welcome keep what they have connected until it is cut; those
 * that are welcome come back at once. */
static void tier_cut(guard_t *self) {
    uint32_t cut = 0;
    for (uint32_t i = 0; i < DOORS_MAX; i++) {
        if (self->doors[i].monitor != NULL && self->doors[i].door == WL_DOOR_TIER) {
            cut += wl_peer_watch_cut(self->peers, i);
        }
    }
    if (cut > 0) {
        wl_log(WL_LOG_INFO, self->hub.name, "tier_cut",
               "a peer key is gone: %u connections between processes have to show theirs again",
               cut);
    }
}

static void keys_load(guard_t *self) {
    const char *path = self->hub.settings->curve_clients;
    wl_fault_t fault = {.where = ""};
    self->refused_files = 0;
    if (wl_key_folder_load(self->folder, on_file_refused, self, &fault) != WL_OK) {
        self->refused_files = 1;
        wl_log(WL_LOG_ERROR, self->hub.name, "keys_kept", "%s: %s; the %u known keys stay", path,
               fault.message, wl_key_folder_count(self->folder));
    } else {
        self->revision++;
        WL_COUNT(&self->hub.counters, auth_reloads, 1);
        wl_log(WL_LOG_INFO, self->hub.name, "keys_live", "%u keys of %s, %" PRIu64 " files refused",
               wl_key_folder_count(self->folder), path, self->refused_files);
        keys_tell(self);
        if (wl_key_folder_peers_lost(self->folder) > 0) {
            tier_cut(self);
        }
    }
    WL_GAUGE(&self->hub.counters, auth_keys, wl_key_folder_count(self->folder));
    WL_GAUGE(&self->hub.counters, auth_keys_refused, self->refused_files);
}

/* Keys that are new are told to the judges one look before they are let in: no message of theirs
 * can come to somebody who does not know them. */
static void keys_look(guard_t *self) {
    (void)wl_key_folder_settle(self->folder);
    if (wl_key_folder_changed(self->folder)) {
        keys_load(self);
    } else if (wl_mono_now().ms - self->told_at >= KEYS_TELL_MS) {
        keys_tell(self);
    }
}

/* ---- handshakes -------------------------------------------------------------------------------
 * */

static wl_zap_verdict_t handshake_judge(const wl_zap_request_t *request, const wl_known_key_t *key,
                                        const char **ret_reason) {
    wl_door_t door = WL_DOOR_COUNT;
    bool known = wl_door_find(request->domain, &door);
    /* Another process of ours goes on asking: its key may be put there later. */
    wl_zap_verdict_t no = door == WL_DOOR_TIER ? WL_ZAP_LATER : WL_ZAP_REFUSE;
    *ret_reason = NULL;
    if (!request->curve) {
        *ret_reason = "no key";
    } else if (key == NULL) {
        *ret_reason = "an unknown key";
    } else if (!known || !wl_scopes_enter(&key->scopes, door)) {
        *ret_reason = "its scope has nothing here";
    } else if (key->fresh) {
        return WL_ZAP_LATER;
    }
    return *ret_reason == NULL ? WL_ZAP_ADMIT : no;
}

static void handshake_take(guard_t *self, const wl_zap_request_t *request) {
    const char *reason = NULL;
    const wl_known_key_t *key =
        request->curve ? wl_key_folder_find(self->folder, request->key) : NULL;
    wl_zap_verdict_t verdict = handshake_judge(request, key, &reason);
    bool probe = self->probing && memcmp(request->key, self->probe_key, WL_KEY_BYTES) == 0;
    if (reason != NULL && !probe) {
        char fingerprint[17];
        wl_key_fingerprint(request->key, fingerprint);
        WL_COUNT(&self->hub.counters, auth_handshakes_refused, 1);
        wl_log(WL_LOG_WARN, self->hub.name, "handshake_refused", "%s at door %s: %s (%s)",
               request->address, request->domain, reason, key == NULL ? fingerprint : key->id);
    }
    WL_COUNT(&self->hub.counters, auth_handshakes, verdict == WL_ZAP_ADMIT);
    (void)wl_zap_reply(self->handler, request, verdict, verdict == WL_ZAP_ADMIT ? "" : "no",
                       verdict == WL_ZAP_ADMIT ? key->id : "");
}

static int on_handler(zloop_t *loop, zsock_t *handler, void *arg) {
    (void)loop;
    guard_t *self = arg;
    for (uint32_t i = 0; i < TURN_EVENTS; i++) {
        wl_zap_request_t request;
        wl_err_t err = wl_zap_recv(handler, &request);
        if (err == WL_ERR_EMPTY) {
            break;
        }
        if (err == WL_OK) {
            handshake_take(self, &request);
        } else {
            WL_COUNT(&self->hub.counters, msg_malformed, 1);
        }
    }
    return 0;
}

/* ---- connections ------------------------------------------------------------------------------
 * */

static void on_ask(void *arg, uint32_t group, int fd, bool over) {
    guard_t *self = arg;
    const door_t *door = &self->doors[group];
    WL_COUNT(&self->hub.counters, peers_suspected, !over);
    wl_encoder_t *to = wl_hub_to(&self->hub, door->kind, door->instance, WL_MSG_SUSPECT, 0);
    if (!wl_encoder_begun(to)) {
        wl_suspect_begin(to, NULL);
    }
    wl_suspect_add(
        to, &(wl_suspect_item_t){.fd = (uint32_t)fd, .door = (uint8_t)door->door, .over = over});
    wl_hub_flush(&self->hub);
}

static void on_dropped(void *arg, uint32_t group, const char *address, uint64_t bytes) {
    guard_t *self = arg;
    WL_COUNT(&self->hub.counters, peers_dropped, 1);
    wl_log(WL_LOG_WARN, self->hub.name, "peer_dropped",
           "%s at %s sent %" PRIu64 " bytes and no whole message", address,
           self->doors[group].endpoint, bytes);
}

static int on_suspects_look(zloop_t *loop, int timer, void *arg) {
    guard_t *self = arg;
    if (!wl_peer_watch_scan_suspects(self->peers)) {
        (void)zloop_timer_end(loop, timer);
        self->suspects_timer = false;
    }
    return 0;
}

static int on_peers_look(zloop_t *loop, int timer, void *arg) {
    guard_t *self = arg;
    bool suspects = wl_peer_watch_scan(self->peers);
    if (suspects && !self->suspects_timer) {
        (void)zloop_timer(loop, SUSPECTS_LOOK_MS, 0, on_suspects_look, self);
        self->suspects_timer = true;
    }
    if (wl_peer_watch_count(self->peers) == 0) { /* nobody there: the thread sleeps */
        (void)zloop_timer_end(loop, timer);
        self->peers_timer = false;
    }
    return 0;
}

static void peers_look(guard_t *self) {
    WL_GAUGE(&self->hub.counters, peers, wl_peer_watch_count(self->peers));
    if (!self->peers_timer && wl_peer_watch_count(self->peers) > 0) {
        (void)zloop_timer(self->hub.loop, PEERS_LOOK_MS, 0, on_peers_look, self);
        self->peers_timer = true;
    }
}

/* Frontends and intakes take part in the watch; processes of ours are trusted by their keys. */
static bool door_measured(const door_t *door) {
    return door->door != WL_DOOR_TIER;
}

static void door_take(guard_t *self, uint32_t place, const wl_monitor_event_t *event) {
    door_t *door = &self->doors[place];
    switch (event->event) {
    case ZMQ_EVENT_LISTENING: memcpy(door->endpoint, event->endpoint, sizeof door->endpoint); break;
    case ZMQ_EVENT_ACCEPTED:
        wl_peer_watch_accept(self->peers, (int)event->value, place, door_measured(door));
        break;
    case ZMQ_EVENT_DISCONNECTED:
    case ZMQ_EVENT_CLOSED: wl_peer_watch_leave(self->peers, (int)event->value, place); break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        WL_COUNT(&self->hub.counters, peers_handshake_failed, 1);
        break;
    default: break;
    }
}

static void door_drain(guard_t *self, uint32_t place) {
    for (uint32_t i = 0; i < TURN_EVENTS && self->doors[place].monitor != NULL; i++) {
        wl_monitor_event_t event;
        wl_err_t err = wl_monitor_recv(self->doors[place].monitor, &event);
        if (err == WL_ERR_EMPTY) {
            break;
        }
        if (err == WL_OK && event.event == ZMQ_EVENT_MONITOR_STOPPED) {
            zloop_reader_end(self->hub.loop, self->doors[place].monitor);
            zsock_destroy(&self->doors[place].monitor);
            wl_peer_watch_end(self->peers, place);
        } else if (err == WL_OK) {
            door_take(self, place, &event);
        }
    }
}

static int on_monitor(zloop_t *loop, zsock_t *monitor, void *arg) {
    (void)loop;
    guard_t *self = arg;
    uint32_t place = 0;
    while (place < DOORS_MAX && self->doors[place].monitor != monitor) {
        place++;
    }
    WL_ASSERT(place < DOORS_MAX);
    door_drain(self, place);
    peers_look(self);
    return 0;
}

/* ---- the desk ---------------------------------------------------------------------------------
 * */

static bool desk_watch(guard_t *self, const char *question) {
    char monitor[64];
    unsigned kind = 0;
    unsigned instance = 0;
    unsigned door = 0;
    int type = 0;
    uint32_t place = 0;
    while (place < DOORS_MAX && self->doors[place].monitor != NULL) {
        place++;
    }
    if (place == DOORS_MAX ||
        sscanf(question, "WATCH %63s %u %u %u %d", monitor, &kind, &instance, &door, &type) != 5 ||
        kind >= WL_ACTOR_KINDS || door >= WL_DOOR_COUNT) {
        return false;
    }
    zsock_t *pair = zsock_new(ZMQ_PAIR);
    WL_ASSERT(pair != NULL);
    zsock_set_rcvhwm(pair, MONITOR_HWM);
    zsock_set_linger(pair, 0);
    if (zsock_connect(pair, "%s", monitor) == -1) {
        zsock_destroy(&pair);
        return false;
    }
    self->doors[place] = (door_t){.monitor = pair,
                                  .kind = (wl_actor_kind_t)kind,
                                  .instance = instance,
                                  .door = (wl_door_t)door,
                                  .type = type};
    wl_hub_watch(&self->hub, pair, on_monitor, self);
    return true;
}

static bool desk_probe(guard_t *self, const char *question) {
    size_t bytes = 0;
    self->probing = sodium_hex2bin(self->probe_key, WL_KEY_BYTES, question + strlen("PROBE "),
                                   strlen(question) - strlen("PROBE "), NULL, &bytes, NULL) == 0 &&
                    bytes == WL_KEY_BYTES;
    return self->probing;
}

/* Whoever has bound a socket before asking finds it here: its event has been sent by then. */
static void desk_doors(guard_t *self, char *text, size_t bytes) {
    text[0] = '\0';
    for (uint32_t i = 0; i < DOORS_MAX; i++) {
        door_drain(self, i);
        if (self->doors[i].monitor != NULL && self->doors[i].endpoint[0] != '\0') {
            size_t used = strlen(text);
            (void)snprintf(text + used, bytes - used, "%s %d %s\n",
                           wl_door_name(self->doors[i].door), self->doors[i].type,
                           self->doors[i].endpoint);
        }
    }
}

static int on_desk(zloop_t *loop, zsock_t *desk, void *arg) {
    (void)loop;
    guard_t *self = arg;
    char doors[DOORS_MAX * 160];
    char *question = zstr_recv(desk);
    if (question == NULL) {
        return 0;
    }
    if (strcmp(question, "DOORS") == 0) {
        desk_doors(self, doors, sizeof doors);
        peers_look(self);
        (void)zstr_send(desk, doors);
    } else {
        bool done = strncmp(question, "PROBE ", 6) == 0 ? desk_probe(self, question)
                                                        : desk_watch(self, question);
        (void)zstr_send(desk, done ? "OK" : "NO");
    }
    zstr_free(&question);
    return 0;
}

/* ---- life -------------------------------------------------------------------------------------
 * */

static void on_message(void *arg, const wl_msg_t *msg) {
    guard_t *self = arg;
    if (msg->id != WL_MSG_SEEN) {
        WL_COUNT(&self->hub.counters, msg_unexpected, msg->id != WL_MSG_LINE);
        return;
    }
    for (uint32_t place = 0; place < DOORS_MAX; place++) {
        const door_t *door = &self->doors[place];
        if (door->monitor == NULL || (uint8_t)door->door != msg->head.seen.door ||
            door->instance != msg->head.seen.instance || !door_measured(door)) {
            continue;
        }
        for (uint32_t i = 0; i < msg->count; i++) {
            const wl_seen_item_t *item = &msg->items.seen[i];
            wl_peer_watch_seen(self->peers, (int)item->fd, place, item->delivered);
        }
    }
}

static void on_tick(void *arg) {
    guard_t *self = arg;
    if (self->folder != NULL) {
        keys_look(self);
    }
}

static bool guard_hurried(void *arg) {
    const guard_t *self = arg;
    return self->folder != NULL;
}

static void on_word(void *arg, const char *word) {
    guard_t *self = arg;
    if (self->folder != NULL && strcmp(word, "RELOAD") == 0) {
        keys_load(self);
    }
}

static wl_err_t handler_open(guard_t *self, wl_fault_t *fault) {
    self->handler = zsock_new(ZMQ_ROUTER);
    WL_ASSERT(self->handler != NULL);
    zsock_set_linger(self->handler, 0);
    zsock_set_router_mandatory(self->handler, 1);
    zsock_set_sndtimeo(self->handler, 0);
    if (zsock_bind(self->handler, WL_ZAP_ENDPOINT) == -1) {
        return wl_fault(fault, WL_ERR_BIND, "", "another ZAP handler is there already");
    }
    wl_hub_watch(&self->hub, self->handler, on_handler, self);
    self->folder = wl_key_folder_new(self->hub.settings->curve_clients);
    wl_err_t err = wl_key_folder_load(self->folder, on_file_refused, self, fault);
    if (err != WL_OK) {
        (void)snprintf(fault->where, sizeof fault->where, "curve.clients");
        return err;
    }
    self->revision = 1;
    (void)wl_key_folder_settle(self->folder);
    WL_GAUGE(&self->hub.counters, auth_keys, wl_key_folder_count(self->folder));
    WL_GAUGE(&self->hub.counters, auth_keys_refused, self->refused_files);
    keys_tell(self);
    return WL_OK;
}

static wl_err_t guard_open(void *arg, zsock_t *pipe, wl_boot_t *boot) {
    guard_t *self = arg;
    const wl_hub_handlers_t handlers = {.take = on_message,
                                        .tick = on_tick,
                                        .told = on_word,
                                        .hurried = guard_hurried,
                                        .tick_ms = KEYS_LOOK_MS};
    const wl_peer_watch_handlers_t watch = {.ask = on_ask, .dropped = on_dropped, .arg = self};
    wl_err_t err = wl_hub_open(&self->hub, pipe, boot, &handlers, self, &boot->fault);
    if (err != WL_OK) {
        return err;
    }
    self->peers = wl_peer_watch_new(&watch);
    self->desk = zsock_new(ZMQ_REP);
    WL_ASSERT(self->desk != NULL);
    zsock_set_linger(self->desk, 0);
    zsock_set_sndtimeo(self->desk, 0);
    if (zsock_bind(self->desk, WL_GUARD_DESK) == -1) {
        return wl_fault(&boot->fault, WL_ERR_BIND, "", "another guard is there already");
    }
    wl_hub_watch(&self->hub, self->desk, on_desk, self);
    if (wl_secure_wanted(self->hub.settings)) {
        err = handler_open(self, &boot->fault);
    }
    if (err == WL_OK) {
        wl_secure_guarded(true);
    }
    return err;
}

static void guard_close(void *arg) {
    guard_t *self = arg;
    wl_secure_guarded(false);
    for (uint32_t i = 0; i < DOORS_MAX; i++) {
        zsock_destroy(&self->doors[i].monitor);
    }
    zsock_destroy(&self->desk);
    zsock_destroy(&self->handler);
    wl_peer_watch_destroy(&self->peers);
    wl_key_folder_destroy(&self->folder);
    wl_hub_close(&self->hub);
}

void wl_guard_run(zsock_t *pipe, void *boot) {
    guard_t *self = wl_alloc_zero(1, sizeof *self);
    wl_hub_live(&self->hub, pipe, boot, guard_open, guard_close, self);
    wl_free(self);
}
