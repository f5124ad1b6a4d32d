/* queue_redis.h: what the sources of the queue in Redis share: the handle, and the way to ask a
 * script and wait. Nobody else includes it.
 *     queue_redis.c         life, is the server safe?, append
 *     queue_redis_settle.c  claim, read, settle, retries, stats
 *     queue_dead_redis.c    dead letters
 *     queue_job_redis.c     records of long work
 *     queue_redis_ask.c     asking and errors */
#ifndef WL_STORE_QUEUE_REDIS_H
#define WL_STORE_QUEUE_REDIS_H

#include "store/queue_backend.h"
#include "store/queue_redis_args.h"
#include "store/queue_redis_scripts.h"

enum { WL_QUEUE_KEY_MAX = 64 };

/* One partition: its keys, and what is known of the server that holds it. */
typedef struct {
    char changes[WL_QUEUE_KEY_MAX]; /* the keys, see queue_redis_scripts.h */
    char state[WL_QUEUE_KEY_MAX];
    char retries[WL_QUEUE_KEY_MAX];
    char dead[WL_QUEUE_KEY_MAX];
    char audit[WL_QUEUE_KEY_MAX];
    char jobs[WL_QUEUE_KEY_MAX];
    uint64_t safe_link; /* wl_redis_link() whose server was found safe, 0 = none */
    bool replicated;    /* it has a replica that is in touch */
    int64_t looked_at;  /* monotonic ms when replicas were looked for last */
} wl_queue_part_t;

typedef struct {
    wl_queue_t queue; /* first: a wl_queue_t of this backend is one of these */
    wl_queue_use_t use;
    wl_redis_t *redis; /* owned */
    uint32_t timeout_ms;
    bool cluster;
    bool allow_memory;
    wl_queue_part_t *parts; /* owned, as many as partitions */
    uint32_t partition;     /* that is claimed, read, settled */
    char consumer[64];
    char epoch[24];        /* of the claim, "" = not claimed */
    uint64_t delivered;    /* newest entry read since the claim */
    bool again;            /* an answer with entries may have been lost */
    wl_queue_args_t *args; /* owned, of the command being built */
} wl_queue_redis_t;

/* ---- queue_redis_ask.c ----------------------------------------------------------------------- */

/* Takes an answer that is no error; runs while others may still be under way. */
typedef wl_err_t (*wl_queue_answer_fn)(const redisReply *reply, void *arg);

/* One question under way; lives until wl_queue_redis_wait() has returned. */
typedef struct {
    wl_queue_redis_t *self;
    wl_queue_answer_fn take; /* NULL: any answer is fine */
    void *arg;
    wl_err_t err; /* how it ended */
} wl_queue_question_t;

/* Begins the arguments: the keys that follow are added with wl_queue_args_word(). */
wl_queue_args_t *wl_queue_redis_begin(wl_queue_redis_t *self);
/* Sends the arguments as a script, its first key says where to. */
void wl_queue_redis_send(wl_queue_redis_t *self, const char *script, uint32_t key_count,
                         wl_queue_question_t *question);
/* Sends them as a command to the server of a key. */
void wl_queue_redis_command(wl_queue_redis_t *self, const char *key, wl_queue_question_t *question);
/* Waits until all questions have ended. */
void wl_queue_redis_wait(wl_queue_redis_t *self);
/* Sends a script, waits. */
WL_MUST_USE wl_err_t wl_queue_redis_ask(wl_queue_redis_t *self, const char *script,
                                        uint32_t key_count, wl_queue_answer_fn take, void *arg);
/* Gives a connection that was lost a few milliseconds to come back. */
void wl_queue_redis_rouse(wl_queue_redis_t *self, const char *key);
uint64_t wl_queue_redis_link(const wl_queue_redis_t *self, const char *key);
/* For wl_queue_answer_fn: a number; WL_ERR_CONFLICT: STALE; WL_ERR_DAMAGED: something else. */
WL_MUST_USE wl_err_t wl_queue_redis_number(const redisReply *reply, uint64_t *ret);

/* ---- queue_redis.c --------------------------------------------------------------------------- */
/* Whether the server of a partition keeps what it acknowledges; asks again when the connection is a
 * new one. WL_ERR_SETTINGS: it has no append-only file. */
WL_MUST_USE wl_err_t wl_queue_redis_safe(wl_queue_redis_t *self, wl_queue_part_t *part);

/* ---- queue_redis_settle.c, queue_dead_redis.c; see wl_queue_ops_t ---------------------------- */
WL_MUST_USE wl_err_t wl_queue_redis_claim(wl_queue_t *self, uint64_t epoch);
WL_MUST_USE wl_err_t wl_queue_redis_read(wl_queue_t *self, uint64_t after, size_t max,
                                         wl_queue_entry_fn tell, void *arg, uint64_t *ret_last);
WL_MUST_USE wl_err_t wl_queue_redis_settle(wl_queue_t *self, const wl_settle_t *settle);
WL_MUST_USE wl_err_t wl_queue_redis_retries(wl_queue_t *self, wl_retry_fn tell, void *arg);
WL_MUST_USE wl_err_t wl_queue_redis_stats(wl_queue_t *self, wl_queue_stats_t *ret);
WL_MUST_USE wl_err_t wl_queue_redis_dead_list(wl_queue_t *self, const wl_dead_filter_t *filter,
                                              uint64_t last, size_t max, wl_dead_fn tell,
                                              void *arg);
WL_MUST_USE wl_err_t wl_queue_redis_dead_classes(wl_queue_t *self,
                                                 uint64_t ret_counts[WL_FAILURE_COUNT]);
WL_MUST_USE wl_err_t wl_queue_redis_dead_get(wl_queue_t *self, uint64_t id, wl_dead_fn tell,
                                             void *arg);
WL_MUST_USE wl_err_t wl_queue_redis_dead_redrive(wl_queue_t *self, const wl_dead_choice_t *choice,
                                                 wl_retry_fn tell, void *arg, uint64_t *ret_count);
WL_MUST_USE wl_err_t wl_queue_redis_dead_discard(wl_queue_t *self, const wl_dead_choice_t *choice,
                                                 wl_retry_fn tell, void *arg, uint64_t *ret_count);
WL_MUST_USE wl_err_t wl_queue_redis_dead_forget(wl_queue_t *self, uint64_t uid, const char *line,
                                                uint64_t *ret_count);
WL_MUST_USE wl_err_t wl_queue_redis_job_set(wl_queue_t *self, uint32_t partition, const char *name,
                                            const void *body, size_t bytes);
WL_MUST_USE wl_err_t wl_queue_redis_job_put(wl_queue_t *self, const char *name, const void *body,
                                            size_t bytes);
WL_MUST_USE wl_err_t wl_queue_redis_jobs(wl_queue_t *self, uint32_t partition, wl_job_fn tell,
                                         void *arg);

#endif
