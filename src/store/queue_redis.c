/* The queue in Redis Streams: life, and appending. The keys and the scripts that do the work stand
 * in queue_redis_scripts.h.
 *
 *     intake of any process             one dispatcher a partition (it holds the lease)
 *          | append                          | claim: raises the epoch, takes over
 *          v                                 v what dead consumers had in hand
 *     {p}:changes  1 2 3 4 5 6 7 8      read: XREADGROUP for new ones, XRANGE for those it has
 *                  a . a h h h n n            read since the claim (h) and passed over
 *                                       settle: retries, letters, then XACK + XDEL (a)
 *
 * Nothing is ever trimmed: an entry goes when it is acknowledged and not before.
 *
 * Safe is a server with an append-only file. It answers after the file is flushed when appendfsync
 * is always (else we warn). Each new connection is looked at, before the first append over it and
 * again before that append is acknowledged: the server behind it may have been replaced. In a
 * cluster a master that dies hands over to a replica, so there an append also waits for one replica
 * (WAIT 1), as long as the master has one in touch; a master that has lost all of them goes on
 * alone. */
#include "store/queue_redis.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "store/queue_redis_rows.h"

#include <inttypes.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum {
    PREFIX_MAX = 32,
    CHUNK_ENTRIES = 256, /* of one script, some milliseconds of the server's only thread */
    CHUNK_BYTES = 1 << 20,
    LOOKS_MAX = 3,      /* at a server whose connection is made anew meanwhile */
    LOOK_MS = 1000,     /* how often a master without replicas is asked whether it has one now */
    OPEN_TIMEOUTS = 10, /* how long opening waits for a server that is loading */
    OPEN_PAUSE_MS = 50,
};

/* ---- is the server safe? --------------------------------------------------------------------- */

typedef struct {
    const char *wanted; /* "aof_enabled:1" */
    bool found;
} look_t;

static wl_err_t look_take(const redisReply *reply, void *arg) {
    look_t *self = arg;
    if (reply->type != REDIS_REPLY_STRING) {
        return WL_ERR_DAMAGED;
    }
    self->found = strstr(reply->str, self->wanted) != NULL; /* hiredis ends it with a NUL */
    return WL_OK;
}

static wl_err_t info_look(wl_queue_redis_t *self, const wl_queue_part_t *part, const char *section,
                          const char *wanted, bool *ret_found) {
    look_t look = {.wanted = wanted};
    wl_queue_args_t *args = wl_queue_redis_begin(self);
    wl_queue_args_word(args, part->changes);
    wl_queue_args_word(args, section);
    wl_err_t err = wl_queue_redis_ask(self, wl_queue_script_info, 1, look_take, &look);
    *ret_found = look.found;
    return err;
}

static wl_err_t config_take(const redisReply *reply, void *arg) {
    look_t *self = arg;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[1]->type != REDIS_REPLY_STRING) {
        return WL_ERR_DAMAGED;
    }
    self->found = strcmp(reply->element[1]->str, self->wanted) == 0;
    return WL_OK;
}

static wl_err_t config_look(wl_queue_redis_t *self, const wl_queue_part_t *part, const char *name,
                            const char *wanted, bool *ret_found) {
    look_t look = {.wanted = wanted};
    wl_queue_question_t question = {.take = config_take, .arg = &look, .err = WL_ERR_UNAVAILABLE};
    wl_queue_args_t *args = wl_queue_redis_begin(self);
    wl_queue_args_word(args, "CONFIG");
    wl_queue_args_word(args, "GET");
    wl_queue_args_word(args, name);
    wl_queue_redis_command(self, part->changes, &question);
    wl_queue_redis_wait(self);
    *ret_found = look.found;
    return question.err;
}

static void warn(wl_queue_redis_t *self, const char *text) {
    (void)snprintf(self->queue.warning, sizeof self->queue.warning, "%s", text);
}

/* Users who may not ask one of INFO and CONFIG may ask the other. */
static wl_err_t file_look(wl_queue_redis_t *self, const wl_queue_part_t *part, bool *ret_found) {
    wl_err_t err = info_look(self, part, "persistence", "aof_enabled:1", ret_found);
    if (err == WL_ERR_UNAUTHORIZED || err == WL_ERR_INTERNAL) {
        err = config_look(self, part, "appendonly", "yes", ret_found);
    }
    return err;
}

static wl_err_t server_look(wl_queue_redis_t *self, wl_queue_part_t *part) {
    bool file = false;
    bool always = false;
    wl_err_t err = file_look(self, part, &file);
    if (err != WL_OK) {
        return err;
    }
    if (!file && !self->allow_memory) {
        (void)snprintf(self->queue.problem, sizeof self->queue.problem,
                       "the Redis of %s has no append-only file (appendonly yes)", part->changes);
        return WL_ERR_SETTINGS;
    }
    err = config_look(self, part, "appendfsync", "always", &always);
    if (!file) {
        warn(self, "Redis has no append-only file: acknowledged changes end with it");
    } else if (err == WL_OK && !always) {
        warn(self, "appendfsync of Redis is not always: a power cut loses acknowledged changes");
    } else if (err == WL_ERR_UNAUTHORIZED || err == WL_ERR_INTERNAL) {
        warn(self, "Redis does not tell appendfsync: it has to be always");
    }
    part->replicated = false;
    part->looked_at = wl_mono_now().ms;
    return self->cluster ? info_look(self, part, "replication", ",state=online,", &part->replicated)
                         : WL_OK;
}

/* Partitions may share a server that was looked at. */
static bool part_borrow(wl_queue_redis_t *self, wl_queue_part_t *part, uint64_t link) {
    if (link != 0 && part->safe_link == link) {
        return true; /* what it knows itself is newer */
    }
    for (uint32_t i = 0; link != 0 && i < self->queue.partitions; i++) {
        if (self->parts[i].safe_link == link) {
            part->replicated = self->parts[i].replicated;
            part->looked_at = self->parts[i].looked_at;
            part->safe_link = link;
            return true;
        }
    }
    return false;
}

wl_err_t wl_queue_redis_safe(wl_queue_redis_t *self, wl_queue_part_t *part) {
    wl_queue_redis_rouse(self, part->changes);
    for (uint32_t i = 0; i < LOOKS_MAX; i++) {
        uint64_t link = wl_queue_redis_link(self, part->changes);
        if (part_borrow(self, part, link)) {
            return WL_OK;
        }
        part->safe_link = 0;
        wl_err_t err = server_look(self, part);
        if (err != WL_OK) {
            return err;
        }
        if (link != 0 && wl_queue_redis_link(self, part->changes) == link) {
            part->safe_link = link;
            return WL_OK;
        }
    }
    return WL_ERR_UNAVAILABLE; /* it comes and goes */
}

/* ---- append ---------------------------------------------------------------------------------- */

/* Some entries of one partition, appended by one script. */
typedef struct {
    wl_queue_question_t question;
    uint64_t first;     /* number of its first entry */
    const size_t *from; /* indices of its entries, borrowed */
    size_t count;       /* of its entries */
} chunk_t;

static wl_err_t chunk_take(const redisReply *reply, void *arg) {
    chunk_t *self = arg;
    return wl_queue_redis_number(reply, &self->first);
}

/* Sends as many of the entries `from` as fit. */
static void chunk_send(wl_queue_redis_t *self, chunk_t *chunk, const wl_queue_entry_t *entries,
                       const size_t *from, size_t count) {
    const wl_queue_part_t *part = &self->parts[entries[from[0]].partition];
    wl_queue_args_t *args = wl_queue_redis_begin(self);
    wl_queue_args_word(args, part->changes);
    wl_queue_args_word(args, part->state);
    *chunk = (chunk_t){.question = {.take = chunk_take, .arg = chunk}, .from = from};
    while (chunk->count < count && chunk->count < CHUNK_ENTRIES &&
           wl_queue_args_bytes(args) < CHUNK_BYTES) {
        const wl_queue_entry_t *entry = &entries[from[chunk->count++]];
        wl_queue_row_head(args, entry->at, entry->kind, entry->line);
        wl_queue_args_add(args, entry->body, entry->body_bytes);
    }
    wl_queue_redis_send(self, wl_queue_script_append, 2, &chunk->question);
}

static void keep_first(wl_err_t *err, wl_err_t next) {
    *err = *err == WL_OK ? next : *err;
}

/* Sends all, waits for all; returns how many chunks. errs: of each partition. */
static size_t chunks_append(wl_queue_redis_t *self, const wl_queue_entry_t *entries,
                            const size_t *order, size_t count, chunk_t *chunks, wl_err_t *errs) {
    size_t sent = 0;
    for (size_t at = 0; at < count; at += chunks[sent++].count) {
        size_t same = 1;
        while (at + same < count &&
               entries[order[at + same]].partition == entries[order[at]].partition) {
            same++;
        }
        chunk_send(self, &chunks[sent], entries, order + at, same);
    }
    wl_queue_redis_wait(self);
    for (size_t i = 0; i < sent; i++) {
        keep_first(&errs[entries[chunks[i].from[0]].partition], chunks[i].question.err);
    }
    return sent;
}

/* ---- replicas of a cluster ------------------------------------------------------------------- */

static wl_err_t replicas_take(const redisReply *reply, void *arg) {
    return wl_queue_redis_number(reply, arg);
}

/* Asks once over each connection of `asked`; replicas[p] = who has all that was appended. */
static void replicas_ask(wl_queue_redis_t *self, const bool *asked, uint64_t *replicas,
                         wl_err_t *errs) {
    wl_queue_question_t questions[WL_PARTITIONS_MAX];
    for (uint32_t p = 0; p < self->queue.partitions; p++) {
        questions[p] = (wl_queue_question_t){.take = replicas_take, .arg = &replicas[p]};
        if (!asked[p]) {
            continue;
        }
        wl_queue_args_t *args = wl_queue_redis_begin(self);
        wl_queue_args_word(args, "WAIT");
        wl_queue_args_word(args, "1");
        wl_queue_args_text(args, "%u", self->timeout_ms / 2);
        wl_queue_redis_command(self, self->parts[p].changes, &questions[p]);
    }
    wl_queue_redis_wait(self);
    for (uint32_t p = 0; p < self->queue.partitions; p++) {
        keep_first(&errs[p], questions[p].err);
    }
}

/* A master that has lost its last replica goes on alone; one whose replicas are in touch but late
 * does not. */
static wl_err_t replicas_look(wl_queue_redis_t *self, wl_queue_part_t *part, bool late) {
    bool due = wl_mono_now().ms - part->looked_at >= LOOK_MS;
    if (!late && (part->replicated || !due)) {
        return WL_OK;
    }
    part->looked_at = wl_mono_now().ms;
    wl_err_t err = info_look(self, part, "replication", ",state=online,", &part->replicated);
    if (err == WL_OK && late && part->replicated) {
        (void)snprintf(self->queue.problem, sizeof self->queue.problem,
                       "the replicas of %s are late", part->changes);
        return WL_ERR_UNAVAILABLE;
    }
    return err;
}

/* Appended is acknowledged when the servers are still those that were found safe, and in a cluster
 * a replica has it. */
static void append_secure(wl_queue_redis_t *self, const bool *touched, wl_err_t *errs) {
    uint64_t replicas[WL_PARTITIONS_MAX] = {0};
    bool asked[WL_PARTITIONS_MAX] = {false};
    for (uint32_t p = 0; self->cluster && p < self->queue.partitions; p++) {
        asked[p] = touched[p] && errs[p] == WL_OK && self->parts[p].replicated;
    }
    replicas_ask(self, asked, replicas, errs);
    for (uint32_t p = 0; p < self->queue.partitions; p++) {
        wl_queue_part_t *part = &self->parts[p];
        if (!touched[p] || errs[p] != WL_OK) {
            continue;
        }
        if (self->cluster) {
            errs[p] = replicas_look(self, part, asked[p] && replicas[p] == 0);
        }
        if (errs[p] == WL_OK && wl_queue_redis_link(self, part->changes) != part->safe_link) {
            errs[p] = WL_ERR_UNAVAILABLE; /* moved meanwhile: who has answered is not known */
        }
    }
}

/* What goes to partitions that are safe, in their order; errs of the others are set. */
static size_t append_order(wl_queue_redis_t *self, const wl_queue_entry_t *entries, size_t count,
                           const bool *touched, wl_err_t *errs, size_t *order) {
    size_t ordered = 0;
    for (uint32_t p = 0; p < self->queue.partitions; p++) {
        errs[p] = touched[p] ? wl_queue_redis_safe(self, &self->parts[p]) : WL_OK;
        errs[p] = errs[p] == WL_ERR_SETTINGS ? WL_ERR_UNAVAILABLE : errs[p];
        for (size_t i = 0; touched[p] && errs[p] == WL_OK && i < count; i++) {
            if (entries[i].partition == p) {
                order[ordered++] = i;
            }
        }
    }
    return ordered;
}

/* Each partition for itself: one whose server is away refuses its own entries only. */
static wl_err_t redis_append(wl_queue_t *queue, wl_queue_entry_t *entries, size_t count) {
    wl_queue_redis_t *self = (wl_queue_redis_t *)queue;
    bool touched[WL_PARTITIONS_MAX] = {false};
    wl_err_t errs[WL_PARTITIONS_MAX] = {WL_OK};
    for (size_t i = 0; i < count; i++) {
        touched[entries[i].partition] = true;
    }
    size_t *order = wl_alloc_zero(count, sizeof *order);
    chunk_t *chunks = wl_alloc_zero(count, sizeof *chunks);
    size_t ordered = append_order(self, entries, count, touched, errs, order);
    size_t chunk_count = chunks_append(self, entries, order, ordered, chunks, errs);
    append_secure(self, touched, errs);
    for (size_t i = 0; i < chunk_count; i++) {
        bool durable = errs[entries[chunks[i].from[0]].partition] == WL_OK;
        for (size_t k = 0; durable && k < chunks[i].count; k++) {
            entries[chunks[i].from[k]].id = chunks[i].first + k;
        }
    }
    wl_free(order);
    wl_free(chunks);
    wl_err_t err = WL_OK;
    for (uint32_t p = 0; p < queue->partitions; p++) {
        keep_first(&err, errs[p]);
    }
    return err;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void redis_close(wl_queue_t *queue) {
    wl_queue_redis_t *self = (wl_queue_redis_t *)queue;
    wl_redis_destroy(&self->redis);
    wl_queue_args_destroy(&self->args);
    wl_free(self->parts);
    wl_free(self);
}

static const wl_queue_ops_t redis_ops = {
    .close = redis_close,
    .append = redis_append,
    .claim = wl_queue_redis_claim,
    .read = wl_queue_redis_read,
    .settle = wl_queue_redis_settle,
    .retries = wl_queue_redis_retries,
    .stats = wl_queue_redis_stats,
    .dead_list = wl_queue_redis_dead_list,
    .dead_classes = wl_queue_redis_dead_classes,
    .dead_get = wl_queue_redis_dead_get,
    .dead_redrive = wl_queue_redis_dead_redrive,
    .dead_discard = wl_queue_redis_dead_discard,
    .dead_forget = wl_queue_redis_dead_forget,
    .job_set = wl_queue_redis_job_set,
    .job_put = wl_queue_redis_job_put,
    .jobs = wl_queue_redis_jobs,
};

static void part_name(wl_queue_part_t *part, const char *prefix, uint32_t partition) {
    struct {
        char *key;
        const char *name;
    } keys[] = {{part->changes, "changes"}, {part->state, "state"}, {part->retries, "retries"},
                {part->dead, "dead"},       {part->audit, "audit"}, {part->jobs, "jobs"}};
    for (size_t i = 0; i < WL_COUNT_OF(keys); i++) {
        (void)snprintf(keys[i].key, WL_QUEUE_KEY_MAX, "%s{%u}:%s", prefix, partition, keys[i].name);
    }
}

/* Waits a little for servers that are starting: walletd and Redis may come up together. */
static wl_err_t open_look(wl_queue_redis_t *self, wl_fault_t *fault) {
    int64_t until = wl_mono_now().ms + (int64_t)self->timeout_ms * OPEN_TIMEOUTS;
    for (uint32_t p = 0; p < self->queue.partitions; p++) {
        wl_err_t err = wl_queue_redis_safe(self, &self->parts[p]);
        while ((err == WL_ERR_BUSY || err == WL_ERR_UNAVAILABLE || err == WL_ERR_DEADLINE) &&
               wl_mono_now().ms < until) {
            (void)poll(NULL, 0, OPEN_PAUSE_MS);
            err = wl_queue_redis_safe(self, &self->parts[p]);
        }
        if (err != WL_OK) {
            return wl_fault(fault, err, "queue.redis", "%s", self->queue.problem);
        }
    }
    return WL_OK;
}

/* What stands in partitions that the settings do not know any more would never be read. A server
 * that does not tell is no reason to stay away. */
static wl_err_t open_look_beyond(wl_queue_redis_t *self, const char *prefix, wl_fault_t *fault) {
    static const struct {
        const char *word;
        size_t key; /* of wl_queue_part_t */
    } looks[] = {{"XLEN", offsetof(wl_queue_part_t, changes)},
                 {"HLEN", offsetof(wl_queue_part_t, retries)}};
    for (uint32_t p = self->queue.partitions; p < WL_PARTITIONS_MAX; p++) {
        wl_queue_part_t part = {.looked_at = 0};
        uint64_t counts[WL_COUNT_OF(looks)] = {0};
        part_name(&part, prefix, p);
        for (size_t i = 0; i < WL_COUNT_OF(looks); i++) {
            wl_queue_question_t question = {.take = replicas_take, .arg = &counts[i]};
            wl_queue_args_t *args = wl_queue_redis_begin(self);
            wl_queue_args_word(args, looks[i].word);
            wl_queue_args_word(args, (const char *)&part + looks[i].key);
            wl_queue_redis_command(self, part.changes, &question);
            wl_queue_redis_wait(self);
            counts[i] = question.err == WL_OK ? counts[i] : 0;
        }
        if (counts[0] + counts[1] > 0) {
            return wl_fault(fault, WL_ERR_SETTINGS, "queue.partitions",
                            "is %u, but partition %u has %" PRIu64 " entries and %" PRIu64
                            " retries that nobody would read: let a writer with at least %u "
                            "partitions work them off first",
                            self->queue.partitions, p, counts[0], counts[1], p + 1);
        }
    }
    return WL_OK;
}

static wl_err_t options_check(const wl_queue_options_t *options, wl_fault_t *fault) {
    size_t prefix = options->prefix == NULL ? 0 : strlen(options->prefix);
    if (options->redis == NULL || prefix == 0 || prefix > PREFIX_MAX ||
        strpbrk(options->prefix, "{}") != NULL) {
        return wl_fault(fault, WL_ERR_SETTINGS, "queue.prefix",
                        "has to have 1 to %d bytes without braces", PREFIX_MAX);
    }
    return WL_OK;
}

wl_err_t wl_queue_redis_open(const wl_queue_options_t *options, wl_queue_t **ret,
                             wl_fault_t *fault) {
    wl_err_t err = options_check(options, fault);
    if (err != WL_OK) {
        return err;
    }
    wl_queue_redis_t *self = wl_alloc_zero(1, sizeof *self);
    self->queue.ops = &redis_ops;
    self->queue.partitions = options->partitions == 0 ? 1 : options->partitions;
    self->use = options->use;
    self->timeout_ms = options->redis->timeout_ms;
    self->cluster = options->redis->cluster;
    self->allow_memory = options->allow_memory;
    self->partition = options->partition;
    self->args = wl_queue_args_new();
    self->parts = wl_alloc_zero(self->queue.partitions, sizeof *self->parts);
    bool named = options->consumer != NULL && options->consumer[0] != '\0';
    (void)snprintf(self->consumer, sizeof self->consumer, "%s",
                   named ? options->consumer : "walletd");
    for (uint32_t p = 0; p < self->queue.partitions; p++) {
        part_name(&self->parts[p], options->prefix, p);
    }
    err = wl_redis_new(options->redis, &self->redis, fault);
    if (err == WL_OK) {
        err = open_look(self, fault);
    }
    if (err == WL_OK) {
        err = open_look_beyond(self, options->prefix, fault);
    }
    if (err != WL_OK) {
        redis_close(&self->queue);
        return err;
    }
    *ret = &self->queue;
    return WL_OK;
}
