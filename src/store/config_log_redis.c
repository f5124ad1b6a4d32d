/* The log in Redis. All keys carry the tag {config}, so a cluster keeps them on one server and the
 * scripts are legal there:
 *
 *     {prefix}{config}:changes         hash seq -> record
 *     {prefix}{config}:blob:<digest>   string; written in pieces under another name, then renamed
 *     {prefix}{config}:notes           hash name -> "<end in ms of Redis's clock, 0 = none> text"
 *     {prefix}{config}:nudges          channel
 */
#include "base/alloc.h"
#include "base/random.h"
#include "store/config_log_ops.h"
#include "store/redis_asker.h"
#include "store/redis_feed.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    KEY_BYTES = 192,
    NUMBER_BYTES = 24,
    ASIDE_S = 600, /* life of the pieces of a blob that nobody completes */
    NUDGE_BYTES = 256,
};

typedef struct {
    wl_config_log_t log;     /* first */
    wl_redis_asker_t *asker; /* owned */
    wl_redis_feed_t *feed;   /* owned, NULL before the first answer */
    uint32_t timeout_ms;
    char *nodes;         /* owned */
    char *user;          /* owned */
    char *password_file; /* owned */
    char changes[KEY_BYTES];
    char notes[KEY_BYTES];
    char channel[KEY_BYTES];
    char blobs[KEY_BYTES]; /* what keys of blobs begin with */
    uint64_t sound;        /* records up to here were there */
} redis_t;

/* ---- scripts --------------------------------------------------------------------------------- */

/* KEYS changes. ARGV seq, record, channel, nudge. A channel that we may not use costs the nudge,
 * not the record. */
static const char script_append[] =
    "if redis.call('HLEN', KEYS[1]) ~= ARGV[1] - 1 then return 0 end\n"
    "if redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end\n"
    "redis.pcall('PUBLISH', ARGV[3], ARGV[4])\n"
    "return 1\n";

/* KEYS changes. ARGV up to where it was whole. Returns the number of records, and the first one
 * that is missing or empty, 0 = none. */
static const char script_last[] =
    "local count = redis.call('HLEN', KEYS[1])\n"
    "local from = tonumber(ARGV[1])\n"
    "if from > count then from = 0 end\n"
    "if from == count and from > 0 then from = from - 1 end\n"
    "for seq = from + 1, count do\n"
    "  if redis.call('HSTRLEN', KEYS[1], seq) == 0 then return {count, seq} end\n"
    "end\n"
    "return {count, 0}\n";

/* KEYS blob. Its size, -1 = there is none. */
static const char script_size[] = "if redis.call('EXISTS', KEYS[1]) == 0 then return -1 end\n"
                                  "return redis.call('STRLEN', KEYS[1])\n";

/* KEYS aside. ARGV offset, piece, life in s. */
static const char script_piece[] = "redis.call('SETRANGE', KEYS[1], ARGV[1], ARGV[2])\n"
                                   "return redis.call('EXPIRE', KEYS[1], ARGV[3])\n";

/* KEYS aside, blob. ARGV size. 0: pieces have gone. */
static const char script_rename[] =
    "if ARGV[1] == '0' then redis.call('SET', KEYS[2], '') return 1 end\n"
    "if redis.call('STRLEN', KEYS[1]) ~= tonumber(ARGV[1]) then return 0 end\n"
    "redis.call('RENAME', KEYS[1], KEYS[2])\n"
    "redis.call('PERSIST', KEYS[2])\n"
    "return 1\n";

/* KEYS notes. ARGV name, text, life in s. */
static const char script_note_put[] =
    "local ends = 0\n"
    "if ARGV[3] ~= '0' then\n"
    "  local t = redis.call('TIME')\n"
    "  ends = t[1] * 1000 + math.floor(t[2] / 1000) + ARGV[3] * 1000\n"
    "end\n"
    "return redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', ends) .. ARGV[2])\n";

/* KEYS notes. ARGV prefix, name to begin after, bytes that are enough. Returns whether there are
 * more, then names and texts. Takes away what has come to its end. */
static const char script_notes[] =
    "local t = redis.call('TIME')\n"
    "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
    "local names = {}\n"
    "for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do\n"
    "  if string.sub(name, 1, #ARGV[1]) == ARGV[1] and name > ARGV[2] then\n"
    "    names[#names + 1] = name\n"
    "  end\n"
    "end\n"
    "table.sort(names)\n"
    "local result, bytes = {0}, 0\n"
    "for _, name in ipairs(names) do\n"
    "  if bytes >= tonumber(ARGV[3]) then result[1] = 1 break end\n"
    "  local value = redis.call('HGET', KEYS[1], name)\n"
    "  local at = string.find(value, ' ', 1, true)\n"
    "  local ends = at and tonumber(string.sub(value, 1, at - 1))\n"
    "  if ends and ends > 0 and ends <= now then\n"
    "    redis.call('HDEL', KEYS[1], name)\n"
    "  elseif ends then\n"
    "    result[#result + 1] = name\n"
    "    result[#result + 1] = string.sub(value, at + 1)\n"
    "    bytes = bytes + #name + #value\n"
    "  end\n"
    "end\n"
    "return result\n";

/* KEYS notes. ARGV name. Its text, nil = there is none. */
static const char script_note_get[] =
    "local value = redis.call('HGET', KEYS[1], ARGV[1])\n"
    "local at = value and string.find(value, ' ', 1, true)\n"
    "local ends = at and tonumber(string.sub(value, 1, at - 1))\n"
    "if not ends then return false end\n"
    "local t = redis.call('TIME')\n"
    "if ends > 0 and ends <= t[1] * 1000 + math.floor(t[2] / 1000) then return false end\n"
    "return string.sub(value, at + 1)\n";

/* ---- asking ---------------------------------------------------------------------------------- */

/* Names have been looked up by now, so this does not block for long. */
static void feed_make(redis_t *self) {
    wl_redis_feed_options_t options = {.nodes = self->nodes,
                                       .channel = self->channel,
                                       .user = self->user,
                                       .password_file = self->password_file,
                                       .timeout_ms = self->timeout_ms};
    if (self->feed == NULL && wl_redis_feed_new(&options, &self->feed, NULL) != WL_OK) {
        self->feed = NULL; /* the next answer tries again */
    }
}

static wl_err_t ask_end(redis_t *self, wl_err_t err) {
    switch ((int)err) {
    case WL_OK:
    case WL_ERR_NOT_FOUND: feed_make(self); return err;
    case WL_ERR_TOO_BIG: return err;
    default:
        return wl_config_log_fail(&self->log, err, "%s: %s", self->log.name,
                                  wl_redis_asker_problem(self->asker));
    }
}

/* A script; its keys come first. */
static wl_err_t ask(redis_t *self, const char *script, uint32_t key_count,
                    const wl_redis_arg_t *args, uint32_t arg_count, wl_redis_take_fn take,
                    void *arg) {
    return ask_end(
        self, wl_redis_asker_script(self->asker, script, key_count, args, arg_count, take, arg));
}

/* A command on the key that is its second word. */
static wl_err_t tell(redis_t *self, const wl_redis_arg_t *args, uint32_t arg_count,
                     wl_redis_take_fn take, void *arg) {
    return ask_end(self, wl_redis_asker_command(self->asker, args, arg_count, take, arg));
}

/* ---- changes --------------------------------------------------------------------------------- */

static void redis_where(const wl_config_log_t *log, uint64_t seq, const char *digest, char *ret,
                        size_t bytes) {
    const redis_t *self = (const redis_t *)log;
    if (digest != NULL) {
        (void)snprintf(ret, bytes, "key %s%s", self->blobs, digest);
    } else {
        (void)snprintf(ret, bytes, "field %" PRIu64 " of key %s", seq, self->changes);
    }
}

typedef struct {
    uint64_t count;
    uint64_t missing;
} last_t;

static wl_err_t take_last(const redisReply *reply, void *arg) {
    last_t *ret = arg;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_INTEGER ||
        reply->element[1]->type != REDIS_REPLY_INTEGER || reply->element[0]->integer < 0 ||
        reply->element[0]->integer > WL_CONFIG_LOG_SEQ_MAX) {
        return WL_ERR_DAMAGED;
    }
    ret->count = (uint64_t)reply->element[0]->integer;
    ret->missing = (uint64_t)reply->element[1]->integer;
    return WL_OK;
}

static wl_err_t redis_last(wl_config_log_t *log, uint64_t *ret_seq) {
    redis_t *self = (redis_t *)log;
    char sound[NUMBER_BYTES];
    last_t last = {0};
    (void)snprintf(sound, sizeof sound, "%" PRIu64, self->sound);
    wl_redis_arg_t args[] = {wl_redis_arg_of(self->changes), wl_redis_arg_of(sound)};
    wl_err_t err = ask(self, script_last, 1, args, 2, take_last, &last);
    if (err == WL_OK && last.missing != 0) {
        char where[KEY_BYTES + NUMBER_BYTES + 20];
        redis_where(log, last.missing, NULL, where, sizeof where);
        err = wl_config_log_fail(log, WL_ERR_DAMAGED, "%s is missing or empty", where);
    }
    if (err == WL_OK) {
        self->sound = last.count;
        *ret_seq = last.count;
    }
    return err;
}

static wl_err_t redis_read(wl_config_log_t *log, uint64_t seq, char **ret_text, size_t *ret_bytes) {
    redis_t *self = (redis_t *)log;
    char number[NUMBER_BYTES];
    wl_redis_text_t text = {.at = NULL};
    (void)snprintf(number, sizeof number, "%" PRIu64, seq);
    wl_redis_arg_t args[] = {wl_redis_arg_of("HGET"), wl_redis_arg_of(self->changes),
                             wl_redis_arg_of(number)};
    wl_err_t err = tell(self, args, 3, wl_redis_take_text, &text);
    if (err == WL_OK) {
        *ret_text = text.at;
        *ret_bytes = text.bytes;
    }
    return err;
}

static wl_err_t redis_append(wl_config_log_t *log, uint64_t seq, const char *text, size_t bytes) {
    redis_t *self = (redis_t *)log;
    char number[NUMBER_BYTES];
    char digest[WL_CONFIG_DIGEST_HEX + 1];
    char nudge[NUMBER_BYTES + sizeof digest];
    int64_t done = 0;
    wl_config_log_digest(text, bytes, digest);
    (void)snprintf(number, sizeof number, "%" PRIu64, seq);
    (void)snprintf(nudge, sizeof nudge, "%s %s", number, digest);
    wl_redis_arg_t args[] = {wl_redis_arg_of(self->changes),
                             wl_redis_arg_of(number),
                             {text, bytes},
                             wl_redis_arg_of(self->channel),
                             wl_redis_arg_of(nudge)};
    wl_err_t err = ask(self, script_append, 1, args, 5, wl_redis_take_number, &done);
    return err == WL_OK && done != 1 ? WL_ERR_CONFLICT : err;
}

static wl_err_t redis_mend(wl_config_log_t *log, uint64_t seq, const char *text, size_t bytes) {
    redis_t *self = (redis_t *)log;
    char number[NUMBER_BYTES];
    (void)snprintf(number, sizeof number, "%" PRIu64, seq);
    wl_redis_arg_t args[] = {wl_redis_arg_of("HSET"), wl_redis_arg_of(self->changes),
                             wl_redis_arg_of(number), {text, bytes}};
    self->sound = 0;
    return tell(self, args, 4, NULL, NULL);
}

/* ---- blobs ----------------------------------------------------------------------------------- */

static wl_err_t blob_size(redis_t *self, const char *key, int64_t *ret) {
    wl_redis_arg_t args[] = {wl_redis_arg_of(key)};
    return ask(self, script_size, 1, args, 1, wl_redis_take_number, ret);
}

static void blob_key(const redis_t *self, const char *digest, char ret[KEY_BYTES * 2]) {
    (void)snprintf(ret, KEY_BYTES * 2, "%s%s", self->blobs, digest);
}

static wl_err_t redis_blob_look(wl_config_log_t *log, const char *digest, size_t count,
                                bool *ret_there) {
    char key[KEY_BYTES * 2];
    int64_t size = -1;
    blob_key((redis_t *)log, digest, key);
    wl_err_t err = blob_size((redis_t *)log, key, &size);
    *ret_there = err == WL_OK && size == (int64_t)count;
    return err;
}

static wl_err_t redis_blob_put(wl_config_log_t *log, const char *digest, const void *bytes,
                               size_t count) {
    redis_t *self = (redis_t *)log;
    char key[KEY_BYTES * 2];
    char aside[KEY_BYTES * 2 + 20];
    char number[NUMBER_BYTES];
    char life[NUMBER_BYTES];
    int64_t done = 0;
    wl_err_t err = WL_OK;
    blob_key(self, digest, key);
    (void)snprintf(aside, sizeof aside, "%s:%016" PRIx64, key, wl_random_u64());
    (void)snprintf(life, sizeof life, "%d", ASIDE_S);
    for (size_t at = 0; err == WL_OK && at < count; at += WL_CONFIG_PIECE_BYTES) {
        size_t piece = count - at < WL_CONFIG_PIECE_BYTES ? count - at : WL_CONFIG_PIECE_BYTES;
        (void)snprintf(number, sizeof number, "%zu", at);
        wl_redis_arg_t args[] = {wl_redis_arg_of(aside),
                                 wl_redis_arg_of(number),
                                 {(const char *)bytes + at, piece},
                                 wl_redis_arg_of(life)};
        err = ask(self, script_piece, 1, args, 4, NULL, NULL);
    }
    if (err != WL_OK) {
        return err;
    }
    (void)snprintf(number, sizeof number, "%zu", count);
    wl_redis_arg_t args[] = {wl_redis_arg_of(aside), wl_redis_arg_of(key), wl_redis_arg_of(number)};
    err = ask(self, script_rename, 2, args, 3, wl_redis_take_number, &done);
    return err == WL_OK && done != 1 ? wl_config_log_fail(log, WL_ERR_UNAVAILABLE,
                                                          "%s: forgot a part of a blob", log->name)
                                     : err;
}

/* The bytes from `at` on, into ret. */
static wl_err_t blob_piece(redis_t *self, const char *key, size_t at, size_t count, char *ret) {
    char from[NUMBER_BYTES];
    char to[NUMBER_BYTES];
    wl_redis_text_t text = {.at = NULL};
    (void)snprintf(from, sizeof from, "%zu", at);
    (void)snprintf(to, sizeof to, "%zu", at + count - 1);
    wl_redis_arg_t args[] = {wl_redis_arg_of("GETRANGE"), wl_redis_arg_of(key),
                             wl_redis_arg_of(from), wl_redis_arg_of(to)};
    wl_err_t err = tell(self, args, 4, wl_redis_take_text, &text);
    if (err == WL_OK && text.bytes != count) {
        err = wl_config_log_fail(&self->log, WL_ERR_DAMAGED, "key %s has become shorter", key);
    }
    if (err == WL_OK) {
        memcpy(ret, text.at, count);
    }
    wl_free(text.at);
    return err;
}

static wl_err_t redis_blob_get(wl_config_log_t *log, const char *digest, void **ret_bytes,
                               size_t *ret_count) {
    redis_t *self = (redis_t *)log;
    char key[KEY_BYTES * 2];
    int64_t size = -1;
    blob_key(self, digest, key);
    wl_err_t err = blob_size(self, key, &size);
    if (err != WL_OK || size < 0) {
        return err != WL_OK ? err : WL_ERR_NOT_FOUND;
    }
    if (size > WL_CONFIG_BLOB_BYTES_MAX) {
        return wl_config_log_fail(log, WL_ERR_DAMAGED, "key %s is too long for a blob", key);
    }
    size_t count = (size_t)size;
    char *bytes = wl_alloc(count + 1);
    for (size_t at = 0; err == WL_OK && at < count; at += WL_CONFIG_PIECE_BYTES) {
        size_t piece = count - at < WL_CONFIG_PIECE_BYTES ? count - at : WL_CONFIG_PIECE_BYTES;
        err = blob_piece(self, key, at, piece, bytes + at);
    }
    if (err != WL_OK) {
        wl_free(bytes);
        return err;
    }
    bytes[count] = '\0';
    *ret_bytes = bytes;
    *ret_count = count;
    return WL_OK;
}

/* ---- notes ----------------------------------------------------------------------------------- */

static wl_err_t redis_note_put(wl_config_log_t *log, const char *name, const char *text,
                               size_t bytes, uint32_t ttl_s) {
    redis_t *self = (redis_t *)log;
    char life[NUMBER_BYTES];
    (void)snprintf(life, sizeof life, "%" PRIu32, ttl_s);
    wl_redis_arg_t args[] = {
        wl_redis_arg_of(self->notes), wl_redis_arg_of(name), {text, bytes}, wl_redis_arg_of(life)};
    return ask(self, script_note_put, 1, args, 4, NULL, NULL);
}

static wl_err_t redis_note_drop(wl_config_log_t *log, const char *name) {
    redis_t *self = (redis_t *)log;
    wl_redis_arg_t args[] = {wl_redis_arg_of("HDEL"), wl_redis_arg_of(self->notes),
                             wl_redis_arg_of(name)};
    return tell(self, args, 3, NULL, NULL);
}

static wl_err_t redis_note_get(wl_config_log_t *log, const char *name, char **ret_text,
                               size_t *ret_bytes) {
    redis_t *self = (redis_t *)log;
    wl_redis_text_t text = {.at = NULL};
    wl_redis_arg_t args[] = {wl_redis_arg_of(self->notes), wl_redis_arg_of(name)};
    wl_err_t err = ask(self, script_note_get, 1, args, 2, wl_redis_take_text, &text);
    if (err == WL_OK) {
        *ret_text = text.at;
        *ret_bytes = text.bytes;
    }
    return err;
}

typedef struct {
    wl_config_notes_t *notes;
    char after[WL_CONFIG_NOTE_NAME_MAX + 1];
    bool more;
} page_t;

static wl_err_t take_page(const redisReply *reply, void *arg) {
    page_t *page = arg;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements % 2 != 1 ||
        reply->element[0]->type != REDIS_REPLY_INTEGER) {
        return WL_ERR_DAMAGED;
    }
    wl_err_t err = WL_OK;
    for (size_t i = 1; err == WL_OK && i < reply->elements; i += 2) {
        const redisReply *name = reply->element[i];
        const redisReply *text = reply->element[i + 1];
        if (name->type != REDIS_REPLY_STRING || text->type != REDIS_REPLY_STRING ||
            name->len >= sizeof page->after) {
            return WL_ERR_DAMAGED;
        }
        memcpy(page->after, name->str, name->len + 1);
        err = wl_config_notes_add(page->notes, name->str, text->str, text->len);
    }
    page->more = reply->element[0]->integer != 0;
    return err;
}

static wl_err_t redis_notes(wl_config_log_t *log, const char *prefix, wl_config_notes_t *notes) {
    redis_t *self = (redis_t *)log;
    page_t page = {.notes = notes};
    wl_err_t err = WL_OK;
    do {
        char after[sizeof page.after];
        char enough[NUMBER_BYTES];
        memcpy(after, page.after, sizeof after);
        (void)snprintf(enough, sizeof enough, "%d", WL_CONFIG_PIECE_BYTES);
        wl_redis_arg_t args[] = {wl_redis_arg_of(self->notes), wl_redis_arg_of(prefix),
                                 wl_redis_arg_of(after), wl_redis_arg_of(enough)};
        err = ask(self, script_notes, 1, args, 4, take_page, &page);
    } while (err == WL_OK && page.more);
    return err;
}

/* ---- nudges ---------------------------------------------------------------------------------- */

static void redis_nudge(wl_config_log_t *log, const char *text) {
    redis_t *self = (redis_t *)log;
    char nudge[NUDGE_BYTES];
    (void)snprintf(nudge, sizeof nudge, "%s", text);
    wl_redis_arg_t args[] = {wl_redis_arg_of("PUBLISH"), wl_redis_arg_of(self->channel),
                             wl_redis_arg_of(nudge)};
    wl_err_t err = tell(self, args, 3, NULL, NULL);
    (void)err; /* whoever missed it looks by himself */
}

static int redis_fd(wl_config_log_t *log) {
    const redis_t *self = (redis_t *)log;
    return self->feed == NULL ? -1 : wl_redis_feed_fd(self->feed);
}

static bool redis_nudged(wl_config_log_t *log) {
    redis_t *self = (redis_t *)log;
    return self->feed != NULL && wl_redis_feed_take(self->feed);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void redis_destroy(wl_config_log_t *log) {
    redis_t *self = (redis_t *)log;
    wl_redis_feed_destroy(&self->feed);
    wl_redis_asker_destroy(&self->asker);
    wl_free(self->nodes);
    wl_free(self->user);
    wl_free(self->password_file);
    wl_free(self);
}

wl_err_t wl_config_log_redis(const wl_settings_t *settings, wl_config_log_t **ret,
                             wl_fault_t *fault) {
    static const wl_config_log_ops_t ops = {
        .last = redis_last,
        .read = redis_read,
        .append = redis_append,
        .mend = redis_mend,
        .blob_look = redis_blob_look,
        .blob_put = redis_blob_put,
        .blob_get = redis_blob_get,
        .note_put = redis_note_put,
        .note_drop = redis_note_drop,
        .note_get = redis_note_get,
        .notes = redis_notes,
        .where = redis_where,
        .nudge = redis_nudge,
        .fd = redis_fd,
        .nudged = redis_nudged,
        .destroy = redis_destroy,
    };
    wl_redis_options_t options = {.nodes = settings->config_redis,
                                  .cluster = settings->config_cluster,
                                  .user = settings->redis_user,
                                  .password_file = settings->redis_password_file,
                                  .timeout_ms = (uint32_t)settings->redis_timeout_ms};
    wl_redis_asker_t *asker = NULL;
    wl_fault_t inner = {.line = 0};
    wl_err_t err = wl_redis_asker_new(&options, &asker, &inner);
    if (err != WL_OK) {
        return wl_fault(fault, err, "config.redis", "%s", inner.message);
    }
    redis_t *self = wl_alloc_zero(1, sizeof *self);
    self->log.ops = &ops;
    (void)snprintf(self->log.name, sizeof self->log.name, "Redis %s", settings->config_redis);
    self->asker = asker;
    self->timeout_ms = (uint32_t)settings->redis_timeout_ms;
    self->nodes = wl_strdup(settings->config_redis);
    self->user = wl_strdup(settings->redis_user);
    self->password_file = wl_strdup(settings->redis_password_file);
    const char *prefix = settings->config_prefix;
    (void)snprintf(self->changes, KEY_BYTES, "%.64s{config}:changes", prefix);
    (void)snprintf(self->notes, KEY_BYTES, "%.64s{config}:notes", prefix);
    (void)snprintf(self->channel, KEY_BYTES, "%.64s{config}:nudges", prefix);
    (void)snprintf(self->blobs, KEY_BYTES, "%.64s{config}:blob:", prefix);
    *ret = &self->log;
    return WL_OK;
}
