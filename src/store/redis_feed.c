/* One descriptor for the caller: an epoll that holds the connection, whichever it is, and a timer
 * for everything that is due: the next attempt, the end of one, a PING, the end of waiting for its
 * answer.
 *
 *     DOWN -- retry --> CONNECTING -- writable --> GREETED -- "subscribe" --> UP
 *      ^                    |                         |                        |
 *      +---- error, late, closed, an error of the server, no PONG -------------+ */
#include "store/redis_feed.h"

#include "base/alloc.h"
#include "base/random.h"
#include "store/password_file.h"
#include "store/redis_address.h"
#include "store/redis_command.h"
#include "store/redis_reader.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    NODES_MAX = 16,
    BACKOFF_MS_MIN = 50,
    BACKOFF_MS_MAX = 1000,
    SILENCE_MS = 5000, /* after which a server has to show that it is there */
    READ_BYTES = 16384,
    ROUNDS_MAX = 16, /* events served in one call */
    CHANNEL_BYTES = 128,
};

typedef enum { DOWN, CONNECTING, GREETED, UP } state_t;

struct wl_redis_feed {
    wl_redis_address_t nodes[NODES_MAX];
    uint32_t node_count;
    uint32_t node; /* whose turn it is */
    char channel[CHANNEL_BYTES];
    char *user;          /* owned */
    char *password_file; /* owned */
    uint32_t timeout_ms;
    uint32_t silence_ms;
    int epoll;
    int timer;
    int fd; /* -1 when DOWN */
    state_t state;
    wl_redis_reader_t *reader; /* owned, NULL when DOWN */
    char *out;                 /* owned, what is still to be written, NULL = nothing */
    size_t out_begin;
    size_t out_end;
    uint32_t failures; /* in a row */
    bool pinged;       /* and not answered yet */
    bool news;         /* to be told */
};

/* ---- time ------------------------------------------------------------------------------------ */

static void feed_due_in(wl_redis_feed_t *self, uint32_t ms) {
    struct itimerspec at = {.it_value = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}};
    if (ms == 0) {
        at.it_value.tv_nsec = 1; /* zero would stop it */
    }
    (void)timerfd_settime(self->timer, 0, &at, NULL);
}

/* Closes, and says when to try again. */
static void feed_lose(wl_redis_feed_t *self) {
    if (self->fd != -1) {
        (void)epoll_ctl(self->epoll, EPOLL_CTL_DEL, self->fd, NULL);
        (void)close(self->fd);
        self->fd = -1;
    }
    wl_redis_reader_destroy(&self->reader);
    if (self->out != NULL) {
        sodium_memzero(self->out, self->out_end);
        wl_free(self->out);
        self->out = NULL;
    }
    self->state = DOWN;
    self->pinged = false;
    self->node = (self->node + 1) % self->node_count;
    uint32_t wait = (uint32_t)BACKOFF_MS_MIN << (self->failures < 5 ? self->failures : 5);
    wait = wait < BACKOFF_MS_MAX ? wait : BACKOFF_MS_MAX;
    self->failures++;
    feed_due_in(self, wait / 2 + wl_random_below(wait / 2 + 1));
}

/* ---- writing --------------------------------------------------------------------------------- */

static void feed_watch(wl_redis_feed_t *self, int how, uint32_t events) {
    struct epoll_event event = {.events = events, .data.fd = self->fd};
    if (epoll_ctl(self->epoll, how, self->fd, &event) != 0) {
        feed_lose(self);
    }
}

static void feed_write(wl_redis_feed_t *self) {
    while (self->out_begin < self->out_end) {
        ssize_t count = send(self->fd, self->out + self->out_begin, self->out_end - self->out_begin,
                             MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
            feed_lose(self);
            return;
        }
        if (count < 0) {
            feed_watch(self, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            return;
        }
        self->out_begin += (size_t)count;
    }
    sodium_memzero(self->out, self->out_end);
    wl_free(self->out);
    self->out = NULL;
    self->out_begin = self->out_end = 0;
    feed_watch(self, EPOLL_CTL_MOD, EPOLLIN);
}

static void feed_say(wl_redis_feed_t *self, const char *const *words, uint32_t count) {
    wl_redis_arg_t args[3];
    for (uint32_t i = 0; i < count; i++) {
        args[i] = (wl_redis_arg_t){words[i], strlen(words[i])};
    }
    wl_redis_command_t *command =
        wl_redis_command_new(WL_REDIS_FOR_HANDSHAKE, args, count, INT64_MAX);
    self->out = wl_realloc(self->out, self->out_end + command->byte_count);
    memcpy(self->out + self->out_end, command->bytes, command->byte_count);
    self->out_end += command->byte_count;
    sodium_memzero(command->bytes, command->byte_count);
    wl_redis_command_destroy(&command);
}

/* ---- connecting ------------------------------------------------------------------------------ */

static void feed_connect(wl_redis_feed_t *self) {
    struct sockaddr_storage to;
    socklen_t bytes = wl_redis_address_socket(&self->nodes[self->node], &to);
    self->fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (self->fd == -1 ||
        (connect(self->fd, (struct sockaddr *)&to, bytes) == -1 && errno != EINPROGRESS)) {
        feed_lose(self);
        return;
    }
    self->state = CONNECTING;
    feed_due_in(self, self->timeout_ms);
    feed_watch(self, EPOLL_CTL_ADD, EPOLLOUT); /* also when it is connected already */
}

static void feed_greet(wl_redis_feed_t *self) {
    char password[WL_PASSWORD_MAX + 1] = "";
    int error = 0;
    socklen_t bytes = sizeof error;
    if (getsockopt(self->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) == -1 || error != 0 ||
        wl_password_file_read(self->password_file, password, NULL) != WL_OK) {
        feed_lose(self);
        return;
    }
    if (self->user[0] != '\0') {
        feed_say(self, (const char *[]){"AUTH", self->user, password}, 3);
    } else if (password[0] != '\0') {
        feed_say(self, (const char *[]){"AUTH", password}, 2);
    }
    sodium_memzero(password, sizeof password);
    feed_say(self, (const char *[]){"SUBSCRIBE", self->channel}, 2);
    self->reader = wl_redis_reader_new();
    self->state = GREETED;
    feed_write(self);
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool reply_begins(const redisReply *reply, const char *word) {
    return reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
           reply->element[0]->type == REDIS_REPLY_STRING &&
           strcmp(reply->element[0]->str, word) == 0;
}

/* False: this is no server to listen to. */
static bool feed_on_reply(wl_redis_feed_t *self, const redisReply *reply) {
    if (reply_begins(reply, "message")) {
        self->news = true;
    } else if (reply_begins(reply, "subscribe")) {
        self->news = true; /* what came while nobody listened is not known */
        self->state = UP;
        self->failures = 0;
    }
    return reply->type != REDIS_REPLY_ERROR;
}

/* False: the connection is lost. */
static bool feed_take_replies(wl_redis_feed_t *self) {
    for (;;) {
        redisReply *reply = NULL;
        wl_err_t err = wl_redis_reader_next(self->reader, &reply);
        if (err == WL_ERR_EMPTY) {
            return true;
        }
        bool fine = err == WL_OK && feed_on_reply(self, reply);
        if (reply != NULL) {
            freeReplyObject(reply);
        }
        if (!fine) {
            feed_lose(self);
            return false;
        }
    }
}

static void feed_read(wl_redis_feed_t *self) {
    char bytes[READ_BYTES];
    ssize_t count = recv(self->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (count < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK)) {
        return;
    }
    if (count <= 0) {
        feed_lose(self);
        return;
    }
    wl_redis_reader_feed(self->reader, bytes, (size_t)count);
    if (feed_take_replies(self) && self->state == UP) {
        self->pinged = false;
        feed_due_in(self, self->silence_ms);
    }
}

/* ---- turns ----------------------------------------------------------------------------------- */

static void feed_on_timer(wl_redis_feed_t *self) {
    uint64_t times = 0;
    if (read(self->timer, &times, sizeof times) != (ssize_t)sizeof times) {
        return; /* it was set anew meanwhile */
    }
    if (self->state == DOWN) {
        feed_connect(self);
        return;
    }
    if (self->state == UP && !self->pinged) {
        self->pinged = true;
        feed_due_in(self, self->timeout_ms);
        feed_say(self, (const char *[]){"PING"}, 1);
        feed_write(self);
        return;
    }
    if (self->state == GREETED || self->state == UP) {
        feed_read(self); /* it may be ourselves who were held up: the answer is there then */
    }
    if (self->state != DOWN && (self->state != UP || self->pinged)) {
        feed_lose(self);
    }
}

static void feed_on_socket(wl_redis_feed_t *self, uint32_t events) {
    if (self->state == CONNECTING) {
        feed_greet(self);
        return;
    }
    if ((events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) {
        feed_read(self);
    }
    if (self->fd != -1 && (events & EPOLLOUT) != 0 && self->out != NULL) {
        feed_write(self);
    }
}

bool wl_redis_feed_take(wl_redis_feed_t *self) {
    for (int i = 0; i < ROUNDS_MAX; i++) {
        struct epoll_event event; /* one at a time: the first may close what the second is about */
        if (epoll_wait(self->epoll, &event, 1, 0) != 1) {
            break;
        }
        if (event.data.fd == self->timer) {
            feed_on_timer(self);
        } else {
            feed_on_socket(self, event.events);
        }
    }
    bool news = self->news;
    self->news = false;
    return news;
}

int wl_redis_feed_fd(const wl_redis_feed_t *self) {
    return self->epoll;
}

/* ---- life ------------------------------------------------------------------------------------ */

static wl_err_t feed_read_nodes(wl_redis_feed_t *self, const char *nodes, wl_fault_t *fault) {
    for (const char *at = nodes;; at++) {
        size_t bytes = strcspn(at, ",");
        wl_redis_address_t *node = &self->nodes[self->node_count];
        if (self->node_count == NODES_MAX || wl_redis_address_read(at, bytes, node) != WL_OK) {
            return wl_fault(fault, WL_ERR_SETTINGS, "nodes", "\"%.100s\" is not host:port", at);
        }
        if (wl_redis_address_resolve(node) != WL_OK) {
            return wl_fault(fault, WL_ERR_SETTINGS, "nodes", "no address for %.100s", node->host);
        }
        self->node_count++;
        at += bytes;
        if (*at == '\0') {
            return WL_OK;
        }
    }
}

void wl_redis_feed_destroy(wl_redis_feed_t **pointer) {
    wl_redis_feed_t *self = pointer == NULL ? NULL : *pointer;
    if (self == NULL) {
        return;
    }
    if (self->node_count > 0) {
        feed_lose(self);
    }
    if (self->timer != -1) {
        (void)close(self->timer);
    }
    if (self->epoll != -1) {
        (void)close(self->epoll);
    }
    wl_free(self->user);
    wl_free(self->password_file);
    wl_free(self);
    *pointer = NULL;
}

wl_err_t wl_redis_feed_new(const wl_redis_feed_options_t *options, wl_redis_feed_t **ret,
                           wl_fault_t *fault) {
    WL_AUTO(wl_redis_feed) self = wl_alloc_zero(1, sizeof *self);
    self->fd = self->epoll = self->timer = -1;
    self->timeout_ms = options->timeout_ms;
    self->silence_ms = options->silence_ms == 0 ? SILENCE_MS : options->silence_ms;
    self->user = wl_strdup(options->user);
    self->password_file = wl_strdup(options->password_file);
    size_t channel_bytes = strlen(options->channel);
    if (channel_bytes >= sizeof self->channel) {
        return wl_fault(fault, WL_ERR_SETTINGS, "channel", "its name is too long");
    }
    memcpy(self->channel, options->channel, channel_bytes + 1);
    wl_err_t err = feed_read_nodes(self, options->nodes, fault);
    if (err != WL_OK) {
        return err;
    }
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    self->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = self->timer};
    if (self->epoll == -1 || self->timer == -1 ||
        epoll_ctl(self->epoll, EPOLL_CTL_ADD, self->timer, &event) != 0) {
        return wl_fault(fault, WL_ERR_IO, "", "%s", strerror(errno));
    }
    self->node = wl_random_below(self->node_count);
    feed_due_in(self, 0);
    *ret = self;
    self = NULL;
    return WL_OK;
}
