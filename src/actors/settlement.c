#include "actors/settlement.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/table.h"

#include <string.h>
#include <utlist.h>

enum { COLLECT_STEP = 512 };

static_assert((int)WL_ATTEMPTS_BYTES_MAX <= (int)WL_HISTORY_BYTES_MAX,
              "the store keeps every history");

typedef struct {
    uint64_t uid;
    char line[40]; /* cleared behind the text, so that equal keys are equal bytes */
} pair_key_t;

typedef struct pair {
    pair_key_t key;
    UT_hash_handle hh;
    struct pair *prev; /* in the list of changed pairs */
    struct pair *next;
    wl_retry_row_t *row; /* owned; to be written, NULL = to be removed or nothing to do */
    uint8_t *history;    /* owned; packed attempts that failed, NULL = none known */
    size_t history_bytes;
    bool stored;  /* a row stands in the store */
    bool changed; /* is in the list */
    bool spilled; /* nobody holds the pair: once written, its row is remembered no longer */
} pair_t;

/* A growing list of equal elements. */
#define LIST_OF(type) \
    struct {          \
        type *at;     \
        size_t count; \
        size_t room;  \
    }
#define LIST_ADD(list, value)                                                            \
    do {                                                                                 \
        if ((list)->count == (list)->room) {                                             \
            (list)->room = (list)->room == 0 ? 64 : (list)->room * 2;                    \
            (list)->at = wl_realloc_array((list)->at, (list)->room, sizeof *(list)->at); \
        }                                                                                \
        (list)->at[(list)->count++] = (value);                                           \
    } while (0)

struct wl_settlement {
    pair_t *pairs;   /* uthash: every pair with a row in the store or a change to write */
    pair_t *changes; /* list of those to write */
    size_t change_count;
    LIST_OF(wl_dead_letter_t) dead; /* bodies and histories owned */
    LIST_OF(uint64_t) acks;
    LIST_OF(wl_retry_row_t) retries; /* of one write, memory kept */
    LIST_OF(wl_retry_row_t) ends;
};

wl_settlement_t *wl_settlement_new(void) {
    return wl_alloc_zero(1, sizeof(wl_settlement_t));
}

static void settlement_forget(wl_settlement_t *self, pair_t *pair) {
    if (pair->changed) {
        DL_DELETE(self->changes, pair);
        self->change_count--;
    }
    HASH_DEL(self->pairs, pair);
    wl_free(pair->row);
    wl_free(pair->history);
    wl_free(pair);
}

static void owned_free(const void *owned) {
    void *pointer = NULL;
    memcpy(&pointer, &owned, sizeof pointer); /* our own copy */
    wl_free(pointer);
}

static void settlement_drop_dead(wl_settlement_t *self) {
    for (size_t i = 0; i < self->dead.count; i++) {
        owned_free(self->dead.at[i].body);
        owned_free(self->dead.at[i].history);
    }
    self->dead.count = 0;
}

void wl_settlement_destroy(wl_settlement_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    pair_t *pair = NULL;
    pair_t *next = NULL;
    HASH_ITER(hh, (*self)->pairs, pair, next) {
        settlement_forget(*self, pair);
    }
    settlement_drop_dead(*self);
    wl_free((*self)->dead.at);
    wl_free((*self)->acks.at);
    wl_free((*self)->retries.at);
    wl_free((*self)->ends.at);
    wl_free(*self);
    *self = NULL;
}

static pair_key_t pair_key(uint64_t uid, const char *line) {
    pair_key_t key;
    memset(&key, 0, sizeof key);
    key.uid = uid;
    memcpy(key.line, line, strnlen(line, WL_LINE_ID_MAX));
    return key;
}

static pair_t *settlement_find(wl_settlement_t *self, uint64_t uid, const char *line) {
    pair_key_t key = pair_key(uid, line);
    pair_t *pair = NULL;
    HASH_FIND(hh, self->pairs, &key, sizeof key, pair);
    return pair;
}

static pair_t *settlement_have(wl_settlement_t *self, uint64_t uid, const char *line) {
    pair_t *pair = settlement_find(self, uid, line);
    if (pair == NULL) {
        pair = wl_alloc_zero(1, sizeof *pair);
        pair->key = pair_key(uid, line);
        HASH_ADD(hh, self->pairs, key, sizeof pair->key, pair);
    }
    return pair;
}

static void settlement_change(wl_settlement_t *self, pair_t *pair) {
    if (!pair->changed) {
        pair->changed = true;
        DL_APPEND(self->changes, pair);
        self->change_count++;
    }
}

/* What is known already is newer than what the store has. */
static void pair_learn(pair_t *pair, const void *history, size_t bytes) {
    if (pair->history == NULL && bytes > 0) {
        pair->history = memcpy(wl_alloc(bytes), history, bytes);
        pair->history_bytes = bytes;
    }
}

/* Damaged bytes of the store are left behind: the history begins anew. */
static void pair_add(pair_t *pair, const wl_attempt_t *attempt) {
    wl_attempts_t attempts;
    uint8_t packed[WL_ATTEMPTS_BYTES_MAX];
    if (wl_attempts_unpack(pair->history, pair->history_bytes, &attempts) != WL_OK) {
        attempts.count = 0;
    }
    wl_attempts_add(&attempts, attempt);
    size_t bytes = wl_attempts_pack(&attempts, packed);
    wl_free(pair->history);
    pair->history = memcpy(wl_alloc(bytes), packed, bytes);
    pair->history_bytes = bytes;
}

void wl_settlement_recall(wl_settlement_t *self, uint64_t uid, const char *line,
                          const void *history, size_t bytes) {
    if (bytes > 0) {
        pair_learn(settlement_have(self, uid, line), history, bytes);
    }
}

void wl_settlement_stored(wl_settlement_t *self, const wl_retry_row_t *row) {
    pair_t *pair = settlement_have(self, row->uid, row->line);
    pair_learn(pair, row->history, row->history_bytes);
    pair->stored = true;
    pair->spilled = false;
    if (pair->changed && pair->row == NULL) { /* redriven meanwhile: the row must not be removed */
        DL_DELETE(self->changes, pair);
        self->change_count--;
        pair->changed = false;
    }
}

static pair_t *settlement_put(wl_settlement_t *self, const wl_retry_row_t *row) {
    pair_t *pair = settlement_have(self, row->uid, row->line);
    if (pair->row == NULL) {
        pair->row = wl_alloc(sizeof *pair->row);
    }
    *pair->row = *row;
    pair->row->history = NULL; /* the pair's, once it is written */
    pair->row->history_bytes = 0;
    pair->spilled = false;
    settlement_change(self, pair);
    return pair;
}

void wl_settlement_retry(wl_settlement_t *self, const wl_retry_row_t *row,
                         const wl_attempt_t *attempt) {
    pair_add(settlement_put(self, row), attempt);
}

void wl_settlement_spill(wl_settlement_t *self, const wl_retry_row_t *row) {
    settlement_put(self, row)->spilled = true;
}

void wl_settlement_end(wl_settlement_t *self, uint64_t uid, const char *line) {
    if (self->pairs == NULL) {
        return; /* nearly always: no line is failing */
    }
    pair_t *pair = settlement_find(self, uid, line);
    if (pair == NULL) {
        return;
    }
    if (!pair->stored) { /* was never written: nobody will miss it */
        settlement_forget(self, pair);
        return;
    }
    wl_free(pair->row);
    wl_free(pair->history);
    pair->row = NULL;
    pair->history = NULL;
    pair->history_bytes = 0;
    settlement_change(self, pair);
}

void wl_settlement_forget(wl_settlement_t *self, uint64_t uid, const char *line) {
    settlement_have(self, uid, line)->stored = true;
    wl_settlement_end(self, uid, line);
}

/* The history of a pair that is given up goes with its letter. */
static void letter_take_history(wl_settlement_t *self, wl_dead_letter_t *letter,
                                const wl_attempt_t *attempt) {
    letter->history = NULL;
    letter->history_bytes = 0;
    if (attempt != NULL) {
        pair_t *pair = settlement_have(self, letter->uid, letter->line);
        pair_add(pair, attempt);
        letter->history = pair->history;
        letter->history_bytes = pair->history_bytes;
        pair->history = NULL;
        pair->history_bytes = 0;
    }
}

void wl_settlement_dead(wl_settlement_t *self, const wl_dead_letter_t *letter,
                        const wl_attempt_t *attempt) {
    wl_dead_letter_t copy = *letter;
    if (letter->body_bytes > 0) {
        void *body = wl_alloc(letter->body_bytes);
        memcpy(body, letter->body, letter->body_bytes);
        copy.body = body;
    } else {
        copy.body = NULL;
    }
    letter_take_history(self, &copy, attempt);
    LIST_ADD(&self->dead, copy);
    wl_settlement_end(self, letter->uid, letter->line);
}

void wl_settlement_ack(wl_settlement_t *self, uint64_t entry_id) {
    LIST_ADD(&self->acks, entry_id);
}

void wl_settlement_collect(wl_settlement_t *self, wl_pending_t *pending) {
    uint64_t ids[COLLECT_STEP];
    size_t count = COLLECT_STEP;
    while (count == COLLECT_STEP) {
        count = wl_pending_released(pending, ids, COLLECT_STEP);
        for (size_t i = 0; i < count; i++) {
            wl_settlement_ack(self, ids[i]);
        }
    }
}

size_t wl_settlement_waiting(const wl_settlement_t *self) {
    return self->change_count + self->dead.count + self->acks.count;
}

/* What was written is true now. */
static void settlement_written(wl_settlement_t *self) {
    while (self->changes != NULL) {
        pair_t *pair = self->changes;
        if (pair->row == NULL || pair->spilled) {
            settlement_forget(self, pair);
            continue;
        }
        DL_DELETE(self->changes, pair);
        self->change_count--;
        pair->changed = false;
        pair->stored = true;
        wl_free(pair->row);
        pair->row = NULL;
    }
    WL_ASSERT(self->change_count == 0);
    settlement_drop_dead(self);
    self->acks.count = 0;
}

wl_err_t wl_settlement_write(wl_settlement_t *self, wl_queue_t *queue, size_t *ret_acked) {
    self->retries.count = 0;
    self->ends.count = 0;
    pair_t *pair = NULL;
    DL_FOREACH(self->changes, pair) {
        if (pair->row != NULL) {
            LIST_ADD(&self->retries, *pair->row);
            self->retries.at[self->retries.count - 1].history = pair->history;
            self->retries.at[self->retries.count - 1].history_bytes = pair->history_bytes;
        } else {
            wl_retry_row_t row = {.uid = pair->key.uid};
            memcpy(row.line, pair->key.line, sizeof row.line);
            LIST_ADD(&self->ends, row);
        }
    }
    wl_settle_t settle = {
        .retries = self->retries.at,
        .retry_count = self->retries.count,
        .retry_ends = self->ends.at,
        .retry_end_count = self->ends.count,
        .dead = self->dead.at,
        .dead_count = self->dead.count,
        .acks = self->acks.at,
        .ack_count = self->acks.count,
    };
    wl_err_t err = wl_queue_settle(queue, &settle);
    if (err == WL_OK) {
        *ret_acked = self->acks.count;
        settlement_written(self);
    }
    return err;
}
