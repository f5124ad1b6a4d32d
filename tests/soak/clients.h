/* clients.h: the threads that work walletd: writers, readers and an operator. Part of soak.c. */
#ifndef WL_TESTS_SOAK_CLIENTS_H
#define WL_TESTS_SOAK_CLIENTS_H

#include "base/clock.h"
#include "fake_line.h"
#include "proto/reply.h"
#include "proto/rpc.h"

enum {
    WINDOW = 32, /* requests under way of a reader; below USERS, so no user twice */
    WRITE_WINDOW = 8,
    CHANGES = 20,        /* at most in one notification */
    PATIENCE_MS = 20000, /* TSan makes everything ten times slower */
};

/* One DEALER and what it needs. */
typedef struct {
    zsock_t *dealer;
    wl_replies_t *replies;
    msgpack_sbuffer args;
    msgpack_sbuffer body;
    uint64_t msgid;
} client_t;

static client_t client_open(const char *endpoint) {
    client_t self = {.dealer = zsock_new(ZMQ_DEALER), .replies = wl_replies_new()};
    zsock_set_linger(self.dealer, 0);
    (void)zsock_connect(self.dealer, "%s", endpoint);
    msgpack_sbuffer_init(&self.args);
    msgpack_sbuffer_init(&self.body);
    return self;
}

static void client_close(client_t *self) {
    zsock_destroy(&self->dealer);
    wl_replies_destroy(&self->replies);
    msgpack_sbuffer_destroy(&self->args);
    msgpack_sbuffer_destroy(&self->body);
}

static msgpack_packer client_args(client_t *self, size_t keys) {
    msgpack_packer packer;
    msgpack_sbuffer_clear(&self->args);
    msgpack_packer_init(&packer, &self->args, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, keys);
    return packer;
}

static wl_bytes_t bytes_of(const msgpack_sbuffer *buffer) {
    return (wl_bytes_t){(const uint8_t *)buffer->data, buffer->size};
}

/* Packs the request with self->args into self->body. */
static void client_pack(client_t *self, const char *method) {
    msgpack_sbuffer_clear(&self->body);
    wl_rpc_pack_request(&self->body, ++self->msgid, method, bytes_of(&self->args));
}

static bool client_send(const client_t *self, const msgpack_sbuffer *body) {
    return wl_request_send(self->dealer, bytes_of(body)) == WL_OK;
}

static bool client_wait(const client_t *self, long ms) {
    zmq_pollitem_t item = {.socket = zsock_resolve(self->dealer), .events = ZMQ_POLLIN};
    return zmq_poll(&item, 1, ms) > 0;
}

/* Sends self->args and waits for the answer. false: it did not come. */
static bool client_call(client_t *self, const char *method, wl_reply_t *ret) {
    client_pack(self, method);
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    if (!client_send(self, &self->body)) {
        return false;
    }
    while (wl_mono_now().ms < until) {
        if (client_wait(self, 100) && wl_replies_recv(self->replies, self->dealer, ret) == WL_OK &&
            ret->msgid == self->msgid) {
            return true;
        }
    }
    return false;
}

/* ---- writers ---- */

typedef struct {
    const char *endpoint;
    const char *publish; /* NULL: this writer does not publish */
    uint64_t random;
} writer_t;

/* One notification until it is acknowledged. */
typedef struct {
    uint64_t msgid; /* 0 = free */
    uint64_t changes;
    msgpack_sbuffer body;
} told_t;

/* Changes the truth of some users and packs the args that tell it. Returns the method. */
static const char *writer_draw(client_t *self, uint64_t *random, uint64_t *ret_changes) {
    unsigned line = (unsigned)(draw(random) % LINES);
    uint64_t count = 1 + draw(random) % CHANGES;
    bool payload = draw(random) % 5 == 0;
    msgpack_packer packer = client_args(self, 2);
    pack_text(&packer, "line");
    pack_text(&packer, line_ids[line]);
    pack_text(&packer, payload ? "assets" : "changes");
    msgpack_pack_array(&packer, count);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t uid = 1 + draw(random) % USERS;
        uint64_t version = atomic_fetch_add(&truth.versions[line][uid], 1) + 1;
        if (payload) {
            pack_asset(&packer, line, uid, version);
            continue;
        }
        msgpack_pack_map(&packer, 2);
        pack_text(&packer, "uid");
        msgpack_pack_uint64(&packer, uid);
        pack_text(&packer, "version");
        msgpack_pack_uint64(&packer, version);
    }
    *ret_changes = count;
    return payload ? "notify.assets" : "notify.changed";
}

/* The same change once more, by PUB. */
static void writer_publish(zsock_t *pub, uint64_t *random, uint64_t *seq) {
    msgpack_sbuffer body;
    msgpack_packer packer;
    unsigned line = (unsigned)(draw(random) % LINES);
    msgpack_sbuffer_init(&body);
    msgpack_packer_init(&packer, &body, msgpack_sbuffer_write);
    msgpack_pack_array(&packer, 3);
    msgpack_pack_int(&packer, 2);
    pack_text(&packer, "notify.changed");
    msgpack_pack_array(&packer, 1);
    msgpack_pack_map(&packer, 4);
    pack_text(&packer, "line");
    pack_text(&packer, line_ids[line]);
    pack_text(&packer, "source");
    pack_text(&packer, "soak");
    pack_text(&packer, "seq");
    msgpack_pack_uint64(&packer, ++seq[line]);
    pack_text(&packer, "changes");
    msgpack_pack_array(&packer, 1);
    msgpack_pack_map(&packer, 1);
    pack_text(&packer, "uid");
    msgpack_pack_uint64(&packer, 1 + draw(random) % USERS);
    char topic[64];
    (void)snprintf(topic, sizeof topic, "changed.%s", line_ids[line]);
    (void)zsock_send(pub, "sb", topic, body.data, body.size);
    msgpack_sbuffer_destroy(&body);
}

/* Answers to what was told; a refused one is told again. */
static void writer_take(client_t *self, told_t *told, const wl_reply_t *reply) {
    for (uint32_t i = 0; i < WRITE_WINDOW; i++) {
        if (told[i].msgid != reply->msgid) {
            continue;
        }
        if (!reply->failed) {
            atomic_fetch_add(&truth.acknowledged, told[i].changes);
            told[i].msgid = 0;
        } else if (strcmp(reply->code, "busy") != 0 || !client_send(self, &told[i].body)) {
            mismatch("a notification was refused: %s", reply->code);
            told[i].msgid = 0;
        }
    }
}

static uint32_t writer_tell(client_t *self, told_t *told, writer_t *writer, bool more) {
    uint32_t under_way = 0;
    for (uint32_t i = 0; i < WRITE_WINDOW; i++) {
        if (told[i].msgid == 0 && more) {
            const char *method = writer_draw(self, &writer->random, &told[i].changes);
            client_pack(self, method);
            told[i].msgid = self->msgid;
            msgpack_sbuffer_clear(&told[i].body);
            (void)msgpack_sbuffer_write(&told[i].body, self->body.data, self->body.size);
            if (!client_send(self, &told[i].body)) {
                mismatch("a notification could not be sent");
            }
        }
        under_way += told[i].msgid != 0;
    }
    return under_way;
}

static void *writer_main(void *arg) {
    writer_t *writer = arg;
    client_t self = client_open(writer->endpoint);
    zsock_t *pub = writer->publish == NULL ? NULL : zsock_new(ZMQ_PUB);
    if (pub != NULL) {
        (void)zsock_connect(pub, "%s", writer->publish);
    }
    told_t told[WRITE_WINDOW];
    uint64_t seq[LINES] = {0};
    for (uint32_t i = 0; i < WRITE_WINDOW; i++) {
        told[i].msgid = 0;
        msgpack_sbuffer_init(&told[i].body);
    }
    int64_t heard_at = wl_mono_now().ms;
    uint32_t under_way = 0;
    do {
        bool more = atomic_load(&truth.writing);
        under_way = writer_tell(&self, told, writer, more);
        if (pub != NULL && more) {
            writer_publish(pub, &writer->random, seq);
        }
        if (client_wait(&self, 50)) {
            wl_reply_t reply;
            heard_at = wl_mono_now().ms;
            while (wl_replies_recv(self.replies, self.dealer, &reply) == WL_OK) {
                writer_take(&self, told, &reply);
            }
        }
    } while ((under_way > 0 || atomic_load(&truth.writing)) &&
             wl_mono_now().ms - heard_at < PATIENCE_MS);
    if (under_way > 0) {
        mismatch("%u notifications were never answered", under_way);
    }
    for (uint32_t i = 0; i < WRITE_WINDOW; i++) {
        msgpack_sbuffer_destroy(&told[i].body);
    }
    zsock_destroy(&pub);
    client_close(&self);
    return NULL;
}

/* ---- readers ---- */

typedef struct {
    const char *endpoint;
    uint64_t newest[LINES][USERS + 1]; /* versions that this reader has seen */
} reader_t;

/* Judges one asset; returns its version, 0 = of no line of ours, or nothing is known of it yet: a
 * change of its line is on its way. */
static uint64_t asset_judge(const msgpack_object *asset, uint64_t uid, unsigned *ret_line) {
    char id[WL_LINE_ID_MAX + 1] = "";
    int64_t amount = -1;
    uint64_t version = 0;
    wl_err_t known = wl_args_i64(asset, "amount", &amount, NULL);
    if (wl_args_text(asset, "line", id, WL_LINE_ID_MAX, NULL) != WL_OK ||
        wl_args_u64(asset, "version", &version, NULL) != WL_OK ||
        (known != WL_OK && (known != WL_ERR_NOT_FOUND || version != 0))) {
        mismatch("user %llu has an asset without line, amount or version", (unsigned long long)uid);
        return 0;
    }
    if (known != WL_OK) {
        return 0;
    }
    for (unsigned line = 0; line < LINES; line++) {
        if (strcmp(line_ids[line], id) == 0) {
            *ret_line = line;
            if (amount != truth_amount(line, uid, version) ||
                version > atomic_load(&truth.versions[line][uid])) {
                mismatch("%s of %llu: amount %lld at version %llu was never true", id,
                         (unsigned long long)uid, (long long)amount, (unsigned long long)version);
            }
            return version;
        }
    }
    mismatch("user %llu has an asset of \"%s\"", (unsigned long long)uid, id);
    return 0;
}

/* The result of wallet.assets for `uid`; versions[line] gets what it shows. */
static void assets_judge(wl_bytes_t result, uint64_t uid, uint64_t versions[LINES]) {
    msgpack_unpacked body;
    msgpack_unpacked_init(&body);
    uint64_t whose = 0;
    const msgpack_object *assets = NULL;
    memset(versions, 0, LINES * sizeof *versions);
    if (msgpack_unpack_next(&body, (const char *)result.at, result.count, NULL) !=
            MSGPACK_UNPACK_SUCCESS ||
        wl_args_u64(&body.data, "uid", &whose, NULL) != WL_OK || whose != uid ||
        wl_args_array(&body.data, "assets", WL_USER_ASSETS_MAX, &assets, NULL) != WL_OK) {
        mismatch("the answer for %llu is another one", (unsigned long long)uid);
    }
    for (uint32_t i = 0; assets != NULL && i < assets->via.array.size; i++) {
        unsigned line = 0;
        uint64_t version = asset_judge(&assets->via.array.ptr[i], uid, &line);
        versions[line] = version > 0 ? version : versions[line];
    }
    msgpack_unpacked_destroy(&body);
}

static const char *reader_method(uint64_t msgid) {
    static const char *const methods[] = {"wallet.assets", "wallet.home", "wallet.assets",
                                          "wallet.golden"};
    return methods[msgid % 4];
}

static uint64_t reader_uid(uint64_t msgid) {
    return 1 + msgid % USERS;
}

static void reader_ask(client_t *self) {
    msgpack_packer packer = client_args(self, 1);
    pack_text(&packer, "uid");
    msgpack_pack_uint64(&packer, reader_uid(self->msgid + 1));
    client_pack(self, reader_method(self->msgid + 1));
    if (!client_send(self, &self->body)) {
        mismatch("a read could not be sent");
    }
}

static void reader_take(reader_t *reader, const wl_reply_t *reply) {
    uint64_t uid = reader_uid(reply->msgid);
    atomic_fetch_add(&truth.reads, 1);
    if (reply->failed) {
        if (!atomic_load(&truth.stopping)) {
            mismatch("a read failed: %s", reply->code);
        }
        return;
    }
    if (strcmp(reader_method(reply->msgid), "wallet.assets") != 0) {
        return;
    }
    uint64_t versions[LINES];
    assets_judge(reply->result, uid, versions);
    for (unsigned line = 0; line < LINES; line++) {
        if (versions[line] < reader->newest[line][uid]) {
            mismatch("%s of %llu went from version %llu to %llu", line_ids[line],
                     (unsigned long long)uid, (unsigned long long)reader->newest[line][uid],
                     (unsigned long long)versions[line]);
        }
        reader->newest[line][uid] = versions[line];
    }
}

static void *reader_main(void *arg) {
    reader_t *reader = arg;
    client_t self = client_open(reader->endpoint);
    int64_t heard_at = wl_mono_now().ms;
    for (uint32_t i = 0; i < WINDOW; i++) {
        reader_ask(&self);
    }
    while (atomic_load(&truth.reading)) {
        wl_reply_t reply;
        if (client_wait(&self, 50)) {
            heard_at = wl_mono_now().ms;
            while (wl_replies_recv(self.replies, self.dealer, &reply) == WL_OK) {
                reader_take(reader, &reply);
                reader_ask(&self);
            }
        } else if (!atomic_load(&truth.stopping) && wl_mono_now().ms - heard_at > PATIENCE_MS) {
            mismatch("a reader hears nothing");
            break;
        }
    }
    client_close(&self);
    return NULL;
}

/* ---- the operator ---- */

static void *operator_main(void *arg) {
    static const char *const methods[] = {"admin.stats", "admin.queue", "admin.lines",
                                          "admin.presence.stats", "admin.dlq.list"};
    client_t self = client_open(arg);
    for (uint64_t turn = 0; atomic_load(&truth.reading) && !atomic_load(&truth.stopping); turn++) {
        wl_reply_t reply;
        msgpack_packer packer = client_args(&self, turn % 6 == 5 ? 1 : 0);
        if (turn % 6 == 5) {
            pack_text(&packer, "uid");
            msgpack_pack_uint64(&packer, 1 + turn % USERS);
        }
        bool heard =
            client_call(&self, turn % 6 == 5 ? "wallet.refresh" : methods[turn % 6], &reply);
        if ((!heard || reply.failed) && !atomic_load(&truth.stopping)) {
            mismatch("%s: %s", methods[turn % 6 % 5], heard ? reply.code : "no answer");
        }
        atomic_fetch_add(&truth.operations, 1);
        (void)client_wait(&self, 50);
    }
    client_close(&self);
    return NULL;
}

#endif
