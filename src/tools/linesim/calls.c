#include "calls.h"

#include <poll.h>

const char *sim_what_name(sim_what_t what) {
    static const char *const names[SIM_WHAT_COUNT] = {"assets", "details", "summary"};
    return (unsigned)what < SIM_WHAT_COUNT ? names[what] : "?";
}

static bool peer_gone(int fd) {
    struct pollfd look = {.fd = fd, .events = POLLRDHUP};
    return poll(&look, 1, 0) == 1 && look.revents != 0;
}

uint32_t calls_under_way(calls_t *self, int64_t now_ms) {
    uint32_t count = 0;
    uint32_t end = 0;
    for (uint32_t i = 0; i < self->used_end; i++) {
        call_under_way_t *call = &self->under_way[i];
        if (!call->used) {
            continue;
        }
        end = i + 1;
        bool given_up = call->give_up_ms != 0 && call->give_up_ms <= now_ms;
        count += !given_up && (call->fd == -1 || !peer_gone(call->fd));
    }
    self->used_end = end;
    return count;
}

/* A free place; one that was given up is one. */
static uint32_t place_find(const calls_t *self, int64_t now_ms) {
    for (uint32_t i = 0; i < CALLS_UNDER_WAY_MAX; i++) {
        const call_under_way_t *call = &self->under_way[i];
        if (!call->used || (call->give_up_ms != 0 && call->give_up_ms <= now_ms)) {
            return i;
        }
    }
    return CALLS_UNDER_WAY_MAX;
}

uint32_t calls_begin(calls_t *self, const calls_arrival_t *arrival, int64_t now_ms) {
    self->count[arrival->what]++;
    self->users += arrival->users;
    window_add(&self->window, now_ms);
    self->early += now_ms - self->wait_from_ms > CALLS_GRACE_MS &&
                   now_ms < self->wait_until_ms - CALLS_CLOCK_MS;
    uint32_t concurrent = 1 + calls_under_way(self, now_ms);
    self->concurrent_max = concurrent > self->concurrent_max ? concurrent : self->concurrent_max;
    uint32_t place = place_find(self, now_ms);
    if (place < CALLS_UNDER_WAY_MAX) {
        self->under_way[place] = (call_under_way_t){
            .used = true,
            .fd = arrival->fd,
            .give_up_ms = arrival->give_up_ms == 0 ? 0 : now_ms + arrival->give_up_ms};
        self->used_end = place + 1 > self->used_end ? place + 1 : self->used_end;
    }
    return place;
}

void calls_end(calls_t *self, uint32_t place) {
    if (place < CALLS_UNDER_WAY_MAX) {
        self->under_way[place].used = false;
    }
}

void calls_wait(calls_t *self, int64_t now_ms, int64_t ms) {
    if (self->wait_until_ms <= now_ms) {
        self->wait_from_ms = now_ms;
    }
    if (now_ms + ms > self->wait_until_ms) {
        self->wait_until_ms = now_ms + ms;
    }
}

void calls_reset(calls_t *self) {
    for (unsigned i = 0; i < SIM_WHAT_COUNT; i++) {
        self->count[i] = 0;
    }
    self->users = 0;
    self->faults = 0;
    self->unsigned_calls = 0;
    self->early = 0;
    self->repeated = 0;
    self->concurrent_max = 0;
    window_reset(&self->window);
}
