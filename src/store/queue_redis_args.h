/* queue_redis_args.h: the growing list of arguments of one command, borrowed bytes and formatted
 * text mixed. For src/store only; belongs to the thread of its queue. */
#ifndef WL_STORE_QUEUE_REDIS_ARGS_H
#define WL_STORE_QUEUE_REDIS_ARGS_H

#include "store/redis.h"

typedef struct wl_queue_args wl_queue_args_t;

wl_queue_args_t *wl_queue_args_new(void);
void wl_queue_args_destroy(wl_queue_args_t **self);
void wl_queue_args_clear(wl_queue_args_t *self); /* keeps the memory */

void wl_queue_args_add(wl_queue_args_t *self, const void *at, size_t bytes); /* borrowed */
void wl_queue_args_word(wl_queue_args_t *self, const char *word);            /* borrowed */
/* Copied; longer than 511 bytes is cut. */
void wl_queue_args_text(wl_queue_args_t *self, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Copied, to the end of the argument added last, which must be text. */
void wl_queue_args_tail(wl_queue_args_t *self, const void *at, size_t bytes);

uint32_t wl_queue_args_count(const wl_queue_args_t *self);
size_t wl_queue_args_bytes(const wl_queue_args_t *self); /* of all together */
/* All of them, until the next change. */
const wl_redis_arg_t *wl_queue_args_all(wl_queue_args_t *self);

#endif
