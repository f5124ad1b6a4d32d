/* Records of long work in Redis: one hash a partition. */
#include "store/queue_redis.h"

#include <string.h>

static wl_err_t written_take(const redisReply *reply, void *arg) {
    (void)arg;
    uint64_t fields = 0;
    return wl_queue_redis_number(reply, &fields);
}

static wl_err_t job_write(wl_queue_redis_t *self, uint32_t partition, const char *epoch,
                          const char *name, const void *body, size_t bytes) {
    wl_queue_part_t *part = &self->parts[partition];
    wl_queue_redis_rouse(self, part->changes);
    wl_queue_args_t *args = wl_queue_redis_begin(self);
    wl_queue_args_word(args, part->jobs);
    wl_queue_args_word(args, part->state);
    wl_queue_args_word(args, epoch);
    wl_queue_args_word(args, name);
    wl_queue_args_add(args, body == NULL ? "" : body, bytes);
    return wl_queue_redis_ask(self, wl_queue_script_job, 2, written_take, NULL);
}

wl_err_t wl_queue_redis_job_set(wl_queue_t *queue, uint32_t partition, const char *name,
                                const void *body, size_t bytes) {
    return job_write((wl_queue_redis_t *)queue, partition, "", name, body, bytes);
}

wl_err_t wl_queue_redis_job_put(wl_queue_t *queue, const char *name, const void *body,
                                size_t bytes) {
    wl_queue_redis_t *self = (wl_queue_redis_t *)queue;
    if (self->epoch[0] == '\0') {
        return WL_ERR_CONFLICT;
    }
    return job_write(self, self->partition, self->epoch, name, body, bytes);
}

/* ---- reading --------------------------------------------------------------------------------- */

typedef struct {
    wl_job_fn tell;
    void *arg;
} listing_t;

/* Fields that are not ours are passed over. */
static wl_err_t jobs_take(const redisReply *reply, void *arg) {
    const listing_t *self = arg;
    if (reply->type != REDIS_REPLY_ARRAY) {
        return WL_ERR_DAMAGED;
    }
    for (size_t i = 0; i + 1 < reply->elements && i < 2 * WL_JOBS_MAX; i += 2) {
        const redisReply *name = reply->element[i];
        const redisReply *body = reply->element[i + 1];
        if (name->type == REDIS_REPLY_STRING && body->type == REDIS_REPLY_STRING && name->len > 0 &&
            name->len <= WL_JOB_NAME_MAX && strlen(name->str) == name->len &&
            body->len <= WL_JOB_BYTES_MAX) {
            self->tell(name->str, body->str, body->len, self->arg);
        }
    }
    return WL_OK;
}

wl_err_t wl_queue_redis_jobs(wl_queue_t *queue, uint32_t partition, wl_job_fn tell, void *arg) {
    wl_queue_redis_t *self = (wl_queue_redis_t *)queue;
    const char *key = self->parts[partition].jobs;
    listing_t listing = {tell, arg};
    wl_queue_question_t question = {.take = jobs_take, .arg = &listing};
    wl_queue_redis_rouse(self, key);
    wl_queue_args_t *args = wl_queue_redis_begin(self);
    wl_queue_args_word(args, "HGETALL");
    wl_queue_args_word(args, key);
    wl_queue_redis_command(self, key, &question);
    wl_queue_redis_wait(self);
    return question.err;
}
