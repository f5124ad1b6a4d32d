#include "lines/caller.h"

#include "fake_http.h"
#include "fake_zmq.h"
#include "lines/page.h"
#include "lines/sign.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>

enum { ANSWERS_MAX = 640, PATIENCE_MS = 10000 };

/* What an answer said, kept beyond the callback. */
typedef struct {
    uint64_t call_id;
    wl_err_t err;
    int http_status;
    int64_t retry_after_ms;
    int64_t elapsed_ms;
    char reason[96];
    uint32_t asset_count;
    int64_t amounts;  /* sum */
    uint64_t version; /* of the last asset */
    uint64_t uid;     /* the first one asked */
    size_t page_bytes;
    uint8_t page[4096];
} seen_t;

static zloop_t *loop;
static wl_caller_t *caller;
static wl_line_t line;
static seen_t seen[ANSWERS_MAX];
static uint32_t seen_count;
static uint32_t wanted;
static int64_t give_up_ms;
static uint32_t ask_again; /* calls that on_answer starts */
static bool cancel_other;  /* on_answer cancels the call whose id is one bit away */

static void on_answer(const wl_answer_t *answer, void *arg) {
    cr_assert_eq(arg, &line);
    cr_assert(seen_count < ANSWERS_MAX);
    cr_assert_eq(answer->err == WL_OK, answer->reason[0] == '\0', "%s", answer->reason);
    seen_t *into = &seen[seen_count++];
    *into = (seen_t){.call_id = answer->call_id,
                     .err = answer->err,
                     .http_status = answer->http_status,
                     .retry_after_ms = answer->retry_after_ms,
                     .elapsed_ms = answer->elapsed_ms,
                     .asset_count = answer->asset_count,
                     .uid = answer->uids[0],
                     .page_bytes = answer->page_bytes};
    cr_assert(answer->page_bytes <= sizeof into->page);
    if (answer->page != NULL) {
        memcpy(into->page, answer->page, answer->page_bytes);
    }
    memcpy(into->reason, answer->reason, sizeof into->reason);
    for (uint32_t i = 0; i < answer->asset_count; i++) {
        cr_assert_eq(answer->assets[i].pulled_at, 1700000000000);
        into->amounts += answer->assets[i].amount;
        into->version = answer->assets[i].version;
    }
    if (cancel_other) {
        cr_assert(wl_caller_cancel(caller, answer->call_id ^ 1), "it has not answered");
    }
    if (ask_again > 0) {
        ask_again--;
        cr_assert_eq(wl_caller_ask(caller, &line, answer->uids, answer->uid_count,
                                   answer->call_id + 1, (wl_wall_ms_t){1700000000000}, 0),
                     WL_OK);
    }
}

static int on_tick(zloop_t *self, int timer, void *arg) {
    (void)self;
    (void)timer;
    (void)arg;
    return seen_count >= wanted || wl_mono_now().ms > give_up_ms ? -1 : 0;
}

static void open_world(void) {
    zsys_handler_set(NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    loop = zloop_new();
    caller = wl_caller_new(loop, NULL, on_answer, &line);
    line = (wl_line_t){.id = "cash",
                       .unit = "CNY",
                       .scale = 2,
                       .kind = WL_KIND_CASH,
                       .versions = true,
                       .response_bytes_max = 65536,
                       .timeout_ms = 2000,
                       .sanity = {.amount_max = INT64_MAX}};
    seen_count = 0;
    ask_again = 0;
    cancel_other = false;
}

static void close_world(void) {
    wl_caller_destroy(&caller);
    wl_caller_destroy(&caller);
    zloop_destroy(&loop);
    zsys_shutdown();
}

static void wait_for(uint32_t count) {
    wanted = count;
    give_up_ms = wl_mono_now().ms + PATIENCE_MS;
    int timer = zloop_timer(loop, 2, 0, on_tick, NULL);
    (void)zloop_start(loop);
    (void)zloop_timer_end(loop, timer);
    cr_assert_eq(seen_count, count);
}

static wl_err_t ask(uint64_t call_id) {
    static const uint64_t uids[] = {1, 2, 3};
    return wl_caller_ask(caller, &line, uids, 3, call_id, (wl_wall_ms_t){1700000000000}, 0);
}

static void use_http(const fake_http_t *fake) {
    line.adapter = WL_ADAPTER_HTTP;
    (void)snprintf(line.url, sizeof line.url, "http://127.0.0.1:%u/api/", fake->port);
}

static void use_zmq(const fake_zmq_t *fake) {
    line.adapter = WL_ADAPTER_ZMQ;
    (void)snprintf(line.url, sizeof line.url, "tcp://127.0.0.1:%d", fake->port);
}

TestSuite(caller, .init = open_world, .fini = close_world, .timeout = 60);

/* HTTP. */

/* Asks a line that behaves so, once. */
static const seen_t *ask_http(fake_behaviour_t behaviour) {
    fake_http_t *fake = fake_http_new(behaviour);
    use_http(fake);
    cr_assert_eq(ask(5), WL_OK);
    cr_assert_eq(seen_count, 0, "never from inside the call");
    cr_assert_eq(wl_caller_in_flight(caller), 1);
    wait_for(1);
    cr_assert_eq(wl_caller_in_flight(caller), 0);
    cr_assert_eq(seen[0].call_id, 5);
    fake_http_destroy(&fake);
    return &seen[0];
}

Test(caller, http_asks_as_the_contract_says_and_reuses_the_connection) {
    fake_http_t *fake = fake_http_new(FAKE_OK);
    use_http(fake);
    ask_again = 4;
    cr_assert_eq(ask(5), WL_OK);
    wait_for(5);
    for (uint32_t i = 0; i < 5; i++) {
        cr_assert_eq(seen[i].err, WL_OK, "%s", seen[i].reason);
        cr_assert_eq(seen[i].http_status, 200);
        cr_assert_eq(seen[i].asset_count, 3);
        cr_assert_eq(seen[i].amounts, 60);
    }
    cr_assert_eq(fake->requests, 5);
    cr_assert_eq(fake->connections, 1);
    cr_assert_eq(strncmp(fake->last, "POST /api/assets HTTP/1.1\r\n", 27), 0, "%s", fake->last);
    cr_assert_not_null(strstr(fake->last, "\r\n\r\n{\"uids\":[\"1\",\"2\",\"3\"]}"));
    cr_assert_not_null(strstr(fake->last, "\r\nContent-Type: application/json\r\n"));
    cr_assert_null(strstr(fake->last, "Expect"));
    cr_assert_null(strstr(fake->last, "X-Wallet"));
    fake_http_destroy(&fake);
}

Test(caller, http_a_silent_line_costs_its_timeout_only) {
    line.timeout_ms = 150;
    const seen_t *answer = ask_http(FAKE_HANG);
    cr_assert_eq(answer->err, WL_ERR_DEADLINE);
    cr_assert(answer->elapsed_ms >= 140 && answer->elapsed_ms < 5000, "%d",
              (int)answer->elapsed_ms);
    cr_assert_str_eq(answer->reason, "no answer within 150 ms");
}

Test(caller, http_a_trickling_line_costs_its_timeout_only) {
    line.timeout_ms = 150;
    cr_assert_eq(ask_http(FAKE_TRICKLE)->err, WL_ERR_DEADLINE);
}

Test(caller, http_an_announced_giant_is_not_read) {
    cr_assert_eq(ask_http(FAKE_LENGTH)->err, WL_ERR_TOO_BIG);
}

Test(caller, http_an_endless_answer_is_cut_at_the_cap) {
    const seen_t *answer = ask_http(FAKE_ENDLESS);
    cr_assert_eq(answer->err, WL_ERR_TOO_BIG);
    cr_assert_str_eq(answer->reason, "the answer is longer than 65536 bytes");
}

Test(caller, http_resets_and_cuts_are_unavailable) {
    cr_assert_eq(ask_http(FAKE_RESET)->err, WL_ERR_UNAVAILABLE);
    seen_count = 0;
    cr_assert_eq(ask_http(FAKE_TRUNCATED)->err, WL_ERR_UNAVAILABLE);
    seen_count = 0;
    cr_assert_eq(ask_http(FAKE_NO_HTTP)->err, WL_ERR_UNAVAILABLE);
}

Test(caller, http_says_when_to_come_back) {
    const seen_t *answer = ask_http(FAKE_BUSY);
    cr_assert_eq(answer->err, WL_ERR_UNAVAILABLE);
    cr_assert_eq(answer->http_status, 429);
    cr_assert_eq(answer->retry_after_ms, 7000);
    cr_assert_str_eq(answer->reason, "HTTP 429");
    seen_count = 0;
    answer = ask_http(FAKE_BUSY_DATE);
    cr_assert(answer->retry_after_ms >= 25000 && answer->retry_after_ms <= 31000, "%d",
              (int)answer->retry_after_ms);
}

Test(caller, http_garbage_is_malformed) {
    const seen_t *answer = ask_http(FAKE_GARBAGE);
    cr_assert_eq(answer->err, WL_ERR_MALFORMED);
    cr_assert_eq(answer->asset_count, 0);
}

Test(caller, http_never_follows_and_never_reads_error_pages) {
    cr_assert_str_eq(ask_http(FAKE_REDIRECT)->reason, "HTTP 302");
    seen_count = 0;
    cr_assert_str_eq(ask_http(FAKE_NOT_FOUND_BIG)->reason, "HTTP 404");
}

Test(caller, http_nobody_there_is_unavailable) {
    fake_http_t *fake = fake_http_new(FAKE_OK);
    use_http(fake);
    fake_http_destroy(&fake);
    cr_assert_eq(ask(1), WL_OK);
    wait_for(1);
    cr_assert_eq(seen[0].err, WL_ERR_UNAVAILABLE);
    cr_assert_eq(seen[0].http_status, 0);
}

Test(caller, http_fifty_calls_at_once) {
    fake_http_t *fake = fake_http_new(FAKE_OK);
    use_http(fake);
    bool answered[50] = {false};
    for (uint64_t i = 0; i < 50; i++) {
        cr_assert_eq(ask(i), WL_OK);
    }
    cr_assert_eq(wl_caller_in_flight(caller), 50);
    wait_for(50);
    for (uint32_t i = 0; i < 50; i++) {
        cr_assert_eq(seen[i].err, WL_OK, "%s", seen[i].reason);
        cr_assert_not(answered[seen[i].call_id]);
        answered[seen[i].call_id] = true;
    }
    fake_http_destroy(&fake);
}

Test(caller, http_metadata_addresses_are_not_connected_to) {
    line.adapter = WL_ADAPTER_HTTP;
    static const char *const urls[] = {"http://169.254.169.254", "http://0.0.0.0:1",
                                       "http://[fe80::1]:1", "http://224.0.0.1"};
    for (uint32_t i = 0; i < 4; i++) {
        (void)snprintf(line.url, sizeof line.url, "%s", urls[i]);
        cr_assert_eq(ask(i), WL_OK);
        wait_for(i + 1);
        cr_assert_eq(seen[i].err, WL_ERR_UNAVAILABLE);
        cr_assert_str_eq(seen[i].reason, "the address is not one to connect to");
        cr_assert(seen[i].elapsed_ms < 1500, "long before the timeout");
    }
}

Test(caller, http_unusable_urls_are_refused_at_once) {
    static const char *const urls[] = {"",           "http://",        "not a url", "http://h?x=1",
                                       "http://h#f", "http://h:99999", "http://a b"};
    line.adapter = WL_ADAPTER_HTTP;
    for (size_t i = 0; i < 7; i++) {
        (void)snprintf(line.url, sizeof line.url, "%s", urls[i]);
        cr_assert_eq(ask(i), WL_ERR_SETTINGS, "%s", urls[i]);
    }
    line.adapter = WL_ADAPTER_NONE;
    cr_assert_eq(ask(1), WL_ERR_SETTINGS);
    cr_assert_eq(wl_caller_in_flight(caller), 0);
}

Test(caller, http_destroy_forgets_calls_under_way) {
    fake_http_t *fake = fake_http_new(FAKE_HANG);
    fake_http_t *good = fake_http_new(FAKE_OK);
    use_http(fake);
    for (uint64_t i = 0; i < 20; i++) {
        cr_assert_eq(ask(i), WL_OK);
    }
    use_http(good);
    cr_assert_eq(ask(20), WL_OK);
    wait_for(1); /* by now the others are connected too, or about to be */
    cr_assert_eq(seen[0].call_id, 20);
    wl_caller_destroy(&caller);
    cr_assert_eq(seen_count, 1);
    fake_http_destroy(&fake);
    fake_http_destroy(&good);
}

Test(caller, versions_made_for_a_line_grow_from_call_to_call) {
    fake_http_t *fake = fake_http_new(FAKE_OK);
    use_http(fake);
    line.versions = false;
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(ask(i), WL_OK);
        wait_for(i + 1);
        cr_assert_eq(seen[i].version, 1700000000000000u + i);
    }
    fake_http_destroy(&fake);
}

/* Pages. */

static wl_page_ask_t details_of(uint64_t uid) {
    static const char cursor[] = "a/b c&d";
    return (wl_page_ask_t){.kind = WL_PAGE_DETAILS,
                           .uid = uid,
                           .month = "2026-11",
                           .cursor = (const uint8_t *)cursor,
                           .cursor_bytes = strlen(cursor),
                           .limit = 20};
}

static void decode_page(const seen_t *from, wl_page_t *ret) {
    WL_AUTO(wl_page_reader) reader = wl_page_reader_new();
    cr_assert_eq(from->err, WL_OK, "%s", from->reason);
    cr_assert_eq(wl_page_decode(reader, from->page, from->page_bytes, ret), WL_OK);
}

static void decode_sums(const seen_t *from, wl_sums_t *ret) {
    WL_AUTO(wl_page_reader) reader = wl_page_reader_new();
    cr_assert_eq(from->err, WL_OK, "%s", from->reason);
    cr_assert_eq(wl_sums_decode(reader, from->page, from->page_bytes, ret), WL_OK);
}

Test(caller, http_asks_for_a_page_of_details) {
    fake_http_t *fake = fake_http_new(FAKE_BODY);
    fake->body = "{\"items\":[{\"id\":\"x\",\"time\":1700000000000,\"amount\":\"-5\"}],"
                 "\"next\":\"more\"}";
    static wl_page_t page;
    wl_page_ask_t ask_page = details_of(7);
    use_http(fake);
    cr_assert_eq(wl_caller_page(caller, &line, &ask_page, 5), WL_OK);
    cr_assert_eq(wl_caller_in_flight(caller), 1);
    wait_for(1);
    cr_assert_eq(seen[0].uid, 7);
    cr_assert_eq(seen[0].asset_count, 0);
    decode_page(&seen[0], &page);
    cr_assert_eq(page.count, 1);
    cr_assert_eq(page.items[0].amount, -5);
    cr_assert_str_eq(page.items[0].unit, "CNY");
    cr_assert_eq(page.next_bytes, 4);
    const char *request = "GET /api/details?uid=7&month=2026-11&cursor=a%2Fb%20c%26d&limit=20 HTTP";
    cr_assert_eq(strncmp(fake->last, request, strlen(request)), 0, "%s", fake->last);
    cr_assert_null(strstr(fake->last, "Content-"));
    fake_http_destroy(&fake);
}

Test(caller, http_asks_for_sums_without_what_is_not_wanted) {
    fake_http_t *fake = fake_http_new(FAKE_BODY);
    fake->body = "{\"in\":12,\"out\":\"5\",\"count\":3}";
    wl_page_ask_t ask_page = {.kind = WL_PAGE_SUMMARY, .uid = UINT64_MAX, .limit = 9};
    wl_sums_t sums;
    use_http(fake);
    cr_assert_eq(wl_caller_page(caller, &line, &ask_page, 5), WL_OK);
    wait_for(1);
    decode_sums(&seen[0], &sums);
    cr_assert_eq(sums.in, 12);
    cr_assert_eq(sums.out, 5);
    cr_assert_eq(sums.count, 3);
    const char *request = "GET /api/summary?uid=18446744073709551615 HTTP";
    cr_assert_eq(strncmp(fake->last, request, strlen(request)), 0, "%s", fake->last);
    fake_http_destroy(&fake);
}

Test(caller, a_page_that_makes_no_sense_is_refused_at_once) {
    fake_http_t *fake = fake_http_new(FAKE_BODY);
    fake->body = "{\"items\":[]}";
    wl_page_ask_t ask_page = details_of(0);
    use_http(fake);
    cr_assert_eq(wl_caller_page(caller, &line, &ask_page, 5), WL_ERR_BAD_REQUEST);
    ask_page = details_of(7);
    ask_page.cursor_bytes = WL_LINE_CURSOR_MAX + 1;
    cr_assert_eq(wl_caller_page(caller, &line, &ask_page, 5), WL_ERR_BAD_REQUEST);
    ask_page.cursor_bytes = 0;
    ask_page.limit = 0;
    cr_assert_eq(wl_caller_page(caller, &line, &ask_page, 5), WL_OK);
    wait_for(1);
    cr_assert_not_null(strstr(fake->last, "?uid=7&month=2026-11&limit=100 HTTP"), "%s", fake->last);
    fake_http_destroy(&fake);
}

Test(caller, http_a_page_that_is_not_there_is_no_failure) {
    fake_http_t *fake = fake_http_new(FAKE_NOT_FOUND);
    wl_page_ask_t ask_page = {.kind = WL_PAGE_SUMMARY, .uid = 7};
    use_http(fake);
    cr_assert_eq(wl_caller_page(caller, &line, &ask_page, 5), WL_OK);
    wait_for(1);
    cr_assert_eq(seen[0].err, WL_ERR_NOT_FOUND);
    cr_assert_eq(seen[0].page_bytes, 0);
    cr_assert_eq(ask(6), WL_OK);
    wait_for(2);
    cr_assert_eq(seen[1].err, WL_ERR_UNAVAILABLE, "of assets it is one");
    fake_http_destroy(&fake);
}

Test(caller, http_a_foreign_page_has_its_own_path_and_names) {
    fake_http_t *fake = fake_http_new(FAKE_BODY);
    fake->body = "[[7,1700000000,\"1.5\"]]";
    static wl_page_t page;
    wl_page_ask_t ask_page = details_of(7);
    use_http(fake);
    line.details_mapping = (wl_details_mapping_t){.used = true,
                                                  .path = "/v2/log?sort=desc",
                                                  .id = "/0",
                                                  .time = "/1",
                                                  .amount = "/2",
                                                  .query_uid = "user id",
                                                  .query_month = "period",
                                                  .query_cursor = "after",
                                                  .query_limit = "page[size]",
                                                  .amount_rule = WL_AMOUNT_DECIMAL,
                                                  .time_rule = WL_TIME_S};
    cr_assert_eq(wl_caller_page(caller, &line, &ask_page, 5), WL_OK);
    wait_for(1);
    decode_page(&seen[0], &page);
    cr_assert_eq(page.items[0].amount, 150);
    cr_assert_eq(page.items[0].time, 1700000000000);
    const char *request = "GET /api/v2/log?sort=desc&user%20id=7&period=2026-11"
                          "&after=a%2Fb%20c%26d&page%5Bsize%5D=20 HTTP";
    cr_assert_eq(strncmp(fake->last, request, strlen(request)), 0, "%s", fake->last);
    fake->body = "{\"a\":1,\"b\":2,\"n\":3}";
    line.summary_mapping = (wl_summary_mapping_t){.used = true,
                                                  .path = "/v2/sum",
                                                  .in = "/a",
                                                  .out = "/b",
                                                  .count = "/n",
                                                  .query_uid = "who",
                                                  .query_month = "when"};
    ask_page.kind = WL_PAGE_SUMMARY;
    cr_assert_eq(wl_caller_page(caller, &line, &ask_page, 6), WL_OK);
    wait_for(2);
    cr_assert_eq(seen[1].err, WL_OK, "%s", seen[1].reason);
    request = "GET /api/v2/sum?who=7&when=2026-11 HTTP";
    cr_assert_eq(strncmp(fake->last, request, strlen(request)), 0, "%s", fake->last);
    line.details_mapping.path[1] = '#';
    ask_page.kind = WL_PAGE_DETAILS;
    cr_assert_eq(wl_caller_page(caller, &line, &ask_page, 7), WL_ERR_SETTINGS,
                 "a fragment would swallow the query");
    fake_http_destroy(&fake);
}

/* The longest values that are allowed: nothing of them is cut. */
Test(caller, http_the_largest_cursor_arrives) {
    fake_http_t *fake = fake_http_new(FAKE_BODY);
    fake->body = "{\"items\":[]}";
    uint8_t cursor[WL_LINE_CURSOR_MAX];
    wl_page_ask_t ask_page = details_of(UINT64_MAX);
    memset(cursor, 0xff, sizeof cursor);
    ask_page.cursor = cursor;
    ask_page.cursor_bytes = sizeof cursor;
    ask_page.limit = WL_DETAILS_MAX;
    use_http(fake);
    line.details_mapping.path[0] = '/';
    memset(line.details_mapping.path + 1, 'p', WL_LINK_MAX - 1);
    cr_assert_eq(wl_caller_page(caller, &line, &ask_page, 5), WL_OK);
    wait_for(1);
    cr_assert_eq(seen[0].err, WL_OK, "%s", seen[0].reason);
    const char *at = strstr(fake->last, "&cursor=%FF%FF");
    cr_assert_not_null(at);
    cr_assert_eq(strcspn(at + 1, "&"), 7 + 3 * WL_LINE_CURSOR_MAX);
    cr_assert_not_null(strstr(fake->last, "%FF&limit=100 HTTP"));
    fake_http_destroy(&fake);
}

Test(caller, http_a_broken_page_is_malformed) {
    fake_http_t *fake = fake_http_new(FAKE_BODY);
    fake->body = "{\"items\":[{\"id\":\"x\",\"time\":1,\"amount\":1.5}]}";
    wl_page_ask_t ask_page = details_of(7);
    use_http(fake);
    cr_assert_eq(wl_caller_page(caller, &line, &ask_page, 5), WL_OK);
    wait_for(1);
    cr_assert_eq(seen[0].err, WL_ERR_MALFORMED);
    cr_assert_str_eq(seen[0].reason,
                     "item 0: amount: must be an integer or a text of digits, never a float");
    cr_assert_eq(seen[0].page_bytes, 0);
    fake_http_destroy(&fake);
}

/* Urls and calls taken back. */

static wl_err_t ask_url(uint64_t call_id, uint32_t url_index) {
    static const uint64_t uids[] = {1, 2, 3};
    return wl_caller_ask(caller, &line, uids, 3, call_id, (wl_wall_ms_t){1700000000000}, url_index);
}

Test(caller, http_each_call_goes_to_the_url_that_was_chosen) {
    fake_http_t *fakes[2] = {fake_http_new(FAKE_OK), fake_http_new(FAKE_OK)};
    use_http(fakes[0]);
    line.url_count = 2;
    memcpy(line.urls[0], line.url, sizeof line.url);
    (void)snprintf(line.urls[1], sizeof line.urls[1], "http://127.0.0.1:%u", fakes[1]->port);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(ask_url(i, i % 2), WL_OK);
        wait_for(i + 1);
        cr_assert_eq(seen[i].err, WL_OK, "%s", seen[i].reason);
    }
    cr_assert_eq(fakes[0]->requests, 2);
    cr_assert_eq(fakes[1]->requests, 1);
    cr_assert_eq(strncmp(fakes[1]->last, "POST /assets HTTP", 17), 0);
    cr_assert_eq(ask_url(9, 2), WL_ERR_SETTINGS, "there is no third one");
    fake_http_destroy(&fakes[0]);
    fake_http_destroy(&fakes[1]);
}

Test(caller, http_a_cancelled_call_never_answers) {
    fake_http_t *silent = fake_http_new(FAKE_HANG);
    fake_http_t *good = fake_http_new(FAKE_OK);
    use_http(silent);
    line.timeout_ms = 100;
    cr_assert_eq(ask(1), WL_OK);
    cr_assert_eq(ask(2), WL_OK);
    cr_assert(wl_caller_cancel(caller, 1), "before anything was sent");
    cr_assert_not(wl_caller_cancel(caller, 1));
    cr_assert_not(wl_caller_cancel(caller, 7));
    cr_assert_eq(wl_caller_in_flight(caller), 1);
    line.timeout_ms = 2000;
    use_http(good);
    cr_assert_eq(ask(3), WL_OK);
    wait_for(2);
    cr_assert_eq(wl_caller_in_flight(caller), 0);
    cr_assert(seen[0].call_id != 1 && seen[1].call_id != 1);
    cr_assert_not(wl_caller_cancel(caller, 3), "it has answered");
    fake_http_destroy(&silent);
    fake_http_destroy(&good);
}

/* The race that hedging makes: the first answer takes the other call back, from inside. */
Test(caller, http_the_first_answer_cancels_the_other_call) {
    fake_http_t *silent = fake_http_new(FAKE_HANG);
    fake_http_t *good = fake_http_new(FAKE_OK);
    use_http(silent);
    line.timeout_ms = 60000;
    cr_assert_eq(ask(2), WL_OK);
    use_http(good);
    cr_assert_eq(ask(3), WL_OK);
    cancel_other = true;
    wait_for(1);
    cr_assert_eq(seen[0].call_id, 3);
    cr_assert_eq(wl_caller_in_flight(caller), 0);
    for (uint32_t i = 1; i <= 20; i++) { /* both are good: the other one may have ended, unread */
        cr_assert_eq(ask(2 + 2 * i), WL_OK);
        cr_assert_eq(ask(3 + 2 * i), WL_OK);
        wait_for(1 + i);
        cr_assert_eq(seen[i].err, WL_OK, "%s", seen[i].reason);
        cr_assert_eq(seen[i].call_id / 2, 1 + i);
        cr_assert_eq(wl_caller_in_flight(caller), 0);
    }
    fake_http_destroy(&silent);
    fake_http_destroy(&good);
}

/* Signatures. */

static char secrets_dir[] = "/tmp/wl_caller_XXXXXX";

static void open_signing_world(void) {
    char path[64];
    open_world();
    cr_assert_not_null(mkdtemp(secrets_dir));
    (void)snprintf(path, sizeof path, "%s/cash-key", secrets_dir);
    FILE *file = fopen(path, "w");
    (void)fputs("sesame\n", file);
    (void)fclose(file);
    wl_caller_destroy(&caller);
    caller = wl_caller_new(loop, secrets_dir, on_answer, &line);
    memcpy(line.secret, "cash-key", 9);
}

static void close_signing_world(void) {
    char path[64];
    (void)snprintf(path, sizeof path, "%s/cash-key", secrets_dir);
    (void)unlink(path);
    (void)rmdir(secrets_dir);
    close_world();
}

/* The value of a header of the last request. */
static void header_of(const fake_http_t *fake, const char *name, char *into, size_t max) {
    const char *at = strstr(fake->last, name);
    cr_assert_not_null(at, "%s is missing", name);
    at += strlen(name) + 2;
    (void)snprintf(into, max, "%.*s", (int)strcspn(at, "\r"), at);
}

TestSuite(signing_caller, .init = open_signing_world, .fini = close_signing_world, .timeout = 60);

Test(signing_caller, http_signs_what_it_sends) {
    fake_http_t *fake = fake_http_new(FAKE_OK);
    char name[64];
    char time_text[32];
    char nonce[64];
    char signature[80];
    char expected[65];
    use_http(fake);
    line.mapping = (wl_mapping_t){.used = true,
                                  .path = "/v2/rebates?kind=all",
                                  .list = "/assets",
                                  .uid = "/uid",
                                  .amount = "/amount",
                                  .version = "/version"};
    cr_assert_eq(ask(1), WL_OK);
    wait_for(1);
    cr_assert_eq(seen[0].err, WL_OK, "%s", seen[0].reason);
    cr_assert_eq(seen[0].amounts, 60);
    cr_assert_eq(strncmp(fake->last, "POST /api/v2/rebates?kind=all HTTP/1.1\r\n", 40), 0);
    header_of(fake, "X-Wallet-Line", name, sizeof name);
    header_of(fake, "X-Wallet-Time", time_text, sizeof time_text);
    header_of(fake, "X-Wallet-Nonce", nonce, sizeof nonce);
    header_of(fake, "X-Wallet-Signature", signature, sizeof signature);
    const char *body = strstr(fake->last, "\r\n\r\n") + 4;
    wl_sign_request_t request = {"POST", "/api/v2/rebates", "kind=all", time_text, nonce,
                                 body,   strlen(body)};
    wl_sign("sesame", 6, &request, expected);
    cr_assert_str_eq(signature, expected);
    cr_assert_str_eq(name, "cash");
    cr_assert_eq(strlen(nonce), 32);
    fake_http_destroy(&fake);
}

Test(signing_caller, http_signs_the_query_of_a_page) {
    fake_http_t *fake = fake_http_new(FAKE_BODY);
    fake->body = "{\"items\":[]}";
    char time_text[32];
    char nonce[64];
    char signature[80];
    char expected[65];
    wl_page_ask_t ask_page = details_of(7);
    use_http(fake);
    cr_assert_eq(wl_caller_page(caller, &line, &ask_page, 1), WL_OK);
    wait_for(1);
    header_of(fake, "X-Wallet-Time", time_text, sizeof time_text);
    header_of(fake, "X-Wallet-Nonce", nonce, sizeof nonce);
    header_of(fake, "X-Wallet-Signature", signature, sizeof signature);
    const char *query = "uid=7&month=2026-11&cursor=a%2Fb%20c%26d&limit=20";
    cr_assert_not_null(strstr(fake->last, query));
    wl_sign_request_t request = {"GET", "/api/details", query, time_text, nonce, NULL, 0};
    wl_sign("sesame", 6, &request, expected);
    cr_assert_str_eq(signature, expected);
    fake_http_destroy(&fake);
}

Test(signing_caller, zmq_signs_pages) {
    fake_zmq_t *fake = fake_zmq_new(FAKE_ZMQ_OK, 0);
    char expected[65];
    wl_page_ask_t ask_page = details_of(7);
    static const char *const methods[] = {"details", "summary"};
    static const char *const bodies[] = {"7\n2026-11\na/b c&d\n20", "7\n2026-11"};
    use_zmq(fake);
    for (uint32_t i = 0; i < 2; i++) {
        ask_page.kind = i == 0 ? WL_PAGE_DETAILS : WL_PAGE_SUMMARY;
        cr_assert_eq(wl_caller_page(caller, &line, &ask_page, i), WL_OK);
        wait_for(i + 1);
        cr_assert_eq(seen[i].err, WL_OK, "%s", seen[i].reason);
        wl_sign_request_t request = {"ZMQ",     methods[i],       "", fake->time, fake->nonce,
                                     bodies[i], strlen(bodies[i])};
        wl_sign("sesame", 6, &request, expected);
        cr_assert_str_eq(fake->signature, expected);
    }
    fake_zmq_destroy(&fake);
}

Test(signing_caller, zmq_signs_what_it_sends) {
    fake_zmq_t *fake = fake_zmq_new(FAKE_ZMQ_OK, 0);
    char expected[65];
    use_zmq(fake);
    cr_assert_eq(ask(1), WL_OK);
    wait_for(1);
    cr_assert_eq(seen[0].err, WL_OK, "%s", seen[0].reason);
    wl_sign_request_t request = {"ZMQ", "assets", "", fake->time, fake->nonce, "1,2,3", 5};
    wl_sign("sesame", 6, &request, expected);
    cr_assert_str_eq(fake->signature, expected);
    fake_zmq_destroy(&fake);
}

Test(caller, a_missing_key_is_refused_before_anything_is_sent) {
    line.adapter = WL_ADAPTER_HTTP;
    memcpy(line.url, "http://127.0.0.1:1", 19);
    memcpy(line.secret, "cash-key", 9);
    cr_assert_eq(ask(1), WL_ERR_SETTINGS);
}

/* ZeroMQ. */

static const seen_t *ask_zmq(fake_zmq_behaviour_t behaviour) {
    fake_zmq_t *fake = fake_zmq_new(behaviour, 0);
    use_zmq(fake);
    cr_assert_eq(ask(5), WL_OK);
    cr_assert_eq(seen_count, 0, "never from inside the call");
    wait_for(1);
    cr_assert_eq(wl_caller_in_flight(caller), 0);
    fake_zmq_destroy(&fake);
    return &seen[0];
}

Test(caller, zmq_asks_and_hears) {
    const seen_t *answer = ask_zmq(FAKE_ZMQ_OK);
    cr_assert_eq(answer->err, WL_OK, "%s", answer->reason);
    cr_assert_eq(answer->asset_count, 3);
    cr_assert_eq(answer->amounts, 60);
    cr_assert_eq(answer->http_status, 0);
}

Test(caller, zmq_a_silent_line_costs_its_timeout_only) {
    line.timeout_ms = 1000; /* the connection is there before */
    const seen_t *answer = ask_zmq(FAKE_ZMQ_HANG);
    cr_assert_eq(answer->err, WL_ERR_DEADLINE);
    cr_assert(answer->elapsed_ms >= 1000 && answer->elapsed_ms < 5000);
}

Test(caller, zmq_noise_is_dropped_and_doubles_count_once) {
    const seen_t *answer = ask_zmq(FAKE_ZMQ_NOISE);
    cr_assert_eq(answer->err, WL_OK, "%s", answer->reason);
    cr_assert_eq(answer->amounts, 60);
}

Test(caller, zmq_a_late_reply_finds_nobody) {
    fake_zmq_t *fake = fake_zmq_new(FAKE_ZMQ_LATE, 0);
    use_zmq(fake);
    line.timeout_ms = 1000;
    cr_assert_eq(ask(1), WL_OK);
    wait_for(1);
    cr_assert_eq(seen[0].err, WL_ERR_DEADLINE);
    line.timeout_ms = 2000;
    cr_assert_eq(ask(2), WL_OK);
    wait_for(2);
    cr_assert_eq(seen[1].call_id, 2);
    cr_assert_eq(seen[1].err, WL_OK, "%s", seen[1].reason);
    fake_zmq_destroy(&fake);
}

Test(caller, zmq_errors_carry_code_and_patience) {
    const seen_t *answer = ask_zmq(FAKE_ZMQ_ERROR);
    cr_assert_eq(answer->err, WL_ERR_UNAVAILABLE);
    cr_assert_eq(answer->retry_after_ms, 250);
    cr_assert_str_eq(answer->reason, "error busy");
}

Test(caller, zmq_a_giant_is_not_taken_in) {
    line.timeout_ms = 1000;
    cr_assert_eq(ask_zmq(FAKE_ZMQ_BIG)->err, WL_ERR_DEADLINE);
}

/* libzmq gives a connection up for good when the peer has sent too much. */
Test(caller, zmq_a_line_that_sent_a_giant_is_found_again) {
    fake_zmq_t *fake = fake_zmq_new(FAKE_ZMQ_BIG, 0);
    use_zmq(fake);
    line.timeout_ms = 200;
    uint32_t asked = 0;
    for (; asked < 3; asked++) {
        cr_assert_eq(ask(asked), WL_OK);
        wait_for(asked + 1);
        cr_assert_neq(seen[asked].err, WL_OK);
    }
    fake->behaviour = FAKE_ZMQ_OK;
    line.timeout_ms = 2000;
    bool found = false;
    for (; !found && asked < 8; asked++) {
        cr_assert_eq(ask(asked), WL_OK);
        wait_for(asked + 1);
        found = seen[asked].err == WL_OK;
    }
    cr_assert(found, "%s", seen[asked - 1].reason);
    fake_zmq_destroy(&fake);
}

Test(caller, zmq_an_answer_without_a_list_is_malformed) {
    cr_assert_eq(ask_zmq(FAKE_ZMQ_NO_LIST)->err, WL_ERR_MALFORMED);
}

Test(caller, zmq_asks_for_pages) {
    fake_zmq_t *fake = fake_zmq_new(FAKE_ZMQ_OK, 0);
    static wl_page_t page;
    wl_sums_t sums;
    wl_page_ask_t ask_page = details_of(7);
    use_zmq(fake);
    cr_assert_eq(wl_caller_page(caller, &line, &ask_page, 1), WL_OK);
    wait_for(1);
    decode_page(&seen[0], &page);
    cr_assert_eq(page.count, 1);
    cr_assert_eq(page.items[0].amount, 70);
    cr_assert_eq(page.next_bytes, 4);
    cr_assert_str_eq(fake->method, "details");
    cr_assert_eq(fake->uid, 7);
    cr_assert_str_eq(fake->month, "2026-11");
    cr_assert_str_eq(fake->cursor, "a/b c&d");
    cr_assert_eq(fake->limit, 20);
    ask_page = (wl_page_ask_t){.kind = WL_PAGE_SUMMARY, .uid = 9, .limit = 5};
    cr_assert_eq(wl_caller_page(caller, &line, &ask_page, 2), WL_OK);
    wait_for(2);
    decode_sums(&seen[1], &sums);
    cr_assert_eq(sums.in, 90);
    cr_assert_str_eq(fake->method, "summary");
    cr_assert_str_eq(fake->month, "");
    cr_assert_eq(fake->limit, 0, "means nothing for sums");
    fake_zmq_destroy(&fake);
}

Test(caller, zmq_a_page_that_is_not_there_is_no_failure) {
    fake_zmq_t *fake = fake_zmq_new(FAKE_ZMQ_NONE, 0);
    wl_page_ask_t ask_page = details_of(7);
    use_zmq(fake);
    cr_assert_eq(wl_caller_page(caller, &line, &ask_page, 1), WL_OK);
    wait_for(1);
    cr_assert_eq(seen[0].err, WL_ERR_NOT_FOUND);
    cr_assert_eq(ask(2), WL_OK);
    wait_for(2);
    cr_assert_eq(seen[1].err, WL_ERR_UNAVAILABLE, "of assets it is one");
    fake_zmq_destroy(&fake);
}

Test(caller, zmq_sockets_are_kept_by_url) {
    fake_zmq_t *fakes[2] = {fake_zmq_new(FAKE_ZMQ_OK, 0), fake_zmq_new(FAKE_ZMQ_OK, 0)};
    use_zmq(fakes[0]);
    line.url_count = 2;
    memcpy(line.urls[0], line.url, sizeof line.url);
    (void)snprintf(line.urls[1], sizeof line.urls[1], "tcp://127.0.0.1:%d", fakes[1]->port);
    for (uint32_t i = 0; i < 6; i++) {
        cr_assert_eq(ask_url(i, i % 2), WL_OK);
        wait_for(i + 1);
        cr_assert_eq(seen[i].err, WL_OK, "%s", seen[i].reason);
    }
    cr_assert_eq(fakes[0]->requests, 3);
    cr_assert_eq(fakes[1]->requests, 3);
    cr_assert_eq(ask_url(9, 2), WL_ERR_SETTINGS);
    fake_zmq_destroy(&fakes[0]);
    fake_zmq_destroy(&fakes[1]);
}

Test(caller, zmq_a_cancelled_call_never_answers) {
    fake_zmq_t *fake = fake_zmq_new(FAKE_ZMQ_OK, 0);
    use_zmq(fake);
    cr_assert_eq(ask(1), WL_OK);
    cr_assert(wl_caller_cancel(caller, 1), "maybe not even sent");
    cr_assert_not(wl_caller_cancel(caller, 1));
    cr_assert_eq(wl_caller_in_flight(caller), 0);
    line.timeout_ms = 60000;
    cancel_other = true;
    for (uint32_t i = 1; i <= 5; i++) {
        cr_assert_eq(ask(2 * i), WL_OK);
        cr_assert_eq(ask(2 * i + 1), WL_OK);
        wait_for(i);
        cr_assert_eq(seen[i - 1].err, WL_OK, "%s", seen[i - 1].reason);
        cr_assert_eq(wl_caller_in_flight(caller), 0);
    }
    fake_zmq_destroy(&fake);
}

Test(caller, zmq_fifty_calls_at_once) {
    fake_zmq_t *fake = fake_zmq_new(FAKE_ZMQ_OK, 0);
    use_zmq(fake);
    for (uint64_t i = 0; i < 50; i++) {
        cr_assert_eq(ask(i), WL_OK);
    }
    wait_for(50);
    for (uint32_t i = 0; i < 50; i++) {
        cr_assert_eq(seen[i].err, WL_OK, "%s", seen[i].reason);
    }
    fake_zmq_destroy(&fake);
}

/* Without a connection nothing is queued for later: the line that comes back is not flooded with
 * requests that everybody has given up. */
Test(caller, zmq_nobody_there_is_unavailable_and_later_found) {
    fake_zmq_t *fake = fake_zmq_new(FAKE_ZMQ_OK, 0);
    int port = fake->port;
    use_zmq(fake);
    fake_zmq_destroy(&fake);
    fake_zmq_await_gone(port);
    line.timeout_ms = 100;
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(ask(i), WL_OK);
    }
    wait_for(3);
    cr_assert_eq(seen[2].err, WL_ERR_UNAVAILABLE);
    cr_assert_str_eq(seen[2].reason, "no connection within 100 ms");
    fake = fake_zmq_new(FAKE_ZMQ_OK, port);
    line.timeout_ms = 5000;
    cr_assert_eq(ask(9), WL_OK);
    wait_for(4);
    cr_assert_eq(seen[3].call_id, 9);
    cr_assert_eq(seen[3].err, WL_OK, "%s", seen[3].reason);
    fake_zmq_destroy(&fake);
}

Test(caller, zmq_more_lines_than_places_take_turns) {
    fake_zmq_t *fake = fake_zmq_new(FAKE_ZMQ_OK, 0);
    use_zmq(fake);
    for (uint32_t i = 0; i < WL_LINES_MAX * WL_LINE_URLS_MAX + 40; i++) {
        (void)snprintf(line.id, sizeof line.id, "line-%u", i);
        cr_assert_eq(ask(i), WL_OK);
        wait_for(i + 1);
        cr_assert_eq(seen[i].err, WL_OK, "%s", seen[i].reason);
    }
    fake_zmq_destroy(&fake);
}

Test(caller, zmq_destroy_forgets_calls_under_way) {
    fake_zmq_t *fake = fake_zmq_new(FAKE_ZMQ_HANG, 0);
    use_zmq(fake);
    for (uint64_t i = 0; i < 20; i++) {
        cr_assert_eq(ask(i), WL_OK);
    }
    wl_caller_destroy(&caller);
    cr_assert_eq(seen_count, 0);
    fake_zmq_destroy(&fake);
}

Test(caller, zmq_bad_endpoints_are_refused_at_once) {
    static const char *const urls[] = {"tcp://169.254.1.1:80", "ipc://x", "tcp://h", ""};
    line.adapter = WL_ADAPTER_ZMQ;
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(line.url, sizeof line.url, "%s", urls[i]);
        cr_assert_eq(ask(i), WL_ERR_SETTINGS, "%s", urls[i]);
    }
}

/* Both. */

Test(caller, calls_under_way_are_bounded_and_places_come_back) {
    fake_zmq_t *fake = fake_zmq_new(FAKE_ZMQ_HANG, 0);
    use_zmq(fake);
    line.timeout_ms = 60000;
    for (uint64_t i = 0; i < WL_CALLS_MAX; i++) {
        cr_assert_eq(ask(i), WL_OK);
    }
    cr_assert_eq(ask(0), WL_ERR_FULL);
    cr_assert_eq(wl_caller_in_flight(caller), WL_CALLS_MAX);
    fake_zmq_destroy(&fake);
}
