/* pending_model.h: a naive model of domain/pending.h and a schedule of random calls that compares
 * the two after each step. Shared by test_pending.c (seeded numbers) and fuzz_pending.c (bytes).
 *
 * The model keeps every add for ever in one array and finds out everything else by looking through
 * it: an add has `ended` when a pull taken after it was done or failed, and is `settled` when that
 * pull was done or given up. An entry is due for release when all its changes were added and all
 * those adds have ended. A disagreement aborts. */
#ifndef WL_TEST_PENDING_MODEL_H
#define WL_TEST_PENDING_MODEL_H

#include "domain/pending.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODEL_CHECK(condition)                                                    \
    do {                                                                          \
        if (!(condition)) {                                                       \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                              \
        }                                                                         \
    } while (0)

enum {
    UIDS = 5,
    LINES = 3,
    PAIRS = UIDS * LINES,
    ADDS_MAX = 8192,
    ENTRIES_MAX = 4096,
    TAKE_MAX = 5,
};

static const char *const model_lines[LINES] = {"cash", "coin", "coupon"};
static const char *const model_buckets[WL_HINTS_MAX] = {"", "ios", "gift", "android"};

typedef struct {
    uint64_t seq;
    uint64_t version;
    int64_t notified_ms;
    unsigned pair;
    unsigned entry; /* index + 1, 0 = none */
    unsigned bucket;
    bool ended;
    bool settled;
} model_add_t;

typedef struct {
    unsigned changes;
    unsigned added;
    bool released;
} model_entry_t;

typedef enum { NONE, WAITING, FLYING, SLEEPING } model_state_t;

typedef struct {
    model_state_t state;
    bool interactive;
    bool dirty;
    bool flight_interactive;
    uint32_t attempts;
    bool failed; /* SLEEPING: not held */
    int64_t due_ms;
    int64_t taken_ms;
    uint64_t flight_seq;
    uint64_t stamp; /* when it came into its list */
} model_pair_t;

typedef struct {
    wl_pending_t *real;
    uint64_t (*draw)(void *); /* the next number of the schedule */
    void *source;
    uint32_t keys_max;
    int64_t now_ms;
    uint64_t seq;
    uint64_t stamp;
    unsigned run[LINES]; /* interactive pulls since the last bulk one */
    unsigned add_count;
    unsigned entry_count;
    model_pair_t pairs[PAIRS];
    model_entry_t entries[ENTRIES_MAX];
    model_add_t adds[ADDS_MAX];
} model_t;

static unsigned model_below(model_t *model, unsigned bound) {
    return (unsigned)(model->draw(model->source) % bound);
}

static const char *model_line(unsigned pair) {
    return model_lines[pair / UIDS];
}

static uint64_t model_uid(unsigned pair) {
    return pair % UIDS == 4 ? UINT64_MAX : pair % UIDS;
}

static size_t model_count(const model_t *model, model_state_t state, unsigned line) {
    size_t count = 0;
    for (unsigned i = 0; i < PAIRS; i++) {
        bool here = line == LINES || i / UIDS == line;
        count += here && model->pairs[i].state == state ? 1 : 0;
    }
    return count;
}

/* A time in the future at which nobody else wakes: equal times may wake in any order. */
static int64_t model_due(model_t *model, unsigned within_ms) {
    int64_t due_ms = model->now_ms + model_below(model, within_ms);
    for (unsigned i = 0; i < PAIRS; i++) {
        if (model->pairs[i].state == SLEEPING && model->pairs[i].due_ms == due_ms) {
            due_ms++;
            i = UINT32_MAX; /* look at all again */
        }
    }
    return due_ms;
}

static void model_wait(model_t *model, model_pair_t *pair) {
    pair->state = WAITING;
    pair->stamp = ++model->stamp;
}

static void model_add(model_t *model, unsigned number, unsigned entry) {
    if (model->add_count == ADDS_MAX) {
        return;
    }
    static const int64_t moments[] = {0, 500, 900, 700};
    model_add_t note = {.pair = number, .entry = entry, .bucket = model_below(model, WL_HINTS_MAX)};
    note.version = model_below(model, 3) == 0 ? 0 : model_below(model, 50);
    note.notified_ms = moments[model_below(model, 4)];
    bool loaded = entry == 0 && model_below(model, 3) == 0;
    wl_pending_add_t add = {
        .uid = model_uid(number),
        .line = model_line(number),
        .bucket = model_buckets[note.bucket],
        .version = note.version,
        .entry_id = entry,
        .interactive = model_below(model, 4) == 0,
        .attempt = loaded ? model_below(model, 4) : 0,
        .notified_at = {.ms = note.notified_ms},
        .due = {.ms = loaded ? model_due(model, 60) : 0},
    };
    model_pair_t *pair = &model->pairs[number];
    uint64_t seq = 0;
    bool merged = false;
    wl_err_t err = wl_pending_add(model->real, &add, &seq, &merged);
    if (pair->state == NONE && PAIRS - model_count(model, NONE, LINES) >= model->keys_max) {
        MODEL_CHECK(err == WL_ERR_FULL);
        return;
    }
    MODEL_CHECK(err == WL_OK);
    MODEL_CHECK(seq == ++model->seq);
    MODEL_CHECK(merged == (pair->state == WAITING || pair->state == SLEEPING ||
                           (pair->state == FLYING && pair->dirty)));
    note.seq = seq;
    model->adds[model->add_count++] = note;
    if (entry != 0) {
        model->entries[entry - 1].added++;
    }
    pair->attempts = add.attempt > pair->attempts ? add.attempt : pair->attempts;
    bool more = add.interactive && !pair->interactive;
    switch (pair->state) {
    case NONE:
        pair->interactive = add.interactive;
        if (add.due.ms > 0) {
            pair->failed = add.attempt > 0;
            pair->state = SLEEPING;
            pair->due_ms = add.due.ms;
        } else {
            model_wait(model, pair);
        }
        break;
    case WAITING:
        if (more) {
            pair->interactive = true;
            model_wait(model, pair);
        }
        break;
    case FLYING:
        pair->dirty = true;
        pair->interactive = pair->interactive || add.interactive;
        break;
    case SLEEPING:
        if (add.interactive && add.due.ms == 0) {
            pair->interactive = true;
            model_wait(model, pair);
        }
        break;
    }
}

static void model_step_add(model_t *model) {
    unsigned number = model_below(model, PAIRS);
    unsigned first = model->entry_count < 6 ? 0 : model->entry_count - 6;
    for (unsigned i = first; i < model->entry_count; i++) {
        if (model->entries[i].added < model->entries[i].changes && model_below(model, 2) == 0) {
            model_add(model, number, i + 1);
            return;
        }
    }
    model_add(model, number, 0);
}

static void model_step_entry(model_t *model) {
    if (model->entry_count < ENTRIES_MAX) {
        unsigned changes = model_below(model, 5);
        model->entries[model->entry_count++].changes = changes;
        wl_pending_entry(model->real, model->entry_count, changes);
    }
}

/* The pair of a line that has to be taken next, PAIRS = none. */
static unsigned model_next(model_t *model, unsigned line) {
    unsigned first[2] = {PAIRS, PAIRS}; /* bulk, interactive */
    for (unsigned i = line * UIDS; i < (line + 1) * UIDS; i++) {
        const model_pair_t *pair = &model->pairs[i];
        unsigned *best = &first[pair->interactive ? 1 : 0];
        if (pair->state == WAITING && (*best == PAIRS || pair->stamp < model->pairs[*best].stamp)) {
            *best = i;
        }
    }
    bool bulk = first[1] == PAIRS || (first[0] != PAIRS && model->run[line] >= 7);
    if (first[0] != PAIRS || first[1] != PAIRS) {
        model->run[line] = bulk ? 0 : model->run[line] + 1;
    }
    return first[bulk ? 0 : 1];
}

static void model_check_pull(model_t *model, unsigned number, const wl_pending_pull_t *pull) {
    MODEL_CHECK(pull->uid == model_uid(number));
    model_pair_t *pair = &model->pairs[number];
    uint64_t versions[WL_HINTS_MAX] = {0};
    uint64_t seq = 0;
    int64_t notified_ms = 0;
    for (unsigned i = 0; i < model->add_count; i++) {
        const model_add_t *add = &model->adds[i];
        if (add->pair != number || add->settled) {
            continue;
        }
        seq = add->seq;
        uint64_t *version = &versions[add->bucket];
        *version = add->version > *version ? add->version : *version;
        if (add->notified_ms != 0 && (notified_ms == 0 || add->notified_ms < notified_ms)) {
            notified_ms = add->notified_ms;
        }
    }
    unsigned hints = 0;
    for (unsigned i = 0; i < WL_HINTS_MAX; i++) {
        hints += versions[i] > 0 ? 1 : 0;
        bool found = versions[i] == 0;
        for (unsigned j = 0; j < pull->hint_count; j++) {
            found = found || (strcmp(pull->hints[j].bucket, model_buckets[i]) == 0 &&
                              pull->hints[j].version == versions[i]);
        }
        MODEL_CHECK(found);
    }
    MODEL_CHECK(pull->hint_count == hints);
    MODEL_CHECK(pull->seq == seq);
    MODEL_CHECK(pull->attempt == pair->attempts);
    MODEL_CHECK(pull->interactive == pair->interactive);
    MODEL_CHECK(pull->notified_at.ms == notified_ms);
    pair->flight_seq = seq;
}

static void model_fly(model_t *model, unsigned number) {
    model_pair_t *pair = &model->pairs[number];
    pair->state = FLYING;
    pair->flight_interactive = pair->interactive;
    pair->interactive = false;
    pair->dirty = false;
    pair->taken_ms = model->now_ms;
    pair->stamp = ++model->stamp;
}

static void model_step_fly(model_t *model) {
    unsigned number = model_below(model, PAIRS);
    wl_pending_pull_t pull;
    bool flies = wl_pending_fly(model->real, model_line(number), model_uid(number),
                                (wl_mono_ms_t){model->now_ms}, &pull);
    MODEL_CHECK(flies == (model->pairs[number].state == WAITING));
    if (flies) {
        model_check_pull(model, number, &pull);
        wl_pending_pull_t again;
        MODEL_CHECK(wl_pending_flight(model->real, model_line(number), pull.uid, pull.seq, &again));
        model_check_pull(model, number, &again);
        MODEL_CHECK(
            !wl_pending_flight(model->real, model_line(number), pull.uid, pull.seq + 1, &again));
        model_fly(model, number);
    }
}

static void model_step_take(model_t *model) {
    unsigned line = model_below(model, LINES);
    size_t max = model_below(model, TAKE_MAX + 1);
    wl_pending_pull_t pulls[TAKE_MAX];
    size_t taken =
        wl_pending_take(model->real, model_lines[line], max, (wl_mono_ms_t){model->now_ms}, pulls);
    size_t waiting = model_count(model, WAITING, line);
    MODEL_CHECK(taken == (waiting < max ? waiting : max));
    for (size_t i = 0; i < taken; i++) {
        unsigned number = model_next(model, line);
        MODEL_CHECK(number != PAIRS);
        model_check_pull(model, number, &pulls[i]);
        model_fly(model, number);
    }
}

static void model_end(model_t *model, unsigned number, bool settled) {
    for (unsigned i = 0; i < model->add_count; i++) {
        model_add_t *add = &model->adds[i];
        if (add->pair == number && add->seq <= model->pairs[number].flight_seq) {
            add->ended = true;
            add->settled = add->settled || settled;
        }
    }
}

static void model_settle(model_t *model, unsigned number) {
    model_pair_t *pair = &model->pairs[number];
    model_end(model, number, true);
    pair->attempts = 0;
    if (pair->dirty) {
        pair->dirty = false;
        model_wait(model, pair);
    } else {
        *pair = (model_pair_t){0};
    }
}

static void model_step_answer(model_t *model, bool good) {
    unsigned number = model_below(model, PAIRS);
    model_pair_t *pair = &model->pairs[number];
    const char *line = model_line(number);
    bool flies = pair->state == FLYING;
    bool late = model_below(model, 8) == 0; /* an answer to some other pull */
    uint64_t seq = late ? model->seq + 1 : flies ? pair->flight_seq : model_below(model, 100);
    if (good) {
        bool ended = wl_pending_done(model->real, line, model_uid(number), seq);
        MODEL_CHECK(ended == (flies && !late));
        if (ended) {
            model_settle(model, number);
        }
        return;
    }
    uint32_t attempts = 0;
    bool give_up = model_below(model, 4) == 0;
    wl_mono_ms_t due = {model_due(model, 50)};
    bool ended =
        wl_pending_fail(model->real, line, model_uid(number), seq, due, give_up, &attempts);
    MODEL_CHECK(ended == (flies && !late));
    if (!ended) {
        return;
    }
    MODEL_CHECK(attempts == ++pair->attempts);
    if (give_up) {
        model_settle(model, number);
        return;
    }
    model_end(model, number, false);
    pair->dirty = false;
    if (pair->interactive) {
        model_wait(model, pair);
    } else {
        pair->failed = true;
        pair->state = SLEEPING;
        pair->due_ms = due.ms;
    }
}

static void model_step_time(model_t *model) {
    model->now_ms += model_below(model, 30);
    wl_mono_ms_t next = {0};
    size_t woken = wl_pending_wake(model->real, (wl_mono_ms_t){model->now_ms}, &next);
    int64_t earliest = INT64_MAX;
    uint64_t before = model->stamp;
    for (;;) { /* in the order of their time */
        unsigned best = PAIRS;
        for (unsigned i = 0; i < PAIRS; i++) {
            const model_pair_t *pair = &model->pairs[i];
            if (pair->state == SLEEPING &&
                (best == PAIRS || pair->due_ms < model->pairs[best].due_ms)) {
                best = i;
            }
        }
        if (best == PAIRS || model->pairs[best].due_ms > model->now_ms) {
            earliest = best == PAIRS ? INT64_MAX : model->pairs[best].due_ms;
            break;
        }
        model_wait(model, &model->pairs[best]);
    }
    MODEL_CHECK(woken == model->stamp - before);
    MODEL_CHECK(next.ms == earliest);
}

/* Those of one line, the soonest first, before their time. */
static void model_step_rouse(model_t *model) {
    unsigned line = model_below(model, LINES);
    unsigned max = model_below(model, 4);
    size_t roused = wl_pending_rouse(model->real, model_lines[line], max);
    size_t expected = 0;
    for (; expected < max; expected++) {
        unsigned best = PAIRS;
        for (unsigned i = 0; i < PAIRS; i++) {
            const model_pair_t *pair = &model->pairs[i];
            if (pair->state == SLEEPING && pair->failed && model_line(i) == model_lines[line] &&
                (best == PAIRS || pair->due_ms < model->pairs[best].due_ms)) {
                best = i;
            }
        }
        if (best == PAIRS) {
            break;
        }
        model_wait(model, &model->pairs[best]);
    }
    MODEL_CHECK(roused == expected);
}

static void model_return(model_t *model, unsigned number) {
    model_pair_t *pair = &model->pairs[number];
    pair->interactive = pair->interactive || pair->flight_interactive;
    pair->dirty = false;
    model_wait(model, pair);
}

static void model_step_hold(model_t *model) {
    unsigned number = model_below(model, PAIRS);
    const model_pair_t *pair = &model->pairs[number];
    bool flies = pair->state == FLYING && model_below(model, 8) != 0;
    uint64_t seq = flies ? pair->flight_seq : model->seq + 1;
    MODEL_CHECK(wl_pending_hold(model->real, model_line(number), model_uid(number), seq,
                                (wl_mono_ms_t){0}) == flies);
    if (flies) {
        model_return(model, number);
    }
}

static void model_step_drop(model_t *model) {
    unsigned number = model_below(model, PAIRS);
    bool there = model->pairs[number].state != NONE;
    MODEL_CHECK(wl_pending_drop(model->real, model_line(number), model_uid(number)) == there);
    for (unsigned i = 0; there && i < model->add_count; i++) {
        model_add_t *add = &model->adds[i];
        add->ended = add->ended || add->pair == number;
        add->settled = add->settled || add->pair == number;
    }
    model->pairs[number] = (model_pair_t){0};
}

static void model_step_lost(model_t *model) {
    unsigned line = model_below(model, LINES);
    int64_t before_ms = model->now_ms - model_below(model, 60);
    size_t lost = wl_pending_lost(model->real, model_lines[line], (wl_mono_ms_t){before_ms});
    size_t expected = 0;
    for (;;) {
        unsigned best = PAIRS;
        for (unsigned i = line * UIDS; i < (line + 1) * UIDS; i++) {
            const model_pair_t *pair = &model->pairs[i];
            if (pair->state == FLYING && pair->taken_ms < before_ms &&
                (best == PAIRS || pair->stamp < model->pairs[best].stamp)) {
                best = i;
            }
        }
        if (best == PAIRS) {
            break;
        }
        model_return(model, best);
        expected++;
    }
    MODEL_CHECK(lost == expected);
}

/* Exactly the entries are released whose changes were all added and have all ended. */
static void model_check_released(model_t *model) {
    uint64_t ids[64];
    size_t count = 0;
    while ((count = wl_pending_released(model->real, ids, 64)) > 0) {
        for (size_t i = 0; i < count; i++) {
            MODEL_CHECK(ids[i] >= 1 && ids[i] <= model->entry_count);
            MODEL_CHECK(!model->entries[ids[i] - 1].released);
            model->entries[ids[i] - 1].released = true;
        }
    }
    bool open[ENTRIES_MAX] = {0};
    for (unsigned i = 0; i < model->add_count; i++) {
        if (model->adds[i].entry != 0 && !model->adds[i].ended) {
            open[model->adds[i].entry - 1] = true;
        }
    }
    size_t held = 0;
    for (unsigned i = 0; i < model->entry_count; i++) {
        const model_entry_t *entry = &model->entries[i];
        MODEL_CHECK(entry->released == (entry->added == entry->changes && !open[i]));
        held += entry->released ? 0 : 1;
    }
    MODEL_CHECK(wl_pending_stats(model->real).entries == held);
}

static void model_check(model_t *model) {
    model_check_released(model);
    wl_pending_stats_t stats = wl_pending_stats(model->real);
    MODEL_CHECK(stats.waiting == model_count(model, WAITING, LINES));
    MODEL_CHECK(stats.flying == model_count(model, FLYING, LINES));
    MODEL_CHECK(stats.sleeping == model_count(model, SLEEPING, LINES));
    MODEL_CHECK(stats.keys == stats.waiting + stats.flying + stats.sleeping);
    for (unsigned line = 0; line < LINES; line++) {
        MODEL_CHECK(wl_pending_waiting(model->real, model_lines[line]) ==
                    model_count(model, WAITING, line));
        MODEL_CHECK(wl_pending_flying(model->real, model_lines[line]) ==
                    model_count(model, FLYING, line));
        if (model_count(model, NONE, line) == UIDS) {
            model->run[line] = 0; /* a line without pairs is forgotten */
        }
    }
    for (unsigned i = 0; i < PAIRS; i++) {
        static const char *const names[] = {"none", "waiting", "flying", "sleeping"};
        const model_pair_t *pair = &model->pairs[i];
        const char *name = pair->state == FLYING && pair->dirty ? "dirty" : names[pair->state];
        MODEL_CHECK(strcmp(wl_pending_state(model->real, model_line(i), model_uid(i)), name) == 0);
    }
}

static void model_step(model_t *model) {
    unsigned choice = model_below(model, 37);
    if (choice < 12) {
        model_step_add(model);
    } else if (choice < 15) {
        model_step_entry(model);
    } else if (choice < 20) {
        model_step_take(model);
    } else if (choice < 25) {
        model_step_answer(model, true);
    } else if (choice < 28) {
        model_step_answer(model, false);
    } else if (choice < 31) {
        model_step_time(model);
    } else if (choice < 32) {
        model_step_lost(model);
    } else if (choice < 34) {
        model_step_fly(model);
    } else if (choice < 35) {
        model_step_hold(model);
    } else if (choice < 36) {
        model_step_rouse(model);
    } else {
        model_step_drop(model);
    }
    model_check(model);
}

/* Ends everything: adds what was announced, wakes, takes, answers. Nothing may be left. */
static void model_drain(model_t *model) {
    model->keys_max = PAIRS; /* pairs that are there keep their places, so these adds fit */
    for (unsigned i = 0; i < model->entry_count; i++) {
        while (model->entries[i].added < model->entries[i].changes && model->add_count < ADDS_MAX) {
            wl_pending_add_t add = {.uid = 0, .line = "cash", .bucket = "", .entry_id = i + 1};
            uint64_t seq = 0;
            bool merged = false;
            if (wl_pending_add(model->real, &add, &seq, &merged) != WL_OK) {
                break;
            }
            model->entries[i].added++;
        }
    }
    bool complete = true;
    for (unsigned i = 0; i < model->entry_count; i++) {
        complete = complete && model->entries[i].added == model->entries[i].changes;
    }
    wl_mono_ms_t end = {INT64_MAX};
    wl_mono_ms_t next = {0};
    while (wl_pending_stats(model->real).keys > 0) {
        (void)wl_pending_wake(model->real, end, &next);
        for (unsigned line = 0; line < LINES; line++) {
            wl_pending_pull_t pull;
            (void)wl_pending_lost(model->real, model_lines[line], end);
            while (wl_pending_take(model->real, model_lines[line], 1, end, &pull) == 1) {
                MODEL_CHECK(wl_pending_done(model->real, model_lines[line], pull.uid, pull.seq));
            }
        }
    }
    uint64_t id = 0;
    while (wl_pending_released(model->real, &id, 1) == 1) {
        MODEL_CHECK(!model->entries[id - 1].released);
        model->entries[id - 1].released = true;
    }
    MODEL_CHECK(!complete || wl_pending_stats(model->real).entries == 0);
}

#endif
