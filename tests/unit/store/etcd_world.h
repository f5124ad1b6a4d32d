/* etcd_world.h: for tests of etcd: a server of the test's own that it may stop, kill and start
 * again, and servers that say what they are told to. */
#ifndef WL_TEST_ETCD_WORLD_H
#define WL_TEST_ETCD_WORLD_H

#include "redis_world.h"
#include "store/etcd.h"

typedef struct {
    server_t server; /* its at is "127.0.0.1:port" */
    uint16_t peer_port;
    char url[40];
} etcd_server_t;

/* Does it take requests? */
static inline bool etcd_answers(uint16_t port) {
    static const char question[] = "GET /health HTTP/1.0\r\n\r\n";
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = loopback(port);
    char answer[16];
    ssize_t bytes = (ssize_t)sizeof question - 1;
    bool ok = connect(fd, (struct sockaddr *)&at, sizeof at) == 0 &&
              send(fd, question, (size_t)bytes, MSG_NOSIGNAL) == bytes &&
              recv(fd, answer, sizeof answer, 0) > 0;
    (void)close(fd);
    return ok;
}

/* False: it ended, because somebody else took a port meanwhile. */
static inline bool etcd_launch(server_t *self, char *const *words) {
    self->process = fork();
    cr_assert(self->process >= 0);
    if (self->process == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)execvp(words[0], words);
        _exit(127);
    }
    for (int i = 0; i < 2000 && !etcd_answers(self->port); i++) {
        if (waitpid(self->process, NULL, WNOHANG) != 0) {
            return false;
        }
        wait_ms(10);
    }
    return waitpid(self->process, NULL, WNOHANG) == 0;
}

/* Starts it; again on its ports and with its data when it was there before. quota: bytes of its
 * database, NULL = its default. */
static inline void etcd_start(etcd_server_t *self, const char *quota) {
    bool started = false;
    bool fresh = self->server.port == 0;
    for (int attempt = 0; attempt < 20 && !started; attempt++) {
        char peer[40];
        char cluster[60];
        char folder[100];
        if (fresh) {
            self->server.port = port_choose();
            self->peer_port = port_choose();
        }
        (void)snprintf(self->server.at, sizeof self->server.at, "127.0.0.1:%u",
                       (unsigned)self->server.port);
        (void)snprintf(self->url, sizeof self->url, "http://%s", self->server.at);
        (void)snprintf(peer, sizeof peer, "http://127.0.0.1:%u", (unsigned)self->peer_port);
        (void)snprintf(cluster, sizeof cluster, "test=%s", peer);
        (void)snprintf(folder, sizeof folder, "%s/etcd%u", test_folder,
                       (unsigned)self->server.port);
        char *words[] = {"etcd",
                         "--name",
                         "test",
                         "--data-dir",
                         folder,
                         "--listen-client-urls",
                         self->url,
                         "--advertise-client-urls",
                         self->url,
                         "--listen-peer-urls",
                         peer,
                         "--initial-advertise-peer-urls",
                         peer,
                         "--initial-cluster",
                         cluster,
                         "--heartbeat-interval",
                         "50",
                         "--election-timeout",
                         "500",
                         "--logger",
                         "zap",
                         "--log-level",
                         "fatal",
                         "--quota-backend-bytes",
                         (char *)(uintptr_t)(quota == NULL ? "0" : quota),
                         NULL};
        started = etcd_launch(&self->server, words);
        wait_ms(started ? 0 : 50);
    }
    cr_assert(started, "etcd does not start at %s", self->server.at);
}

/* A process that answers every request at a port of its own with these bytes and closes. */
static inline pid_t parrot_start(const char *answer, size_t bytes, char ret_url[40]) {
    uint16_t port = 0;
    int listener = listen_anywhere(&port);
    (void)snprintf(ret_url, 40, "http://127.0.0.1:%u", (unsigned)port);
    pid_t process = fork();
    cr_assert(process >= 0);
    if (process == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            char request[4096];
            int peer = accept(listener, NULL, NULL);
            (void)recv(peer, request, sizeof request, 0);
            for (size_t at = 0; at < bytes;) {
                ssize_t count = send(peer, answer + at, bytes - at, MSG_NOSIGNAL);
                if (count <= 0) {
                    break;
                }
                at += (size_t)count;
            }
            (void)shutdown(peer, SHUT_WR);
            while (recv(peer, request, sizeof request, 0) > 0) {
            }
            (void)close(peer);
        }
    }
    (void)close(listener);
    return process;
}

static inline void parrot_stop(pid_t process) {
    (void)kill(process, SIGKILL);
    (void)waitpid(process, NULL, 0);
}

#endif
