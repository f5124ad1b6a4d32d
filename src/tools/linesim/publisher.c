#include "publisher.h"

#include "base/actor.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/settings.h"
#include "client/client_keys.h"

#include <inttypes.h>
#include <msgpack.h>
#include <string.h>

enum {
    WINDOW = 32,       /* unanswered requests */
    RESEND_MS = 1000,  /* an unanswered request is sent again */
    REFUSED_MS = 50,   /* so is a refused one, sooner */
    CHANGES_MAX = 200, /* of one message */
    PHASES = 16,
    WRITERS = 8,
    TURN_MESSAGES = 64, /* messages built before replies are read again */
    PUB_HWM = 200000,
};

typedef struct {
    uint64_t changes;
    publish_mode_t mode;
    uint32_t rate;
} phase_t;

typedef struct {
    uint64_t uid;
    uint64_t version;
} told_t;

/* One message, kept until it is acknowledged. */
typedef struct {
    bool used;
    uint64_t msgid;
    int64_t sent_ms;
    sim_line_t *line;
    uint32_t count;
    told_t told[CHANGES_MAX];
    msgpack_sbuffer body;
} message_t;

struct publisher {
    publisher_options_t options;
    wl_actor_t *thread;
    pthread_mutex_t lock; /* guards phases and stats */
    phase_t phases[PHASES];
    uint32_t phase_count;
    publisher_stats_t stats;
    /* the thread's own from here on */
    wl_client_keys_t keys;     /* wiped at the end */
    zsock_t *dealers[WRITERS]; /* owned, one per writer */
    uint32_t dealer_count;
    uint32_t current; /* the writer told now; another one after it has been silent */
    zsock_t *pub;
    FILE *journal;
    message_t window[WINDOW];
    message_t scratch[2]; /* PUB messages: one, and its successor when they change places */
    uint64_t msgid;
    double allowance; /* changes that the rate allows now */
    int64_t allowance_ms;
    bool pub_turn;
    char source[24];
};

bool publish_mode_parse(const char *text, publish_mode_t *ret) {
    static const char *const names[] = {"req", "pub", "both"};
    for (unsigned i = 0; i < 3; i++) {
        if (strcmp(names[i], text) == 0) {
            *ret = (publish_mode_t)i;
            return true;
        }
    }
    return false;
}

void publisher_burst(publisher_t *self, uint64_t changes, publish_mode_t mode, uint32_t rate) {
    (void)pthread_mutex_lock(&self->lock);
    if (changes == 0) {
        self->phase_count = 0;
    } else if (self->phase_count < PHASES) {
        self->phases[self->phase_count++] = (phase_t){changes, mode, rate};
    }
    self->stats.idle = false;
    (void)pthread_mutex_unlock(&self->lock);
}

publisher_stats_t publisher_stats(publisher_t *self) {
    (void)pthread_mutex_lock(&self->lock);
    publisher_stats_t stats = self->stats;
    (void)pthread_mutex_unlock(&self->lock);
    return stats;
}

/* ---- building messages ------------------------------------------------------------------- */

static void pack_text(msgpack_packer *pack, const char *text) {
    size_t bytes = strlen(text);
    msgpack_pack_str(pack, bytes);
    msgpack_pack_str_body(pack, text, bytes);
}

/* Changes up to `most` random users of one line. */
static void message_draw(publisher_t *self, message_t *message, uint64_t most) {
    sim_t *sim = self->options.sim;
    (void)pthread_mutex_lock(&sim->lock);
    message->line = sim_line_draw(sim);
    WL_ASSERT(message->line != NULL); /* publisher_start() has looked */
    uint64_t count = 1 + sim_random(sim) % self->options.batch_max;
    message->count = (uint32_t)(count < most ? count : most);
    for (uint32_t i = 0; i < message->count; i++) {
        uint64_t uid = sim->first_uid + sim_random(sim) % sim->users;
        message->told[i] = (told_t){uid, sim_change(sim, message->line, uid)};
    }
    (void)pthread_mutex_unlock(&sim->lock);
}

/* [0, msgid, "notify.changed", [args]], or [2, "notify.changed", [args]] with source and seq. */
static void message_pack(publisher_t *self, message_t *message, bool request) {
    msgpack_sbuffer_clear(&message->body);
    msgpack_packer pack;
    msgpack_packer_init(&pack, &message->body, msgpack_sbuffer_write);
    msgpack_pack_array(&pack, request ? 4 : 3);
    msgpack_pack_uint8(&pack, request ? 0 : 2);
    if (request) {
        msgpack_pack_uint64(&pack, message->msgid);
    }
    pack_text(&pack, "notify.changed");
    msgpack_pack_array(&pack, 1);
    msgpack_pack_map(&pack, request ? 2 : 4);
    pack_text(&pack, "line");
    pack_text(&pack, message->line->id);
    if (!request) {
        pack_text(&pack, "source");
        pack_text(&pack, self->source);
        pack_text(&pack, "seq");
        msgpack_pack_uint64(&pack, ++message->line->seq);
    }
    pack_text(&pack, "changes");
    msgpack_pack_array(&pack, message->count);
    for (uint32_t i = 0; i < message->count; i++) {
        bool versioned = !message->line->foreign;
        msgpack_pack_map(&pack, versioned ? 2 : 1);
        pack_text(&pack, "uid");
        msgpack_pack_uint64(&pack, message->told[i].uid);
        if (versioned) {
            pack_text(&pack, "version");
            msgpack_pack_uint64(&pack, message->told[i].version);
        }
    }
}

static void request_send(publisher_t *self, message_t *message) {
    message->sent_ms = wl_mono_now().ms;
    (void)zsock_send(self->dealers[self->current], "zb", message->body.data, message->body.size);
}

static void published_send(publisher_t *self, const message_t *message) {
    char topic[64];
    (void)snprintf(topic, sizeof topic, "changed.%s", message->line->id);
    (void)zsock_send(self->pub, "sb", topic, message->body.data, message->body.size);
}

static bool chance(publisher_t *self, double share) {
    (void)pthread_mutex_lock(&self->options.sim->lock);
    bool hit = sim_random_share(self->options.sim) < share;
    (void)pthread_mutex_unlock(&self->options.sim->lock);
    return hit;
}

/* Sends a request, maybe twice. */
static void request_tell(publisher_t *self, message_t *message) {
    message_pack(self, message, true);
    request_send(self, message);
    if (chance(self, self->options.duplicates)) {
        request_send(self, message);
    }
}

static message_t *window_free(publisher_t *self) {
    for (uint32_t i = 0; i < WINDOW; i++) {
        if (!self->window[i].used) {
            return &self->window[i];
        }
    }
    return NULL;
}

static void count_told(publisher_t *self, const message_t *message) {
    (void)pthread_mutex_lock(&self->lock);
    self->stats.changes += message->count;
    self->stats.messages++;
    (void)pthread_mutex_unlock(&self->lock);
}

/* One request; with a chance its successor is drawn later but sent before it. false: the window is
 * full. */
static bool tell_request(publisher_t *self, uint64_t most, uint64_t *told) {
    message_t *first = window_free(self);
    if (first == NULL) {
        return false;
    }
    first->used = true;
    first->msgid = ++self->msgid;
    message_draw(self, first, most);
    *told += first->count;
    message_t *second = NULL;
    if (*told < most && chance(self, self->options.reorder)) {
        second = window_free(self);
    }
    if (second != NULL) {
        second->used = true;
        second->msgid = ++self->msgid;
        message_draw(self, second, most - *told);
        *told += second->count;
        request_tell(self, second);
        count_told(self, second);
    }
    request_tell(self, first);
    count_told(self, first);
    return true;
}

/* Draws and packs one PUB message; its seq is taken here, whenever it is sent. */
static message_t *published_draw(publisher_t *self, uint32_t place, uint64_t most, uint64_t *told) {
    message_t *message = &self->scratch[place];
    message_draw(self, message, most - *told);
    message_pack(self, message, false);
    *told += message->count;
    count_told(self, message);
    return message;
}

static bool tell_published(publisher_t *self, uint64_t most, uint64_t *told) {
    const message_t *first = published_draw(self, 0, most, told);
    if (*told < most && chance(self, self->options.reorder)) {
        published_send(self, published_draw(self, 1, most, told));
    }
    published_send(self, first);
    if (chance(self, self->options.duplicates)) {
        published_send(self, first);
    }
    return true;
}

/* ---- the thread ----------------------------------------------------------------------------- */

static void acknowledged(publisher_t *self, message_t *message) {
    for (uint32_t i = 0; self->journal != NULL && i < message->count; i++) {
        (void)fprintf(self->journal, "%s %" PRIu64 " %" PRIu64 "\n", message->line->id,
                      message->told[i].uid, message->told[i].version);
    }
    if (self->journal != NULL) {
        (void)fflush(self->journal);
    }
    message->used = false;
    (void)pthread_mutex_lock(&self->lock);
    self->stats.acked += message->count;
    (void)pthread_mutex_unlock(&self->lock);
}

static void reply_take(publisher_t *self, zframe_t *frame) {
    msgpack_unpacked reply;
    msgpack_unpacked_init(&reply);
    if (msgpack_unpack_next(&reply, (const char *)zframe_data(frame), zframe_size(frame), NULL) ==
            MSGPACK_UNPACK_SUCCESS &&
        reply.data.type == MSGPACK_OBJECT_ARRAY && reply.data.via.array.size == 4) {
        const msgpack_object *at = reply.data.via.array.ptr;
        for (uint32_t i = 0; i < WINDOW; i++) {
            message_t *message = &self->window[i];
            if (!message->used || message->msgid != at[1].via.u64) {
                continue;
            }
            if (at[2].type == MSGPACK_OBJECT_NIL) {
                acknowledged(self, message);
            } else { /* refused: again in a moment */
                message->sent_ms = wl_mono_now().ms - RESEND_MS + REFUSED_MS;
                (void)pthread_mutex_lock(&self->lock);
                self->stats.refused++;
                (void)pthread_mutex_unlock(&self->lock);
            }
        }
    }
    msgpack_unpacked_destroy(&reply);
}

static void replies_take(publisher_t *self) {
    for (uint32_t i = 0; i < self->dealer_count; i++) {
        while ((zsock_events(self->dealers[i]) & ZMQ_POLLIN) != 0) {
            zmsg_t *message = zmsg_recv(self->dealers[i]);
            zframe_t *body = message == NULL ? NULL : zmsg_last(message);
            if (body != NULL) {
                reply_take(self, body);
            }
            zmsg_destroy(&message);
        }
    }
}

/* Returns how many requests are unanswered. */
static uint32_t resend_late(publisher_t *self) {
    int64_t now = wl_mono_now().ms;
    uint32_t waiting = 0;
    bool turned = false;
    for (uint32_t i = 0; i < WINDOW; i++) {
        message_t *message = &self->window[i];
        waiting += message->used;
        if (message->used && now - message->sent_ms >= RESEND_MS) {
            if (!turned) { /* once a turn: all that is late goes to the same one */
                turned = true;
                self->current = (self->current + 1) % self->dealer_count;
            }
            request_send(self, message);
            (void)pthread_mutex_lock(&self->lock);
            self->stats.resent++;
            (void)pthread_mutex_unlock(&self->lock);
        }
    }
    return waiting;
}

/* How many changes the current phase allows now; *ret_phase is a copy. 0: nothing to do yet. */
static uint64_t phase_allows(publisher_t *self, phase_t *ret_phase) {
    (void)pthread_mutex_lock(&self->lock);
    bool any = self->phase_count > 0;
    if (any) {
        *ret_phase = self->phases[0];
    }
    (void)pthread_mutex_unlock(&self->lock);
    int64_t now = wl_mono_now().ms;
    double earned = any ? (double)(now - self->allowance_ms) * ret_phase->rate / 1000.0 : 0.0;
    self->allowance_ms = now;
    if (!any) {
        self->allowance = 0.0;
        return 0;
    }
    if (ret_phase->rate == 0) {
        return ret_phase->changes;
    }
    self->allowance += earned;
    self->allowance = self->allowance > ret_phase->rate ? ret_phase->rate : self->allowance;
    uint64_t allowed = (uint64_t)self->allowance;
    return allowed < ret_phase->changes ? allowed : ret_phase->changes;
}

static void phase_spend(publisher_t *self, uint64_t changes) {
    self->allowance -= (double)changes;
    (void)pthread_mutex_lock(&self->lock);
    if (self->phase_count > 0) {
        phase_t *phase = &self->phases[0];
        phase->changes -= changes < phase->changes ? changes : phase->changes;
        if (phase->changes == 0) {
            memmove(self->phases, self->phases + 1, --self->phase_count * sizeof *phase);
        }
    }
    (void)pthread_mutex_unlock(&self->lock);
}

static void publish_turn(publisher_t *self) {
    phase_t phase = {0};
    uint64_t allowed = phase_allows(self, &phase);
    uint64_t told = 0;
    bool going = true;
    for (int i = 0; i < TURN_MESSAGES && told < allowed && going; i++) {
        bool pub = self->pub != NULL &&
                   (phase.mode == PUBLISH_PUB || (phase.mode == PUBLISH_BOTH && self->pub_turn));
        self->pub_turn = !self->pub_turn;
        uint64_t batch = 0;
        going = pub ? tell_published(self, allowed - told, &batch)
                    : self->dealer_count > 0 && tell_request(self, allowed - told, &batch);
        told += batch;
    }
    if (told > 0) {
        phase_spend(self, told);
    }
    uint32_t waiting = resend_late(self);
    (void)pthread_mutex_lock(&self->lock);
    self->stats.idle = self->phase_count == 0 && waiting == 0;
    (void)pthread_mutex_unlock(&self->lock);
}

static void sockets_open(publisher_t *self) {
    char writer[256];
    for (uint32_t i = 0; self->options.writer != NULL && i < WRITERS &&
                         wl_settings_list_item(self->options.writer, i, writer, sizeof writer);
         i++) {
        zsock_t *dealer = zsock_new(ZMQ_DEALER);
        wl_client_keys_apply(&self->keys, 0, dealer);
        zsock_set_linger(dealer, 0);
        zsock_set_sndtimeo(dealer, 0);
        (void)zsock_connect(dealer, "%s", writer);
        self->dealers[self->dealer_count++] = dealer;
    }
    if (self->options.publish != NULL) {
        self->pub = zsock_new(ZMQ_PUB);
        wl_client_keys_apply(&self->keys, 0, self->pub);
        zsock_set_linger(self->pub, 1000);
        zsock_set_sndhwm(self->pub, PUB_HWM);
        for (uint32_t i = 0; wl_settings_list_item(self->options.publish, i, writer, sizeof writer);
             i++) {
            (void)zsock_connect(self->pub, "%s", writer);
        }
    }
    if (self->options.journal != NULL) {
        self->journal = fopen(self->options.journal, "a");
        WL_ASSERT(self->journal != NULL);
    }
    (void)snprintf(self->source, sizeof self->source, "linesim-%d", (int)getpid());
}

static void publisher_run(zsock_t *pipe, void *arg) {
    wl_boot_t *boot = arg;
    publisher_t *self = *(publisher_t *const *)boot->options;
    sockets_open(self);
    boot->status = WL_OK;
    (void)zsock_signal(pipe, 0);
    zpoller_t *poller = zpoller_new(pipe, NULL);
    for (uint32_t i = 0; i < self->dealer_count; i++) {
        (void)zpoller_add(poller, self->dealers[i]);
    }
    self->allowance_ms = wl_mono_now().ms;
    while (zpoller_wait(poller, publisher_stats(self).idle ? 20 : 1) != pipe) {
        replies_take(self);
        publish_turn(self);
    }
    zpoller_destroy(&poller);
    for (uint32_t i = 0; i < self->dealer_count; i++) {
        zsock_destroy(&self->dealers[i]);
    }
    zsock_destroy(&self->pub);
    if (self->journal != NULL) {
        (void)fclose(self->journal);
    }
}

publisher_t *publisher_start(const publisher_options_t *options, wl_fault_t *fault) {
    if (sim_line_draw(options->sim) == NULL) {
        (void)wl_fault(fault, WL_ERR_SETTINGS, "--line", "each says told=no: nothing can be told");
        return NULL;
    }
    publisher_t *self = wl_alloc_zero(1, sizeof *self);
    self->options = *options;
    if (wl_client_keys_read(options->key_file, options->server_key_file, &self->keys, fault) !=
        WL_OK) {
        wl_free(self);
        return NULL;
    }
    self->stats.idle = true;
    (void)pthread_mutex_init(&self->lock, NULL);
    for (uint32_t i = 0; i < WINDOW; i++) {
        msgpack_sbuffer_init(&self->window[i].body);
    }
    msgpack_sbuffer_init(&self->scratch[0].body);
    msgpack_sbuffer_init(&self->scratch[1].body);
    wl_err_t err = wl_actor_start("publisher", publisher_run, &self, &self->thread, NULL);
    WL_ASSERT(err == WL_OK);
    return self;
}

void publisher_stop(publisher_t **pointer) {
    publisher_t *self = *pointer;
    if (self == NULL) {
        return;
    }
    wl_actor_destroy(&self->thread);
    for (uint32_t i = 0; i < WINDOW; i++) {
        msgpack_sbuffer_destroy(&self->window[i].body);
    }
    msgpack_sbuffer_destroy(&self->scratch[0].body);
    msgpack_sbuffer_destroy(&self->scratch[1].body);
    (void)pthread_mutex_destroy(&self->lock);
    wl_client_keys_forget(&self->keys);
    wl_free(self);
    *pointer = NULL;
}
