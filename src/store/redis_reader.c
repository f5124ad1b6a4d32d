#include "store/redis_reader.h"

#include "base/alloc.h"
#include "base/check.h"

#include <string.h>

enum {
    REPLY_BYTES_MAX = 64 << 20,   /* one reply; our largest, a page of a stream, is far below */
    LINE_BYTES_MAX = 65536,       /* an error, a status, a number, the length of a string */
    REPLY_ELEMENTS_MAX = 1 << 20, /* in all arrays of one reply */
    KEEP_BYTES = 1 << 20,         /* of hiredis's empty buffer */
};

struct wl_redis_reader {
    redisReader *inner;                /* owned */
    redisReplyObjectFunctions plain;   /* hiredis's own */
    redisReplyObjectFunctions bounded; /* the same with a bound on arrays */
    size_t elements;                   /* in arrays of the reply being read */
    const char *problem;               /* of ours, NULL = ask hiredis */
};

/* hiredis allocates what an array's header says before it has seen an element. */
static void *array_create_bounded(const redisReadTask *task, int count) {
    wl_redis_reader_t *self = task->privdata;
    self->elements = (task->parent == NULL ? 0 : self->elements) + (size_t)count;
    if (self->elements > REPLY_ELEMENTS_MAX) {
        self->problem = "a reply of too many elements";
        return NULL;
    }
    return self->plain.createArray(task, count);
}

wl_redis_reader_t *wl_redis_reader_new(void) {
    wl_redis_reader_t *self = wl_alloc_zero(1, sizeof *self);
    self->inner = redisReaderCreate();
    WL_ASSERT(self->inner != NULL);
    self->inner->maxbuf = KEEP_BYTES;
    self->plain = *self->inner->fn;
    self->bounded = self->plain;
    self->bounded.createArray = array_create_bounded;
    self->inner->fn = &self->bounded;
    self->inner->privdata = self;
    return self;
}

void wl_redis_reader_destroy(wl_redis_reader_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    redisReaderFree((*self)->inner);
    wl_free(*self);
    *self = NULL;
}

void wl_redis_reader_feed(wl_redis_reader_t *self, const void *bytes, size_t count) {
    (void)redisReaderFeed(self->inner, bytes, count); /* its error shows with the next reply */
}

/* hiredis looks for the end of a line from its begin with each feed: long ones cost a square. */
static bool reader_is_flooded(const redisReader *inner) {
    size_t held = inner->len - inner->pos;
    return held > REPLY_BYTES_MAX ||
           (held > LINE_BYTES_MAX && memchr(inner->buf + inner->pos, '\n', LINE_BYTES_MAX) == NULL);
}

wl_err_t wl_redis_reader_next(wl_redis_reader_t *self, redisReply **ret) {
    void *got = NULL;
    if (self->problem != NULL || redisReaderGetReply(self->inner, &got) != REDIS_OK) {
        return WL_ERR_MALFORMED;
    }
    if (got != NULL) {
        *ret = got;
        return WL_OK;
    }
    if (reader_is_flooded(self->inner)) {
        self->problem = "a reply without end";
        return WL_ERR_MALFORMED;
    }
    return WL_ERR_EMPTY;
}

bool wl_redis_reader_is_empty(const wl_redis_reader_t *self) {
    return self->inner->len == self->inner->pos;
}

const char *wl_redis_reader_problem(const wl_redis_reader_t *self) {
    return self->problem != NULL ? self->problem : self->inner->errstr;
}
