/* How the queue asks Redis: everything is sent first, then waited for together. Every question
 * ends, by its answer or by the deadline of the connection, so waiting is bounded. */
#include "base/check.h"
#include "base/clock.h"
#include "store/queue_redis.h"
#include "store/queue_redis_rows.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

enum {
    ROUSE_TURNS = 8, /* of ROUSE_MS each: a server nearby is connected to within three */
    ROUSE_MS = 2,
    WAIT_TIMEOUTS = 8, /* a command that is sent on has a deadline of its own at each node */
};

/* What went wrong, for the log of the caller. An error of the server names no secrets and no
 * bodies. */
static void ask_note(wl_queue_redis_t *self, const char *text) {
    (void)snprintf(self->queue.problem, sizeof self->queue.problem, "%s", text);
}

/* The words of redis.h, as the callers of a queue understand them: WL_ERR_CONFLICT is a claim that
 * was lost and nothing else. */
static wl_err_t ask_err(wl_queue_redis_t *self, wl_err_t err, const redisReply *reply) {
    switch ((int)err) {
    case WL_OK: return WL_OK;
    case WL_ERR_CONFLICT: ask_note(self, "the server is a replica"); return WL_ERR_UNAVAILABLE;
    case WL_ERR_NOT_FOUND:
        ask_note(self, "the server lost a script or the consumer group");
        return WL_ERR_UNAVAILABLE;
    case WL_ERR_FULL: ask_note(self, "too many commands under way"); return WL_ERR_BUSY;
    case WL_ERR_NO_SPACE:
        ask_note(self, "the server refuses to write: its memory or its disk is full");
        return err;
    case WL_ERR_UNAVAILABLE: ask_note(self, wl_redis_stats(self->redis).problem); return err;
    case WL_ERR_INTERNAL: break;
    default: ask_note(self, wl_err_text(err)); return err;
    }
    const char *text = reply == NULL ? "" : reply->str;
    ask_note(self, text);
    if (strstr(text, "WRONGTYPE") != NULL) {
        return WL_ERR_DAMAGED; /* somebody else uses our keys */
    }
    return strncmp(text, "NOREPLICAS", 10) == 0 ? WL_ERR_UNAVAILABLE : WL_ERR_INTERNAL;
}

static void on_answer(wl_err_t err, const redisReply *reply, void *arg) {
    wl_queue_question_t *question = arg;
    question->err = ask_err(question->self, err, reply);
    if (question->err == WL_OK && question->take != NULL) {
        question->err = question->take(reply, question->arg);
        if (question->err == WL_ERR_DAMAGED) {
            ask_note(question->self, "an answer of the server is not of the kind expected");
        }
    }
}

wl_queue_args_t *wl_queue_redis_begin(wl_queue_redis_t *self) {
    wl_queue_args_clear(self->args);
    return self->args;
}

void wl_queue_redis_send(wl_queue_redis_t *self, const char *script, uint32_t key_count,
                         wl_queue_question_t *question) {
    question->self = self;
    wl_redis_script(self->redis, script, key_count, wl_queue_args_all(self->args),
                    wl_queue_args_count(self->args), on_answer, question);
}

void wl_queue_redis_command(wl_queue_redis_t *self, const char *key,
                            wl_queue_question_t *question) {
    question->self = self;
    wl_redis_arg_t where = {key, strlen(key)};
    wl_redis_send(self->redis, &where, wl_queue_args_all(self->args),
                  wl_queue_args_count(self->args), on_answer, question);
}

void wl_queue_redis_wait(wl_queue_redis_t *self) {
    wl_err_t err = wl_redis_wait(self->redis, self->timeout_ms * WAIT_TIMEOUTS);
    while (err == WL_ERR_DEADLINE) { /* the questions are on our caller's stack */
        err = wl_redis_wait(self->redis, self->timeout_ms);
    }
    WL_ASSERT(wl_redis_open(self->redis) == 0);
}

wl_err_t wl_queue_redis_ask(wl_queue_redis_t *self, const char *script, uint32_t key_count,
                            wl_queue_answer_fn take, void *arg) {
    wl_queue_question_t question = {.take = take, .arg = arg, .err = WL_ERR_UNAVAILABLE};
    wl_queue_redis_send(self, script, key_count, &question);
    wl_queue_redis_wait(self);
    return question.err;
}

uint64_t wl_queue_redis_link(const wl_queue_redis_t *self, const char *key) {
    wl_redis_arg_t where = {key, strlen(key)};
    return wl_redis_link(self->redis, &where);
}

void wl_queue_redis_rouse(wl_queue_redis_t *self, const char *key) {
    for (uint32_t i = 0; wl_queue_redis_link(self, key) == 0 && i < ROUSE_TURNS; i++) {
        wl_err_t err = wl_redis_wait(self->redis, 0);
        (void)err; /* nothing is under way */
        (void)poll(NULL, 0, ROUSE_MS);
    }
}

wl_err_t wl_queue_redis_number(const redisReply *reply, uint64_t *ret) {
    if (reply->type == REDIS_REPLY_STATUS && strcmp(reply->str, "STALE") == 0) {
        return WL_ERR_CONFLICT;
    }
    if (reply->type == REDIS_REPLY_INTEGER && reply->integer >= 0) {
        *ret = (uint64_t)reply->integer;
        return WL_OK;
    }
    return reply->type == REDIS_REPLY_STRING && wl_queue_row_number(reply, '-', ret)
               ? WL_OK
               : WL_ERR_DAMAGED;
}
