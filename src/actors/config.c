#include "actors/config.h"

#include "actors/config_live.h"
#include "actors/config_publish.h"
#include "actors/config_self.h"
#include "actors/config_trial.h"
#include "base/alloc.h"
#include "base/log.h"
#include "proto/json_pack.h"
#include "proto/methods.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum {
    TICK_MS = 50,
    ARGS_OBJECTS_MAX = 4096,
    LOOKS_MAX = 8, /* of one turn, at logs that are far behind */
};

/* ---- answers --------------------------------------------------------------------------------- */

/* "integration/lines/cash/rate (line 12, column 9): must be a number" */
static void refusal_write(const wl_fault_t *fault, char *into, size_t bytes) {
    char whole[sizeof fault->where + sizeof fault->message + 64];
    char place[64] = "";
    size_t where = strlen(fault->where);
    if (fault->line > 0) {
        (void)snprintf(place, sizeof place, " (line %u, column %u)", fault->line, fault->column);
    }
    if (where == 0 || strncmp(fault->message, fault->where, where) == 0) {
        (void)snprintf(whole, sizeof whole, "%s", fault->message);
    } else {
        (void)snprintf(whole, sizeof whole, "%s%s: %s", fault->where, place, fault->message);
    }
    (void)snprintf(into, bytes, "%.*s", WL_MESSAGE_TEXT_MAX, whole);
}

void wl_config_answer(wl_config_actor_t *self, wl_config_asker_t asker, wl_err_t err,
                      json_t *result, const wl_fault_t *fault) {
    wl_reply_item_t reply = {.ticket = asker.ticket, .error = (uint32_t)err};
    if (asker.ticket == 0) {
        json_decref(result);
        return;
    }
    if (err == WL_OK) {
        msgpack_sbuffer_clear(&self->body);
        if (wl_json_pack(result, &self->body) != WL_OK) {
            reply.error = WL_ERR_TOO_BIG;
            (void)snprintf(reply.text, sizeof reply.text, "the answer is too large");
        }
        reply.body = (wl_bytes_t){(const uint8_t *)self->body.data, self->body.size};
    } else {
        refusal_write(fault, reply.text, sizeof reply.text);
    }
    json_decref(result);
    wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_INTAKE, asker.intake, WL_MSG_REPLY, 0);
    if (!wl_encoder_begun(to)) {
        wl_reply_head_t head = {0};
        wl_reply_begin(to, &head);
    }
    wl_reply_add(to, &reply);
}

/* ---- handing out ----------------------------------------------------------------------------- */

static wl_bytes_t bytes_of(const wl_document_text_t *text) {
    return (wl_bytes_t){(const uint8_t *)text->text, text->text == NULL ? 0 : text->bytes};
}

/* Actors that answer users know both variants; the others work for whoever is shown either. */
static bool reads(wl_actor_kind_t kind) {
    return kind == WL_ACTOR_FRONTEND || kind == WL_ACTOR_PRESENCE || kind == WL_ACTOR_CACHE ||
           kind == WL_ACTOR_QUERY || kind == WL_ACTOR_DETAILS;
}

static void config_send(wl_config_actor_t *self, wl_actor_kind_t kind, uint32_t instance,
                        wl_bytes_t rollout) {
    const wl_config_live_t *live = self->live;
    bool reader = reads(kind);
    wl_config_head_t head = {.seq = live->seq};
    memcpy(head.version, live->config->version, sizeof head.version);
    (void)snprintf(head.source, sizeof head.source, "%s", wl_config_source_name(live->source));
    if (reader) {
        head.rollout = rollout;
    }
    const wl_document_text_t *integration =
        !reader && live->both.text != NULL ? &live->both : &live->base[WL_DOCUMENT_INTEGRATION];
    wl_config_item_t item = {.integration = bytes_of(integration),
                             .presentation = bytes_of(&live->base[WL_DOCUMENT_PRESENTATION])};
    if (reader) {
        item.candidate_integration = bytes_of(&live->candidate[WL_DOCUMENT_INTEGRATION]);
        item.candidate_presentation = bytes_of(&live->candidate[WL_DOCUMENT_PRESENTATION]);
    }
    wl_encoder_t *to = wl_hub_to(&self->hub, kind, instance, WL_MSG_CONFIG, 0);
    if (!wl_encoder_begun(to)) {
        wl_config_begin(to, &head);
    }
    wl_config_add(to, &item);
}

static void hand_out(wl_config_actor_t *self) {
    const wl_config_live_t *live = self->live;
    char *text = NULL;
    if (live->rollout.id != 0) {
        json_t *conditions = wl_rollout_write(&live->rollout);
        text = json_dumps(conditions, JSON_COMPACT);
        json_decref(conditions);
    }
    wl_bytes_t rollout = {(const uint8_t *)text, text == NULL ? 0 : (uint32_t)strlen(text)};
    for (wl_actor_kind_t kind = 0; kind < WL_ACTOR_KINDS; kind++) {
        uint32_t instances = wl_hub_instances(&self->hub, kind);
        for (uint32_t i = 0; kind != WL_ACTOR_CONFIG && i < instances; i++) {
            if (wl_topology_here(self->hub.settings, kind, i)) { /* other hosts have their own */
                config_send(self, kind, i, rollout);
            }
        }
    }
    free(text);
    wl_hub_flush(&self->hub);
    WL_COUNT(&self->hub.counters, config_reloads, 1);
    wl_log(WL_LOG_INFO, self->hub.name, "config_live",
           "version %s, %u lines, change %" PRIu64 ", source %s%s%s", live->config->version,
           live->config->line_count, live->seq, wl_config_source_name(live->source),
           live->candidate_config == NULL ? "" : ", candidate ",
           live->candidate_config == NULL ? "" : live->candidate_config->version);
}

/* Takes over what has become live, and tells it when it is any different. */
static void live_take(wl_config_actor_t *self, wl_config_live_t *live) {
    bool same = self->live != NULL && wl_config_live_same(self->live, live) &&
                memcmp(&self->live->rollout, &live->rollout, sizeof live->rollout) == 0;
    if (same) {
        wl_config_live_destroy(&live);
        return;
    }
    wl_config_live_destroy(&self->live);
    self->live = live;
    hand_out(self);
}

/* ---- where it comes from --------------------------------------------------------------------- */

static void on_refused(const char *path, const wl_fault_t *fault, void *arg) {
    wl_config_actor_t *self = arg;
    WL_COUNT(&self->hub.counters, config_refused, 1);
    wl_log(WL_LOG_ERROR, self->hub.name, "config_refused", "%s:%u:%u: %s: %s", path, fault->line,
           fault->column, fault->where, fault->message);
}

/* Told once for each new text. */
static void problem_set(wl_config_actor_t *self, const char *text) {
    if (strncmp(self->problem, text, sizeof self->problem - 1) != 0) {
        (void)snprintf(self->problem, sizeof self->problem, "%s", text);
        if (text[0] != '\0') {
            WL_COUNT(&self->hub.counters, config_refused, 1);
            wl_log(WL_LOG_ERROR, self->hub.name, "config_kept", "%s", text);
        }
    }
}

/* Else something is missing that may yet come: a record, a set of users, a log that is away. */
static bool refused_for_good(wl_err_t err) {
    return err == WL_ERR_SETTINGS || err == WL_ERR_TOO_BIG || err == WL_ERR_BAD_REQUEST;
}

/* Changes were published, and are not to be read anywhere: users see files that are older. */
static bool lost_told(const wl_config_actor_t *self, char *ret, size_t bytes) {
    char lost[900];
    bool told = wl_config_sources_lost(self->sources, lost, sizeof lost);
    if (told) {
        (void)snprintf(ret, bytes,
                       "files of %s are live instead of what was published: %s. Nothing can be "
                       "published until then",
                       self->hub.settings->server_config_dir, lost);
    }
    return told;
}

/* What the log says, or the directory as long as nothing was published. NULL: what is live
 * stays. */
static wl_config_live_t *published(wl_config_actor_t *self, wl_fault_t *fault) {
    const wl_config_state_t *state = wl_config_sources_state(self->sources);
    wl_config_live_t *live = NULL;
    char text[sizeof self->problem];
    wl_err_t err = state->seq == 0
                       ? wl_config_live_of_directory(self->hub.settings->server_config_dir,
                                                     on_refused, self, &live, fault)
                       : wl_config_live_of_state(self->sources, state, NULL, NULL, &live, fault);
    self->tried = err == WL_OK || state->seq == 0 || refused_for_good(err) ? state->seq : 0;
    if (err == WL_OK) {
        problem_set(self, lost_told(self, text, sizeof text) ? text : "");
        return live;
    }
    (void)snprintf(text, sizeof text, "change %" PRIu64 " cannot be used here: %s: %s; %s",
                   state->seq, fault->where, fault->message,
                   self->live == NULL ? "there is nothing else" : "what was live stays");
    problem_set(self, text);
    return NULL;
}

/* The emergency file, when there is one that is valid and not over. */
static wl_config_live_t *emergency(wl_config_actor_t *self, const wl_config_live_t *below) {
    const char *path = self->hub.settings->config_emergency_file;
    wl_config_live_t *live = NULL;
    wl_fault_t fault = {.where = ""};
    int64_t until = 0;
    wl_err_t err = path[0] == '\0' ? WL_ERR_NOT_FOUND
                                   : wl_config_live_of_emergency(path, wl_wall_now(), below, &live,
                                                                 &until, &fault);
    if (err != WL_OK && err != WL_ERR_NOT_FOUND) {
        char text[1200];
        (void)snprintf(text, sizeof text, "emergency file %s is refused: %u:%u: %s: %s", path,
                       fault.line, fault.column, fault.where, fault.message);
        problem_set(self, text);
    }
    until = live == NULL ? 0 : until; /* of one that is refused, its end means nothing */
    if (live != NULL && self->emergency_until != until) {
        wl_log(WL_LOG_WARN, self->hub.name, "config_emergency",
               "%s wins over what is published until it is over", path);
    }
    if (live == NULL && self->emergency_until != 0) {
        wl_log(WL_LOG_WARN, self->hub.name, "config_emergency_over",
               "what is published counts again");
    }
    self->emergency_until = until;
    return live;
}

/* fresh: what is live without an emergency; NULL: what was so before. */
static wl_err_t settle(wl_config_actor_t *self, wl_config_live_t *fresh) {
    bool covered = self->below != NULL;
    const wl_config_live_t *under = fresh != NULL ? fresh : covered ? self->below : self->live;
    wl_config_live_t *above = emergency(self, under);
    if (fresh == NULL && covered) {
        fresh = self->below;
        self->below = NULL;
    } else if (fresh == NULL && self->live != NULL && above != NULL &&
               self->live->source != WL_CONFIG_FROM_EMERGENCY) {
        fresh = self->live;
        self->live = NULL;
    }
    wl_config_live_destroy(&self->below);
    if (above != NULL) {
        self->below = fresh;
        live_take(self, above);
    } else if (fresh != NULL) {
        live_take(self, fresh);
    }
    return self->live == NULL ? WL_ERR_SETTINGS : WL_OK;
}

/* Reads everything again. An emergency file counts whatever becomes of the rest: it may be there
 * because of that. */
static wl_err_t config_reload(wl_config_actor_t *self, wl_fault_t *fault) {
    wl_config_live_t *fresh = published(self, fault);
    bool kept = fresh == NULL && self->live != NULL;
    wl_err_t err = settle(self, fresh);
    return kept ? WL_ERR_SETTINGS : err;
}

/* The emergency file may have come, gone, changed, or ended. */
static void emergency_look(wl_config_actor_t *self) {
    struct stat about = {.st_size = -1};
    const char *path = self->hub.settings->config_emergency_file;
    if (path[0] == '\0') {
        return;
    }
    bool there = stat(path, &about) == 0;
    int64_t seen = there ? about.st_mtim.tv_sec * 1000000000 + about.st_mtim.tv_nsec : 0;
    bool over = self->emergency_until != 0 && wl_wall_now().ms >= self->emergency_until;
    if (seen != self->emergency_seen || over) {
        wl_fault_t fault = {.where = ""};
        self->emergency_seen = seen;
        (void)!config_reload(self, &fault);
    }
}

static void tell_node(wl_config_actor_t *self) {
    wl_config_node_t node = {.seq = self->live->seq,
                             .version = self->live->config->version,
                             .source = wl_config_source_name(self->live->source),
                             .problem = self->problem,
                             .verdict = &self->verdict};
    bool dir = strcmp(self->hub.settings->config_store, "dir") == 0;
    if (dir && wl_config_sources_state(self->sources)->seq == 0) {
        return; /* a folder of documents stays as it is until somebody publishes */
    }
    wl_config_sources_store_said(
        self->sources,
        wl_config_nodes_tell(self->nodes, wl_config_sources_store(self->sources), &node));
}

void wl_config_look(wl_config_actor_t *self) {
    bool newer = wl_config_sources_look(self->sources);
    wl_fault_t fault = {.where = ""};
    char lost[900];
    bool gone = wl_config_sources_lost(self->sources, lost, sizeof lost);
    if (newer || self->tried != wl_config_sources_state(self->sources)->seq || gone != self->lost) {
        self->lost = gone;
        (void)!config_reload(self, &fault);
    }
    if (!wl_config_sources_store_near(self->sources)) {
        return; /* nobody can be heard there, nor told */
    }
    char judged[WL_DIGEST_HEX + 1];
    memcpy(judged, self->verdict.digest, sizeof judged);
    wl_config_publish_judge(self);
    if (wl_config_sources_store_near(self->sources)) {
        tell_node(self);
    }
    if (strcmp(judged, self->verdict.digest) != 0) {
        wl_config_log_nudge(wl_config_sources_store(self->sources), "judged");
    }
}

/* ---- requests -------------------------------------------------------------------------------- */

static wl_config_view_fn *view_of(wl_method_t method) {
    switch ((int)method) {
    case WL_METHOD_CONFIG_STATUS: return wl_config_view_status;
    case WL_METHOD_CONFIG_GET: return wl_config_view_get;
    case WL_METHOD_CONFIG_VALIDATE: return wl_config_view_validate;
    case WL_METHOD_CONFIG_DIFF: return wl_config_view_diff;
    case WL_METHOD_CONFIG_SCHEMA: return wl_config_view_schema;
    case WL_METHOD_CONFIG_HISTORY: return wl_config_view_history;
    case WL_METHOD_CONFIG_EFFECTIVE: return wl_config_view_effective;
    case WL_METHOD_CONFIG_DRAFT: return wl_config_view_draft;
    case WL_METHOD_CONFIG_UPLOAD: return wl_config_view_upload;
    default: return NULL;
    }
}

static wl_config_steer_fn *steer_of(wl_method_t method) {
    switch ((int)method) {
    case WL_METHOD_CONFIG_PUT: return wl_config_steer_put;
    case WL_METHOD_CONFIG_ROLLOUT: return wl_config_steer_rollout;
    case WL_METHOD_CONFIG_STEER: return wl_config_steer_steer;
    case WL_METHOD_CONFIG_ROLLBACK: return wl_config_steer_rollback;
    default: return NULL;
    }
}

static void take_request(wl_config_actor_t *self, wl_config_asker_t asker,
                         const wl_admin_item_t *request) {
    static const wl_walk_limits_t limits = {WL_WALK_DEPTH_MAX, ARGS_OBJECTS_MAX};
    const msgpack_object *args = NULL;
    wl_fault_t fault = {.where = ""};
    json_t *result = NULL;
    wl_config_view_fn *view = view_of((wl_method_t)request->method);
    wl_config_steer_fn *steer = steer_of((wl_method_t)request->method);
    wl_err_t err =
        wl_unpacker_read(self->unpacker, request->args.at, request->args.count, &limits, &args);
    if (err != WL_OK) {
        err = wl_fault(&fault, WL_ERR_BAD_REQUEST, "params", "params: too many arguments");
    } else if (view != NULL) {
        err = view(self, args, request->user, &result, &fault);
    } else if (steer != NULL) {
        err = steer(self, args, request->user, asker, &result, &fault);
        if (err == WL_OK && result == NULL) {
            return; /* answered when everybody has judged it */
        }
    } else {
        err = WL_ERR_UNKNOWN_METHOD;
    }
    wl_config_answer(self, asker, err, result, &fault);
}

static void on_message(void *arg, const wl_msg_t *msg) {
    wl_config_actor_t *self = arg;
    if (msg->id == WL_MSG_TRIAL) {
        wl_config_trial_take(self, msg);
    } else if (msg->id == WL_MSG_TRAIL_ASK && wl_hub_instances(&self->hub, WL_ACTOR_TRAIL) > 0) {
        wl_config_tell_shown(self, msg);
    } else if (msg->id == WL_MSG_ADMIN &&
               msg->head.admin.intake < wl_hub_instances(&self->hub, WL_ACTOR_INTAKE)) {
        for (uint32_t i = 0; i < msg->count; i++) {
            wl_config_asker_t asker = {msg->head.admin.intake, msg->items.admin[i].ticket};
            take_request(self, asker, &msg->items.admin[i]);
        }
    } else if (msg->id != WL_MSG_LINE) {
        WL_COUNT(&self->hub.counters, msg_unexpected, 1);
    }
}

/* ---- the loop -------------------------------------------------------------------------------- */

static int on_nudge(zloop_t *loop, zmq_pollitem_t *item, void *arg) {
    wl_config_actor_t *self = arg;
    (void)loop, (void)item;
    if (wl_config_log_nudged(wl_config_sources_store(self->sources))) {
        wl_config_look(self);
        wl_config_publish_go_on(self);
        wl_hub_flush(&self->hub);
    }
    return 0;
}

/* Listens to nudges as soon as the store has a way to tell them. */
static void nudges_watch(wl_config_actor_t *self) {
    int fd = self->watched ? -1 : wl_config_log_fd(wl_config_sources_store(self->sources));
    if (fd >= 0) {
        zmq_pollitem_t item = {.fd = fd, .events = ZMQ_POLLIN};
        self->watched = zloop_poller(self->hub.loop, &item, on_nudge, self) == 0;
    }
}

/* Logs that are far behind are brought up over several turns: others want to be heard as well. */
static void catch_up(wl_config_actor_t *self) {
    uint32_t looks = 0;
    do {
        wl_config_look(self);
    } while (wl_config_sources_behind(self->sources) && self->publishing == NULL &&
             ++looks < LOOKS_MAX);
}

void wl_config_poll(wl_config_actor_t *self) {
    catch_up(self);
    emergency_look(self);
    wl_config_publish_go_on(self);
    wl_config_trial_look(self);
}

static int on_poll(zloop_t *loop, int timer, void *arg) {
    wl_config_actor_t *self = arg;
    (void)loop, (void)timer;
    wl_config_poll(self);
    nudges_watch(self);
    wl_hub_flush(&self->hub);
    return 0;
}

static void on_tick(void *arg) {
    wl_config_publish_go_on(arg);
}

static bool hurried(void *arg) {
    return ((wl_config_actor_t *)arg)->publishing != NULL;
}

static void on_word(void *arg, const char *word) {
    wl_config_actor_t *self = arg;
    wl_fault_t fault = {.where = ""};
    if (strcmp(word, "RELOAD") != 0) {
        return;
    }
    (void)wl_config_sources_look(self->sources);
    const char *version = self->live->config->version;
    uint64_t reloads = self->hub.counters.at[WL_COUNTER_config_reloads];
    if (config_reload(self, &fault) == WL_OK &&
        reloads == self->hub.counters.at[WL_COUNTER_config_reloads]) {
        wl_log(WL_LOG_INFO, self->hub.name, "config_same", "version %s stays live", version);
    }
}

static wl_err_t config_open(void *arg, zsock_t *pipe, wl_boot_t *boot) {
    wl_config_actor_t *self = arg;
    wl_hub_handlers_t handlers = {.take = on_message,
                                  .tick = on_tick,
                                  .hurried = hurried,
                                  .told = on_word,
                                  .tick_ms = TICK_MS};
    wl_err_t err = wl_hub_open(&self->hub, pipe, boot, &handlers, self, &boot->fault);
    if (err == WL_OK) {
        err = wl_config_sources_new(self->hub.settings, &self->sources, &boot->fault);
    }
    if (err != WL_OK) {
        return err;
    }
    self->nodes = wl_config_nodes_new(self->hub.settings->server_name);
    self->trial = wl_config_trial_new();
    self->unpacker = wl_unpacker_new();
    msgpack_sbuffer_init(&self->body);
    (void)wl_config_sources_look(self->sources);
    err = config_reload(self, &boot->fault);
    if (err == WL_OK) {
        nudges_watch(self);
        (void)zloop_timer(self->hub.loop, (size_t)self->hub.settings->config_poll_ms, 0, on_poll,
                          self);
    }
    return err;
}

static void config_close(void *arg) {
    wl_config_actor_t *self = arg;
    if (self->nodes != NULL) {
        wl_config_nodes_leave(self->nodes, wl_config_sources_store(self->sources));
    }
    wl_config_publishing_destroy(&self->publishing);
    wl_config_trial_destroy(&self->trial);
    wl_config_nodes_destroy(&self->nodes);
    wl_config_live_destroy(&self->live);
    wl_config_live_destroy(&self->below);
    wl_config_sources_destroy(&self->sources);
    wl_unpacker_destroy(&self->unpacker);
    msgpack_sbuffer_destroy(&self->body);
    wl_hub_close(&self->hub);
}

void wl_config_run(zsock_t *pipe, void *boot) {
    wl_config_actor_t *self = wl_alloc_zero(1, sizeof *self);
    wl_hub_live(&self->hub, pipe, boot, config_open, config_close, self);
    wl_free(self);
}
