#include "actors/peer_watch.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK = 65536, GROUP = 7 };

/* A real connection, and what the watch said about it. */
typedef struct {
    wl_peer_watch_t *watch;
    int listener;
    int client;
    int server; /* libzmq's side */
    uint32_t asks;
    uint32_t overs;
    uint32_t drops;
} scene_t;

static void on_ask(void *arg, uint32_t group, int fd, bool over) {
    scene_t *scene = arg;
    cr_expect_eq(group, GROUP);
    cr_expect_eq(fd, scene->server);
    *(over ? &scene->overs : &scene->asks) += 1;
}

static void on_dropped(void *arg, uint32_t group, const char *address, uint64_t bytes) {
    scene_t *scene = arg;
    cr_expect_eq(group, GROUP);
    cr_expect_eq(strncmp(address, "127.0.0.1:", 10), 0, "%s", address);
    cr_expect_gt(bytes, 0);
    scene->drops++;
}

static void connect_pair(scene_t *scene) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof at;
    cr_assert_eq(getsockname(scene->listener, (struct sockaddr *)&at, &bytes), 0);
    scene->client = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(connect(scene->client, (struct sockaddr *)&at, sizeof at), 0);
    scene->server = accept(scene->listener, NULL, NULL);
    cr_assert_neq(scene->server, -1);
}

static void scene_open(scene_t *scene) {
    const wl_peer_watch_handlers_t handlers = {on_ask, on_dropped, scene};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    memset(scene, 0, sizeof *scene);
    scene->watch = wl_peer_watch_new(&handlers);
    scene->listener = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(scene->listener, (struct sockaddr *)&at, sizeof at), 0);
    cr_assert_eq(listen(scene->listener, 4), 0);
    connect_pair(scene);
}

static void scene_close(scene_t *scene) {
    wl_peer_watch_destroy(&scene->watch);
    (void)close(scene->client);
    (void)close(scene->server);
    (void)close(scene->listener);
}

/* The client sends, libzmq's side reads. */
static void flow(const scene_t *scene, size_t bytes) {
    static char chunk[CHUNK];
    for (size_t sent = 0; sent < bytes; sent += CHUNK) {
        cr_assert_eq(send(scene->client, chunk, CHUNK, 0), CHUNK);
        for (size_t left = CHUNK; left > 0;) {
            ssize_t got = recv(scene->server, chunk, left, 0);
            cr_assert_gt(got, 0);
            left -= (size_t)got;
        }
    }
}

Test(peer_watch, who_sends_without_delivering_is_cut_off) {
    scene_t scene;
    scene_open(&scene);
    wl_peer_watch_accept(scene.watch, scene.server, GROUP, true);
    cr_expect_not(wl_peer_watch_scan(scene.watch));
    flow(&scene, WL_PEER_SUSPECT_BYTES + CHUNK);
    cr_expect(wl_peer_watch_scan(scene.watch));
    cr_expect_eq(scene.asks, 1);
    cr_expect(wl_peer_watch_scan(scene.watch));
    cr_expect_eq(scene.asks, 1, "asked once");
    wl_peer_watch_seen(scene.watch, scene.server, GROUP, false);
    flow(&scene, WL_PEER_UNDELIVERED_BYTES / 2);
    (void)wl_peer_watch_scan_suspects(scene.watch);
    cr_expect_eq(scene.asks, 1);
    flow(&scene, WL_PEER_UNDELIVERED_BYTES / 2 + CHUNK);
    (void)wl_peer_watch_scan_suspects(scene.watch);
    cr_expect_eq(scene.asks, 2, "before the deed the owner is asked once more");
    cr_expect_eq(scene.drops, 0);
    wl_peer_watch_seen(scene.watch, scene.server, GROUP, false);
    cr_expect_eq(scene.drops, 1);
    cr_expect_eq(scene.overs, 1, "nobody looks for it any longer");
    cr_expect_eq(wl_peer_watch_count(scene.watch), 0);
    char byte = 0;
    cr_expect_eq(recv(scene.server, &byte, 1, 0), 0, "libzmq sees the end");
    scene_close(&scene);
}

Test(peer_watch, who_delivers_is_left_alone_however_much_it_sends) {
    scene_t scene;
    scene_open(&scene);
    wl_peer_watch_accept(scene.watch, scene.server, GROUP, true);
    for (int i = 0; i < 6; i++) {
        flow(&scene, 2 * WL_PEER_SUSPECT_BYTES);
        (void)wl_peer_watch_scan(scene.watch);
        wl_peer_watch_seen(scene.watch, scene.server, GROUP, i % 2 == 0);
        flow(&scene, WL_PEER_UNDELIVERED_BYTES + CHUNK);
        (void)wl_peer_watch_scan(scene.watch);
        wl_peer_watch_seen(scene.watch, scene.server, GROUP, true);
    }
    cr_expect_eq(scene.drops, 0);
    cr_expect_geq(scene.asks, 6);
    cr_expect_not(wl_peer_watch_scan_suspects(scene.watch));
    scene_close(&scene);
}

Test(peer_watch, an_owner_that_does_not_answer_protects_nobody_for_ever) {
    scene_t scene;
    scene_open(&scene);
    wl_peer_watch_accept(scene.watch, scene.server, GROUP, true);
    flow(&scene, WL_PEER_UNANSWERED_BYTES + 4 * WL_PEER_SUSPECT_BYTES);
    (void)wl_peer_watch_scan(scene.watch);
    cr_expect_eq(scene.drops, 0, "what came before the question is no reason");
    flow(&scene, WL_PEER_UNANSWERED_BYTES + CHUNK);
    (void)wl_peer_watch_scan(scene.watch);
    cr_expect_eq(scene.drops, 1);
    scene_close(&scene);
}

Test(peer_watch, sockets_between_processes_are_not_measured) {
    scene_t scene;
    scene_open(&scene);
    wl_peer_watch_accept(scene.watch, scene.server, GROUP, false);
    flow(&scene, 2 * WL_PEER_UNANSWERED_BYTES);
    cr_expect_not(wl_peer_watch_scan(scene.watch));
    cr_expect_eq(scene.asks, 0);
    cr_expect_eq(wl_peer_watch_cut(scene.watch, GROUP + 1), 0);
    cr_expect_eq(wl_peer_watch_cut(scene.watch, GROUP), 1);
    char byte = 0;
    cr_expect_eq(recv(scene.server, &byte, 1, 0), 0);
    scene_close(&scene);
}

Test(peer_watch, a_number_that_now_belongs_to_somebody_else_is_not_touched) {
    scene_t scene;
    scene_open(&scene);
    wl_peer_watch_accept(scene.watch, scene.server, GROUP, true);
    flow(&scene, WL_PEER_SUSPECT_BYTES + CHUNK);
    (void)wl_peer_watch_scan(scene.watch);
    wl_peer_watch_seen(scene.watch, scene.server, GROUP, false);
    flow(&scene, WL_PEER_UNDELIVERED_BYTES + CHUNK);
    (void)wl_peer_watch_scan(scene.watch);
    int old_client = scene.client;
    int number = scene.server;
    connect_pair(&scene); /* another connection gets the number before the end is told */
    cr_assert_eq(dup2(scene.server, number), number);
    (void)close(scene.server);
    scene.server = number;
    flow(&scene, 2 * WL_PEER_UNANSWERED_BYTES);
    wl_peer_watch_seen(scene.watch, number, GROUP, false);
    cr_expect_eq(scene.drops, 0);
    flow(&scene, CHUNK); /* it still works */
    (void)close(old_client);
    scene_close(&scene);
}

Test(peer_watch, connections_come_and_go) {
    scene_t scene;
    scene_open(&scene);
    wl_peer_watch_accept(scene.watch, scene.server, GROUP, true);
    wl_peer_watch_accept(scene.watch, scene.server, GROUP, true); /* its end was not told */
    wl_peer_watch_accept(scene.watch, 900, GROUP, true);          /* gone before we looked */
    wl_peer_watch_accept(scene.watch, -1, GROUP, true);
    cr_expect_eq(wl_peer_watch_count(scene.watch), 2);
    cr_expect_not(wl_peer_watch_scan(scene.watch));
    wl_peer_watch_leave(scene.watch, scene.server, GROUP + 1); /* late news of another socket */
    cr_expect_eq(wl_peer_watch_count(scene.watch), 2);
    wl_peer_watch_leave(scene.watch, scene.server, GROUP);
    wl_peer_watch_leave(scene.watch, scene.server, GROUP);
    wl_peer_watch_leave(scene.watch, 12345, GROUP);
    wl_peer_watch_seen(scene.watch, 12345, GROUP, true);
    cr_expect_eq(wl_peer_watch_count(scene.watch), 1);
    wl_peer_watch_end(scene.watch, GROUP);
    cr_expect_eq(wl_peer_watch_count(scene.watch), 0);
    scene_close(&scene);
}
