/* Dead letters in Redis: one stream a partition, told newest first over all of them by a merge of
 * pages. Whoever asks needs no claim: every change is one script that names the letters. */
#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "store/queue_redis.h"
#include "store/queue_redis_rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    PAGE_LETTERS = 64,  /* read at a time of one partition */
    STEP_LETTERS = 256, /* changed by one script */
    AUDIT_LINES_MAX = 10000,
    FORGET_LETTERS = 2000, /* looked at by one script, a millisecond or two */
    LETTER_BITS = 4,       /* of an id, for the partition */
    CHANGE_BYTES = 13,
};

static uint64_t letter_number(uint64_t id) {
    return id >> LETTER_BITS;
}

static uint32_t letter_partition(uint64_t id) {
    return (uint32_t)(id & (WL_PARTITIONS_MAX - 1));
}

/* ---- pages ----------------------------------------------------------------------------------- */

/* The letters of one partition as they are walked, in either direction. */
typedef struct {
    wl_queue_redis_t *self;
    uint32_t partition;
    bool backwards; /* from the newest on */
    uint64_t first; /* numbers still to be read */
    uint64_t last;  /* first > last: none */
    wl_dead_letter_t at[PAGE_LETTERS];
    char *bodies;    /* owned, of this page, and its histories */
    size_t bytes;    /* of bodies */
    size_t count;    /* of this page */
    size_t next;     /* of this page, to be told */
    size_t answered; /* elements of the newest answer */
} walk_t;

/* Copies an answer. Elements that are not ours are passed over. */
static wl_err_t walk_take(const redisReply *reply, void *arg) {
    walk_t *self = arg;
    size_t bytes = 0;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements > PAGE_LETTERS) {
        return WL_ERR_DAMAGED;
    }
    self->answered = reply->elements;
    for (size_t i = 0; i < reply->elements; i++) {
        wl_dead_letter_t *letter = &self->at[self->count];
        if (wl_queue_row_letter(reply->element[i], self->partition, letter) == WL_OK) {
            bytes += letter->body_bytes + letter->history_bytes;
            self->count++;
        }
    }
    wl_free(self->bodies);
    self->bodies = wl_alloc(bytes + 1);
    size_t at = 0;
    for (size_t i = 0; i < self->count; i++) {
        wl_dead_letter_t *letter = &self->at[i];
        if (letter->body != NULL) {
            memcpy(self->bodies + at, letter->body, letter->body_bytes);
            letter->body = self->bodies + at;
            at += letter->body_bytes;
        }
        if (letter->history != NULL) {
            memcpy(self->bodies + at, letter->history, letter->history_bytes);
            letter->history = self->bodies + at;
            at += letter->history_bytes;
        }
    }
    return WL_OK;
}

static wl_err_t walk_page(walk_t *self) {
    wl_queue_redis_t *queue = self->self;
    const wl_queue_part_t *part = &queue->parts[self->partition];
    wl_queue_question_t question = {.take = walk_take, .arg = self};
    wl_queue_args_t *args = wl_queue_redis_begin(queue);
    wl_queue_args_word(args, self->backwards ? "XREVRANGE" : "XRANGE");
    wl_queue_args_word(args, part->dead);
    wl_queue_args_text(args, "%" PRIu64, self->backwards ? self->last : self->first);
    wl_queue_args_text(args, "%" PRIu64, self->backwards ? self->first : self->last);
    wl_queue_args_word(args, "COUNT");
    wl_queue_args_text(args, "%d", PAGE_LETTERS);
    self->count = self->next = self->answered = 0;
    wl_queue_redis_command(queue, part->dead, &question);
    wl_queue_redis_wait(queue);
    if (question.err != WL_OK) {
        return question.err;
    }
    if (self->answered < PAGE_LETTERS || self->count == 0) {
        self->first = 1;
        self->last = 0; /* that was all */
    } else if (self->backwards) {
        self->last = letter_number(self->at[self->count - 1].id) - 1;
    } else {
        self->first = letter_number(self->at[self->count - 1].id) + 1;
    }
    return WL_OK;
}

/* The next letter that the filter lets through, without moving on; NULL: there is none. */
static wl_err_t walk_peek(walk_t *self, const wl_dead_filter_t *filter,
                          const wl_dead_letter_t **ret) {
    for (;;) {
        for (; self->next < self->count; self->next++) {
            const wl_dead_letter_t *letter = &self->at[self->next];
            if (wl_dead_filter_takes(filter, letter)) {
                *ret = letter;
                return WL_OK;
            }
        }
        if (self->first > self->last) {
            *ret = NULL;
            return WL_OK;
        }
        wl_err_t err = walk_page(self);
        if (err != WL_OK) {
            return err;
        }
    }
}

static walk_t *walk_new(wl_queue_redis_t *queue, uint32_t partition, uint64_t first,
                        uint64_t last) {
    walk_t *self = wl_alloc_zero(1, sizeof *self);
    self->self = queue;
    self->partition = partition;
    self->first = first;
    self->last = last;
    return self;
}

static void walk_free(walk_t *self) {
    if (self != NULL) {
        wl_free(self->bodies);
        wl_free(self);
    }
}

/* ---- list, get ------------------------------------------------------------------------------- */

/* The walk that stands at the newest letter; NULL: all are at their end. */
static wl_err_t walks_newest(walk_t **walks, uint32_t count, const wl_dead_filter_t *filter,
                             walk_t **ret) {
    uint64_t newest = 0;
    *ret = NULL;
    for (uint32_t p = 0; p < count; p++) {
        const wl_dead_letter_t *letter = NULL;
        wl_err_t err = walk_peek(walks[p], filter, &letter);
        if (err != WL_OK) {
            return err;
        }
        if (letter != NULL && letter->id > newest) {
            newest = letter->id;
            *ret = walks[p];
        }
    }
    return WL_OK;
}

wl_err_t wl_queue_redis_dead_list(wl_queue_t *queue, const wl_dead_filter_t *filter, uint64_t last,
                                  size_t max, wl_dead_fn tell, void *arg) {
    wl_queue_redis_t *self = (wl_queue_redis_t *)queue;
    walk_t *walks[WL_PARTITIONS_MAX] = {NULL};
    for (uint32_t p = 0; p < queue->partitions; p++) {
        uint64_t number = last < p ? 0 : letter_number(last - p);
        walks[p] = walk_new(self, p, 1, number);
        walks[p]->backwards = true;
        wl_queue_redis_rouse(self, self->parts[p].dead);
    }
    wl_err_t err = WL_OK;
    for (size_t told = 0; err == WL_OK && told < max; told++) {
        walk_t *newest = NULL;
        err = walks_newest(walks, queue->partitions, filter, &newest);
        if (err != WL_OK || newest == NULL) {
            break;
        }
        tell(&newest->at[newest->next++], arg);
    }
    for (uint32_t p = 0; p < queue->partitions; p++) {
        walk_free(walks[p]);
    }
    return err;
}

wl_err_t wl_queue_redis_dead_get(wl_queue_t *queue, uint64_t id, wl_dead_fn tell, void *arg) {
    if (letter_partition(id) >= queue->partitions) {
        return WL_ERR_NOT_FOUND;
    }
    walk_t *walk = walk_new((wl_queue_redis_t *)queue, letter_partition(id), letter_number(id),
                            letter_number(id));
    wl_queue_redis_rouse(walk->self, walk->self->parts[walk->partition].dead);
    const wl_dead_letter_t *letter = NULL;
    wl_dead_filter_t any = {.line = NULL};
    wl_err_t err = walk_peek(walk, &any, &letter);
    if (err == WL_OK && letter == NULL) {
        err = WL_ERR_NOT_FOUND;
    }
    if (err == WL_OK) {
        tell(letter, arg);
    }
    walk_free(walk);
    return err;
}

/* ---- redrive, discard ------------------------------------------------------------------------ */

/* What an operator wants done with letters. */
typedef struct {
    const wl_dead_choice_t *choice;
    const char *verb; /* of the audit */
    bool redrive;     /* else discard */
    wl_retry_fn tell; /* of discard; NULL: nobody wants to know */
    void *arg;
    size_t done; /* letters so far */
} work_t;

/* The body of an entry of one change, as wl_changes_pack() packs it: [[uid, "", 0]] in MessagePack.
 * The layer above packs all others; this one is born here. */
static size_t change_pack(uint64_t uid, uint8_t *ret) {
    size_t at = 0;
    ret[at++] = 0x91; /* a list of one */
    ret[at++] = 0x93; /* of three */
    ret[at++] = 0xcf; /* unsigned 64 */
    for (int shift = 56; shift >= 0; shift -= 8) {
        ret[at++] = (uint8_t)(uid >> shift);
    }
    ret[at++] = 0xa0; /* "" */
    ret[at++] = 0x00;
    return at;
}

static wl_queue_args_t *step_begin(wl_queue_redis_t *self, const work_t *work, uint32_t partition) {
    const wl_queue_part_t *part = &self->parts[partition];
    const wl_dead_choice_t *choice = work->choice;
    wl_queue_args_t *args = wl_queue_redis_begin(self);
    if (work->redrive) {
        wl_queue_args_word(args, part->changes);
        wl_queue_args_word(args, part->state);
    }
    wl_queue_args_word(args, part->dead);
    wl_queue_args_word(args, part->audit);
    if (!work->redrive) {
        wl_queue_args_word(args, part->state);
    }
    char which[120];
    wl_dead_filter_words(&choice->filter, which, sizeof which);
    wl_queue_args_text(args, "%" PRId64 " operator %s id=%" PRIu64 " %s", wl_wall_now().ms,
                       work->verb, choice->id, which);
    wl_queue_args_word(args, choice->note);
    wl_queue_args_text(args, "%d", AUDIT_LINES_MAX);
    return args;
}

static wl_err_t moved_take(const redisReply *reply, void *arg) {
    return wl_queue_redis_number(reply, arg);
}

static void work_tell(const work_t *work, const wl_dead_letter_t *letters, size_t count) {
    for (size_t i = 0; work->tell != NULL && i < count; i++) {
        wl_retry_row_t row = {.uid = letters[i].uid};
        memcpy(row.line, letters[i].line, sizeof row.line);
        if (row.uid != 0) {
            work->tell(&row, work->arg);
        }
    }
}

static const void *history_copy(const wl_dead_letter_t *letter) {
    return letter->history_bytes == 0
               ? NULL
               : memcpy(wl_alloc(letter->history_bytes), letter->history, letter->history_bytes);
}

/* Up to STEP_LETTERS of a partition. *ret_end: there are no more. */
static wl_err_t work_step(wl_queue_redis_t *self, work_t *work, walk_t *walk, bool *ret_end) {
    uint8_t bodies[STEP_LETTERS][CHANGE_BYTES];
    wl_dead_letter_t *letters = wl_alloc_zero(STEP_LETTERS, sizeof *letters);
    size_t count = 0;
    wl_err_t err = WL_OK;
    *ret_end = false;
    while (err == WL_OK && !*ret_end && count < STEP_LETTERS &&
           work->done + count < work->choice->max) {
        const wl_dead_letter_t *letter = NULL;
        err = walk_peek(walk, &work->choice->filter, &letter);
        *ret_end = letter == NULL;
        if (letter != NULL && !(work->redrive && letter->body != NULL)) {
            letters[count] = *letter;
            letters[count++].history = history_copy(letter); /* the page may go before the step */
        }
        walk->next++;
    }
    wl_queue_args_t *args = step_begin(self, work, walk->partition);
    for (size_t i = 0; i < count; i++) {
        wl_queue_args_text(args, "%" PRIu64, letter_number(letters[i].id));
        if (work->redrive) {
            wl_queue_row_head(args, work->choice->now_ms, WL_ENTRY_CHANGES, letters[i].line);
            wl_queue_args_add(args, bodies[i], change_pack(letters[i].uid, bodies[i]));
            wl_queue_args_add(args, letters[i].history, letters[i].history_bytes);
        }
    }
    uint64_t moved = 0;
    if (err == WL_OK && count > 0) {
        err = wl_queue_redis_ask(self,
                                 work->redrive ? wl_queue_script_redrive : wl_queue_script_discard,
                                 work->redrive ? 4 : 3, moved_take, &moved);
    }
    work->done += moved;
    work_tell(work, letters, err == WL_OK ? count : 0);
    for (size_t i = 0; i < count; i++) {
        void *history = NULL;
        memcpy(&history, &letters[i].history, sizeof history); /* our own copy */
        wl_free(history);
    }
    wl_free(letters);
    return err;
}

/* The chosen letters, partition after partition, until there are enough. */
static wl_err_t work_do(wl_queue_redis_t *self, work_t *work, uint64_t *ret_count) {
    uint64_t id = work->choice->id;
    uint32_t first = id == 0 ? 0 : letter_partition(id);
    uint32_t last = id == 0 ? self->queue.partitions - 1 : first;
    wl_err_t err = WL_OK;
    for (uint32_t p = first; err == WL_OK && p <= last && p < self->queue.partitions; p++) {
        walk_t *walk = walk_new(self, p, id == 0 ? 1 : letter_number(id),
                                id == 0 ? (uint64_t)INT64_MAX >> LETTER_BITS : letter_number(id));
        bool end = false;
        wl_queue_redis_rouse(self, self->parts[p].dead);
        if (work->redrive) {
            err = wl_queue_redis_safe(self, &self->parts[p]);
        }
        while (err == WL_OK && !end && work->done < work->choice->max) {
            err = work_step(self, work, walk, &end);
        }
        walk_free(walk);
    }
    if (err == WL_OK && id != 0 && work->done == 0) {
        return WL_ERR_NOT_FOUND;
    }
    if (err == WL_OK) {
        *ret_count = work->done;
    }
    return err == WL_ERR_SETTINGS ? WL_ERR_UNAVAILABLE : err;
}

wl_err_t wl_queue_redis_dead_redrive(wl_queue_t *queue, const wl_dead_choice_t *choice,
                                     wl_retry_fn tell, void *arg, uint64_t *ret_count) {
    (void)tell;
    (void)arg;
    work_t work = {.choice = choice, .verb = "dead.redrive", .redrive = true};
    return work_do((wl_queue_redis_t *)queue, &work, ret_count);
}

wl_err_t wl_queue_redis_dead_discard(wl_queue_t *queue, const wl_dead_choice_t *choice,
                                     wl_retry_fn tell, void *arg, uint64_t *ret_count) {
    work_t work = {.choice = choice, .verb = "dead.discard", .tell = tell, .arg = arg};
    return work_do((wl_queue_redis_t *)queue, &work, ret_count);
}

/* ---- forget ---------------------------------------------------------------------------------- */

typedef struct {
    char last[64]; /* newest letter looked at; "" = no more */
    uint64_t gone;
} forgot_t;

static wl_err_t forgot_take(const redisReply *reply, void *arg) {
    forgot_t *self = arg;
    bool sound = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
                 reply->element[0]->type == REDIS_REPLY_STRING &&
                 reply->element[0]->len < sizeof self->last &&
                 reply->element[1]->type == REDIS_REPLY_INTEGER && reply->element[1]->integer >= 0;
    if (!sound) {
        return WL_ERR_DAMAGED;
    }
    memcpy(self->last, reply->element[0]->str, reply->element[0]->len + 1);
    self->gone += (uint64_t)reply->element[1]->integer;
    return WL_OK;
}

wl_err_t wl_queue_redis_dead_forget(wl_queue_t *queue, uint64_t uid, const char *line,
                                    uint64_t *ret_count) {
    wl_queue_redis_t *self = (wl_queue_redis_t *)queue;
    const wl_queue_part_t *part = &self->parts[self->partition];
    forgot_t forgot = {.last = "-"};
    wl_err_t err = WL_OK;
    wl_queue_redis_rouse(self, part->dead);
    for (bool first = true; err == WL_OK && forgot.last[0] != '\0'; first = false) {
        char start[sizeof forgot.last + 1];
        (void)snprintf(start, sizeof start, "%s%s", first ? "" : "(", forgot.last);
        wl_queue_args_t *args = wl_queue_redis_begin(self);
        wl_queue_args_word(args, part->dead);
        wl_queue_args_word(args, part->state);
        wl_queue_args_text(args, "%" PRIu64, uid);
        wl_queue_args_word(args, line);
        wl_queue_args_word(args, start);
        wl_queue_args_text(args, "%d", FORGET_LETTERS);
        err = wl_queue_redis_ask(self, wl_queue_script_forget, 2, forgot_take, &forgot);
    }
    *ret_count = forgot.gone;
    return err;
}

/* ---- classes --------------------------------------------------------------------------------- */

/* Of one partition: all letters, then those of each class. */
static wl_err_t classes_take(const redisReply *reply, void *arg) {
    uint64_t *counts = arg;
    uint64_t all = 0;
    uint64_t told = 0;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != WL_FAILURE_COUNT ||
        wl_queue_redis_number(reply->element[0], &all) != WL_OK) {
        return WL_ERR_DAMAGED;
    }
    for (size_t i = 1; i < reply->elements; i++) {
        const redisReply *one = reply->element[i];
        uint64_t count = 0;
        if (one->type != REDIS_REPLY_INTEGER) {
            return WL_ERR_DAMAGED;
        }
        count = one->integer > 0 ? (uint64_t)one->integer : 0;
        count = count < all - told ? count : all - told;
        told += count;
        counts[i] += count;
    }
    counts[WL_FAILURE_OTHER] += all - told;
    return WL_OK;
}

wl_err_t wl_queue_redis_dead_classes(wl_queue_t *queue, uint64_t ret_counts[WL_FAILURE_COUNT]) {
    wl_queue_redis_t *self = (wl_queue_redis_t *)queue;
    uint64_t counts[WL_FAILURE_COUNT] = {0};
    wl_queue_question_t questions[WL_PARTITIONS_MAX];
    wl_queue_redis_rouse(self, self->parts[self->partition].dead);
    for (uint32_t p = 0; p < queue->partitions; p++) {
        questions[p] = (wl_queue_question_t){.take = classes_take, .arg = counts};
        wl_queue_args_t *args = wl_queue_redis_begin(self);
        wl_queue_args_word(args, self->parts[p].dead);
        wl_queue_args_word(args, self->parts[p].state);
        for (unsigned i = WL_FAILURE_NONE + 1; i < WL_FAILURE_COUNT; i++) {
            wl_queue_args_word(args, wl_failure_word(i));
        }
        wl_queue_redis_send(self, wl_queue_script_classes, 2, &questions[p]);
    }
    wl_queue_redis_wait(self);
    wl_err_t err = WL_OK;
    for (uint32_t p = 0; err == WL_OK && p < queue->partitions; p++) {
        err = questions[p].err;
    }
    if (err == WL_OK) {
        memcpy(ret_counts, counts, sizeof counts);
    }
    return err;
}
