#include "wire.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    LINKS_MAX = 512, /* connections; more are closed at once */
    FLOW_BYTES = 65536,
    TICK_MS = 10, /* how soon a change of plan is seen */
    BACKLOG = 128,
};

/* One direction. Full or not, it is written out before it is read into again. */
typedef struct {
    char *bytes; /* owned, FLOW_BYTES */
    size_t begin;
    size_t end;
} flow_t;

typedef struct {
    sim_line_t *line; /* borrowed, NULL = free */
    int caller;
    int server;
    flow_t up;   /* to the line */
    flow_t down; /* to the caller */
    uint64_t plan_number;
    sim_fault_t fault; /* of this connection */
    int64_t ms;
    int64_t next_ms; /* drip: when the next byte leaves */
} link_t;

struct wire {
    sim_t *sim; /* borrowed */
    pthread_t thread;
    int listeners[SIM_LINES_MAX]; /* owned, -1 = none */
    link_t links[LINKS_MAX];
};

void wire_address(uint16_t port, char ret[WIRE_ADDRESS_BYTES]) {
    (void)snprintf(ret, WIRE_ADDRESS_BYTES, "@linesim-%d-%u", (int)getpid(), port);
}

/* ---- connections ---------------------------------------------------------------------------- */

static int server_connect(uint16_t port) {
    char name[WIRE_ADDRESS_BYTES];
    wire_address(port, name);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path + 1, name + 1, strlen(name + 1));
    socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd != -1 && connect(fd, (const struct sockaddr *)&address, bytes) == -1) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static void link_close(link_t *link, bool reset) {
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (reset) {
        (void)setsockopt(link->caller, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
    (void)close(link->caller);
    (void)close(link->server);
    wl_free(link->up.bytes);
    wl_free(link->down.bytes);
    *link = (link_t){.line = NULL};
}

static void link_open(wire_t *self, sim_line_t *line, int caller) {
    for (uint32_t i = 0; i < LINKS_MAX; i++) {
        link_t *link = &self->links[i];
        if (link->line != NULL) {
            continue;
        }
        int server = server_connect(line->zmq_port);
        if (server == -1) {
            break;
        }
        int on = 1;
        (void)setsockopt(caller, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        *link = (link_t){.line = line,
                         .caller = caller,
                         .server = server,
                         .plan_number = UINT64_MAX, /* look at the plan */
                         .up.bytes = wl_alloc(FLOW_BYTES),
                         .down.bytes = wl_alloc(FLOW_BYTES)};
        return;
    }
    (void)close(caller);
}

/* ---- faults --------------------------------------------------------------------------------- */

/* Which fault the connection is in, after a change of plan. false: it is over. */
static bool link_judge(wire_t *self, link_t *link) {
    sim_t *sim = self->sim;
    (void)pthread_mutex_lock(&sim->lock);
    const fault_plan_t *plan = &link->line->plan;
    bool changed = link->plan_number != link->line->plan_number;
    sim_fault_t before = link->fault;
    if (changed) {
        link->plan_number = link->line->plan_number;
        bool hit = sim_fault_of_wire(plan->fault) &&
                   (plan->fault == SIM_FAULT_RST || sim_random_share(sim) < plan->share);
        link->fault = hit ? plan->fault : SIM_FAULT_NONE;
        link->ms = plan->ms;
        link->line->calls.faults += hit && plan->fault != SIM_FAULT_RST;
    }
    (void)pthread_mutex_unlock(&sim->lock);
    if (changed && before == SIM_FAULT_HALF_OPEN && link->fault != SIM_FAULT_HALF_OPEN) {
        link_close(link, true); /* the line is back and knows nothing of it */
        return false;
    }
    return true;
}

static bool reset_hits(wire_t *self, const link_t *link) {
    sim_t *sim = self->sim;
    (void)pthread_mutex_lock(&sim->lock);
    bool hit = sim_random_share(sim) < link->line->plan.share;
    link->line->calls.faults += hit;
    (void)pthread_mutex_unlock(&sim->lock);
    return hit;
}

/* ---- bytes ---------------------------------------------------------------------------------- */

/* false: the source has ended. */
static bool flow_read(flow_t *flow, int from) {
    ssize_t count = recv(from, flow->bytes, FLOW_BYTES, MSG_DONTWAIT);
    if (count <= 0) {
        return count == -1 && (errno == EAGAIN || errno == EINTR);
    }
    flow->begin = 0;
    flow->end = (size_t)count;
    return true;
}

/* false: nobody is there to take it. */
static bool flow_write(flow_t *flow, int to, size_t most) {
    size_t count = flow->end - flow->begin;
    ssize_t sent = send(to, flow->bytes + flow->begin, count < most ? count : most,
                        MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent == -1) {
        return errno == EAGAIN || errno == EINTR;
    }
    flow->begin += (size_t)sent;
    return true;
}

static bool flow_empty(const flow_t *flow) {
    return flow->begin == flow->end;
}

/* What poll() shall look for. */
static short caller_events(const link_t *link, int64_t now_ms) {
    if (link->fault == SIM_FAULT_HALF_OPEN) {
        return POLLRDHUP;
    }
    bool ready =
        !flow_empty(&link->down) && (link->fault != SIM_FAULT_DRIP || link->next_ms <= now_ms);
    return (short)(POLLRDHUP | (flow_empty(&link->up) ? POLLIN : 0) | (ready ? POLLOUT : 0));
}

static short server_events(const link_t *link) {
    if (link->fault == SIM_FAULT_HALF_OPEN) {
        return 0;
    }
    return (short)((flow_empty(&link->down) ? POLLIN : 0) | (flow_empty(&link->up) ? 0 : POLLOUT));
}

/* Moves what can be moved. */
static void link_serve(wire_t *self, link_t *link, short caller, short server, int64_t now_ms) {
    bool alive = (caller & (POLLRDHUP | POLLHUP | POLLERR)) == 0;
    if (alive && (caller & POLLIN) != 0) {
        if (link->fault == SIM_FAULT_RST && reset_hits(self, link)) {
            link_close(link, true);
            return;
        }
        alive = flow_read(&link->up, link->caller);
    }
    if (alive && (server & (POLLIN | POLLHUP | POLLERR)) != 0 && flow_empty(&link->down)) {
        alive = flow_read(&link->down, link->server);
    }
    if (alive && !flow_empty(&link->up) && link->fault != SIM_FAULT_HALF_OPEN) {
        alive = flow_write(&link->up, link->server, FLOW_BYTES);
    }
    bool drip = link->fault == SIM_FAULT_DRIP;
    if (alive && !flow_empty(&link->down) && link->fault != SIM_FAULT_HALF_OPEN &&
        (!drip || link->next_ms <= now_ms)) {
        alive = flow_write(&link->down, link->caller, drip ? 1 : FLOW_BYTES);
        link->next_ms = now_ms + link->ms;
    }
    if (!alive) {
        link_close(link, false);
    }
}

/* ---- the thread ----------------------------------------------------------------------------- */

static void callers_accept(wire_t *self, uint32_t line) {
    int caller = accept4(self->listeners[line], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (caller != -1) {
        link_open(self, &self->sim->lines[line], caller);
    }
}

static bool ending(sim_t *sim) {
    (void)pthread_mutex_lock(&sim->lock);
    bool is = sim->ending;
    (void)pthread_mutex_unlock(&sim->lock);
    return is;
}

/* One look at everything. */
static void turn(wire_t *self) {
    struct pollfd look[SIM_LINES_MAX + 2 * LINKS_MAX];
    link_t *links[LINKS_MAX];
    nfds_t count = SIM_LINES_MAX; /* poll() passes over -1 */
    uint32_t link_count = 0;
    int64_t now_ms = wl_mono_now().ms;
    for (uint32_t i = 0; i < SIM_LINES_MAX; i++) {
        look[i] = (struct pollfd){.fd = self->listeners[i], .events = POLLIN};
    }
    for (uint32_t i = 0; i < LINKS_MAX; i++) {
        link_t *link = &self->links[i];
        if (link->line == NULL || !link_judge(self, link)) {
            continue;
        }
        links[link_count++] = link;
        look[count++] = (struct pollfd){.fd = link->caller, .events = caller_events(link, now_ms)};
        look[count++] = (struct pollfd){.fd = link->server, .events = server_events(link)};
    }
    if (poll(look, count, TICK_MS) == -1) {
        return;
    }
    now_ms = wl_mono_now().ms;
    for (uint32_t i = 0; i < link_count; i++) {
        const struct pollfd *caller = &look[SIM_LINES_MAX + 2 * i];
        if (link_judge(self, links[i])) {
            link_serve(self, links[i], caller[0].revents, caller[1].revents, now_ms);
        }
    }
    for (uint32_t i = 0; i < SIM_LINES_MAX; i++) {
        if (look[i].revents != 0) {
            callers_accept(self, i);
        }
    }
}

static void *wire_run(void *arg) {
    wire_t *self = arg;
    while (!ending(self->sim)) {
        turn(self);
    }
    return NULL;
}

static int port_listen(uint16_t port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd == -1) {
        return -1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) == -1 ||
        listen(fd, BACKLOG) == -1) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static void wire_free(wire_t *self) {
    for (uint32_t i = 0; i < SIM_LINES_MAX; i++) {
        if (self->listeners[i] != -1) {
            (void)close(self->listeners[i]);
        }
    }
    for (uint32_t i = 0; i < LINKS_MAX; i++) {
        if (self->links[i].line != NULL) {
            link_close(&self->links[i], false);
        }
    }
    wl_free(self);
}

wl_err_t wire_start(sim_t *sim, wire_t **ret) {
    wire_t *self = wl_alloc_zero(1, sizeof *self);
    self->sim = sim;
    bool good = true;
    for (uint32_t i = 0; i < SIM_LINES_MAX; i++) {
        bool used = i < sim->line_count && sim->lines[i].zmq_port != 0;
        self->listeners[i] = used ? port_listen(sim->lines[i].zmq_port) : -1;
        good = good && (!used || self->listeners[i] != -1);
    }
    if (!good || pthread_create(&self->thread, NULL, wire_run, self) != 0) {
        wire_free(self);
        return WL_ERR_BIND;
    }
    *ret = self;
    return WL_OK;
}

void wire_stop(wire_t **pointer) {
    if (pointer != NULL && *pointer != NULL) {
        (void)pthread_join((*pointer)->thread, NULL);
        wire_free(*pointer);
        *pointer = NULL;
    }
}
