#include "domain/cache_trust.h"

#include "base/slot.h"

#include <criterion/criterion.h>
#include <string.h>

enum { OPENED = 1000, LATE = OPENED + WL_TRUST_STARTING_MS };

static wl_cache_trust_t *trust;

static void trust_start(void) {
    trust = wl_cache_trust_new(2, OPENED);
}

static void trust_end(void) {
    wl_cache_trust_destroy(&trust);
    cr_expect_null(trust);
    wl_cache_trust_destroy(&trust);
    wl_cache_trust_destroy(NULL);
}

TestSuite(cache_trust, .init = trust_start, .fini = trust_end);

static void looked(uint32_t server, uint64_t link, int64_t server_now, int64_t since0,
                   int64_t since1, int64_t now) {
    wl_cache_trust_looked(trust, server, link, server_now, (int64_t[]){since0, since1}, now);
}

/* Server 3 over link 7, markers 50 and 60 seen at OPENED + 20. */
static void seen(void) {
    cr_expect(!wl_cache_trust_link(trust, 3, 7, OPENED + 10), "a first one is not made anew");
    looked(3, 7, 500, 50, 60, OPENED + 20);
}

Test(cache_trust, serves_what_was_filled_after_the_marker_of_its_partition) {
    seen();
    cr_expect(wl_cache_trust_serves(trust, 3, 7, 0, 50, OPENED + 21));
    cr_expect(!wl_cache_trust_serves(trust, 3, 7, 0, 49, OPENED + 21));
    cr_expect(wl_cache_trust_serves(trust, 3, 7, 1, 60, OPENED + 21));
    cr_expect(!wl_cache_trust_serves(trust, 3, 7, 1, 59, OPENED + 21));
}

Test(cache_trust, serves_nothing_before_a_look_or_without_a_marker) {
    cr_expect(!wl_cache_trust_serves(trust, 3, 7, 0, 1000, OPENED));
    (void)wl_cache_trust_link(trust, 3, 7, OPENED);
    cr_expect(!wl_cache_trust_serves(trust, 3, 7, 0, 1000, OPENED));
    looked(3, 7, 500, 0, 60, OPENED);
    cr_expect(!wl_cache_trust_serves(trust, 3, 7, 0, 1000, OPENED));
    cr_expect(wl_cache_trust_serves(trust, 3, 7, 1, 1000, OPENED));
    cr_expect(!wl_cache_trust_serves(trust, 4, 7, 1, 1000, OPENED), "another server");
    looked(3, 7, 501, 50, 0, OPENED + 1);
    cr_expect(!wl_cache_trust_serves(trust, 3, 7, 1, 1000, OPENED + 1), "it vanished");
}

Test(cache_trust, forgets_markers_that_were_not_seen_lately) {
    seen();
    cr_expect(wl_cache_trust_serves(trust, 3, 7, 0, 100, OPENED + 19 + WL_TRUST_SEEN_MS));
    cr_expect(!wl_cache_trust_serves(trust, 3, 7, 0, 100, OPENED + 20 + WL_TRUST_SEEN_MS));
    looked(3, 7, 900, 50, 60, OPENED + 5000);
    cr_expect(wl_cache_trust_serves(trust, 3, 7, 0, 100, OPENED + 5001));
}

Test(cache_trust, after_a_connection_made_anew_serves_only_what_was_filled_since) {
    seen();
    cr_expect(wl_cache_trust_link(trust, 3, 8, OPENED + 30), "made anew, however early");
    cr_expect(!wl_cache_trust_link(trust, 3, 8, OPENED + 31), "and only once");
    cr_expect(!wl_cache_trust_serves(trust, 3, 7, 0, 400, OPENED + 31), "over the old one");
    cr_expect(!wl_cache_trust_serves(trust, 3, 8, 0, 9000, OPENED + 31), "not looked yet");
    looked(3, 7, 600, 50, 60, OPENED + 32);
    cr_expect(!wl_cache_trust_serves(trust, 3, 8, 0, 9000, OPENED + 33), "looked over the old one");
    looked(3, 8, 700, 50, 60, OPENED + 34);
    cr_expect(!wl_cache_trust_serves(trust, 3, 8, 0, 699, OPENED + 35));
    cr_expect(wl_cache_trust_serves(trust, 3, 8, 0, 700, OPENED + 35));
    looked(3, 8, 800, 50, 60, OPENED + 36);
    cr_expect(wl_cache_trust_serves(trust, 3, 8, 0, 700, OPENED + 37), "the first look counts");
}

Test(cache_trust, a_server_that_appears_late_counts_as_made_anew) {
    cr_expect(!wl_cache_trust_link(trust, 1, 5, LATE - 1));
    cr_expect(wl_cache_trust_link(trust, 2, 6, LATE));
    looked(1, 5, 500, 50, 60, LATE);
    looked(2, 6, 500, 50, 60, LATE);
    cr_expect(wl_cache_trust_serves(trust, 1, 5, 0, 400, LATE));
    cr_expect(!wl_cache_trust_serves(trust, 2, 6, 0, 400, LATE));
    cr_expect(wl_cache_trust_serves(trust, 2, 6, 0, 500, LATE));
}

Test(cache_trust, a_lost_connection_is_not_one_made_anew_but_serves_nothing) {
    seen();
    cr_expect(!wl_cache_trust_link(trust, 3, 0, OPENED + 30));
    cr_expect(!wl_cache_trust_serves(trust, 3, 0, 0, 400, OPENED + 31));
}

Test(cache_trust, numbers_out_of_range_are_refused) {
    cr_expect(!wl_cache_trust_link(trust, WL_TRUST_SERVERS, 7, LATE));
    cr_expect(!wl_cache_trust_link(trust, 255, 7, LATE));
    looked(WL_TRUST_SERVERS, 7, 1, 1, 1, LATE);
    cr_expect(!wl_cache_trust_serves(trust, WL_TRUST_SERVERS, 7, 0, 100, LATE));
    seen();
    cr_expect(!wl_cache_trust_serves(trust, 3, 7, 2, 1000, OPENED + 21));
}

/* ---- the rules again, from the whole history ------------------------------------------------- */

enum { EVENTS = 400, SERVERS = 3 };

typedef struct {
    bool is_look;
    uint32_t server;
    uint64_t link;
    int64_t server_now;
    int64_t since[2];
    int64_t now;
} event_t;

typedef struct {
    event_t events[EVENTS];
    uint32_t count;
} history_t;

/* The connection to the server after the first `count` events. */
static uint64_t link_after(const history_t *history, uint32_t count, uint32_t server) {
    uint64_t link = 0;
    for (uint32_t i = 0; i < count; i++) {
        const event_t *event = &history->events[i];
        if (!event->is_look && event->server == server && event->link != 0) {
            link = event->link;
        }
    }
    return link;
}

static bool makes_anew(const history_t *history, uint32_t index) {
    const event_t *event = &history->events[index];
    uint64_t before = link_after(history, index, event->server);
    return !event->is_look && event->link != 0 && event->link != before &&
           (before != 0 || event->now >= LATE);
}

static bool look_counts(const history_t *history, uint32_t index, uint32_t server) {
    const event_t *event = &history->events[index];
    return event->is_look && event->server == server && event->link != 0 &&
           link_after(history, index, server) == event->link;
}

static bool history_serves(const history_t *history, uint32_t server, uint64_t link,
                           uint32_t partition, int64_t filled_at, int64_t now) {
    const event_t *last = NULL;
    for (uint32_t i = 0; i < history->count; i++) {
        if (look_counts(history, i, server)) {
            last = &history->events[i];
        }
        if (history->events[i].server != server || !makes_anew(history, i)) {
            continue;
        }
        uint32_t j = i + 1;
        while (j < history->count && !look_counts(history, j, server)) {
            j++;
        }
        if (j == history->count || filled_at < history->events[j].server_now) {
            return false;
        }
    }
    return link != 0 && link_after(history, history->count, server) == link && last != NULL &&
           last->link == link && now - last->now < WL_TRUST_SEEN_MS && last->since[partition] > 0 &&
           filled_at >= last->since[partition];
}

static uint32_t draw(uint64_t *random, uint32_t bound) {
    *random = wl_mix64(*random + 0x9e3779b97f4a7c15u);
    return (uint32_t)((*random >> 33) % bound);
}

Test(cache_trust, agrees_with_its_whole_history) {
    static history_t history;
    uint32_t served = 0;
    for (uint64_t random = 1; random <= 60; random++) {
        uint64_t state = random;
        uint64_t links[SERVERS] = {0}; /* link numbers never come back */
        int64_t now = OPENED;
        wl_cache_trust_destroy(&trust);
        trust = wl_cache_trust_new(2, OPENED);
        for (history.count = 0; history.count < EVENTS; history.count++) {
            now += draw(&state, draw(&state, 20) == 0 ? 2500 : 60);
            int64_t server_now = now * 3 + 77; /* a clock of its own */
            event_t *event = &history.events[history.count];
            *event = (event_t){.server = draw(&state, SERVERS), .now = now};
            event->is_look = draw(&state, 12) != 0;
            event->server_now = server_now;
            uint64_t *link = &links[event->server];
            if (!event->is_look) {
                event->link = draw(&state, 6) == 0 ? 0 : (*link += draw(&state, 2));
                event_t copy = *event;
                bool told = wl_cache_trust_link(trust, copy.server, copy.link, now);
                cr_assert_eq(told, makes_anew(&history, history.count));
            } else {
                event->link = *link - (*link > 0 && draw(&state, 8) == 0);
                for (int p = 0; p < 2; p++) {
                    event->since[p] = draw(&state, 6) == 0 ? 0 : server_now - draw(&state, 3000);
                }
                wl_cache_trust_looked(trust, event->server, event->link, server_now, event->since,
                                      now);
            }
            history.count++;
            for (uint32_t server = 0; server < SERVERS; server++) {
                uint64_t over = links[server] - (links[server] > 0 && draw(&state, 8) == 0);
                uint32_t partition = draw(&state, 2);
                int64_t filled_at = server_now - draw(&state, 3000);
                int64_t then = now + draw(&state, draw(&state, 8) == 0 ? 3000 : 5);
                bool serves =
                    wl_cache_trust_serves(trust, server, over, partition, filled_at, then);
                served += serves;
                cr_assert_eq(serves,
                             history_serves(&history, server, over, partition, filled_at, then));
            }
            history.count--;
        }
    }
    cr_assert_gt(served, 1000, "the comparison says something");
}
