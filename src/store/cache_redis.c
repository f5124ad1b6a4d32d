#include "store/cache_redis.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/random.h"
#include "store/cache_record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEY_BYTES = 96,
    FENCE_MS = 60000,  /* life of a fence without a user: longer than any read of the database */
    FIELDS_MAX = 1024, /* of a hash; more is no user of ours */
    PARTITIONS_MAX = 16,
    ARGS_MAX = 8 + 2 * WL_USER_ASSETS_MAX,
};

struct wl_cache_redis {
    wl_redis_t *redis; /* borrowed */
    char prefix[40];
    uint32_t ttl_s;
    wl_asset_t assets[FIELDS_MAX]; /* of the copy being told */
    /* the values of one put or fill; fields beside them */
    uint8_t values[WL_USER_ASSETS_MAX][WL_CACHE_VALUE_BYTES_MAX];
    char fields[WL_USER_ASSETS_MAX][WL_CACHE_FIELD_BYTES_MAX + 1];
    wl_redis_arg_t args[ARGS_MAX];
};

/* KEYS user. ARGV commit, fence life, then field, value... A value whose first 40 bytes are larger
 * is newer. An asset that the fill has not brought, though it was read after this commit, has been
 * deleted since. The type is checked by HGET itself: another type is an error, the copy a miss. */
static const char script_put[] =
    "local s = redis.call('HGET', KEYS[1], '#s')\n"
    "if not s or s < ARGV[1] then redis.call('HSET', KEYS[1], '#s', ARGV[1]) end\n"
    "if not redis.call('HGET', KEYS[1], '#w') then\n"
    "  redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
    "  return 0\n"
    "end\n"
    "local born = (redis.call('HGET', KEYS[1], '#f') or '') < ARGV[1]\n"
    "for i = 3, #ARGV, 2 do\n"
    "  local old = redis.call('HGET', KEYS[1], ARGV[i])\n"
    "  if not old and born or\n"
    "     old and string.sub(old, 1, 40) < string.sub(ARGV[i + 1], 1, 40) then\n"
    "    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])\n"
    "  end\n"
    "end\n"
    "return 1\n";

/* KEYS user. ARGV commit, fence life. Whatever is there, of any type, goes; a sound fence stays. */
static const char script_forget[] =
    "local s = redis.pcall('HGET', KEYS[1], '#s')\n"
    "redis.call('DEL', KEYS[1])\n"
    "if type(s) ~= 'string' or #s ~= 20 or s < ARGV[1] then s = ARGV[1] end\n"
    "redis.call('HSET', KEYS[1], '#s', s)\n"
    "redis.call('PEXPIRE', KEYS[1], ARGV[2])\n"
    "return 1\n";

/* KEYS user. ARGV commit, life in s, until, then field, value... What a whole hash already has and
 * is newer is kept: a put may have passed between the read and this. */
static const char script_fill[] =
    "local t = redis.call('TIME')\n"
    "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
    "if now > tonumber(ARGV[3]) then return 0 end\n"
    "local s = redis.call('HGET', KEYS[1], '#s')\n"
    "if s and s > ARGV[1] then return 0 end\n"
    "local old = {}\n"
    "if redis.call('HGET', KEYS[1], '#w') then\n"
    "  for i = 4, #ARGV, 2 do\n"
    "    local v = redis.call('HGET', KEYS[1], ARGV[i])\n"
    "    if v and string.sub(v, 1, 40) > string.sub(ARGV[i + 1], 1, 40) then old[i + 1] = v end\n"
    "  end\n"
    "end\n"
    "redis.call('DEL', KEYS[1])\n"
    "redis.call('HSET', KEYS[1], '#w', '1', '#s', ARGV[1], '#f', ARGV[1],\n"
    "  '#t', string.format('%.0f', now))\n"
    "for i = 4, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], old[i + 1] or ARGV[i + 1]) end\n"
    "redis.call('EXPIRE', KEYS[1], ARGV[2])\n"
    "return 1\n";

/* KEYS markers. Returns the clock and the values, as text. */
static const char script_look[] =
    "local t = redis.call('TIME')\n"
    "local r = {string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))}\n"
    "for i = 1, #KEYS do r[i + 1] = redis.call('GET', KEYS[i]) or '0' end\n"
    "return r\n";

/* KEYS marker. ARGV afresh, life in ms, until. */
static const char script_renew[] =
    "local t = redis.call('TIME')\n"
    "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
    "if now > tonumber(ARGV[3]) then return 0 end\n"
    "local v = redis.call('GET', KEYS[1])\n"
    "if ARGV[1] == '1' or not v then v = string.format('%.0f', now) end\n"
    "redis.call('SET', KEYS[1], v, 'PX', ARGV[2])\n"
    "return 1\n";

wl_cache_redis_t *wl_cache_redis_new(const wl_cache_redis_options_t *options) {
    wl_cache_redis_t *self = wl_alloc_zero(1, sizeof *self);
    self->redis = options->redis;
    self->ttl_s = options->ttl_s;
    (void)snprintf(self->prefix, sizeof self->prefix, "%s", options->prefix);
    return self;
}

void wl_cache_redis_destroy(wl_cache_redis_t **self) {
    if (self != NULL && *self != NULL) {
        wl_free(*self);
        *self = NULL;
    }
}

static wl_redis_arg_t user_key(const wl_cache_redis_t *self, uint64_t uid, char text[KEY_BYTES]) {
    int bytes = snprintf(text, KEY_BYTES, "%s%" PRIu64, self->prefix, uid);
    return (wl_redis_arg_t){text, (size_t)bytes};
}

static wl_redis_arg_t text_arg(const char *text) {
    return (wl_redis_arg_t){text, strlen(text)};
}

/* ---- reading -------------------------------------------------------------------------------- */

/* A get under way. */
typedef struct {
    wl_cache_redis_t *cache; /* borrowed: outlives the client's callbacks */
    wl_cache_copy_fn fn;
    void *ctx;
    uint64_t uid;
} get_t;

static bool number_read(const redisReply *reply, int64_t *ret) {
    uint64_t number = 0;
    if (reply->type != REDIS_REPLY_STRING || reply->len == 0 || reply->len > 18) {
        return false;
    }
    for (size_t i = 0; i < reply->len; i++) {
        if (reply->str[i] < '0' || reply->str[i] > '9') {
            return false;
        }
        number = number * 10 + (uint64_t)(reply->str[i] - '0');
    }
    *ret = (int64_t)number;
    return true;
}

/* WL_ERR_NOT_FOUND: not whole; WL_ERR_DAMAGED. */
static wl_err_t copy_read(wl_cache_redis_t *self, uint64_t uid, const redisReply *reply,
                          wl_cache_copy_t *ret) {
    bool whole = false;
    bool timed = false;
    uint32_t count = 0;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements > (size_t)FIELDS_MAX * 2) {
        return WL_ERR_DAMAGED;
    }
    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
        const redisReply *field = reply->element[i];
        const redisReply *value = reply->element[i + 1];
        if (field->type != REDIS_REPLY_STRING || value->type != REDIS_REPLY_STRING) {
            return WL_ERR_DAMAGED;
        }
        if (field->len == 2 && field->str[0] == '#') {
            whole = whole || field->str[1] == 'w';
            timed = timed || (field->str[1] == 't' && number_read(value, &ret->filled_at));
            continue;
        }
        wl_err_t err = wl_cache_record_unpack(uid, field->str, field->len, value->str, value->len,
                                              &self->assets[count]);
        if (err != WL_OK) {
            return err;
        }
        count++;
    }
    ret->assets = self->assets;
    ret->count = count;
    return !whole ? WL_ERR_NOT_FOUND : timed ? WL_OK : WL_ERR_DAMAGED;
}

static void on_copy(wl_err_t err, const redisReply *reply, void *ctx) {
    get_t *get = ctx;
    wl_cache_copy_t copy = {0};
    bool other_type = err == WL_ERR_INTERNAL && reply != NULL && reply->type == REDIS_REPLY_ERROR &&
                      strncmp(reply->str, "WRONGTYPE", 9) == 0;
    if (err == WL_OK) {
        err = copy_read(get->cache, get->uid, reply, &copy);
    } else if (other_type) {
        err = WL_ERR_DAMAGED;
    }
    if (err == WL_ERR_DAMAGED) {
        wl_cache_redis_forget(get->cache, get->uid, 0, NULL, NULL);
    }
    get->fn(err, err == WL_OK ? &copy : NULL, get->ctx);
    wl_free(get);
}

void wl_cache_redis_get(wl_cache_redis_t *self, uint64_t uid, wl_cache_copy_fn fn, void *ctx) {
    char text[KEY_BYTES];
    wl_redis_arg_t key = user_key(self, uid, text);
    wl_redis_arg_t args[] = {text_arg("HGETALL"), key};
    get_t *get = wl_alloc(sizeof *get);
    *get = (get_t){self, fn, ctx, uid};
    wl_redis_send(self->redis, &key, args, 2, on_copy, get);
}

/* ---- who is there ---------------------------------------------------------------------------- */

typedef struct {
    wl_cache_redis_t *cache; /* borrowed: outlives the client's callbacks */
    wl_cache_users_fn fn;
    void *ctx;
} scan_t;

/* <prefix><uid>, and nothing else. */
static bool user_of_key(const wl_cache_redis_t *self, const redisReply *key, uint64_t *ret) {
    size_t skip = strlen(self->prefix);
    if (key->type != REDIS_REPLY_STRING || key->len <= skip || key->len > skip + 20 ||
        memcmp(key->str, self->prefix, skip) != 0) {
        return false;
    }
    uint64_t uid = 0;
    for (size_t i = skip; i < key->len; i++) {
        char digit = key->str[i];
        if (digit < '0' || digit > '9' || uid > (UINT64_MAX - (uint64_t)(digit - '0')) / 10) {
            return false;
        }
        uid = uid * 10 + (uint64_t)(digit - '0');
    }
    *ret = uid;
    return uid != 0 && key->str[skip] != '0';
}

static void on_scanned(wl_err_t err, const redisReply *reply, void *ctx) {
    scan_t *scan = ctx;
    uint64_t *uids = NULL;
    uint64_t next = 0;
    uint32_t count = 0;
    bool sound = err == WL_OK && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
                 reply->element[0]->type == REDIS_REPLY_STRING &&
                 reply->element[1]->type == REDIS_REPLY_ARRAY;
    if (sound) {
        char *end = NULL;
        next = strtoull(reply->element[0]->str, &end, 10);
        sound = *end == '\0';
        const redisReply *keys = reply->element[1];
        uids = wl_alloc(keys->elements * sizeof *uids + 1);
        for (size_t i = 0; i < keys->elements; i++) {
            count += user_of_key(scan->cache, keys->element[i], &uids[count]);
        }
    }
    err = err == WL_OK && !sound ? WL_ERR_DAMAGED : err;
    scan->fn(err, uids, err == WL_OK ? count : 0, next, scan->ctx);
    wl_free(uids);
    wl_free(scan);
}

void wl_cache_redis_scan(wl_cache_redis_t *self, uint32_t tag, uint64_t cursor, uint32_t max,
                         wl_cache_users_fn fn, void *ctx) {
    char at[24];
    char match[2 * sizeof self->prefix + 16];
    char wanted[16];
    char node[24];
    size_t used = 0;
    for (const char *c = self->prefix; *c != '\0'; c++) { /* what SCAN's patterns know is quoted */
        if (strchr("*?[]\\", *c) != NULL) {
            match[used++] = '\\';
        }
        match[used++] = *c;
    }
    (void)snprintf(match + used, sizeof match - used, "[1-9]*");
    (void)snprintf(at, sizeof at, "%" PRIu64, cursor);
    (void)snprintf(wanted, sizeof wanted, "%" PRIu32, max);
    (void)snprintf(node, sizeof node, "{%" PRIu32 "}", tag);
    wl_redis_arg_t key = text_arg(node);
    wl_redis_arg_t args[] = {text_arg("SCAN"), text_arg(at),      text_arg("MATCH"),
                             text_arg(match),  text_arg("COUNT"), text_arg(wanted)};
    scan_t *scan = wl_alloc(sizeof *scan);
    *scan = (scan_t){self, fn, ctx};
    wl_redis_send(self->redis, &key, args, 6, on_scanned, scan);
}

/* ---- writing -------------------------------------------------------------------------------- */

typedef struct {
    wl_cache_done_fn fn; /* may be NULL */
    void *ctx;
    bool refusable; /* an answer of 0 means that it was refused */
} done_t;

static void on_done(wl_err_t err, const redisReply *reply, void *ctx) {
    done_t *done = ctx;
    if (err == WL_OK && done->refusable && reply->type == REDIS_REPLY_INTEGER &&
        reply->integer == 0) {
        err = WL_ERR_CONFLICT;
    }
    if (done->fn != NULL) {
        done->fn(err, done->ctx);
    }
    wl_free(done);
}

static done_t *done_new(wl_cache_done_fn fn, void *ctx, bool refusable) {
    done_t *done = wl_alloc(sizeof *done);
    *done = (done_t){fn, ctx, refusable};
    return done;
}

static void assets_write(wl_cache_redis_t *self, const char *script, uint64_t uid,
                         const wl_asset_t *assets, uint32_t count, uint64_t commit_seq,
                         const char *life, const char *until, done_t *done) {
    char text[KEY_BYTES];
    char commit[WL_CACHE_DIGITS];
    uint32_t at = 0;
    wl_cache_digits(commit_seq, commit);
    self->args[at++] = user_key(self, uid, text);
    self->args[at++] = (wl_redis_arg_t){commit, sizeof commit};
    self->args[at++] = text_arg(life);
    if (until != NULL) {
        self->args[at++] = text_arg(until);
    }
    for (uint32_t i = 0; i < count; i++) {
        size_t field = wl_cache_record_field(&assets[i], self->fields[i]);
        size_t value = wl_cache_record_pack(&assets[i], self->values[i]);
        self->args[at++] = (wl_redis_arg_t){self->fields[i], field};
        self->args[at++] = (wl_redis_arg_t){self->values[i], value};
    }
    wl_redis_script(self->redis, script, 1, self->args, at, on_done, done);
}

void wl_cache_redis_put(wl_cache_redis_t *self, uint64_t uid, const wl_asset_t *assets,
                        uint32_t count, uint64_t commit_seq, wl_cache_done_fn fn, void *ctx) {
    char life[16];
    WL_ASSERT(count <= WL_USER_ASSETS_MAX);
    (void)snprintf(life, sizeof life, "%d", FENCE_MS);
    assets_write(self, script_put, uid, assets, count, commit_seq, life, NULL,
                 done_new(fn, ctx, false));
}

void wl_cache_redis_forget(wl_cache_redis_t *self, uint64_t uid, uint64_t commit_seq,
                           wl_cache_done_fn fn, void *ctx) {
    char life[16];
    (void)snprintf(life, sizeof life, "%d", FENCE_MS);
    assets_write(self, script_forget, uid, NULL, 0, commit_seq, life, NULL,
                 done_new(fn, ctx, false));
}

void wl_cache_redis_fill(wl_cache_redis_t *self, uint64_t uid, const wl_asset_t *assets,
                         uint32_t count, uint64_t commit_seq, int64_t until, wl_cache_done_fn fn,
                         void *ctx) {
    char life[16];
    char last[24];
    if (count > WL_USER_ASSETS_MAX) {
        if (fn != NULL) {
            fn(WL_ERR_TOO_BIG, ctx);
        }
        return;
    }
    uint32_t less = (uint32_t)(wl_random_u64() % (self->ttl_s / 10 + 1));
    (void)snprintf(life, sizeof life, "%u", self->ttl_s - less);
    (void)snprintf(last, sizeof last, "%" PRId64, until);
    assets_write(self, script_fill, uid, assets, count, commit_seq, life, last,
                 done_new(fn, ctx, true));
}

/* ---- markers -------------------------------------------------------------------------------- */

uint32_t wl_cache_redis_tag_slot(uint32_t tag) {
    char text[16];
    int bytes = snprintf(text, sizeof text, "%u", tag);
    return wl_redis_slot(text, (size_t)bytes);
}

uint32_t wl_cache_redis_server(const wl_cache_redis_t *self, uint64_t uid) {
    char text[KEY_BYTES];
    wl_redis_arg_t key = user_key(self, uid, text);
    return wl_redis_server(self->redis, wl_redis_slot(key.at, key.bytes));
}

uint64_t wl_cache_redis_link(const wl_cache_redis_t *self, uint64_t uid) {
    char text[KEY_BYTES];
    wl_redis_arg_t key = user_key(self, uid, text);
    return wl_redis_link(self->redis, &key);
}

static wl_redis_arg_t marker_key(const wl_cache_redis_t *self, uint32_t tag, uint32_t partition,
                                 char text[KEY_BYTES]) {
    int bytes = snprintf(text, KEY_BYTES, "%ssound:{%u}:%u", self->prefix, tag, partition);
    return (wl_redis_arg_t){text, (size_t)bytes};
}

typedef struct {
    wl_cache_markers_fn fn;
    void *ctx;
    uint32_t partitions;
} look_t;

static void on_look(wl_err_t err, const redisReply *reply, void *ctx) {
    look_t *look = ctx;
    int64_t numbers[PARTITIONS_MAX + 1] = {0};
    if (err == WL_OK) {
        bool sound = reply->type == REDIS_REPLY_ARRAY && reply->elements == look->partitions + 1;
        for (size_t i = 0; sound && i < reply->elements; i++) {
            sound = number_read(reply->element[i], &numbers[i]);
        }
        err = sound ? WL_OK : WL_ERR_DAMAGED;
    }
    look->fn(err, numbers[0], numbers + 1, look->partitions, look->ctx);
    wl_free(look);
}

void wl_cache_redis_look(wl_cache_redis_t *self, uint32_t tag, uint32_t partitions,
                         wl_cache_markers_fn fn, void *ctx) {
    char texts[PARTITIONS_MAX][KEY_BYTES];
    wl_redis_arg_t args[PARTITIONS_MAX];
    WL_ASSERT(partitions > 0 && partitions <= PARTITIONS_MAX);
    for (uint32_t i = 0; i < partitions; i++) {
        args[i] = marker_key(self, tag, i, texts[i]);
    }
    look_t *look = wl_alloc(sizeof *look);
    *look = (look_t){fn, ctx, partitions};
    wl_redis_script(self->redis, script_look, partitions, args, partitions, on_look, look);
}

void wl_cache_redis_renew(wl_cache_redis_t *self, uint32_t tag, uint32_t partition, bool afresh,
                          int64_t until, wl_cache_done_fn fn, void *ctx) {
    char text[KEY_BYTES];
    char life[16];
    char last[24];
    (void)snprintf(life, sizeof life, "%d", WL_CACHE_MARKER_MS);
    (void)snprintf(last, sizeof last, "%" PRId64, until);
    wl_redis_arg_t args[] = {marker_key(self, tag, partition, text), text_arg(afresh ? "1" : "0"),
                             text_arg(life), text_arg(last)};
    wl_redis_script(self->redis, script_renew, 1, args, 4, on_done, done_new(fn, ctx, true));
}
