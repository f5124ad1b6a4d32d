/* One epoll stands between the connections and the zloop, for the same reason as in
 * lines/http_caller.c: a zloop builds its table anew whenever a poller comes or goes, and ours
 * change their mind about POLLOUT with each batch. The timer is in it as well, because a timer of a
 * zloop may go off once more after its end. */
#include "actors/redis_loop.h"

#include "base/alloc.h"
#include "base/check.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    TICK_NS = 20000000,   /* 20 ms: how exact deadlines are */
    EVENTS_PER_TURN = 16, /* sockets served per wake-up, so that the mailbox gets a turn */
};

struct wl_redis_loop {
    zloop_t *loop;                /* borrowed */
    wl_redis_t *redis;            /* borrowed */
    wl_redis_loop_after_fn after; /* may be NULL */
    void *arg;                    /* of after */
    int epoll;                    /* owned */
    int timer;                    /* owned, a timerfd */
};

static void on_watch(int fd, short events, void *ctx) {
    wl_redis_loop_t *self = ctx;
    if (events == 0) {
        (void)epoll_ctl(self->epoll, EPOLL_CTL_DEL, fd, NULL);
        return;
    }
    struct epoll_event event = {.data.fd = fd};
    event.events =
        ((events & POLLIN) != 0 ? EPOLLIN : 0u) | ((events & POLLOUT) != 0 ? EPOLLOUT : 0u);
    if (epoll_ctl(self->epoll, EPOLL_CTL_MOD, fd, &event) == -1) {
        /* Without memory in the kernel nobody wakes us: the commands run into their deadlines. */
        (void)epoll_ctl(self->epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

static short poll_events(uint32_t events) {
    int found = ((events & EPOLLIN) != 0 ? POLLIN : 0) | ((events & EPOLLOUT) != 0 ? POLLOUT : 0) |
                ((events & EPOLLERR) != 0 ? POLLERR : 0) | ((events & EPOLLHUP) != 0 ? POLLHUP : 0);
    return (short)found;
}

static void loop_after(wl_redis_loop_t *self) {
    if (self->after != NULL) {
        self->after(self->arg);
    }
}

static int on_ready(zloop_t *loop, zmq_pollitem_t *item, void *arg) {
    (void)loop;
    (void)item;
    wl_redis_loop_t *self = arg;
    struct epoll_event events[EVENTS_PER_TURN];
    int count = epoll_wait(self->epoll, events, EVENTS_PER_TURN, 0);
    for (int i = 0; i < count; i++) {
        uint64_t expirations = 0;
        if (events[i].data.fd != self->timer) {
            wl_redis_ready(self->redis, events[i].data.fd, poll_events(events[i].events));
        } else if (read(self->timer, &expirations, sizeof expirations) > 0) {
            wl_redis_tick(self->redis);
        }
    }
    loop_after(self);
    return 0;
}

wl_redis_loop_t *wl_redis_loop_new(zloop_t *loop, wl_redis_t *redis, wl_redis_loop_after_fn after,
                                   void *arg) {
    wl_redis_loop_t *self = wl_alloc_zero(1, sizeof *self);
    self->loop = loop;
    self->redis = redis;
    self->after = after;
    self->arg = arg;
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    self->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    WL_ASSERT(self->epoll != -1 && self->timer != -1);
    struct itimerspec each = {.it_interval.tv_nsec = TICK_NS, .it_value.tv_nsec = TICK_NS};
    int rc = timerfd_settime(self->timer, 0, &each, NULL);
    WL_ASSERT(rc == 0);
    on_watch(self->timer, POLLIN, self);
    zmq_pollitem_t item = {.fd = self->epoll, .events = ZMQ_POLLIN};
    rc = zloop_poller(loop, &item, on_ready, self);
    WL_ASSERT(rc == 0);
    wl_redis_watch(redis, on_watch, self);
    wl_redis_tick(redis); /* begins to connect */
    return self;
}

void wl_redis_loop_destroy(wl_redis_loop_t **pointer) {
    wl_redis_loop_t *self = pointer == NULL ? NULL : *pointer;
    if (self == NULL) {
        return;
    }
    wl_redis_watch(self->redis, NULL, NULL);
    zmq_pollitem_t item = {.fd = self->epoll, .events = ZMQ_POLLIN};
    zloop_poller_end(self->loop, &item);
    (void)close(self->timer);
    (void)close(self->epoll);
    wl_free(self);
    *pointer = NULL;
}

void wl_redis_loop_turn(wl_redis_loop_t *self) {
    wl_redis_tick(self->redis);
}
