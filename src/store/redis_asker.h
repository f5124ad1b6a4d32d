/* redis_asker.h: Redis for a caller that waits for each answer. The client behind it is made with
 * the first question, so that names of servers are not looked up before. Every question ends, by
 * its answer or by the deadline of its connection. For src/store only; belongs to one thread. */
#ifndef WL_STORE_REDIS_ASKER_H
#define WL_STORE_REDIS_ASKER_H

#include "store/redis.h"

typedef struct wl_redis_asker wl_redis_asker_t;

/* Copies options. WL_ERR_SETTINGS: nodes are no addresses. */
WL_MUST_USE wl_err_t wl_redis_asker_new(const wl_redis_options_t *options, wl_redis_asker_t **ret,
                                        wl_fault_t *fault);
void wl_redis_asker_destroy(wl_redis_asker_t **self); /* NULL and *NULL are accepted */

/* Takes an answer that is no error. WL_ERR_DAMAGED: it is not of the kind expected. */
typedef wl_err_t (*wl_redis_take_fn)(const redisReply *reply, void *arg);

/* A script (see wl_redis_script()) and a command on the key that is its second word. take may be
 * NULL. What take returns, or WL_ERR_UNAVAILABLE, WL_ERR_DEADLINE; WL_ERR_NO_SPACE: the server's
 * memory or disk is full; WL_ERR_DAMAGED: a key is of another type; WL_ERR_IO: other errors. */
WL_MUST_USE wl_err_t wl_redis_asker_script(wl_redis_asker_t *self, const char *script,
                                           uint32_t key_count, const wl_redis_arg_t *args,
                                           uint32_t arg_count, wl_redis_take_fn take, void *arg);
WL_MUST_USE wl_err_t wl_redis_asker_command(wl_redis_asker_t *self, const wl_redis_arg_t *args,
                                            uint32_t arg_count, wl_redis_take_fn take, void *arg);
/* Why the last question failed. */
const char *wl_redis_asker_problem(const wl_redis_asker_t *self);

wl_redis_arg_t wl_redis_arg_of(const char *text);

/* Takers: a number into an int64_t; bytes, copied; WL_ERR_NOT_FOUND: nil. */
wl_err_t wl_redis_take_number(const redisReply *reply, void *arg);
typedef struct {
    char *at; /* wl_free(), NUL-terminated */
    size_t bytes;
} wl_redis_text_t;
wl_err_t wl_redis_take_text(const redisReply *reply, void *arg);

#endif
