/* fake_http.h: a line over HTTP for tests, made of plain sockets so that it can break every rule: a
 * thread per connection, on a free port of loopback. Included by one test program. */
#ifndef WL_TESTS_LINES_FAKE_HTTP_H
#define WL_TESTS_LINES_FAKE_HTTP_H

#include "base/alloc.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef enum {
    FAKE_OK,           /* every asked user owns uid * 10 at version 1 */
    FAKE_BODY,         /* 200 with the body that is set */
    FAKE_NOT_FOUND,    /* 404 */
    FAKE_HANG,         /* takes the request and says nothing */
    FAKE_TRICKLE,      /* a head, then one byte now and then */
    FAKE_LENGTH,       /* Content-Length: 104857600 */
    FAKE_ENDLESS,      /* chunks that never end */
    FAKE_RESET,        /* RST instead of an answer */
    FAKE_TRUNCATED,    /* closes in the middle of the body */
    FAKE_BUSY,         /* 429, Retry-After: 7 */
    FAKE_BUSY_DATE,    /* 503, Retry-After as a date in 30 s */
    FAKE_GARBAGE,      /* 200 with bytes that are no JSON */
    FAKE_NO_HTTP,      /* bytes that are no HTTP */
    FAKE_REDIRECT,     /* 302 to itself */
    FAKE_NOT_FOUND_BIG /* 404 with a page that never ends */
} fake_behaviour_t;

enum { FAKE_CONNECTIONS_MAX = 256, FAKE_REQUEST_MAX = 16384 };

typedef struct {
    fake_behaviour_t behaviour;
    int listener;
    uint16_t port;
    const char *body; /* of FAKE_BODY, set before the request */
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    bool ending;
    unsigned connections; /* accepted so far, one thread each */
    unsigned requests;
    char last[FAKE_REQUEST_MAX]; /* head and body of the last request */
    pthread_t threads[FAKE_CONNECTIONS_MAX];
} fake_http_t;

typedef struct {
    fake_http_t *fake;
    int socket;
} fake_connection_t;

static bool fake_ending(fake_http_t *self) {
    (void)pthread_mutex_lock(&self->lock);
    bool ending = self->ending;
    (void)pthread_mutex_unlock(&self->lock);
    return ending;
}

/* Waits for bytes; false: the peer or the test has ended. */
static bool fake_wait(fake_http_t *self, int socket) {
    struct pollfd item = {.fd = socket, .events = POLLIN};
    while (!fake_ending(self)) {
        if (poll(&item, 1, 20) > 0) {
            return true;
        }
    }
    return false;
}

static bool fake_send(int socket, const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t sent = send(socket, bytes, count, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        bytes += sent;
        count -= (size_t)sent;
    }
    return true;
}

static bool fake_say(int socket, const char *text) {
    return fake_send(socket, text, strlen(text));
}

/* One request with its body into `into`; false: the connection is over. */
static bool fake_read(fake_http_t *self, int socket, char into[FAKE_REQUEST_MAX]) {
    size_t used = 0;
    while (used < FAKE_REQUEST_MAX - 1 && fake_wait(self, socket)) {
        ssize_t count = recv(socket, into + used, FAKE_REQUEST_MAX - 1 - used, 0);
        if (count <= 0) {
            return false;
        }
        used += (size_t)count;
        into[used] = '\0';
        const char *head_end = strstr(into, "\r\n\r\n");
        const char *length = strstr(into, "Content-Length: ");
        if (head_end != NULL && strncmp(into, "GET ", 4) == 0) {
            return true;
        }
        if (head_end != NULL && length != NULL &&
            strlen(head_end + 4) >= strtoul(length + 16, NULL, 10)) {
            return true;
        }
    }
    return false;
}

static bool fake_answer_good(int socket, const char *request) {
    static const size_t most = 65536;
    char *body = wl_alloc(most);
    char head[128];
    size_t used = (size_t)snprintf(body, most, "{\"assets\":[");
    const char *at = strstr(request, "\r\n\r\n");
    at = strchr(strchr(at, '['), '"');
    for (bool first = true; at != NULL; first = false) {
        char *end = NULL;
        unsigned long long uid = strtoull(at + 1, &end, 10);
        used += (size_t)snprintf(body + used, most - used,
                                 "%s{\"uid\":\"%llu\",\"amount\":\"%llu\",\"version\":1}",
                                 first ? "" : ",", uid, uid * 10);
        at = end[1] == ',' ? end + 2 : NULL;
    }
    used += (size_t)snprintf(body + used, most - used, "]}");
    (void)snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", used);
    bool sent = fake_say(socket, head) && fake_send(socket, body, used);
    wl_free(body);
    return sent;
}

static bool fake_answer_body(int socket, const char *body) {
    char head[128];
    (void)snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
                   strlen(body));
    return fake_say(socket, head) && fake_say(socket, body);
}

static void fake_say_busy_until(int socket) {
    char text[160];
    char date[64];
    time_t when = time(NULL) + 30;
    struct tm parts;
    (void)strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&when, &parts));
    (void)snprintf(text, sizeof text,
                   "HTTP/1.1 503 Busy\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n", date);
    (void)fake_say(socket, text);
}

static void fake_reset(int socket) {
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(socket, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

/* False: the connection is to be closed. */
static bool fake_answer(fake_http_t *self, int socket, const char *request) {
    static const char chunk[] = "8\r\n        \r\n";
    switch (self->behaviour) {
    case FAKE_OK: return fake_answer_good(socket, request);
    case FAKE_BODY: return fake_answer_body(socket, self->body);
    case FAKE_NOT_FOUND: return fake_say(socket, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
    case FAKE_HANG: return fake_wait(self, socket);
    case FAKE_TRICKLE:
        (void)fake_say(socket, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        while (!fake_ending(self) && fake_say(socket, " ")) {
            (void)poll(NULL, 0, 10);
        }
        return false;
    case FAKE_LENGTH:
        (void)fake_say(socket, "HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n{");
        return fake_wait(self, socket);
    case FAKE_ENDLESS:
        (void)fake_say(socket, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while (!fake_ending(self) && fake_send(socket, chunk, sizeof chunk - 1)) {
        }
        return false;
    case FAKE_NOT_FOUND_BIG:
        (void)fake_say(socket, "HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n");
        while (!fake_ending(self) && fake_send(socket, chunk, sizeof chunk - 1)) {
        }
        return false;
    case FAKE_RESET: fake_reset(socket); return false;
    case FAKE_TRUNCATED:
        (void)fake_say(socket, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"assets\":[");
        return false;
    case FAKE_BUSY:
        return fake_say(socket, "HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
    case FAKE_BUSY_DATE: fake_say_busy_until(socket); return true;
    case FAKE_GARBAGE:
        return fake_say(socket, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\xff\xfe{]}");
    case FAKE_NO_HTTP: (void)fake_say(socket, "220 smtp ready\r\n"); return false;
    case FAKE_REDIRECT:
        return fake_say(socket, "HTTP/1.1 302 Elsewhere\r\nLocation: /assets\r\n"
                                "Content-Length: 0\r\n\r\n");
    }
    return false;
}

static void *fake_connection_run(void *arg) {
    fake_connection_t connection = *(fake_connection_t *)arg;
    fake_http_t *self = connection.fake;
    char *request = wl_alloc(FAKE_REQUEST_MAX);
    wl_free(arg);
    while (fake_read(self, connection.socket, request)) {
        (void)pthread_mutex_lock(&self->lock);
        self->requests++;
        memcpy(self->last, request, FAKE_REQUEST_MAX);
        (void)pthread_mutex_unlock(&self->lock);
        if (!fake_answer(self, connection.socket, request)) {
            break;
        }
    }
    (void)close(connection.socket);
    wl_free(request);
    return NULL;
}

static void *fake_http_run(void *arg) {
    fake_http_t *self = arg;
    while (fake_wait(self, self->listener)) {
        fake_connection_t *connection = wl_alloc(sizeof *connection);
        *connection = (fake_connection_t){self, accept(self->listener, NULL, NULL)};
        (void)setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        (void)pthread_mutex_lock(&self->lock);
        cr_assert(connection->socket >= 0 && self->connections < FAKE_CONNECTIONS_MAX);
        (void)pthread_create(&self->threads[self->connections++], NULL, fake_connection_run,
                             connection);
        (void)pthread_mutex_unlock(&self->lock);
    }
    return NULL;
}

static fake_http_t *fake_http_new(fake_behaviour_t behaviour) {
    fake_http_t *self = wl_alloc_zero(1, sizeof *self);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof address;
    self->behaviour = behaviour;
    (void)pthread_mutex_init(&self->lock, NULL);
    self->listener = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(self->listener, (struct sockaddr *)&address, bytes), 0);
    cr_assert_eq(listen(self->listener, 128), 0);
    cr_assert_eq(getsockname(self->listener, (struct sockaddr *)&address, &bytes), 0);
    self->port = ntohs(address.sin_port);
    cr_assert_eq(pthread_create(&self->thread, NULL, fake_http_run, self), 0);
    return self;
}

static void fake_http_destroy(fake_http_t **pointer) {
    fake_http_t *self = *pointer;
    (void)pthread_mutex_lock(&self->lock);
    self->ending = true;
    (void)pthread_mutex_unlock(&self->lock);
    (void)pthread_join(self->thread, NULL);
    for (unsigned i = 0; i < self->connections; i++) {
        (void)pthread_join(self->threads[i], NULL);
    }
    (void)close(self->listener);
    (void)pthread_mutex_destroy(&self->lock);
    wl_free(self);
    *pointer = NULL;
}

#endif
