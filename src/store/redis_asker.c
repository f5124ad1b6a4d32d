#include "store/redis_asker.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "store/redis_address.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    RETRY_MS = 1000, /* between two attempts to look names up */
    ROUSE_TURNS = 8, /* of ROUSE_MS each: a server nearby is connected to within three */
    ROUSE_MS = 2,
};

struct wl_redis_asker {
    wl_redis_t *redis; /* owned, NULL before the first question */
    int64_t retry_at;  /* monotonic ms: names are not looked up again before */
    bool cluster;
    uint32_t timeout_ms;
    char *nodes;         /* owned */
    char *user;          /* owned */
    char *password_file; /* owned */
    char problem[300];
};

/* One question under way, on the stack of whoever asks. */
typedef struct {
    wl_redis_asker_t *self;
    wl_redis_take_fn take;
    void *arg;
    wl_err_t err;
} question_t;

static wl_err_t asker_fail(wl_redis_asker_t *self, wl_err_t err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static wl_err_t asker_fail(wl_redis_asker_t *self, wl_err_t err, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(self->problem, sizeof self->problem, format, arguments);
    va_end(arguments);
    return err;
}

const char *wl_redis_asker_problem(const wl_redis_asker_t *self) {
    return self->problem;
}

/* ---- life ------------------------------------------------------------------------------------ */

static wl_err_t nodes_check(const char *nodes, wl_fault_t *fault) {
    for (const char *at = nodes;; at++) {
        wl_redis_address_t address;
        size_t bytes = strcspn(at, ",");
        if (wl_redis_address_read(at, bytes, &address) != WL_OK) {
            return wl_fault(fault, WL_ERR_SETTINGS, "nodes", "\"%.*s\" is not host:port",
                            bytes < 100 ? (int)bytes : 100, at);
        }
        at += bytes;
        if (*at == '\0') {
            return WL_OK;
        }
    }
}

wl_err_t wl_redis_asker_new(const wl_redis_options_t *options, wl_redis_asker_t **ret,
                            wl_fault_t *fault) {
    wl_err_t err = nodes_check(options->nodes, fault);
    if (err != WL_OK) {
        return err;
    }
    wl_redis_asker_t *self = wl_alloc_zero(1, sizeof *self);
    self->cluster = options->cluster;
    self->timeout_ms = options->timeout_ms;
    self->nodes = wl_strdup(options->nodes);
    self->user = wl_strdup(options->user);
    self->password_file = wl_strdup(options->password_file);
    self->retry_at = INT64_MIN;
    *ret = self;
    return WL_OK;
}

void wl_redis_asker_destroy(wl_redis_asker_t **pointer) {
    wl_redis_asker_t *self = pointer == NULL ? NULL : *pointer;
    if (self != NULL) {
        wl_redis_destroy(&self->redis);
        wl_free(self->nodes);
        wl_free(self->user);
        wl_free(self->password_file);
        wl_free(self);
        *pointer = NULL;
    }
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* The words of redis.h, as a caller understands them who only wants to know whether the store is
 * there and sound. */
static wl_err_t ask_err(wl_redis_asker_t *self, wl_err_t err, const redisReply *reply) {
    const char *text = reply == NULL || reply->str == NULL ? "" : reply->str;
    switch ((int)err) {
    case WL_OK: return WL_OK;
    case WL_ERR_DEADLINE: return asker_fail(self, err, "no answer in time");
    case WL_ERR_NO_SPACE: return asker_fail(self, err, "its memory or its disk is full");
    case WL_ERR_CONFLICT: return asker_fail(self, WL_ERR_UNAVAILABLE, "it is a replica");
    case WL_ERR_NOT_FOUND: return asker_fail(self, WL_ERR_UNAVAILABLE, "it lost a script");
    case WL_ERR_UNAVAILABLE:
    case WL_ERR_UNAUTHORIZED:
        return asker_fail(self, WL_ERR_UNAVAILABLE, "%s",
                          text[0] == '\0' ? wl_redis_stats(self->redis).problem : text);
    case WL_ERR_INTERNAL: break;
    default: return asker_fail(self, WL_ERR_UNAVAILABLE, "%s", wl_err_text(err));
    }
    bool strange = strstr(text, "WRONGTYPE") != NULL; /* somebody else uses our keys */
    return asker_fail(self, strange ? WL_ERR_DAMAGED : WL_ERR_IO, "%.200s", text);
}

static void on_answer(wl_err_t err, const redisReply *reply, void *arg) {
    question_t *question = arg;
    question->err = ask_err(question->self, err, reply);
    if (question->err == WL_OK && question->take != NULL) {
        question->err = question->take(reply, question->arg);
        if (question->err == WL_ERR_DAMAGED) {
            (void)asker_fail(question->self, WL_ERR_DAMAGED,
                             "an answer is not of the kind expected");
        }
    }
}

/* Makes the client with the first question; gives a connection that was lost a few milliseconds to
 * come back. */
static wl_err_t asker_rouse(wl_redis_asker_t *self, const wl_redis_arg_t *key) {
    int64_t now = wl_mono_now().ms;
    wl_fault_t fault = {.line = 0};
    if (self->redis == NULL && now >= self->retry_at) {
        wl_redis_options_t options = {.nodes = self->nodes,
                                      .cluster = self->cluster,
                                      .user = self->user,
                                      .password_file = self->password_file,
                                      .timeout_ms = self->timeout_ms};
        if (wl_redis_new(&options, &self->redis, &fault) != WL_OK) {
            self->redis = NULL;
            self->retry_at = wl_mono_now().ms + RETRY_MS;
            (void)asker_fail(self, WL_OK, "%s %s", fault.where, fault.message);
        }
    }
    if (self->redis == NULL) {
        return WL_ERR_UNAVAILABLE; /* the problem is still that of the last attempt */
    }
    wl_err_t err = wl_redis_wait(self->redis, 0); /* sees that a connection has ended */
    for (int i = 0; wl_redis_link(self->redis, key) == 0 && i < ROUSE_TURNS; i++) {
        (void)poll(NULL, 0, ROUSE_MS);
        err = wl_redis_wait(self->redis, 0);
    }
    WL_ASSERT(err == WL_OK); /* nothing is under way */
    return WL_OK;
}

static wl_err_t asker_wait(wl_redis_asker_t *self, const question_t *question) {
    wl_err_t err = wl_redis_wait(self->redis, self->timeout_ms);
    while (err == WL_ERR_DEADLINE) { /* sent on by a cluster; the question is on our stack */
        err = wl_redis_wait(self->redis, self->timeout_ms);
    }
    WL_ASSERT(wl_redis_open(self->redis) == 0);
    return question->err;
}

wl_err_t wl_redis_asker_script(wl_redis_asker_t *self, const char *script, uint32_t key_count,
                               const wl_redis_arg_t *args, uint32_t arg_count,
                               wl_redis_take_fn take, void *arg) {
    question_t question = {.self = self, .take = take, .arg = arg, .err = WL_ERR_UNAVAILABLE};
    wl_err_t err = asker_rouse(self, &args[0]);
    if (err != WL_OK) {
        return err;
    }
    wl_redis_script(self->redis, script, key_count, args, arg_count, on_answer, &question);
    return asker_wait(self, &question);
}

wl_err_t wl_redis_asker_command(wl_redis_asker_t *self, const wl_redis_arg_t *args,
                                uint32_t arg_count, wl_redis_take_fn take, void *arg) {
    WL_ASSERT(arg_count >= 2);
    question_t question = {.self = self, .take = take, .arg = arg, .err = WL_ERR_UNAVAILABLE};
    wl_err_t err = asker_rouse(self, &args[1]);
    if (err != WL_OK) {
        return err;
    }
    wl_redis_send(self->redis, &args[1], args, arg_count, on_answer, &question);
    return asker_wait(self, &question);
}

/* ---- arguments and takers -------------------------------------------------------------------- */

wl_redis_arg_t wl_redis_arg_of(const char *text) {
    return (wl_redis_arg_t){text, strlen(text)};
}

wl_err_t wl_redis_take_number(const redisReply *reply, void *arg) {
    int64_t *ret = arg;
    if (reply->type != REDIS_REPLY_INTEGER) {
        return WL_ERR_DAMAGED;
    }
    *ret = reply->integer;
    return WL_OK;
}

wl_err_t wl_redis_take_text(const redisReply *reply, void *arg) {
    wl_redis_text_t *ret = arg;
    if (reply->type == REDIS_REPLY_NIL) {
        return WL_ERR_NOT_FOUND;
    }
    if (reply->type != REDIS_REPLY_STRING) {
        return WL_ERR_DAMAGED;
    }
    ret->at = wl_alloc(reply->len + 1);
    ret->bytes = reply->len;
    memcpy(ret->at, reply->str, reply->len);
    ret->at[reply->len] = '\0';
    return WL_OK;
}
