#include "store/redis_node.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/random.h"
#include "store/redis_reader.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BACKOFF_MS_MIN = 50,
    BACKOFF_MS_MAX = 1000,
    LASTING_MS = 1000,        /* a connection that lived so long was a good one */
    READ_BYTES = 16384,       /* per system call; hiredis moves what is left behind replies */
    READS_PER_TURN = 64,      /* 1 MiB, so that other nodes get a turn */
    OUT_KEEP_BYTES = 1 << 20, /* of our empty one */
    KEEPALIVE_S = 15,         /* silence before the kernel probes an idle connection */
};

typedef enum { DOWN, CONNECTING, HANDSHAKE, UP } state_t;

struct wl_redis_node {
    wl_redis_owner_t *owner; /* borrowed */
    wl_redis_address_t address;
    state_t state;
    int fd;                          /* -1 when DOWN */
    short events;                    /* what owner->watch was told */
    wl_redis_reader_t *reader;       /* owned, NULL until connected */
    char *out;                       /* owned, bytes to write */
    size_t out_begin;                /* first byte not yet written */
    size_t out_end;                  /* behind the last one */
    size_t out_capacity;             /* of out */
    wl_redis_commands_t open;        /* written or about to be; answers come in this order */
    wl_redis_commands_t waiting;     /* for the first connection */
    int64_t late_at;                 /* no open command is late before */
    int64_t connect_until;           /* end of the attempt under way */
    int64_t retry_at;                /* begin of the next one */
    int64_t up_at;                   /* when it came up */
    uint32_t failures;               /* in a row */
    bool tried;                      /* an attempt has ended: commands do not wait any more */
    wl_err_t down_err;               /* what commands get while it is down */
    uint64_t link;                   /* of this connection */
    wl_redis_node_scripts_t scripts; /* of this connection */
};

/* ---- life ------------------------------------------------------------------------------------ */

wl_redis_node_t *wl_redis_node_new(wl_redis_owner_t *owner, const wl_redis_address_t *address) {
    wl_redis_node_t *self = wl_alloc_zero(1, sizeof *self);
    self->owner = owner;
    self->address = *address;
    self->fd = -1;
    return self;
}

static void node_watch(wl_redis_node_t *self, short events) {
    if (self->events != events) {
        self->events = events;
        if (self->owner->watch != NULL) {
            self->owner->watch(self->fd, events, self->owner->watch_ctx);
        }
    }
}

static void node_close(wl_redis_node_t *self) {
    if (self->fd != -1) {
        node_watch(self, 0);
        (void)close(self->fd);
        self->fd = -1;
    }
    wl_redis_reader_destroy(&self->reader);
    self->out_begin = self->out_end = 0;
    self->scripts = (wl_redis_node_scripts_t){0};
    self->state = DOWN;
}

static void node_fail_all(wl_redis_node_t *self, wl_redis_commands_t *list, wl_err_t err,
                          int64_t now) {
    wl_redis_command_t *command = NULL;
    while ((command = wl_redis_commands_pop(list)) != NULL) {
        self->owner->failed(self->owner->self, command,
                            command->late_at <= now ? WL_ERR_DEADLINE : err);
    }
}

void wl_redis_node_destroy(wl_redis_node_t **pointer) {
    wl_redis_node_t *self = pointer == NULL ? NULL : *pointer;
    if (self == NULL) {
        return;
    }
    node_close(self);
    node_fail_all(self, &self->open, WL_ERR_UNAVAILABLE, INT64_MIN);
    node_fail_all(self, &self->waiting, WL_ERR_UNAVAILABLE, INT64_MIN);
    wl_free(self->out);
    wl_free(self);
    *pointer = NULL;
}

/* Closes, fails all commands, and says when to try again. */
static void node_lose(wl_redis_node_t *self, wl_err_t err, const char *why, int64_t now) {
    wl_redis_owner_t *owner = self->owner;
    bool lasted = self->state == UP && now - self->up_at >= LASTING_MS;
    self->failures = lasted ? 0 : self->failures + 1;
    uint32_t shift = self->failures < 5 ? self->failures : 5;
    uint32_t wait = (uint32_t)BACKOFF_MS_MIN << shift;
    wait = wait < BACKOFF_MS_MAX ? wait : BACKOFF_MS_MAX;
    self->retry_at = now + wait / 2 + wl_random_below(wait / 2 + 1);
    self->down_err = err == WL_ERR_UNAUTHORIZED ? err : WL_ERR_UNAVAILABLE;
    self->tried = true;
    owner->reconnects++;
    (void)snprintf(owner->problem, sizeof owner->problem, "%.60s:%u: %s", self->address.host,
                   (unsigned)self->address.port, why);
    node_close(self);
    node_fail_all(self, &self->open, self->down_err, now);
    node_fail_all(self, &self->waiting, self->down_err, now);
    owner->down(owner->self);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void out_reserve(wl_redis_node_t *self, size_t bytes) {
    if (self->out_capacity - self->out_end >= bytes) {
        return;
    }
    size_t held = self->out_end - self->out_begin;
    if (self->out_begin >= held && self->out_capacity - held >= bytes) {
        memcpy(self->out, self->out + self->out_begin, held); /* the halves do not overlap */
    } else {
        size_t capacity = self->out_capacity < READ_BYTES ? READ_BYTES : self->out_capacity;
        while (capacity - held < bytes) {
            capacity *= 2;
        }
        char *out = wl_alloc(capacity);
        if (held > 0) {
            memcpy(out, self->out + self->out_begin, held);
        }
        wl_free(self->out);
        self->out = out;
        self->out_capacity = capacity;
    }
    self->out_begin = 0;
    self->out_end = held;
}

/* Appends to the bytes to be written and to the commands to be answered. */
static void node_append(wl_redis_node_t *self, wl_redis_command_t *command) {
    out_reserve(self, command->byte_count);
    memcpy(self->out + self->out_end, command->bytes, command->byte_count);
    self->out_end += command->byte_count;
    if (!self->owner->resend && command->script == 0) {
        wl_redis_command_forget_bytes(command);
    }
    if (self->open.first == NULL || command->late_at < self->late_at) {
        self->late_at = command->late_at;
    }
    wl_redis_commands_push(&self->open, command);
    node_watch(self, POLLIN | POLLOUT);
}

void wl_redis_node_send(wl_redis_node_t *self, wl_redis_command_t *command) {
    WL_ASSERT(wl_redis_node_state(self) == WL_OK && command->bytes != NULL);
    if (self->state == UP) {
        node_append(self, command);
    } else {
        wl_redis_commands_push(&self->waiting, command);
    }
}

static void node_write(wl_redis_node_t *self, int64_t now) {
    while (self->out_begin < self->out_end) {
        ssize_t count = send(self->fd, self->out + self->out_begin, self->out_end - self->out_begin,
                             MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0) {
            if (errno == EINTR) {
                continue;
            }
            if (errno != EAGAIN && errno != EWOULDBLOCK) {
                node_lose(self, WL_ERR_UNAVAILABLE, strerror(errno), now);
            } else {
                node_watch(self, POLLIN | POLLOUT);
            }
            return;
        }
        self->out_begin += (size_t)count;
    }
    self->out_begin = self->out_end = 0;
    if (self->out_capacity > OUT_KEEP_BYTES) {
        wl_free(self->out);
        self->out = NULL;
        self->out_capacity = 0;
    }
    node_watch(self, POLLIN);
}

/* ---- connecting ------------------------------------------------------------------------------ */

static void socket_set_options(int fd) {
    int on = 1;
    int seconds = KEEPALIVE_S;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof seconds);
}

static void node_connect(wl_redis_node_t *self, int64_t now) {
    struct sockaddr_storage to;
    socklen_t bytes = wl_redis_address_socket(&self->address, &to);
    self->connect_until = now + self->owner->timeout_ms;
    if (bytes == 0) {
        node_lose(self, WL_ERR_UNAVAILABLE, "its address is not known", now);
        return;
    }
    self->fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (self->fd == -1) {
        node_lose(self, WL_ERR_UNAVAILABLE, strerror(errno), now);
        return;
    }
    socket_set_options(self->fd);
    if (connect(self->fd, (struct sockaddr *)&to, bytes) == -1 && errno != EINPROGRESS) {
        node_lose(self, WL_ERR_UNAVAILABLE, strerror(errno), now);
        return;
    }
    self->state = CONNECTING;
    node_watch(self, POLLOUT); /* also when it is connected already: one way for both */
}

static void node_append_handshake(wl_redis_node_t *self, const char *const *words, uint32_t count,
                                  bool last) {
    wl_redis_arg_t args[3];
    for (uint32_t i = 0; i < count; i++) {
        args[i] = (wl_redis_arg_t){words[i], strlen(words[i])};
    }
    wl_redis_command_t *command =
        wl_redis_command_new(WL_REDIS_FOR_HANDSHAKE, args, count, self->connect_until);
    command->last = last;
    node_append(self, command);
}

/* The kernel of a stopped server still accepts: only an answer shows that somebody is there. */
static void node_greet(wl_redis_node_t *self, int64_t now) {
    wl_redis_owner_t *owner = self->owner;
    self->reader = wl_redis_reader_new();
    self->state = HANDSHAKE;
    wl_err_t err = wl_password_file_read(owner->password_file, owner->password, NULL);
    (void)err; /* a file that became unreadable keeps the last good password */
    if (owner->user[0] != '\0') {
        node_append_handshake(self, (const char *[]){"AUTH", owner->user, owner->password}, 3,
                              false);
    } else if (owner->password[0] != '\0') {
        node_append_handshake(self, (const char *[]){"AUTH", owner->password}, 2, false);
    }
    node_append_handshake(self, (const char *[]){"PING"}, 1, true);
    node_write(self, now);
}

static void node_finish_connect(wl_redis_node_t *self, int64_t now) {
    struct pollfd item = {.fd = self->fd, .events = POLLOUT};
    if (poll(&item, 1, 0) != 1) {
        return; /* the event was of an older descriptor with this number */
    }
    int error = 0;
    socklen_t bytes = sizeof error;
    if (getsockopt(self->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) == -1) {
        error = errno;
    }
    if (error != 0) {
        node_lose(self, WL_ERR_UNAVAILABLE, strerror(error), now);
        return;
    }
    node_greet(self, now);
}

/* Takes the command over. */
static void node_on_handshake(wl_redis_node_t *self, wl_redis_command_t *command,
                              const redisReply *reply, int64_t now) {
    bool last = command->last;
    wl_redis_command_destroy(&command);
    bool error = reply->type == REDIS_REPLY_ERROR;
    /* A server that is loading, or cannot write its disk, says so even to a PING: it is there. */
    if (error && (!last || strncmp(reply->str, "NOAUTH", 6) == 0)) {
        node_lose(self, WL_ERR_UNAUTHORIZED, reply->str, now);
        return;
    }
    if (!last) {
        return;
    }
    if (!wl_redis_reader_is_empty(self->reader)) { /* or it would answer our first command */
        node_lose(self, WL_ERR_UNAVAILABLE, "a reply that nobody asked for", now);
        return;
    }
    self->state = UP;
    self->up_at = now;
    self->tried = true;
    self->link = ++self->owner->links;
    wl_redis_command_t *next = NULL;
    while ((next = wl_redis_commands_pop(&self->waiting)) != NULL) {
        node_append(self, next);
    }
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Hands out all replies that are complete. False: the connection is lost. */
static bool node_take_replies(wl_redis_node_t *self, int64_t now) {
    for (;;) {
        redisReply *got = NULL;
        wl_err_t err = wl_redis_reader_next(self->reader, &got);
        if (err == WL_ERR_EMPTY) {
            return true;
        }
        if (err != WL_OK) {
            node_lose(self, WL_ERR_UNAVAILABLE, wl_redis_reader_problem(self->reader), now);
            return false;
        }
        wl_redis_command_t *command = wl_redis_commands_pop(&self->open);
        if (command == NULL) {
            node_lose(self, WL_ERR_UNAVAILABLE, "a reply that nobody asked for", now);
        } else if (command->purpose == WL_REDIS_FOR_HANDSHAKE) {
            node_on_handshake(self, command, got, now);
        } else {
            self->owner->replied(self->owner->self, self, command, got);
        }
        freeReplyObject(got);
        if (self->state == DOWN) {
            return false;
        }
    }
}

static void node_read(wl_redis_node_t *self, int64_t now) {
    char bytes[READ_BYTES];
    for (uint32_t i = 0; i < READS_PER_TURN; i++) {
        ssize_t count = recv(self->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        }
        if (count <= 0) {
            node_lose(self, WL_ERR_UNAVAILABLE,
                      count == 0 ? "the server closed the connection" : strerror(errno), now);
            return;
        }
        wl_redis_reader_feed(self->reader, bytes, (size_t)count);
        if (!node_take_replies(self, now)) {
            return;
        }
        if ((size_t)count < sizeof bytes) {
            return;
        }
    }
}

void wl_redis_node_ready(wl_redis_node_t *self, short events, int64_t now) {
    if (self->state == CONNECTING) {
        node_finish_connect(self, now);
        return;
    }
    if (self->state != DOWN && (events & (POLLIN | POLLERR | POLLHUP)) != 0) {
        node_read(self, now);
    }
    if (self->state != DOWN) {
        node_write(self, now);
    }
}

/* ---- time ------------------------------------------------------------------------------------ */

static void node_check_late(wl_redis_node_t *self, int64_t now) {
    while (self->waiting.first != NULL && self->waiting.first->late_at <= now) {
        wl_redis_command_t *command = wl_redis_commands_pop(&self->waiting);
        self->owner->failed(self->owner->self, command, WL_ERR_DEADLINE);
    }
    if (self->state == CONNECTING || self->state == HANDSHAKE) {
        if (self->connect_until <= now) {
            node_lose(self, WL_ERR_UNAVAILABLE, "no answer while connecting", now);
        }
        return;
    }
    if (self->state != UP || self->open.first == NULL || self->late_at > now) {
        return;
    }
    node_read(self, now); /* it may be ourselves who were held up: the answers are there then */
    self->late_at = INT64_MAX; /* was that of a command that has gone: look at what is left */
    for (wl_redis_command_t *at = self->open.first; at != NULL; at = at->next) {
        self->late_at = at->late_at < self->late_at ? at->late_at : self->late_at;
    }
    if (self->state == UP && self->late_at <= now) {
        node_lose(self, WL_ERR_UNAVAILABLE, "a command was not answered in time", now);
    }
}

void wl_redis_node_turn(wl_redis_node_t *self, int64_t now) {
    node_check_late(self, now);
    if (self->state == DOWN && self->retry_at <= now) {
        node_connect(self, now);
    }
    if (self->state == UP || self->state == HANDSHAKE) {
        node_write(self, now);
    }
}

/* ---- questions ------------------------------------------------------------------------------- */

wl_err_t wl_redis_node_state(const wl_redis_node_t *self) {
    return self->state == UP || !self->tried ? WL_OK : self->down_err;
}

bool wl_redis_node_is_up(const wl_redis_node_t *self) {
    return self->state == UP;
}

bool wl_redis_node_is_idle(const wl_redis_node_t *self) {
    return self->open.first == NULL && self->waiting.first == NULL;
}

int wl_redis_node_fd(const wl_redis_node_t *self) {
    return self->fd;
}

short wl_redis_node_events(const wl_redis_node_t *self) {
    return self->events;
}

uint64_t wl_redis_node_link(const wl_redis_node_t *self) {
    return self->state == UP ? self->link : 0;
}

const wl_redis_address_t *wl_redis_node_address(const wl_redis_node_t *self) {
    return &self->address;
}

wl_redis_node_scripts_t *wl_redis_node_scripts(wl_redis_node_t *self) {
    return &self->scripts;
}
