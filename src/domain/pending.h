/* pending.h: the dispatcher's memory: which (uid, line) pairs wait for a pull, which are being
 * pulled, which sleep until a retry, and which durable queue entries may be acknowledged.
 *
 *      add                take                    done, clean
 *   ---------> WAITING ---------> FLYING --------------------------> (forgotten)
 *               ^    ^              | lost; done, dirty: an add came meanwhile
 *           due,|    +--------------+ hold; fail, dirty and the add interactive
 *   interactive |                   |
 *           add +--- SLEEPING <-----+ fail; hold with a due
 *
 * Ten changes of one pair cost one pull. A queue entry names up to WL_CHANGES_MAX pairs and is
 * released when each of them has ended (done, or failed: the failure is then durable elsewhere).
 * Pure: the caller passes the time. One owner thread. About 220 bytes a pair. Bounded: keys_max
 * pairs, 16 times as many references of entries to pairs, WL_LINE_NAMES_MAX lines. */
#ifndef WL_DOMAIN_PENDING_H
#define WL_DOMAIN_PENDING_H

#include "base/clock.h"
#include "base/err.h"
#include "base/limits.h"

#include <stddef.h>
#include <stdint.h>

enum { WL_PENDING_WAKE_MAX = 4096, WL_PENDING_LOST_MAX = 256 };

typedef struct wl_pending wl_pending_t;

typedef struct {
    char bucket[WL_BUCKET_MAX + 1];
    uint64_t version;
} wl_pending_hint_t;

/* One pull to make. */
typedef struct {
    uint64_t uid;
    uint64_t seq;     /* the newest add that this pull covers */
    uint32_t attempt; /* 0 = first */
    bool interactive;
    wl_wall_ms_t notified_at; /* of the oldest change covered; 0 = none */
    uint8_t hint_count;
    wl_pending_hint_t hints[WL_HINTS_MAX]; /* highest version of each bucket; more are dropped */
} wl_pending_pull_t;

typedef struct {
    uint64_t uid;
    const char *line;
    const char *bucket; /* "" */
    uint64_t version;   /* 0 = not said */
    uint64_t entry_id;  /* the queue entry to release, 0 = none */
    bool interactive;
    uint32_t attempt; /* > 0: loaded from the retry table */
    wl_wall_ms_t notified_at;
    wl_mono_ms_t due; /* 0 = now; a new pair, as of a loaded retry, sleeps until then */
} wl_pending_add_t;

/* keys_max: pairs held at once; at the bound wl_pending_add refuses and the change stays in the
 * durable queue. */
wl_pending_t *wl_pending_new(uint32_t keys_max);
void wl_pending_destroy(wl_pending_t **self);

/* The number of the newest add, 0 = none; and where to count on from, which cannot go back: so that
 * the numbers of two holders of one queue never meet. */
uint64_t wl_pending_seq(const wl_pending_t *self);
void wl_pending_count_from(wl_pending_t *self, uint64_t seq);

/* Announces a queue entry (id > 0) of `changes` pairs before its adds. An entry of 0 changes is
 * released at once. An id announced again before its release, as after WL_ERR_FULL in the middle of
 * it, expects all its adds anew. */
void wl_pending_entry(wl_pending_t *self, uint64_t entry_id, uint32_t changes);

/* WL_ERR_FULL: nothing changed. *ret_seq is the number of this add; *ret_merged says that a pull
 * that covers it was already due. An add with entry_id 0 (or one that was not announced) of a pair
 * that already waits changes only its priority and what its pull covers. An interactive add wakes a
 * sleeping pair unless it has a due of its own; any other add leaves it asleep, so that a sick line
 * is not hammered, and its entry stays until the next pull has ended. attempt: the larger wins. */
WL_MUST_USE wl_err_t wl_pending_add(wl_pending_t *self, const wl_pending_add_t *add,
                                    uint64_t *ret_seq, bool *ret_merged);

/* Moves up to max pairs of a line from WAITING to FLYING, interactive ones first (but at least one
 * of eight bulk, so that none starves). Returns how many. */
size_t wl_pending_take(wl_pending_t *self, const char *line, size_t max, wl_mono_ms_t now,
                       wl_pending_pull_t *ret_pulls);
size_t wl_pending_waiting(const wl_pending_t *self, const char *line);
size_t wl_pending_flying(const wl_pending_t *self, const char *line);

/* The pull of (uid, line) whose seq this is has taken effect. false: no such pull is flying (a late
 * duplicate): nothing changes. */
bool wl_pending_done(wl_pending_t *self, const char *line, uint64_t uid, uint64_t seq);

/* The pull failed. The pair sleeps until `due` with one attempt more, or is forgotten when
 * `give_up`. If a newer change came meanwhile:
 *   interactive: it waits again at once, a user looks;
 *   otherwise: it sleeps until `due` as well. Either way the attempts count on, so that a pair
 *   that always fails cannot escape the limit by being notified often;
 *   with give_up: it waits at once as a new pair, attempts 0, for the newer change only.
 * Releases the entries of the failed pull: make the retry or dead letter durable before
 * acknowledging them. *ret_attempts (may be NULL) = attempts so far, this one included. false: no
 * such pull is flying, nothing changes. */
bool wl_pending_fail(wl_pending_t *self, const char *line, uint64_t uid, uint64_t seq,
                     wl_mono_ms_t due, bool give_up, uint32_t *ret_attempts);

/* A flying pull that was not made after all: the pair waits again, or sleeps until `due` when that
 * is not 0; its attempts unchanged. false: no such pull is flying, nothing changes. */
bool wl_pending_hold(wl_pending_t *self, const char *line, uint64_t uid, uint64_t seq,
                     wl_mono_ms_t due);

/* Forgets a pair in whatever state, as if all that it was to cover were done: its entries end. The
 * answer of a pull that flies finds nothing later. false: there is no such pair. */
bool wl_pending_drop(wl_pending_t *self, const char *line, uint64_t uid);

/* Takes this pair alone, if it waits: false otherwise. */
bool wl_pending_fly(wl_pending_t *self, const char *line, uint64_t uid, wl_mono_ms_t now,
                    wl_pending_pull_t *ret_pull);
/* The pull of a flying pair once more. false: no pull with this seq is flying. */
bool wl_pending_flight(const wl_pending_t *self, const char *line, uint64_t uid, uint64_t seq,
                       wl_pending_pull_t *ret_pull);

/* Wakes sleepers that are due, at most WL_PENDING_WAKE_MAX a call; returns how many. *ret_next =
 * when to call again: now or earlier when some are left (INT64_MAX ms = nobody sleeps). */
size_t wl_pending_wake(wl_pending_t *self, wl_mono_ms_t now, wl_mono_ms_t *ret_next);

/* Wakes up to max retries of `line` before they are due, the soonest first; returns how many. Those
 * held until a due sleep on. For a line that has been sick and is well again. O(log n) each. */
size_t wl_pending_rouse(wl_pending_t *self, const char *line, size_t max);

/* Pulls of `line` taken before `before` that nobody answered wait again, their attempts unchanged;
 * at most WL_PENDING_LOST_MAX a call, the oldest first; returns how many. */
size_t wl_pending_lost(wl_pending_t *self, const char *line, wl_mono_ms_t before);

/* Takes up to max ids of released entries, to be acknowledged. */
size_t wl_pending_released(wl_pending_t *self, uint64_t *ret_ids, size_t max);

typedef struct {
    size_t keys; /* all pairs */
    size_t waiting;
    size_t flying;
    size_t sleeping;
    size_t entries; /* entries announced and not yet taken by wl_pending_released */
} wl_pending_stats_t;
wl_pending_stats_t wl_pending_stats(const wl_pending_t *self);

/* The newest add that sleeps in this pair, 0 = the pair does not sleep. */
uint64_t wl_pending_asleep(const wl_pending_t *self, const char *line, uint64_t uid);

/* The state of one pair for operators: "none", "waiting", "flying", "dirty", "sleeping". */
const char *wl_pending_state(const wl_pending_t *self, const char *line, uint64_t uid);

#endif
