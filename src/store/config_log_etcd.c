/* The log in etcd, which mirrors it. Keys, behind "/<prefix>/config/" (config.prefix without the
 * colon at its end):
 *
 *     changes/00000012         put by a transaction that finds it missing and the one before there
 *     blobs/<digest>           {"bytes": .., "pieces": ..}, written last
 *     blobs/<digest>/0000      1 MiB of it; etcd takes at most 1.5 MiB in one request
 *     notes/<name>             with a lease when it has an end: etcd knows the time, we do not
 */
#include "base/alloc.h"
#include "store/config_log_ops.h"
#include "store/etcd.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BASE_BYTES = 96,
    KEY_BYTES = BASE_BYTES + 16 + WL_CONFIG_NOTE_NAME_MAX,
    PAGE_NAMES = 10000, /* keys of one answer, without values */
    PAGE_NOTES = 16,    /* with values: 5.6 MB of base64 at most */
    PIECE_KEY_BYTES = KEY_BYTES + 16,
    DIGITS = 8,
};

typedef struct {
    wl_config_log_t log; /* first */
    wl_etcd_t *etcd;     /* owned */
    char base[BASE_BYTES];
} etcd_t;

static void key_make(const etcd_t *self, const char *kind, const char *name, char ret[KEY_BYTES]) {
    (void)snprintf(ret, KEY_BYTES, "%s%s/%.*s", self->base, kind, WL_CONFIG_NOTE_NAME_MAX, name);
}

static void change_key(const etcd_t *self, uint64_t seq, char ret[KEY_BYTES]) {
    char name[24];
    (void)snprintf(name, sizeof name, "%08" PRIu64, seq);
    key_make(self, "changes", name, ret);
}

static void etcd_where(const wl_config_log_t *log, uint64_t seq, const char *digest, char *ret,
                       size_t bytes) {
    char key[KEY_BYTES];
    if (digest != NULL) {
        key_make((const etcd_t *)log, "blobs", digest, key);
    } else {
        change_key((const etcd_t *)log, seq, key);
    }
    (void)snprintf(ret, bytes, "key %s", key);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static json_t *text_bytes(const char *text) {
    return wl_etcd_bytes(text, strlen(text));
}

static wl_err_t ask(etcd_t *self, const char *method, json_t *body, wl_etcd_how_t how,
                    json_t **ret_answer) {
    wl_err_t err = wl_etcd_ask(self->etcd, method, body, how, ret_answer);
    return err == WL_OK
               ? WL_OK
               : wl_config_log_fail(&self->log, err, "etcd: %s", wl_etcd_problem(self->etcd));
}

/* The same when the answer says nothing but that it was done. */
static wl_err_t tell(etcd_t *self, const char *method, json_t *body) {
    json_t *answer = NULL;
    wl_err_t err = ask(self, method, body, WL_ETCD_AGAIN, &answer);
    json_decref(answer);
    return err;
}

static wl_err_t strange(etcd_t *self) {
    return wl_config_log_fail(&self->log, WL_ERR_DAMAGED,
                              "etcd: an answer is not of the kind expected");
}

/* The value of one key. */
static wl_err_t value_get(etcd_t *self, const char *key, char **ret_bytes, size_t *ret_count) {
    json_t *answer = NULL;
    wl_err_t err =
        ask(self, "kv/range", json_pack("{s:o}", "key", text_bytes(key)), WL_ETCD_AGAIN, &answer);
    if (err != WL_OK) {
        return err;
    }
    const json_t *found = json_array_get(json_object_get(answer, "kvs"), 0);
    if (found == NULL) {
        err = WL_ERR_NOT_FOUND;
    } else if (!json_is_object(found) ||
               !wl_etcd_bytes_read(json_object_get(found, "value"), ret_bytes, ret_count)) {
        err = strange(self);
    }
    json_decref(answer);
    return err;
}

static wl_err_t value_put(etcd_t *self, const char *key, const void *bytes, size_t count) {
    return tell(
        self, "kv/put",
        json_pack("{s:o, s:o}", "key", text_bytes(key), "value", wl_etcd_bytes(bytes, count)));
}

/* A key of an answer, cut behind `base`; "" = it does not begin so. wl_free() it. */
static char *name_read(const json_t *found, const char *base) {
    char *key = NULL;
    size_t bytes = 0;
    if (!wl_etcd_bytes_read(json_object_get(found, "key"), &key, &bytes)) {
        return wl_strdup("");
    }
    size_t base_bytes = strlen(base);
    bool ours = strlen(key) == bytes && strncmp(key, base, base_bytes) == 0;
    char *name = wl_strdup(ours ? key + base_bytes : "");
    wl_free(key);
    return name;
}

/* ---- changes --------------------------------------------------------------------------------- */

static uint64_t seq_of(const char *name) {
    bool ours = strlen(name) == DIGITS && strspn(name, "0123456789") == DIGITS;
    return ours ? strtoull(name, NULL, 10) : 0;
}

/* Keys of changes from `from` on: without values, at most max, upwards or downwards. */
static wl_err_t changes_range(etcd_t *self, const char *from, bool down, int max,
                              json_t **ret_answer) {
    char end[KEY_BYTES];
    (void)snprintf(end, sizeof end, "%schanges0", self->base); /* '0' comes behind '/' */
    return ask(self, "kv/range",
               json_pack("{s:o, s:o, s:i, s:b, s:s, s:s}", "key", text_bytes(from), "range_end",
                         text_bytes(end), "limit", max, "keys_only", 1, "sort_order",
                         down ? "DESCEND" : "ASCEND", "sort_target", "KEY"),
               WL_ETCD_AGAIN, ret_answer);
}

/* There are not as many as the last one says: which is missing, or what does not belong there? */
static wl_err_t changes_fault(etcd_t *self) {
    char base[KEY_BYTES];
    char from[KEY_BYTES];
    uint64_t next = 1;
    size_t found = 0;
    key_make(self, "changes", "", base);
    (void)snprintf(from, sizeof from, "%s", base);
    do {
        json_t *answer = NULL;
        wl_err_t err = changes_range(self, from, false, PAGE_NAMES, &answer);
        if (err != WL_OK) {
            return err;
        }
        const json_t *keys = json_object_get(answer, "kvs");
        found = json_array_size(keys);
        for (size_t i = 0; i < found; i++) {
            char *name = name_read(json_array_get(keys, i), base);
            uint64_t seq = seq_of(name);
            if (seq == 0) {
                err = wl_config_log_fail(&self->log, WL_ERR_DAMAGED, "key %s%.100s is no change",
                                         base, name);
            } else if (seq != next) {
                err = wl_config_log_fail(&self->log, WL_ERR_DAMAGED,
                                         "key %s%08" PRIu64 " is missing", base, next);
            }
            wl_free(name);
            if (err != WL_OK) {
                json_decref(answer);
                return err;
            }
            next++;
        }
        json_decref(answer);
        change_key(self, next, from);
    } while (found == PAGE_NAMES);
    return wl_config_log_fail(&self->log, WL_ERR_UNAVAILABLE, "etcd: the log is being written");
}

static wl_err_t etcd_last(wl_config_log_t *log, uint64_t *ret_seq) {
    etcd_t *self = (etcd_t *)log;
    char base[KEY_BYTES];
    json_t *answer = NULL;
    uint64_t count = 0;
    key_make(self, "changes", "", base);
    wl_err_t err = changes_range(self, base, true, 1, &answer);
    if (err != WL_OK) {
        return err;
    }
    const json_t *newest = json_array_get(json_object_get(answer, "kvs"), 0);
    char *name = newest == NULL ? wl_strdup("") : name_read(newest, base);
    uint64_t last = seq_of(name);
    if (!wl_etcd_number_read(json_object_get(answer, "count"), &count)) {
        err = strange(self);
    } else if (last != count) {
        err = changes_fault(self);
    }
    wl_free(name);
    json_decref(answer);
    if (err == WL_OK) {
        *ret_seq = last;
    }
    return err;
}

static wl_err_t etcd_read(wl_config_log_t *log, uint64_t seq, char **ret_text, size_t *ret_bytes) {
    char key[KEY_BYTES];
    change_key((etcd_t *)log, seq, key);
    return value_get((etcd_t *)log, key, ret_text, ret_bytes);
}

/* Was a key ever made? result: EQUAL, it is not there; GREATER, it is. */
static json_t *compare(const char *key, const char *result) {
    return json_pack("{s:o, s:s, s:s, s:s}", "key", text_bytes(key), "target", "CREATE", "result",
                     result, "create_revision", "0");
}

static wl_err_t etcd_append(wl_config_log_t *log, uint64_t seq, const char *text, size_t bytes) {
    etcd_t *self = (etcd_t *)log;
    char key[KEY_BYTES];
    char before[KEY_BYTES];
    json_t *answer = NULL;
    change_key(self, seq, key);
    change_key(self, seq - 1, before);
    json_t *compares = json_pack("[o]", compare(key, "EQUAL"));
    if (seq > 1) {
        (void)json_array_append_new(compares, compare(before, "GREATER"));
    }
    json_t *body =
        json_pack("{s:o, s:[{s:{s:o, s:o}}]}", "compare", compares, "success", "requestPut", "key",
                  text_bytes(key), "value", wl_etcd_bytes(text, bytes));
    wl_err_t err = ask(self, "kv/txn", body, WL_ETCD_ONCE, &answer);
    if (err != WL_OK) {
        return err;
    }
    err = json_is_true(json_object_get(answer, "succeeded")) ? WL_OK : WL_ERR_CONFLICT;
    json_decref(answer);
    return err;
}

static wl_err_t etcd_mend(wl_config_log_t *log, uint64_t seq, const char *text, size_t bytes) {
    etcd_t *self = (etcd_t *)log;
    char key[KEY_BYTES];
    change_key(self, seq, key);
    return value_put(self, key, text, bytes);
}

/* ---- blobs ----------------------------------------------------------------------------------- */

static void piece_key(const char *key, size_t piece, char ret[PIECE_KEY_BYTES]) {
    (void)snprintf(ret, PIECE_KEY_BYTES, "%s/%04zu", key, piece);
}

static size_t pieces_of(size_t count) {
    return (count + WL_CONFIG_PIECE_BYTES - 1) / WL_CONFIG_PIECE_BYTES;
}

/* The size that the manifest of a blob tells. */
static wl_err_t manifest_read(etcd_t *self, const char *key, size_t *ret_count) {
    char *text = NULL;
    size_t bytes = 0;
    wl_err_t err = value_get(self, key, &text, &bytes);
    if (err != WL_OK) {
        return err;
    }
    json_t *manifest = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
    json_int_t count = -1;
    json_int_t pieces = -1;
    bool read = json_unpack(manifest, "{s:I, s:I}", "bytes", &count, "pieces", &pieces) == 0 &&
                count >= 0 && count <= WL_CONFIG_BLOB_BYTES_MAX &&
                pieces == (json_int_t)pieces_of((size_t)count);
    json_decref(manifest);
    wl_free(text);
    if (!read) {
        return wl_config_log_fail(&self->log, WL_ERR_DAMAGED, "key %s does not describe a blob",
                                  key);
    }
    *ret_count = (size_t)count;
    return WL_OK;
}

/* The manifest, and how many pieces are behind it. */
static wl_err_t etcd_blob_look(wl_config_log_t *log, const char *digest, size_t count,
                               bool *ret_there) {
    etcd_t *self = (etcd_t *)log;
    char key[KEY_BYTES];
    char first[PIECE_KEY_BYTES];
    char end[PIECE_KEY_BYTES];
    json_t *answer = NULL;
    size_t told = 0;
    uint64_t pieces = 0;
    *ret_there = false;
    key_make(self, "blobs", digest, key);
    wl_err_t err = manifest_read(self, key, &told);
    if (err == WL_ERR_NOT_FOUND || err == WL_ERR_DAMAGED || (err == WL_OK && told != count)) {
        return WL_OK;
    }
    if (err != WL_OK) {
        return err;
    }
    piece_key(key, 0, first);
    piece_key(key, pieces_of(count), end);
    err = ask(self, "kv/range",
              json_pack("{s:o, s:o, s:b}", "key", text_bytes(first), "range_end", text_bytes(end),
                        "count_only", 1),
              WL_ETCD_AGAIN, &answer);
    if (err == WL_OK) {
        *ret_there = wl_etcd_number_read(json_object_get(answer, "count"), &pieces) &&
                     pieces == pieces_of(count);
    }
    json_decref(answer);
    return err;
}

static wl_err_t etcd_blob_put(wl_config_log_t *log, const char *digest, const void *bytes,
                              size_t count) {
    etcd_t *self = (etcd_t *)log;
    char key[KEY_BYTES];
    char manifest[80];
    wl_err_t err = WL_OK;
    key_make(self, "blobs", digest, key);
    for (size_t i = 0; err == WL_OK && i < pieces_of(count); i++) {
        char at[PIECE_KEY_BYTES];
        size_t from = i * WL_CONFIG_PIECE_BYTES;
        size_t piece = count - from < WL_CONFIG_PIECE_BYTES ? count - from : WL_CONFIG_PIECE_BYTES;
        piece_key(key, i, at);
        err = value_put(self, at, (const char *)bytes + from, piece);
    }
    (void)snprintf(manifest, sizeof manifest, "{\"bytes\": %zu, \"pieces\": %zu}", count,
                   pieces_of(count));
    return err == WL_OK ? value_put(self, key, manifest, strlen(manifest)) : err;
}

/* Piece `i` to its place in bytes. */
static wl_err_t piece_get(etcd_t *self, const char *key, size_t i, char *bytes, size_t count) {
    char at[PIECE_KEY_BYTES];
    char *piece = NULL;
    size_t found = 0;
    size_t from = i * WL_CONFIG_PIECE_BYTES;
    size_t wanted = count - from < WL_CONFIG_PIECE_BYTES ? count - from : WL_CONFIG_PIECE_BYTES;
    piece_key(key, i, at);
    wl_err_t err = value_get(self, at, &piece, &found);
    if (err == WL_ERR_NOT_FOUND || (err == WL_OK && found != wanted)) {
        err = wl_config_log_fail(&self->log, WL_ERR_DAMAGED, "key %s %s", at,
                                 err == WL_OK ? "has another size" : "is missing");
    }
    if (err == WL_OK) {
        memcpy(bytes + from, piece, wanted);
    }
    wl_free(piece);
    return err;
}

static wl_err_t etcd_blob_get(wl_config_log_t *log, const char *digest, void **ret_bytes,
                              size_t *ret_count) {
    etcd_t *self = (etcd_t *)log;
    char key[KEY_BYTES];
    size_t count = 0;
    key_make(self, "blobs", digest, key);
    wl_err_t err = manifest_read(self, key, &count);
    if (err != WL_OK) {
        return err;
    }
    char *bytes = wl_alloc(count + 1);
    for (size_t i = 0; err == WL_OK && i < pieces_of(count); i++) {
        err = piece_get(self, key, i, bytes, count);
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

/* A lease of its own for each: an older one ends without anything hanging on it. */
static wl_err_t etcd_note_put(wl_config_log_t *log, const char *name, const char *text,
                              size_t bytes, uint32_t ttl_s) {
    etcd_t *self = (etcd_t *)log;
    char key[KEY_BYTES];
    key_make(self, "notes", name, key);
    if (ttl_s == 0) {
        return value_put(self, key, text, bytes);
    }
    json_t *lease = NULL;
    wl_err_t err = ask(self, "lease/grant", json_pack("{s:I}", "TTL", (json_int_t)ttl_s),
                       WL_ETCD_AGAIN, &lease);
    if (err != WL_OK) {
        return err;
    }
    const char *id = json_string_value(json_object_get(lease, "ID"));
    err = id == NULL ? strange(self)
                     : tell(self, "kv/put",
                            json_pack("{s:o, s:o, s:s}", "key", text_bytes(key), "value",
                                      wl_etcd_bytes(text, bytes), "lease", id));
    json_decref(lease);
    return err;
}

static wl_err_t etcd_note_drop(wl_config_log_t *log, const char *name) {
    char key[KEY_BYTES];
    key_make((etcd_t *)log, "notes", name, key);
    return tell((etcd_t *)log, "kv/deleterange", json_pack("{s:o}", "key", text_bytes(key)));
}

static wl_err_t etcd_note_get(wl_config_log_t *log, const char *name, char **ret_text,
                              size_t *ret_bytes) {
    char key[KEY_BYTES];
    key_make((etcd_t *)log, "notes", name, key);
    return value_get((etcd_t *)log, key, ret_text, ret_bytes);
}

/* Takes a page over; the last key into from. */
static wl_err_t notes_take(etcd_t *self, const json_t *found, wl_config_notes_t *notes,
                           char from[KEY_BYTES]) {
    char base[KEY_BYTES];
    wl_err_t err = WL_OK;
    key_make(self, "notes", "", base);
    for (size_t i = 0; err == WL_OK && i < json_array_size(found); i++) {
        const json_t *one = json_array_get(found, i);
        char *name = name_read(one, base);
        char *text = NULL;
        size_t bytes = 0;
        if (name[0] == '\0' || strlen(name) > WL_CONFIG_NOTE_NAME_MAX ||
            !wl_etcd_bytes_read(json_object_get(one, "value"), &text, &bytes)) {
            err = strange(self);
        } else {
            key_make(self, "notes", name, from);
            err = wl_config_notes_add(notes, name, text, bytes);
        }
        wl_free(text);
        wl_free(name);
    }
    return err;
}

static wl_err_t etcd_notes(wl_config_log_t *log, const char *prefix, wl_config_notes_t *notes) {
    etcd_t *self = (etcd_t *)log;
    char from[KEY_BYTES];
    char end[KEY_BYTES];
    size_t skip = 0; /* 1: the first key was in the page before */
    wl_err_t err = WL_OK;
    bool more = true;
    key_make(self, "notes", prefix, from);
    key_make(self, "notes", prefix, end);
    end[strlen(end) - 1]++; /* the first key that does not begin like that */
    while (err == WL_OK && more) {
        json_t *answer = NULL;
        json_t *first = wl_etcd_bytes(from, strlen(from) + skip); /* with its NUL: the next key */
        err = ask(self, "kv/range",
                  json_pack("{s:o, s:o, s:i}", "key", first, "range_end", text_bytes(end), "limit",
                            PAGE_NOTES),
                  WL_ETCD_AGAIN, &answer);
        if (err == WL_OK) {
            err = notes_take(self, json_object_get(answer, "kvs"), notes, from);
        }
        more = json_is_true(json_object_get(answer, "more"));
        skip = 1;
        json_decref(answer);
    }
    return err;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void etcd_destroy(wl_config_log_t *log) {
    etcd_t *self = (etcd_t *)log;
    wl_etcd_destroy(&self->etcd);
    wl_free(self);
}

wl_err_t wl_config_log_etcd(const wl_settings_t *settings, wl_config_log_t **ret,
                            wl_fault_t *fault) {
    static const wl_config_log_ops_t ops = {
        .last = etcd_last,
        .read = etcd_read,
        .append = etcd_append,
        .mend = etcd_mend,
        .blob_look = etcd_blob_look,
        .blob_put = etcd_blob_put,
        .blob_get = etcd_blob_get,
        .note_put = etcd_note_put,
        .note_drop = etcd_note_drop,
        .note_get = etcd_note_get,
        .notes = etcd_notes,
        .where = etcd_where,
        .destroy = etcd_destroy,
    };
    wl_etcd_t *etcd = NULL;
    wl_fault_t inner = {.line = 0};
    wl_err_t err = wl_etcd_new(settings->config_mirror_etcd, (uint32_t)settings->redis_timeout_ms,
                               &etcd, &inner);
    if (err != WL_OK) {
        return wl_fault(fault, err, "config.mirror_etcd", "%s", inner.message);
    }
    etcd_t *self = wl_alloc_zero(1, sizeof *self);
    self->log.ops = &ops;
    self->etcd = etcd;
    (void)snprintf(self->log.name, sizeof self->log.name, "etcd %s", settings->config_mirror_etcd);
    size_t prefix = strlen(settings->config_prefix);
    prefix = prefix > 0 && settings->config_prefix[prefix - 1] == ':' ? prefix - 1 : prefix;
    (void)snprintf(self->base, sizeof self->base, "/%.*s/config/", prefix < 64 ? (int)prefix : 64,
                   settings->config_prefix);
    *ret = &self->log;
    return WL_OK;
}
