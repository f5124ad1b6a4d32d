#include "tools/walletbench/http_fleet.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/slot.h"
#include "tools/walletbench/bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_MAX = 16384, STALL_MS = 5000 };

typedef struct {
    char bytes[ANSWER_MAX]; /* what has come of the answer */
    size_t have;
    bool waiting;
} connection_t;

struct bench_http {
    connection_t *at;   /* owned */
    struct pollfd *fds; /* owned; a socket each */
    uint32_t count;
    uint64_t random; /* picks users */
};

static int connection_open(uint16_t port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1 || connect(fd, (struct sockaddr *)&address, sizeof address) == -1) {
        bench_fail("port %u: %s", port, strerror(errno));
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

bench_http_t *bench_http_open(uint16_t port, uint32_t connections) {
    bench_http_t *self = wl_alloc_zero(1, sizeof *self);
    self->count = connections;
    self->at = wl_alloc_zero(connections, sizeof *self->at);
    self->fds = wl_alloc_zero(connections, sizeof *self->fds);
    for (uint32_t i = 0; i < connections; i++) {
        self->fds[i] = (struct pollfd){.fd = connection_open(port), .events = POLLIN};
    }
    return self;
}

void bench_http_close(bench_http_t **self) {
    if (*self == NULL) {
        return;
    }
    for (uint32_t i = 0; i < (*self)->count; i++) {
        (void)close((*self)->fds[i].fd);
    }
    wl_free((*self)->at);
    wl_free((*self)->fds);
    wl_free(*self);
    *self = NULL;
}

static void http_ask(bench_http_t *self, uint32_t i, uint64_t uid_first, uint64_t uid_count) {
    char request[128];
    self->random += 0x9e3779b97f4a7c15u; /* the step of splitmix64 */
    uint64_t uid = uid_first + wl_mix64(self->random) % uid_count;
    int bytes =
        snprintf(request, sizeof request, "GET /home?uid=%llu HTTP/1.1\r\nHost: bench\r\n\r\n",
                 (unsigned long long)uid);
    if (send(self->fds[i].fd, request, (size_t)bytes, MSG_NOSIGNAL) != bytes) {
        bench_fail("a request cannot be sent: %s", strerror(errno));
    }
    self->at[i].have = 0;
    self->at[i].waiting = true;
}

/* Reads what has come; true: the answer is complete. */
static bool http_take(bench_http_t *self, uint32_t i) {
    connection_t *connection = &self->at[i];
    ssize_t bytes = recv(self->fds[i].fd, connection->bytes + connection->have,
                         sizeof connection->bytes - 1 - connection->have, MSG_DONTWAIT);
    if (bytes == -1 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (bytes <= 0) {
        bench_fail("a connection was closed, or an answer is too long");
    }
    connection->have += (size_t)bytes;
    connection->bytes[connection->have] = '\0';
    char *end = strstr(connection->bytes, "\r\n\r\n");
    if (end == NULL) {
        return false;
    }
    const char *length = strstr(connection->bytes, "Content-Length: ");
    if (strncmp(connection->bytes, "HTTP/1.1 200", 12) != 0 || length == NULL || length > end) {
        bench_fail("not the answer that was hoped for: %.60s", connection->bytes);
    }
    size_t whole = (size_t)(end + 4 - connection->bytes) + strtoul(length + 16, NULL, 10);
    connection->waiting = connection->have < whole;
    return !connection->waiting;
}

double bench_http_run(bench_http_t *self, uint64_t uid_first, uint64_t uid_count, uint32_t ms) {
    uint64_t begun = wl_mono_ns();
    uint64_t answers = 0;
    uint32_t waiting = self->count;
    bool over = false;
    double rate = 0;
    for (uint32_t i = 0; i < self->count; i++) {
        http_ask(self, i, uid_first, uid_count);
    }
    while (waiting > 0) {
        if (poll(self->fds, self->count, STALL_MS) <= 0) {
            bench_fail("no answer within %d ms", STALL_MS);
        }
        for (uint32_t i = 0; i < self->count; i++) {
            if (self->fds[i].revents == 0 || !self->at[i].waiting || !http_take(self, i)) {
                continue;
            }
            answers++;
            if (over) {
                waiting--;
            } else {
                http_ask(self, i, uid_first, uid_count);
            }
        }
        uint64_t took = wl_mono_ns() - begun;
        if (!over) { /* the tail does not count */
            rate = (double)answers * 1e9 / (double)took;
            over = took >= (uint64_t)ms * 1000000u;
        }
    }
    return rate;
}
