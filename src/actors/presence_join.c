#include "actors/presence_join.h"

#include "base/alloc.h"

#include <string.h>

#define SNAPSHOT_BYTES_MAX \
    ((uint64_t)8 << 30) /* as on disk: a billion hashed users are under 3 GB */

enum {
    CHUNK_BYTES = 262144, /* as messages.def allows */
    WINDOW_CHUNKS = 4,    /* under way at once: a megabyte */
    ASK_AGAIN_MS = 1000,  /* without a piece for so long the missing ones are asked for again */
    ASK_NONE_MS = 300,    /* a writer whose set is not complete is asked again */
    OTHER_WRITER_MS = 1500,
};

struct wl_presence_join {
    bool chosen;         /* a writer was chosen */
    uint32_t writer;     /* which one */
    uint64_t snapshot;   /* its number, 0 = not known yet */
    uint64_t total;      /* bytes */
    uint64_t have;       /* bytes, without a hole from the start */
    uint64_t asked;      /* bytes asked for */
    bool first_asked;    /* the first piece is under way */
    uint8_t *bytes;      /* owned */
    size_t room;         /* of bytes */
    int64_t asked_at;    /* monotonic ms of the last question or piece */
    int64_t progress_at; /* when the last good piece came, or when all began */
    int64_t wait_ms;
};

wl_presence_join_t *wl_presence_join_new(int64_t now, int64_t wait_ms) {
    wl_presence_join_t *self = wl_alloc_zero(1, sizeof *self);
    self->progress_at = now;
    self->wait_ms = wait_ms;
    return self;
}

static void join_restart(wl_presence_join_t *self) {
    self->snapshot = 0;
    self->total = 0;
    self->have = 0;
    self->asked = 0;
    self->first_asked = false;
}

static bool join_whole(const wl_presence_join_t *self) {
    return self->total > 0 && self->have == self->total;
}

bool wl_presence_join_want(wl_presence_join_t *self, uint32_t writer, bool live, int64_t now,
                           wl_want_head_t *ret_want) {
    bool stuck = self->chosen && now - self->progress_at > OTHER_WRITER_MS &&
                 now - self->asked_at > ASK_AGAIN_MS;
    if (!live) {
        self->chosen = self->chosen && self->writer != writer;
        return false;
    }
    if (!self->chosen || (stuck && self->writer != writer)) {
        self->chosen = true;
        self->writer = writer;
        join_restart(self);
    }
    if (self->writer != writer || join_whole(self)) {
        return false;
    }
    if (now - self->asked_at > (self->snapshot == 0 ? ASK_NONE_MS : ASK_AGAIN_MS)) {
        self->asked = self->have;
        self->first_asked = false;
    }
    if (self->snapshot == 0) {
        bool ask = !self->first_asked;
        self->first_asked = true;
        self->asked_at = ask ? now : self->asked_at;
        *ret_want = (wl_want_head_t){.snapshot = 0, .offset = 0};
        return ask;
    }
    if (self->asked >= self->total ||
        self->asked - self->have >= (uint64_t)WINDOW_CHUNKS * CHUNK_BYTES) {
        return false;
    }
    *ret_want = (wl_want_head_t){.snapshot = self->snapshot, .offset = self->asked};
    self->asked += CHUNK_BYTES;
    self->asked_at = now;
    return true;
}

/* Room grows with what has come, not with what was announced. */
static void join_append(wl_presence_join_t *self, wl_bytes_t piece) {
    if (self->have + piece.count > self->room) {
        size_t room = (self->have + piece.count) * 2;
        room = room > self->total ? self->total : room;
        self->bytes = wl_realloc_array(self->bytes, room, 1);
        self->room = room;
    }
    memcpy(self->bytes + self->have, piece.at, piece.count);
    self->have += piece.count;
}

void wl_presence_join_chunk(wl_presence_join_t *self, uint32_t writer, const wl_msg_t *msg,
                            int64_t now) {
    const wl_chunk_head_t *head = &msg->head.chunk;
    if (!self->chosen || writer != self->writer || join_whole(self)) {
        return;
    }
    if (head->snapshot == 0 || msg->count != 1) { /* not there, or not there any more */
        if (self->snapshot != 0) {
            join_restart(self);
        }
        return;
    }
    if (self->snapshot == 0 && head->offset == 0 && head->total <= SNAPSHOT_BYTES_MAX) {
        self->snapshot = head->snapshot;
        self->total = head->total;
        self->asked = CHUNK_BYTES;
    }
    wl_bytes_t piece = msg->items.chunk[0].bytes;
    if (head->snapshot != self->snapshot || head->total != self->total ||
        head->offset != self->have || piece.count == 0 || piece.count > self->total - self->have) {
        return;
    }
    join_append(self, piece);
    self->asked = self->asked < self->have ? self->have : self->asked;
    self->asked_at = now;
    self->progress_at = now;
}

wl_join_state_t wl_presence_join_state(const wl_presence_join_t *self, int64_t now) {
    if (join_whole(self)) {
        return WL_JOIN_WHOLE;
    }
    return now - self->progress_at > self->wait_ms ? WL_JOIN_GIVEN_UP : WL_JOIN_WAITS;
}

wl_bytes_t wl_presence_join_bytes(const wl_presence_join_t *self) {
    return (wl_bytes_t){self->bytes, self->have};
}

void wl_presence_join_destroy(wl_presence_join_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_free((*self)->bytes);
    wl_free(*self);
    *self = NULL;
}
