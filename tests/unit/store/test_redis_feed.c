#include "store/redis_feed.h"

#include "redis_world.h"

TestSuite(redis_feed, .init = folder_make, .fini = folder_remove);

static wl_redis_feed_t *feed_open(const char *nodes, uint32_t timeout_ms) {
    wl_redis_feed_t *feed = NULL;
    wl_fault_t fault = {.line = 0};
    wl_err_t err = wl_redis_feed_new(&(wl_redis_feed_options_t){.nodes = nodes,
                                                                .channel = "news",
                                                                .user = "",
                                                                .password_file = "",
                                                                .timeout_ms = timeout_ms,
                                                                .silence_ms = 300},
                                     &feed, &fault);
    cr_assert_eq(err, WL_OK, "%s", fault.message);
    return feed;
}

/* False: nothing within ms. */
static bool feed_await(wl_redis_feed_t *feed, int ms) {
    int64_t until = wl_mono_now().ms + ms;
    while (wl_mono_now().ms < until) {
        struct pollfd item = {.fd = wl_redis_feed_fd(feed), .events = POLLIN};
        (void)poll(&item, 1, (int)(until - wl_mono_now().ms));
        if (wl_redis_feed_take(feed)) {
            return true;
        }
    }
    return false;
}

Test(redis_feed, tells_that_something_was_published_on_its_channel, .timeout = 60) {
    server_t server = {.port = 0};
    server_start(&server, NULL);
    wl_redis_feed_t *feed = feed_open(server.at, 5000);
    wl_redis_t *redis = client(server.at);
    cr_assert(feed_await(feed, 20000));
    cr_assert_eq(ask(redis, NULL, "PUBLISH another x").integer, 0);
    cr_assert_not(feed_await(feed, 50));
    cr_assert_eq(ask(redis, NULL, "PUBLISH news x").integer, 1);
    cr_assert(feed_await(feed, 20000));
    for (int i = 0; i < 1000; i++) { /* many are one */
        send_words(redis, NULL, "PUBLISH news x", NULL, NULL);
    }
    cr_assert_eq(wl_redis_wait(redis, 20000), WL_OK);
    while (feed_await(feed, 100)) {
    }
    cr_assert_not(feed_await(feed, 50));
    wl_redis_destroy(&redis);
    wl_redis_feed_destroy(&feed);
    wl_redis_feed_destroy(&feed);
    server_kill(&server);
}

Test(redis_feed, goes_on_to_the_next_node, .timeout = 60) {
    server_t server = {.port = 0};
    char nodes[80];
    server_start(&server, NULL);
    (void)snprintf(nodes, sizeof nodes, "127.0.0.1:1,%s,127.0.0.1:2", server.at);
    for (int i = 0; i < 4; i++) { /* whichever is the first */
        wl_redis_feed_t *feed = feed_open(nodes, 5000);
        cr_assert(feed_await(feed, 20000));
        wl_redis_feed_destroy(&feed);
    }
    server_kill(&server);
}

Test(redis_feed, gives_up_a_server_that_has_fallen_silent, .timeout = 60) {
    server_t silent = {.port = 0};
    server_t other = {.port = 0};
    char nodes[80];
    server_start(&silent, NULL);
    wl_redis_feed_t *feed = feed_open(silent.at, 100);
    cr_assert(feed_await(feed, 20000));
    program_freeze(silent.process);
    /* its PING, the end of waiting, attempts that are accepted and never answered */
    cr_assert_not(feed_await(feed, 900));
    cr_assert_eq(kill(silent.process, SIGCONT), 0);
    cr_assert(feed_await(feed, 20000), "and it was subscribed anew");
    wl_redis_feed_destroy(&feed);

    server_start(&other, NULL);
    program_freeze(silent.process);
    (void)snprintf(nodes, sizeof nodes, "%s,%s", silent.at, other.at);
    feed = feed_open(nodes, 100);
    cr_assert(feed_await(feed, 20000));
    wl_redis_feed_destroy(&feed);
    server_kill(&other);
    server_kill(&silent);
}

/* A server that says other things than Redis does. */
Test(redis_feed, survives_whatever_a_server_says, .timeout = 60) {
    static const char *const words[] = {"HTTP/1.1 400 Bad Request\r\n\r\n",
                                        "-ERR no\r\n",
                                        "*3\r\n:1\r\n:2\r\n:3\r\n",
                                        "*0\r\n",
                                        "*-1\r\n",
                                        "$-1\r\n",
                                        "*1\r\n$9\r\nsubscribe\r\n*9999999\r\n",
                                        "\n\n\n\n",
                                        ""};
    uint16_t port = 0;
    char at[32];
    int listener = listen_anywhere(&port);
    (void)snprintf(at, sizeof at, "127.0.0.1:%u", (unsigned)port);
    wl_redis_feed_t *feed = feed_open(at, 1000);
    for (size_t i = 0; i < WL_COUNT_OF(words); i++) {
        struct pollfd item = {.fd = listener, .events = POLLIN};
        int64_t until = wl_mono_now().ms + 20000;
        while (poll(&item, 1, 5) == 0 && wl_mono_now().ms < until) {
            (void)wl_redis_feed_take(feed);
        }
        int peer = accept(listener, NULL, NULL);
        cr_assert_geq(peer, 0);
        (void)feed_await(feed, 20); /* it greets */
        (void)send(peer, words[i], strlen(words[i]), MSG_NOSIGNAL);
        (void)feed_await(feed, 20);
        (void)close(peer);
    }
    wl_redis_feed_destroy(&feed);
    (void)close(listener);
}

Test(redis_feed, refuses_what_is_no_address) {
    static const char *const bad[] = {"", "a", "127.0.0.1:1,", "no-such-host.invalid:1"};
    char channel[200];
    wl_redis_feed_t *feed = NULL;
    memset(channel, 'c', sizeof channel);
    channel[sizeof channel - 1] = '\0';
    wl_redis_feed_options_t options = {
        .channel = "news", .user = "", .password_file = "", .timeout_ms = 100};
    for (size_t i = 0; i < WL_COUNT_OF(bad); i++) {
        options.nodes = bad[i];
        cr_assert_eq(wl_redis_feed_new(&options, &feed, NULL), WL_ERR_SETTINGS, "%s", bad[i]);
    }
    options.nodes = "127.0.0.1:1";
    options.channel = channel;
    cr_assert_eq(wl_redis_feed_new(&options, &feed, NULL), WL_ERR_SETTINGS);
}
