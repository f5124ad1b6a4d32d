/* queue_redis_rows.h: rows of the queue as text in Redis (the formats stand in
 * queue_redis_scripts.h) and back. What is read may be anything: it is checked, never trusted.
 * Pure, for src/store only. */
#ifndef WL_STORE_QUEUE_REDIS_ROWS_H
#define WL_STORE_QUEUE_REDIS_ROWS_H

#include "base/err.h"
#include "store/queue_redis_args.h"
#include "store/queue_rows.h"

/* The field "head" of an entry. */
void wl_queue_row_head(wl_queue_args_t *args, int64_t at, wl_entry_kind_t kind, const char *line);
/* "kind at line" -> time; 0 when it is something else. */
int64_t wl_queue_row_head_at(const redisReply *head);
/* One element of an answer to XRANGE. An entry that is not ours still gets its id, kind 0, line ""
 * and what is there of a body, so that it can be put aside. WL_ERR_DAMAGED: no entry at all. */
WL_MUST_USE wl_err_t wl_queue_row_entry(const redisReply *reply, wl_queue_entry_t *ret);

void wl_queue_row_retry_field(wl_queue_args_t *args, const wl_retry_row_t *row);
void wl_queue_row_retry_value(wl_queue_args_t *args, const wl_retry_row_t *row);
/* WL_ERR_DAMAGED: not a retry. */
WL_MUST_USE wl_err_t wl_queue_row_retry(const redisReply *field, const redisReply *value,
                                        wl_retry_row_t *ret);

/* Nine arguments of the settling script. */
void wl_queue_row_letter_args(wl_queue_args_t *args, const wl_dead_letter_t *letter);
/* One element of an answer to XRANGE; missing fields read as 0 or "". WL_ERR_DAMAGED: no entry, or
 * a number that is not ours. */
WL_MUST_USE wl_err_t wl_queue_row_letter(const redisReply *reply, uint32_t partition,
                                         wl_dead_letter_t *ret);

/* The number that a text begins with, up to one of `ends` or its end. */
bool wl_queue_row_number(const redisReply *text, char end, uint64_t *ret);

#endif
