#include "actors/tickets.h"

#include "base/alloc.h"

#include <criterion/criterion.h>
#include <string.h>

static const wl_peer_t peer = {.identity = {1, 2, 3, 4, 5}, .identity_bytes = 5, .delimiter = true};

static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void on_expired(const wl_ticket_t *ticket, void *arg) {
    uint64_t *sum = arg;
    *sum += ticket->msgid;
}

Test(tickets, a_number_finds_its_ticket_until_it_is_released) {
    wl_tickets_t *tickets = wl_tickets_new(4, 1000);
    wl_ticket_t *ticket = wl_tickets_take(tickets, &peer, 77, 2000);
    cr_assert_not_null(ticket);
    uint64_t number = ticket->number;
    cr_expect_eq(wl_tickets_find(tickets, number), ticket);
    cr_expect_eq(ticket->msgid, 77u);
    cr_expect_eq(ticket->deadline_at, 2000);
    cr_expect(ticket->peer.delimiter);
    cr_expect_eq(memcmp(ticket->peer.identity, peer.identity, 5), 0);
    wl_tickets_release(tickets, ticket);
    cr_expect_null(wl_tickets_find(tickets, number));
    cr_expect_eq(wl_tickets_take(tickets, &peer, 78, 2000), ticket, "the warm place goes first");
    cr_expect_null(wl_tickets_find(tickets, number), "the next user of the place is another one");
    wl_tickets_destroy(&tickets);
}

Test(tickets, the_table_is_the_bound) {
    wl_tickets_t *tickets = wl_tickets_new(3, 0);
    wl_ticket_t *first = wl_tickets_take(tickets, &peer, 1, 100);
    cr_expect_not_null(wl_tickets_take(tickets, &peer, 2, 100));
    cr_expect_not_null(wl_tickets_take(tickets, &peer, 3, 100));
    cr_expect_null(wl_tickets_take(tickets, &peer, 4, 100));
    cr_expect_eq(wl_tickets_used(tickets), 3u);
    wl_tickets_release(tickets, first);
    cr_expect_not_null(wl_tickets_take(tickets, &peer, 4, 100));
    wl_tickets_destroy(&tickets);
}

Test(tickets, numbers_from_strangers_find_nothing) {
    wl_tickets_t *tickets = wl_tickets_new(4, 0);
    wl_ticket_t *ticket = wl_tickets_take(tickets, &peer, 1, 100);
    for (uint32_t i = 0; i < 10000; i++) {
        uint64_t number = next_random();
        cr_assert(number == ticket->number || wl_tickets_find(tickets, number) == NULL);
    }
    cr_expect_null(wl_tickets_find(tickets, 0));
    cr_expect_null(wl_tickets_find(tickets, UINT64_MAX));
    cr_expect_null(wl_tickets_find(tickets, (1ull << 32) | 3), "a free place");
    wl_tickets_destroy(&tickets);
}

Test(tickets, bits_of_has_assets_do_not_outlive_their_request) {
    wl_tickets_t *tickets = wl_tickets_new(1, 0);
    wl_ticket_t *ticket = wl_tickets_take(tickets, &peer, 1, 100);
    ticket->has_count = 1000;
    memset(ticket->has, 0xff, sizeof ticket->has);
    wl_tickets_release(tickets, ticket);
    ticket = wl_tickets_take(tickets, &peer, 2, 100);
    cr_expect_eq(ticket->has_count, 0);
    for (uint32_t i = 0; i < WL_TICKET_HAS_WORDS; i++) {
        cr_expect_eq(ticket->has[i], 0u);
    }
    wl_tickets_destroy(&tickets);
}

Test(tickets, no_deadline_is_noticed_early_and_none_more_than_a_millisecond_late) {
    wl_tickets_t *tickets = wl_tickets_new(1, 5000);
    for (int64_t wait = 0; wait < 200; wait++) {
        int64_t now = 5000 + wait * 1000;
        uint64_t sum = 0;
        (void)wl_tickets_expire(tickets, now, on_expired, &sum);
        cr_assert_not_null(wl_tickets_take(tickets, &peer, 1, now + wait));
        int64_t at = now;
        while (wl_tickets_expire(tickets, at, on_expired, &sum) == 0) {
            at++;
        }
        cr_assert(at - (now + wait) >= 0 && at - (now + wait) <= 1, "%d ms late after %d",
                  (int)(at - now - wait), (int)wait);
    }
    wl_tickets_destroy(&tickets);
}

Test(tickets, a_deadline_too_far_away_is_cut_and_one_in_the_past_is_due) {
    wl_tickets_t *tickets = wl_tickets_new(2, 0);
    uint64_t sum = 0;
    cr_expect_eq(wl_tickets_take(tickets, &peer, 1, INT64_MAX)->deadline_at, WL_TICKET_WAIT_MS_MAX);
    cr_expect_eq(wl_tickets_expire(tickets, 1000000, on_expired, &sum), 1u, "after a long stall");
    (void)wl_tickets_take(tickets, &peer, 2, -5);
    cr_expect_eq(wl_tickets_expire(tickets, 1000016, on_expired, &sum), 1u);
    cr_expect_eq(sum, 3u);
    wl_tickets_destroy(&tickets);
}

/* Against a plain array of the same tickets, over virtual minutes. */
Test(tickets, takes_releases_and_deadlines_agree_with_a_naive_model) {
    enum { COUNT = 64, STEPS = 200000 };
    struct {
        uint64_t number;
        int64_t deadline_at;
        bool used;
    } model[COUNT] = {{0}};
    wl_tickets_t *tickets = wl_tickets_new(COUNT, 0);
    int64_t now = 0;
    uint32_t used = 0;
    for (uint32_t step = 0; step < STEPS; step++) {
        uint32_t at = (uint32_t)(next_random() % COUNT);
        uint64_t sum = 0;
        if (!model[at].used) {
            int64_t deadline_at = now + (int64_t)(next_random() % 3000);
            wl_ticket_t *ticket = wl_tickets_take(tickets, &peer, at, deadline_at);
            cr_assert_not_null(ticket);
            model[at].number = ticket->number;
            model[at].deadline_at = ticket->deadline_at;
            model[at].used = true;
            used++;
        } else if (next_random() % 4 == 0) {
            wl_ticket_t *ticket = wl_tickets_find(tickets, model[at].number);
            cr_assert_not_null(ticket);
            cr_assert_eq(ticket->msgid, at);
            wl_tickets_release(tickets, ticket);
            model[at].used = false;
            used--;
        }
        now += (int64_t)(next_random() % 64);
        uint32_t due = 0;
        for (uint32_t i = 0; i < COUNT; i++) {
            if (model[i].used && model[i].deadline_at < now) {
                model[i].used = false;
                due++;
            }
        }
        cr_assert_eq(wl_tickets_expire(tickets, now, on_expired, &sum), due);
        used -= due;
        cr_assert_eq(wl_tickets_used(tickets), used);
    }
    wl_tickets_destroy(&tickets);
}

static bool on_pick(const wl_ticket_t *ticket, void *arg) {
    (*(uint32_t *)arg)++;
    return ticket->method != WL_METHOD_CONSENT;
}

Test(tickets, those_of_a_user_are_dropped_as_asked) {
    wl_tickets_t *tickets = wl_tickets_new(8, 0);
    static const wl_method_t methods[] = {WL_METHOD_HOME, WL_METHOD_CONSENT, WL_METHOD_HOME};
    uint64_t numbers[3];
    for (uint64_t i = 0; i < 3; i++) {
        wl_ticket_t *ticket = wl_tickets_take(tickets, &peer, i, 1000);
        ticket->uid = i == 2 ? 8 : 7;
        ticket->method = methods[i];
        numbers[i] = ticket->number;
    }
    uint32_t seen = 0;
    wl_tickets_drop(tickets, 7, on_pick, &seen);
    cr_expect_eq(seen, 2u);
    cr_expect_eq(wl_tickets_used(tickets), 2u);
    cr_expect_null(wl_tickets_find(tickets, numbers[0]));
    cr_expect_not_null(wl_tickets_find(tickets, numbers[1]));
    cr_expect_not_null(wl_tickets_find(tickets, numbers[2]));
    wl_tickets_destroy(&tickets);
}
