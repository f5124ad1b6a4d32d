/* redis_reader.h: hiredis's reply parser with bounds on what a server may make us hold: hiredis
 * itself allocates what an array's header promises, and knows no end of a line or a string.
 * For src/store only; belongs to one thread. */
#ifndef WL_STORE_REDIS_READER_H
#define WL_STORE_REDIS_READER_H

#include "base/err.h"

#include <hiredis/hiredis.h>
#include <stddef.h>

typedef struct wl_redis_reader wl_redis_reader_t;

wl_redis_reader_t *wl_redis_reader_new(void);
void wl_redis_reader_destroy(wl_redis_reader_t **self); /* NULL and *NULL are accepted */

/* Appends bytes of the connection; take all replies after each 16 KiB or so, because hiredis moves
 * what is left behind a reply. */
void wl_redis_reader_feed(wl_redis_reader_t *self, const void *bytes, size_t count);
/* The next complete reply, to be freed with freeReplyObject(). WL_ERR_EMPTY: there is none yet.
 * WL_ERR_MALFORMED: these are no replies, or larger ones than anybody sends us; for ever then. */
WL_MUST_USE wl_err_t wl_redis_reader_next(wl_redis_reader_t *self, redisReply **ret);
bool wl_redis_reader_is_empty(const wl_redis_reader_t *self); /* nothing was fed but not taken */
const char *wl_redis_reader_problem(const wl_redis_reader_t *self); /* why it is malformed */

#endif
