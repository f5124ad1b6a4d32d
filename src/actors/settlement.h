/* settlement.h: what the dispatcher has to make durable, gathered until it is written in one
 * transaction: retries, dead letters, and the acknowledgements that rest on them. Part of the
 * dispatcher actor and used on its thread only.
 *
 * Several things may happen to one (uid, line) before they are written: the newest counts. When
 * writing fails everything stays and is written later; the dispatcher takes up no new work
 * meanwhile, so what waits is bounded by the pairs it holds. */
#ifndef WL_ACTORS_SETTLEMENT_H
#define WL_ACTORS_SETTLEMENT_H

#include "domain/attempts.h"
#include "domain/pending.h"
#include "store/queue.h"

typedef struct wl_settlement wl_settlement_t;

wl_settlement_t *wl_settlement_new(void);
void wl_settlement_destroy(wl_settlement_t **self);

/* This retry stands in the store, now: an end that waits to be written is taken back. Its history
 * counts unless one of the pair is known. */
void wl_settlement_stored(wl_settlement_t *self, const wl_retry_row_t *row);
/* The pair was a dead letter with this history, and is being tried again: what fails next is added
 * to it. Copied. */
void wl_settlement_recall(wl_settlement_t *self, uint64_t uid, const char *line,
                          const void *history, size_t bytes);
/* The pair is to be pulled again: copied, but for its history, which is kept here. attempt: what
 * failed just now, is added to it. */
void wl_settlement_retry(wl_settlement_t *self, const wl_retry_row_t *row,
                         const wl_attempt_t *attempt);
/* The same for a pair that is held no longer: once written nothing is remembered of it, until its
 * row is loaded. So what a shard has missed for hours takes no memory. */
void wl_settlement_spill(wl_settlement_t *self, const wl_retry_row_t *row);
/* The pair has ended: its retry, if there is one, goes. */
void wl_settlement_end(wl_settlement_t *self, uint64_t uid, const char *line);
/* The same for good: also when a row stands in the store that was never loaded. */
void wl_settlement_forget(wl_settlement_t *self, uint64_t uid, const char *line);
/* A letter, copied with its body; the pair's retry, if there is one, goes, and its history becomes
 * the letter's. uid 0: a whole entry. attempt: the last one; NULL: there was none. */
void wl_settlement_dead(wl_settlement_t *self, const wl_dead_letter_t *letter,
                        const wl_attempt_t *attempt);
/* An entry all of whose effects are durable once what was gathered so far is. */
void wl_settlement_ack(wl_settlement_t *self, uint64_t entry_id);
/* The same for all entries that pending has released. */
void wl_settlement_collect(wl_settlement_t *self, wl_pending_t *pending);

/* How much waits to be written. */
size_t wl_settlement_waiting(const wl_settlement_t *self);

/* Writes everything in one transaction. On an error nothing is forgotten. *ret_acked = entries. */
WL_MUST_USE wl_err_t wl_settlement_write(wl_settlement_t *self, wl_queue_t *queue,
                                         size_t *ret_acked);

#endif
