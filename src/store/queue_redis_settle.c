/* The dispatcher's side of the queue in Redis: claim, read, settle, and what there is. */
#include "base/alloc.h"
#include "base/check.h"
#include "store/queue_redis.h"
#include "store/queue_redis_rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    CLAIM_ENTRIES = 1000, /* taken over by one script */
    READ_ENTRIES = 64,    /* of one answer: 64 x 150 KB is a lot, and the largest ones are rare */
    STEP_ROWS = 500,      /* of one settling script */
    STEP_BYTES = 1 << 20,
    SCAN_ROWS = 500, /* retries of one answer, about */
};

/* Shut out by a newer epoch: nothing is tried again under this one. */
static void claim_lost(wl_queue_redis_t *self, wl_err_t err) {
    if (err == WL_ERR_CONFLICT) {
        self->epoch[0] = '\0';
    }
}

static wl_queue_part_t *part_claimed(wl_queue_redis_t *self) {
    return &self->parts[self->partition];
}

/* Begins a script on the stream and the state of the claimed partition. */
static wl_queue_args_t *fenced_begin(wl_queue_redis_t *self, const char *epoch) {
    wl_queue_args_t *args = wl_queue_redis_begin(self);
    wl_queue_args_word(args, part_claimed(self)->changes);
    wl_queue_args_word(args, part_claimed(self)->state);
    wl_queue_args_word(args, epoch);
    return args;
}

/* ---- claim ----------------------------------------------------------------------------------- */

static wl_err_t claim_take(const redisReply *reply, void *arg) {
    char *cursor = arg;
    if (reply->type == REDIS_REPLY_STATUS && strcmp(reply->str, "STALE") == 0) {
        return WL_ERR_CONFLICT;
    }
    if (reply->type != REDIS_REPLY_STRING || reply->len >= WL_QUEUE_KEY_MAX) {
        return WL_ERR_DAMAGED;
    }
    memcpy(cursor, reply->str, reply->len + 1);
    return WL_OK;
}

static wl_err_t claimed_take(const redisReply *reply, void *arg) {
    (void)arg;
    return reply->type == REDIS_REPLY_STATUS && strcmp(reply->str, "OK") == 0 ? WL_OK
                                                                              : WL_ERR_CONFLICT;
}

wl_err_t wl_queue_redis_claim(wl_queue_t *queue, uint64_t epoch) {
    wl_queue_redis_t *self = (wl_queue_redis_t *)queue;
    char number[24];
    char cursor[WL_QUEUE_KEY_MAX] = "0-0";
    (void)snprintf(number, sizeof number, "%" PRIu64, epoch);
    self->epoch[0] = '\0';
    self->delivered = 0;
    self->again = false;
    wl_queue_redis_rouse(self, part_claimed(self)->changes);
    wl_err_t err = WL_OK;
    do {
        char from[WL_QUEUE_KEY_MAX];
        memcpy(from, cursor, sizeof from);
        wl_queue_args_t *args = fenced_begin(self, number);
        wl_queue_args_word(args, self->consumer);
        wl_queue_args_word(args, from);
        wl_queue_args_text(args, "%d", CLAIM_ENTRIES);
        err = wl_queue_redis_ask(self, wl_queue_script_claim, 2, claim_take, cursor);
    } while (err == WL_OK && strcmp(cursor, "0-0") != 0);
    if (err == WL_OK) {
        wl_queue_args_word(fenced_begin(self, number), self->consumer);
        err = wl_queue_redis_ask(self, wl_queue_script_claimed, 2, claimed_take, NULL);
    }
    if (err == WL_OK) {
        memcpy(self->epoch, number, sizeof self->epoch);
    }
    return err;
}

/* ---- read ------------------------------------------------------------------------------------ */

typedef struct {
    wl_queue_entry_fn tell;
    void *arg;
    uint32_t partition;
    uint64_t last; /* id of the newest one told */
    size_t count;  /* in this answer */
} reading_t;

static wl_err_t entries_take(const redisReply *reply, void *arg) {
    reading_t *self = arg;
    if (reply->type == REDIS_REPLY_STATUS && strcmp(reply->str, "STALE") == 0) {
        return WL_ERR_CONFLICT;
    }
    if (reply->type != REDIS_REPLY_ARRAY) {
        return WL_ERR_DAMAGED;
    }
    self->count = reply->elements;
    for (size_t i = 0; i < reply->elements; i++) {
        wl_queue_entry_t entry;
        if (wl_queue_row_entry(reply->element[i], &entry) != WL_OK || entry.id <= self->last) {
            return WL_ERR_DAMAGED;
        }
        entry.partition = self->partition;
        self->last = entry.id;
        self->tell(&entry, self->arg);
    }
    return WL_OK;
}

/* Those read before, once more: no script, they are all ours. */
static wl_err_t read_known(wl_queue_redis_t *self, size_t max, reading_t *reading) {
    wl_queue_question_t question = {.take = entries_take, .arg = reading};
    wl_queue_args_t *args = wl_queue_redis_begin(self);
    wl_queue_args_word(args, "XRANGE");
    wl_queue_args_word(args, part_claimed(self)->changes);
    wl_queue_args_text(args, "%" PRIu64, reading->last + 1);
    wl_queue_args_text(args, "%" PRIu64, self->delivered);
    wl_queue_args_word(args, "COUNT");
    wl_queue_args_text(args, "%zu", max);
    wl_queue_redis_command(self, part_claimed(self)->changes, &question);
    wl_queue_redis_wait(self);
    return question.err;
}

static wl_err_t read_new(wl_queue_redis_t *self, size_t max, reading_t *reading) {
    uint64_t seen = self->delivered > reading->last ? self->delivered : reading->last;
    wl_queue_args_t *args = fenced_begin(self, self->epoch);
    wl_queue_args_word(args, self->consumer);
    wl_queue_args_text(args, "%zu", max);
    wl_queue_args_text(args, "%" PRIu64, seen);
    wl_queue_args_word(args, self->again ? "again" : "");
    wl_err_t err = wl_queue_redis_ask(self, wl_queue_script_read, 2, entries_take, reading);
    self->again = err != WL_OK;
    if (reading->count > 0) { /* what was told before an element that is none is read, too */
        self->delivered = reading->last;
    }
    claim_lost(self, err);
    return err;
}

wl_err_t wl_queue_redis_read(wl_queue_t *queue, uint64_t after, size_t max, wl_queue_entry_fn tell,
                             void *arg, uint64_t *ret_last) {
    wl_queue_redis_t *self = (wl_queue_redis_t *)queue;
    reading_t reading = {.tell = tell, .arg = arg, .partition = self->partition, .last = after};
    if (self->epoch[0] == '\0') {
        return WL_ERR_CONFLICT;
    }
    wl_queue_redis_rouse(self, part_claimed(self)->changes);
    wl_err_t err = WL_OK;
    for (size_t told = 0; err == WL_OK && told < max; told += reading.count) {
        size_t page = max - told < READ_ENTRIES ? max - told : READ_ENTRIES;
        reading.count = 0;
        if (reading.last < self->delivered) {
            err = read_known(self, page, &reading);
        }
        if (err == WL_OK && reading.count == 0) {
            err = read_new(self, page, &reading);
        }
        if (err == WL_OK && reading.count == 0) {
            break;
        }
    }
    if (err == WL_OK) {
        *ret_last = reading.last;
    }
    return err;
}

/* ---- settle ---------------------------------------------------------------------------------- */

/* Where a settlement stands; the rows before were sent. */
typedef struct {
    size_t retries;
    size_t ends;
    size_t dead;
    size_t acks;
} progress_t;

static size_t step_left(const wl_queue_args_t *args, size_t rows, size_t all, size_t done) {
    return rows < STEP_ROWS && wl_queue_args_bytes(args) < STEP_BYTES ? all - done : 0;
}

static wl_err_t settled_take(const redisReply *reply, void *arg) {
    (void)arg;
    uint64_t gone = 0;
    return wl_queue_redis_number(reply, &gone);
}

/* One script: as much as fits of what is left: retries, letters, ends of retries, then acks. */
static wl_err_t settle_step(wl_queue_redis_t *self, const wl_settle_t *settle, progress_t *at) {
    wl_queue_args_t *rows = wl_queue_args_new();
    progress_t from = *at;
    size_t count = 0;
    for (; step_left(rows, count, settle->retry_count, at->retries) > 0; count++) {
        wl_queue_row_retry_field(rows, &settle->retries[at->retries]);
        wl_queue_row_retry_value(rows, &settle->retries[at->retries++]);
    }
    /* letters before the ends of their retries: a settlement of several steps may end between */
    for (; step_left(rows, count, settle->dead_count, at->dead) > 0; count++) {
        wl_queue_row_letter_args(rows, &settle->dead[at->dead++]);
    }
    for (; step_left(rows, count, settle->retry_end_count, at->ends) > 0; count++) {
        wl_queue_row_retry_field(rows, &settle->retry_ends[at->ends++]);
    }
    for (; step_left(rows, count, settle->ack_count, at->acks) > 0; count++) {
        wl_queue_args_text(rows, "%" PRIu64, settle->acks[at->acks++]);
    }
    const wl_queue_part_t *part = part_claimed(self);
    wl_queue_args_t *args = wl_queue_redis_begin(self);
    wl_queue_args_word(args, part->changes);
    wl_queue_args_word(args, part->state);
    wl_queue_args_word(args, part->retries);
    wl_queue_args_word(args, part->dead);
    wl_queue_args_word(args, self->epoch);
    wl_queue_args_text(args, "%zu", at->retries - from.retries);
    wl_queue_args_text(args, "%zu", at->ends - from.ends);
    wl_queue_args_text(args, "%zu", at->dead - from.dead);
    wl_queue_args_text(args, "%zu", at->acks - from.acks);
    const wl_redis_arg_t *all = wl_queue_args_all(rows);
    for (uint32_t i = 0; i < wl_queue_args_count(rows); i++) {
        wl_queue_args_add(args, all[i].at, all[i].bytes);
    }
    wl_err_t err = wl_queue_redis_ask(self, wl_queue_script_settle, 4, settled_take, NULL);
    claim_lost(self, err);
    wl_queue_args_destroy(&rows);
    return err;
}

wl_err_t wl_queue_redis_settle(wl_queue_t *queue, const wl_settle_t *settle) {
    wl_queue_redis_t *self = (wl_queue_redis_t *)queue;
    progress_t at = {.retries = 0};
    wl_err_t err = WL_OK;
    if (self->epoch[0] == '\0') {
        return WL_ERR_CONFLICT;
    }
    wl_queue_redis_rouse(self, part_claimed(self)->changes);
    while (err == WL_OK && (at.retries < settle->retry_count || at.ends < settle->retry_end_count ||
                            at.dead < settle->dead_count || at.acks < settle->ack_count)) {
        err = settle_step(self, settle, &at);
    }
    return err;
}

/* ---- retries --------------------------------------------------------------------------------- */

typedef struct {
    wl_retry_fn tell;
    void *arg;
    uint64_t cursor; /* of the scan */
} scan_t;

/* A field that is no retry was written by somebody else and is passed over: were it refused here,
 * it would keep the dispatcher from starting. */
static wl_err_t retries_take(const redisReply *reply, void *arg) {
    scan_t *self = arg;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        !wl_queue_row_number(reply->element[0], '\0', &self->cursor) ||
        reply->element[1]->type != REDIS_REPLY_ARRAY) {
        return WL_ERR_DAMAGED;
    }
    const redisReply *pairs = reply->element[1];
    for (size_t i = 0; i + 1 < pairs->elements; i += 2) {
        wl_retry_row_t row;
        if (wl_queue_row_retry(pairs->element[i], pairs->element[i + 1], &row) == WL_OK) {
            self->tell(&row, self->arg);
        }
    }
    return WL_OK;
}

wl_err_t wl_queue_redis_retries(wl_queue_t *queue, wl_retry_fn tell, void *arg) {
    wl_queue_redis_t *self = (wl_queue_redis_t *)queue;
    const char *key = part_claimed(self)->retries;
    scan_t scan = {.tell = tell, .arg = arg};
    wl_err_t err = WL_OK;
    wl_queue_redis_rouse(self, key);
    do {
        wl_queue_question_t question = {.take = retries_take, .arg = &scan};
        wl_queue_args_t *args = wl_queue_redis_begin(self);
        wl_queue_args_word(args, "HSCAN");
        wl_queue_args_word(args, key);
        wl_queue_args_text(args, "%" PRIu64, scan.cursor);
        wl_queue_args_word(args, "COUNT");
        wl_queue_args_text(args, "%d", SCAN_ROWS);
        wl_queue_redis_command(self, key, &question);
        wl_queue_redis_wait(self);
        err = question.err;
    } while (err == WL_OK && scan.cursor != 0);
    return err;
}

/* ---- stats ----------------------------------------------------------------------------------- */

static wl_err_t stats_take(const redisReply *reply, void *arg) {
    wl_queue_stats_t *sum = arg;
    uint64_t numbers[4] = {0};
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 5) {
        return WL_ERR_DAMAGED;
    }
    for (size_t i = 0; i < WL_COUNT_OF(numbers); i++) {
        if (wl_queue_redis_number(reply->element[i], &numbers[i]) != WL_OK) {
            return WL_ERR_DAMAGED;
        }
    }
    sum->entries += numbers[0];
    sum->lag += numbers[0] > numbers[1] ? numbers[0] - numbers[1] : 0;
    sum->retries += numbers[2];
    sum->dead += numbers[3];
    int64_t oldest_at = wl_queue_row_head_at(reply->element[4]);
    if (oldest_at != 0 && (sum->oldest_at == 0 || oldest_at < sum->oldest_at)) {
        sum->oldest_at = oldest_at;
    }
    return WL_OK;
}

wl_err_t wl_queue_redis_stats(wl_queue_t *queue, wl_queue_stats_t *ret) {
    wl_queue_redis_t *self = (wl_queue_redis_t *)queue;
    wl_queue_stats_t sum = {.entries = 0};
    wl_queue_question_t questions[WL_PARTITIONS_MAX];
    wl_queue_redis_rouse(self, part_claimed(self)->changes);
    for (uint32_t p = 0; p < queue->partitions; p++) {
        questions[p] = (wl_queue_question_t){.take = stats_take, .arg = &sum};
        if (self->use == WL_QUEUE_SETTLE && p != self->partition) {
            continue;
        }
        wl_queue_args_t *args = wl_queue_redis_begin(self);
        wl_queue_args_word(args, self->parts[p].changes);
        wl_queue_args_word(args, self->parts[p].retries);
        wl_queue_args_word(args, self->parts[p].dead);
        wl_queue_redis_send(self, wl_queue_script_stats, 3, &questions[p]);
    }
    wl_queue_redis_wait(self);
    wl_err_t err = WL_OK;
    for (uint32_t p = 0; err == WL_OK && p < queue->partitions; p++) {
        err = questions[p].err;
    }
    if (err == WL_OK) {
        *ret = sum;
    }
    return err;
}
