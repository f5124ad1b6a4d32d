/* redis_world.h: for tests of the Redis client: a redis-server of the test's own that it may stop,
 * kill and start again, and a record of what was called back. */
#ifndef WL_TEST_REDIS_WORLD_H
#define WL_TEST_REDIS_WORLD_H

#include "base/alloc.h"
#include "base/clock.h"
#include "private_folder.h"
#include "store/redis.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* ---- servers --------------------------------------------------------------------------------- */

typedef struct {
    pid_t process; /* 0 = none */
    uint16_t port;
    char at[32]; /* "127.0.0.1:port" */
} server_t;

static inline struct sockaddr_in loopback(uint16_t port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
}

/* A listening socket on a port that the kernel chose. */
static inline int listen_anywhere(uint16_t *ret_port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = loopback(0);
    socklen_t bytes = sizeof at;
    cr_assert(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 64) == 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&at, &bytes), 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

static inline bool port_answers(uint16_t port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = loopback(port);
    char answer[8] = "";
    bool ok = connect(fd, (struct sockaddr *)&at, sizeof at) == 0 &&
              send(fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6 && recv(fd, answer, 5, 0) > 0;
    (void)close(fd);
    return ok; /* an error is an answer as well: it may want a password */
}

static inline void wait_ms(int ms) {
    (void)poll(NULL, 0, ms);
}

static inline bool port_is_free(uint16_t port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = loopback(port);
    bool ok = bind(fd, (struct sockaddr *)&at, sizeof at) == 0;
    (void)close(fd);
    return ok;
}

/* Nodes of a cluster speak to each other on the port + 10,000, so both have to be free. */
static inline uint16_t port_choose(void) {
    for (;;) {
        uint16_t port = 0;
        int fd = listen_anywhere(&port);
        (void)close(fd);
        if (port < 50000 && port_is_free((uint16_t)(port + 10000))) {
            return port;
        }
    }
}

/* False: it ended, because somebody else took the port meanwhile. */
static inline bool server_launch(server_t *self, char *const *words) {
    self->process = fork();
    cr_assert(self->process >= 0);
    if (self->process == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)execvp(words[0], words);
        _exit(127);
    }
    for (int i = 0; i < 2000 && !port_answers(self->port); i++) {
        if (waitpid(self->process, NULL, WNOHANG) != 0) {
            return false;
        }
        wait_ms(10);
    }
    return waitpid(self->process, NULL, WNOHANG) == 0;
}

/* Starts redis-server with more options, NULL-terminated; again on its port when it had one. */
static inline void server_start(server_t *self, ...) {
    bool fresh = self->port == 0;
    char port[8];
    char *words[32] = {"redis-server",
                       "--port",
                       port,
                       "--bind",
                       "127.0.0.1",
                       "--save",
                       "",
                       "--dir",
                       test_folder,
                       "--logfile",
                       (char *)(uintptr_t)in_folder("redis.log")};
    int count = 11;
    va_list more;
    va_start(more, self);
    for (char *word = va_arg(more, char *); word != NULL; word = va_arg(more, char *)) {
        words[count++] = word;
    }
    va_end(more);
    bool started = false;
    for (int attempt = 0; attempt < 20 && !started; attempt++) {
        self->port = fresh ? port_choose() : self->port;
        (void)snprintf(self->at, sizeof self->at, "127.0.0.1:%u", (unsigned)self->port);
        (void)snprintf(port, sizeof port, "%u", (unsigned)self->port);
        started = server_launch(self, words);
        wait_ms(started ? 0 : 50);
    }
    cr_assert(started, "redis-server does not start on %s", self->at);
}

static inline void server_kill(server_t *self) {
    if (self->process > 0) {
        (void)kill(self->process, SIGKILL);
        (void)waitpid(self->process, NULL, 0);
        self->process = 0;
    }
}

/* ---- clients --------------------------------------------------------------------------------- */

typedef struct {
    uint32_t called; /* how often */
    wl_err_t err;    /* the last one */
    int type;        /* of the reply, 0 = NULL */
    long long integer;
    size_t elements;
    char text[256]; /* of strings and errors */
} answer_t;

static inline void on_answer(wl_err_t err, const redisReply *reply, void *ctx) {
    answer_t *answer = ctx;
    answer->called++;
    answer->err = err;
    answer->type = reply == NULL ? 0 : reply->type;
    answer->integer = reply == NULL ? 0 : reply->integer;
    answer->elements = reply == NULL ? 0 : reply->elements;
    (void)snprintf(answer->text, sizeof answer->text, "%s",
                   reply == NULL || reply->str == NULL ? "" : reply->str);
}

static inline wl_redis_t *client_with(wl_redis_options_t options) {
    wl_redis_t *redis = NULL;
    wl_fault_t fault = {.line = 0};
    options.timeout_ms = options.timeout_ms == 0 ? 5000 : options.timeout_ms;
    wl_err_t err = wl_redis_new(&options, &redis, &fault);
    cr_assert_eq(err, WL_OK, "%s: %s", fault.where, fault.message);
    return redis;
}

static inline wl_redis_t *client(const char *nodes) {
    return client_with((wl_redis_options_t){.nodes = nodes});
}

/* Sends the words of a text that are separated by single spaces; key may be NULL. */
static inline void send_words(wl_redis_t *redis, const char *key, const char *words, wl_redis_fn fn,
                              void *ctx) {
    wl_redis_arg_t args[16];
    uint32_t count = 0;
    for (const char *at = words; count < 16;) {
        size_t bytes = strcspn(at, " ");
        args[count++] = (wl_redis_arg_t){at, bytes};
        if (at[bytes] == '\0') {
            break;
        }
        at += bytes + 1;
    }
    wl_redis_arg_t at = {key, key == NULL ? 0 : strlen(key)};
    wl_redis_send(redis, key == NULL ? NULL : &at, args, count, fn, ctx);
}

/* Sends and waits for the answer. */
static inline answer_t ask(wl_redis_t *redis, const char *key, const char *words) {
    answer_t answer = {.called = 0};
    send_words(redis, key, words, on_answer, &answer);
    cr_assert_eq(answer.called, 0, "never from inside wl_redis_send");
    cr_assert_eq(wl_redis_wait(redis, 20000), WL_OK);
    cr_assert_eq(answer.called, 1, "%u callbacks of %s", answer.called, words);
    return answer;
}

/* Asks until that error comes; the last answer. */
static inline answer_t ask_until(wl_redis_t *redis, const char *key, const char *words,
                                 wl_err_t wanted) {
    answer_t answer = {.called = 0};
    int64_t until = wl_mono_now().ms + 15000;
    do {
        answer = ask(redis, key, words);
        wait_ms(answer.err == wanted ? 0 : 5);
    } while (answer.err != wanted && wl_mono_now().ms < until);
    cr_assert_eq(answer.err, wanted, "%s: %s instead of %s", words, wl_err_name(answer.err),
                 wl_err_name(wanted));
    return answer;
}

#endif
