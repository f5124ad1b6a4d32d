/* admin.explain: what a user has now, by the database; what he is shown, by the configuration; and
 * what has brought that about, by the trail. The first two are asked for, and an answer does not
 * wait longer than WAIT_MS for them. */
#include "actors/trail_state.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/slot.h"
#include "proto/args.h"
#include "proto/methods.h"

#include <stdio.h>
#include <string.h>

enum {
    ARGS_OBJECTS_MAX = 64,
    LIMIT_USUAL = 100,
    WAIT_MS = 1500, /* intake waits for 5 s */
    EVENT_KEYS = 13,
    NOW_KEYS = 8,
};

static_assert((int)WL_PULL_PERMANENT == 3, "wl_trail_outcome_name() has as many names");

/* ---- packing --------------------------------------------------------------------------------- */

static void pack_text(msgpack_packer *packer, const char *text) {
    (void)msgpack_pack_str_with_body(packer, text, strlen(text));
}

static void pack_pair(msgpack_packer *packer, const char *key, const char *text) {
    pack_text(packer, key);
    pack_text(packer, text);
}

static void pack_pair_or_nil(msgpack_packer *packer, const char *key, const char *text) {
    pack_text(packer, key);
    if (text[0] == '\0') {
        (void)msgpack_pack_nil(packer);
    } else {
        pack_text(packer, text);
    }
}

static void pack_number(msgpack_packer *packer, const char *key, uint64_t number) {
    pack_text(packer, key);
    (void)msgpack_pack_uint64(packer, number);
}

/* 0 is "not known". */
static void pack_number_or_nil(msgpack_packer *packer, const char *key, uint64_t number) {
    pack_text(packer, key);
    if (number == 0) {
        (void)msgpack_pack_nil(packer);
    } else {
        (void)msgpack_pack_uint64(packer, number);
    }
}

static void pack_time(msgpack_packer *packer, const char *key, int64_t at) {
    pack_text(packer, key);
    if (at == 0) {
        (void)msgpack_pack_nil(packer);
    } else {
        (void)msgpack_pack_int64(packer, at);
    }
}

static void pack_flag(msgpack_packer *packer, const char *key, bool flag) {
    pack_text(packer, key);
    if (flag) {
        (void)msgpack_pack_true(packer);
    } else {
        (void)msgpack_pack_false(packer);
    }
}

/* Something packed before, or nil. */
static void pack_packed(wl_trail_actor_t *self, msgpack_packer *packer, const char *key,
                        const msgpack_sbuffer *packed) {
    pack_text(packer, key);
    if (packed->size == 0) {
        (void)msgpack_pack_nil(packer);
    } else {
        (void)msgpack_sbuffer_write(&self->body, packed->data, packed->size);
    }
}

static void pack_event(msgpack_packer *packer, const wl_trail_told_t *told) {
    const wl_trail_event_t *event = &told->event;
    char sentence[WL_TRAIL_SENTENCE_BYTES];
    wl_trail_sentence(told, sentence);
    (void)msgpack_pack_map(packer, EVENT_KEYS);
    pack_time(packer, "at", event->at);
    pack_pair(packer, "line", event->line);
    pack_pair(packer, "bucket", event->bucket);
    pack_pair(packer, "what", wl_trail_what_name(event->what));
    pack_number_or_nil(packer, "version", event->version);
    pack_number_or_nil(packer, "before", told->before);
    pack_text(packer, "changed");
    if (told->same == WL_TRAIL_SAME_UNKNOWN) {
        (void)msgpack_pack_nil(packer);
    } else if (told->same == WL_TRAIL_CHANGED) {
        (void)msgpack_pack_true(packer);
    } else {
        (void)msgpack_pack_false(packer);
    }
    pack_pair(packer, "outcome", wl_trail_outcome_name(event->outcome));
    pack_number_or_nil(packer, "attempt", event->attempt);
    pack_time(packer, "notified_at", event->notified_at);
    pack_time(packer, "pulled_at", event->pulled_at);
    pack_pair_or_nil(packer, "reason", event->text);
    pack_pair(packer, "text", sentence);
}

/* ---- the answer ------------------------------------------------------------------------------ */

static void on_own(const uint8_t *event, size_t count, void *story) {
    wl_trail_story_add(story, event, count, false);
}

static void on_shared(const uint8_t *event, size_t count, void *story) {
    wl_trail_story_add(story, event, count, true);
}

/* *ret_problem: why not all of it is told, "". */
static wl_trail_story_t *story_read(wl_trail_actor_t *self, const wl_explain_t *explain,
                                    const char **ret_problem) {
    wl_trail_story_t *story =
        wl_trail_story_new(explain->limit, explain->line[0] == '\0' ? NULL : explain->line);
    wl_err_t err = WL_OK;
    *ret_problem = self->problem;
    if (self->db != NULL) {
        err = wl_trail_db_read(self->db, explain->uid, on_own, story);
        wl_err_t shared = wl_trail_db_read(self->db, 0, on_shared, story);
        err = err == WL_OK ? shared : err;
    }
    if (err != WL_OK) {
        WL_COUNT(&self->hub.counters, trail_failures, 1);
        *ret_problem = wl_err_text(err);
    }
    return story;
}

/* Was everything of this user told to us? */
static bool explain_whole(const wl_trail_actor_t *self, uint64_t uid) {
    uint32_t partition = wl_uid_owner(uid, (uint32_t)self->hub.settings->queue_partitions);
    return self->lease_until[partition] > wl_mono_now().ms &&
           wl_topology_here(self->hub.settings, WL_ACTOR_DISPATCHER, partition) &&
           wl_topology_here(self->hub.settings, WL_ACTOR_SHARD, wl_hub_shard(&self->hub, uid));
}

static void explain_write(wl_trail_actor_t *self, const wl_explain_t *explain) {
    const char *problem = "";
    msgpack_packer packer;
    wl_trail_db_stats_t stats = {0};
    WL_AUTO(wl_trail_story) story = story_read(self, explain, &problem);
    uint32_t count = wl_trail_story_end(story);
    if (self->db != NULL) {
        wl_trail_db_stats(self->db, &stats);
    }
    msgpack_sbuffer_clear(&self->body);
    msgpack_packer_init(&packer, &self->body, msgpack_sbuffer_write);
    (void)msgpack_pack_map(&packer, 11);
    pack_number(&packer, "uid", explain->uid);
    pack_packed(self, &packer, "now", &explain->now);
    pack_pair_or_nil(&packer, "now_problem",
                     explain->now_error == WL_OK ? "" : wl_err_text(explain->now_error));
    pack_text(&packer, "events");
    (void)msgpack_pack_array(&packer, count);
    for (uint32_t i = 0; i < count; i++) {
        pack_event(&packer, wl_trail_story_at(story, i));
    }
    pack_number(&packer, "left_out", wl_trail_story_left_out(story));
    pack_packed(self, &packer, "config", &explain->shown);
    pack_time(&packer, "kept_since", stats.since);
    pack_number(&packer, "dropped", wl_trail_story_dropped(story) + self->dropped);
    pack_number(&packer, "damaged", wl_trail_story_damaged(story));
    pack_flag(&packer, "partial", !explain_whole(self, explain->uid));
    pack_pair_or_nil(&packer, "problem", problem);
}

static void reply_send(wl_trail_actor_t *self, uint32_t intake, const wl_reply_item_t *reply) {
    wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_INTAKE, intake, WL_MSG_REPLY, 0);
    if (!wl_encoder_begun(to)) {
        wl_reply_head_t head = {0};
        wl_reply_begin(to, &head);
    }
    wl_reply_add(to, reply);
}

static void explain_answer(wl_trail_actor_t *self, wl_explain_t *explain) {
    explain->now_error = explain->waits_now ? WL_ERR_DEADLINE : explain->now_error;
    explain_write(self, explain);
    wl_reply_item_t reply = {.ticket = explain->ticket,
                             .body = {(const uint8_t *)self->body.data, self->body.size}};
    reply_send(self, explain->intake, &reply);
    WL_COUNT(&self->hub.counters, trail_explained, 1);
    explain->number = 0;
    msgpack_sbuffer_clear(&explain->now);
    msgpack_sbuffer_clear(&explain->shown);
}

static void explain_look(wl_trail_actor_t *self, wl_explain_t *explain) {
    if (!explain->waits_now && !explain->waits_shown) {
        explain_answer(self, explain);
    }
}

/* ---- what is asked for ----------------------------------------------------------------------- */

static wl_explain_t *explain_find(wl_trail_actor_t *self, uint64_t number) {
    for (uint32_t i = 0; i < WL_TRAIL_EXPLAINS_MAX; i++) {
        if (self->explains[i].number == number) {
            return &self->explains[i];
        }
    }
    return NULL;
}

static void ask_send(wl_trail_actor_t *self, wl_actor_kind_t kind, uint32_t instance,
                     const wl_explain_t *explain) {
    wl_encoder_t *to = wl_hub_to(&self->hub, kind, instance, WL_MSG_TRAIL_ASK, 0);
    if (!wl_encoder_begun(to)) {
        wl_trail_ask_begin(to, NULL);
    }
    wl_trail_ask_item_t item = {.asked = explain->number, .uid = explain->uid};
    wl_trail_ask_add(to, &item);
}

/* A fetcher on another host would answer the trail of its own process. */
static void explain_ask(wl_trail_actor_t *self, wl_explain_t *explain) {
    uint32_t shard = wl_hub_shard(&self->hub, explain->uid);
    uint32_t fetcher = wl_hub_fetcher(&self->hub, shard, explain->uid);
    explain->waits_shown = true;
    explain->waits_now = wl_topology_here(self->hub.settings, WL_ACTOR_FETCHER, fetcher);
    explain->now_error = explain->waits_now ? WL_OK : WL_ERR_UNAVAILABLE;
    if (explain->waits_now) {
        ask_send(self, WL_ACTOR_FETCHER, fetcher, explain);
    }
    ask_send(self, WL_ACTOR_CONFIG, 0, explain);
}

static void pack_record(msgpack_packer *packer, const wl_asset_t *asset) {
    bool consent = wl_asset_is_consent(asset);
    (void)msgpack_pack_map(packer, NOW_KEYS);
    pack_pair(packer, "line", asset->line);
    pack_pair(packer, "bucket", consent ? "" : asset->bucket);
    pack_flag(packer, "consent", consent);
    pack_number(packer, "version", asset->version);
    pack_pair(packer, "state", wl_state_name((wl_state_t)asset->state));
    pack_time(packer, "changed_at", asset->changed_at);
    pack_time(packer, "pulled_at", asset->pulled_at);
    pack_time(packer, "expires_at", asset->expires_at);
}

static bool record_asked(const wl_explain_t *explain, const wl_asset_t *asset) {
    return explain->line[0] == '\0' || strcmp(asset->line, explain->line) == 0;
}

static void now_take(wl_explain_t *explain, const wl_trail_now_item_t *item) {
    uint32_t count = 0;
    msgpack_packer packer;
    explain->waits_now = false;
    explain->now_error = item->error < WL_ERR_COUNT ? (wl_err_t)item->error : WL_ERR_INTERNAL;
    if (explain->now_error != WL_OK) {
        return;
    }
    for (uint32_t i = 0; i < item->assets.count; i++) {
        count += record_asked(explain, &item->assets.at[i]);
    }
    msgpack_sbuffer_clear(&explain->now);
    msgpack_packer_init(&packer, &explain->now, msgpack_sbuffer_write);
    (void)msgpack_pack_array(&packer, count);
    for (uint32_t i = 0; i < item->assets.count; i++) {
        if (record_asked(explain, &item->assets.at[i])) {
            pack_record(&packer, &item->assets.at[i]);
        }
    }
}

void wl_trail_explain_now(wl_trail_actor_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_trail_now_item_t *item = &msg->items.trail_now[i];
        wl_explain_t *explain = item->asked == 0 ? NULL : explain_find(self, item->asked);
        if (explain != NULL && explain->uid == item->uid && explain->waits_now) {
            now_take(explain, item);
            explain_look(self, explain);
        }
    }
}

void wl_trail_explain_shown(wl_trail_actor_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_trail_shown_item_t *item = &msg->items.trail_shown[i];
        wl_explain_t *explain = item->asked == 0 ? NULL : explain_find(self, item->asked);
        if (explain == NULL || !explain->waits_shown) {
            continue;
        }
        msgpack_packer packer;
        msgpack_sbuffer_clear(&explain->shown);
        msgpack_packer_init(&packer, &explain->shown, msgpack_sbuffer_write);
        (void)msgpack_pack_map(&packer, 5);
        pack_pair(&packer, "version", item->version);
        pack_pair(&packer, "source", item->source);
        pack_pair(&packer, "variant", item->variant);
        pack_number(&packer, "seq", item->seq);
        pack_pair(&packer, "why", item->why);
        explain->waits_shown = false;
        explain_look(self, explain);
    }
}

/* ---- requests -------------------------------------------------------------------------------- */

static wl_err_t explain_args(const msgpack_object *args, wl_explain_t *ret, wl_fault_t *fault) {
    uint64_t limit = LIMIT_USUAL;
    wl_err_t err = wl_args_uid(args, "uid", &ret->uid, fault);
    if (err == WL_OK) {
        err = wl_args_text(args, "line", ret->line, WL_LINE_ID_MAX, fault);
        if (err == WL_OK && !wl_line_id_valid(ret->line)) {
            return wl_fault(fault, WL_ERR_BAD_REQUEST, "line", "line: is no line id");
        }
        err = err == WL_ERR_NOT_FOUND ? WL_OK : err;
    }
    if (err == WL_OK) {
        err = wl_args_u64(args, "limit", &limit, fault);
        err = err == WL_ERR_NOT_FOUND ? WL_OK : err;
    }
    if (err == WL_OK && (limit == 0 || limit > WL_TRAIL_LIMIT_MAX)) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "limit", "limit: must be 1 to %d",
                        WL_TRAIL_LIMIT_MAX);
    }
    ret->limit = (uint32_t)limit;
    return err;
}

static wl_err_t explain_begin(wl_trail_actor_t *self, uint32_t intake,
                              const wl_admin_item_t *request, wl_fault_t *fault) {
    static const wl_walk_limits_t limits = {WL_WALK_DEPTH_MAX, ARGS_OBJECTS_MAX};
    const msgpack_object *args = NULL;
    wl_explain_t asked = {.intake = intake, .ticket = request->ticket};
    if (request->method != WL_METHOD_ADMIN_EXPLAIN) {
        return WL_ERR_UNKNOWN_METHOD;
    }
    wl_err_t err =
        wl_unpacker_read(self->unpacker, request->args.at, request->args.count, &limits, &args);
    if (err != WL_OK) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "params", "params: too many arguments");
    }
    err = explain_args(args, &asked, fault);
    if (err != WL_OK) {
        return err;
    }
    wl_explain_t *place = explain_find(self, 0);
    if (place == NULL) {
        return WL_ERR_BUSY;
    }
    asked.now = place->now;
    asked.shown = place->shown;
    asked.number = ++self->asked;
    asked.deadline_at = wl_mono_now().ms + WAIT_MS;
    *place = asked;
    explain_ask(self, place);
    return WL_OK;
}

void wl_trail_explain_take(wl_trail_actor_t *self, const wl_msg_t *msg) {
    uint32_t intake = msg->head.admin.intake;
    if (intake >= wl_hub_instances(&self->hub, WL_ACTOR_INTAKE)) {
        WL_COUNT(&self->hub.counters, msg_malformed, 1);
        return;
    }
    for (uint32_t i = 0; i < msg->count; i++) {
        wl_fault_t fault = {.where = ""};
        wl_err_t err = explain_begin(self, intake, &msg->items.admin[i], &fault);
        if (err != WL_OK) {
            wl_reply_item_t reply = {.ticket = msg->items.admin[i].ticket, .error = (uint32_t)err};
            (void)snprintf(reply.text, sizeof reply.text, "%.*s", WL_MESSAGE_TEXT_MAX,
                           fault.message);
            reply_send(self, intake, &reply);
        }
    }
}

void wl_trail_explain_step(wl_trail_actor_t *self, bool end) {
    int64_t now = wl_mono_now().ms;
    for (uint32_t i = 0; i < WL_TRAIL_EXPLAINS_MAX; i++) {
        wl_explain_t *explain = &self->explains[i];
        if (explain->number != 0 && (end || now >= explain->deadline_at)) {
            explain_answer(self, explain);
        }
    }
}

bool wl_trail_explains_wait(const wl_trail_actor_t *self) {
    bool wait = false;
    for (uint32_t i = 0; i < WL_TRAIL_EXPLAINS_MAX; i++) {
        wait = wait || self->explains[i].number != 0;
    }
    return wait;
}

/* ---- life ------------------------------------------------------------------------------------ */

void wl_trail_explain_open(wl_trail_actor_t *self) {
    self->unpacker = wl_unpacker_new();
    msgpack_sbuffer_init(&self->body);
    for (uint32_t i = 0; i < WL_TRAIL_EXPLAINS_MAX; i++) {
        msgpack_sbuffer_init(&self->explains[i].now);
        msgpack_sbuffer_init(&self->explains[i].shown);
    }
}

void wl_trail_explain_close(wl_trail_actor_t *self) {
    wl_unpacker_destroy(&self->unpacker);
    msgpack_sbuffer_destroy(&self->body);
    for (uint32_t i = 0; i < WL_TRAIL_EXPLAINS_MAX; i++) {
        msgpack_sbuffer_destroy(&self->explains[i].now);
        msgpack_sbuffer_destroy(&self->explains[i].shown);
    }
}
