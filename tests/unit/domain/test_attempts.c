#include "domain/attempts.h"

#include "base/slot.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static wl_attempt_t attempt_make(int64_t at, wl_failure_t failure, const char *reason) {
    wl_attempt_t attempt = {.at = at, .failure = (uint8_t)failure};
    (void)snprintf(attempt.reason, sizeof attempt.reason, "%s", reason);
    return attempt;
}

static void expect_equal(const wl_attempts_t *a, const wl_attempts_t *b) {
    cr_assert_eq(a->count, b->count);
    for (uint32_t i = 0; i < a->count; i++) {
        cr_assert_eq(a->at[i].at, b->at[i].at);
        cr_assert_eq(a->at[i].failure, b->at[i].failure);
        cr_assert_str_eq(a->at[i].reason, b->at[i].reason);
    }
}

Test(attempts, keeps_the_newest_sixteen) {
    wl_attempts_t attempts = {.count = 0};
    for (int64_t i = 0; i < 40; i++) {
        wl_attempt_t one = attempt_make(1000 + i, WL_FAILURE_TIMEOUT, "no answer within 5 ms");
        wl_attempts_add(&attempts, &one);
    }
    cr_assert_eq(attempts.count, (uint32_t)WL_ATTEMPTS_MAX);
    cr_assert_eq(attempts.at[0].at, 1024);
    cr_assert_eq(attempts.at[15].at, 1039);
}

/* Any times, also those of a clock that was set back; any reasons, equal in a row or not. */
Test(attempts, packs_and_reads_back_whatever_it_is) {
    static const int64_t times[] = {0, 1, -1, INT64_MAX, INT64_MIN, 1700000000000, 1700000001500};
    static const char *const words[] = {"", "HTTP 503", "no answer within 500 ms",
                                        "012345678901234567890123456789012345678901234567"
                                        "890123456789012345678901234567890123456789012345"};
    cr_assert_eq(strlen(words[3]), (size_t)WL_ATTEMPT_REASON_MAX);
    for (uint64_t seed = 0; seed < 2000; seed++) {
        wl_attempts_t attempts = {.count = 0};
        wl_attempts_t read;
        uint8_t packed[WL_ATTEMPTS_BYTES_MAX];
        for (uint64_t i = 0; i < wl_mix64(seed) % 20; i++) {
            uint64_t random = wl_mix64(seed << 8 | i);
            wl_attempt_t one = attempt_make(times[random % 7], (wl_failure_t)(random >> 8 & 7),
                                            words[(random >> 16) % 4]);
            wl_attempts_add(&attempts, &one);
        }
        size_t bytes = wl_attempts_pack(&attempts, packed);
        cr_assert(bytes <= sizeof packed && (bytes > 0) == (attempts.count > 0));
        cr_assert_eq(wl_attempts_unpack(packed, bytes, &read), WL_OK);
        expect_equal(&read, &attempts);
    }
}

Test(attempts, equal_reasons_in_a_row_cost_nothing) {
    wl_attempts_t attempts = {.count = 0};
    uint8_t packed[WL_ATTEMPTS_BYTES_MAX];
    for (int64_t i = 0; i < WL_ATTEMPTS_MAX; i++) {
        wl_attempt_t one =
            attempt_make(1700000000000 + i * 4000, WL_FAILURE_UNAVAILABLE, "HTTP 503");
        wl_attempts_add(&attempts, &one);
    }
    cr_assert_leq(wl_attempts_pack(&attempts, packed), 100u);
}

/* The store may hold anything: cut off, turned, or strange bytes. Under sanitizers. */
Test(attempts, refuses_damaged_bytes_and_shows_no_control_characters) {
    wl_attempts_t attempts = {.count = 0};
    wl_attempts_t read;
    uint8_t packed[WL_ATTEMPTS_BYTES_MAX];
    for (int64_t i = 0; i < 5; i++) {
        wl_attempt_t one = attempt_make(1700000000000 + i * 4000, WL_FAILURE_REFUSED,
                                        i % 2 == 0 ? "HTTP 404" : "HTTP 400");
        wl_attempts_add(&attempts, &one);
    }
    size_t bytes = wl_attempts_pack(&attempts, packed);
    for (size_t cut = 1; cut < bytes; cut++) {
        wl_err_t err = wl_attempts_unpack(packed, cut, &read);
        cr_assert(err == WL_ERR_DAMAGED ? read.count == 0 : read.count < attempts.count);
    }
    for (uint64_t seed = 0; seed < 20000; seed++) {
        uint8_t bad[sizeof packed];
        memcpy(bad, packed, bytes);
        bad[wl_mix64(seed) % bytes] = (uint8_t)(wl_mix64(seed) >> 32);
        bad[wl_mix64(seed + 7) % bytes] = (uint8_t)(wl_mix64(seed) >> 40);
        if (wl_attempts_unpack(bad, bytes, &read) == WL_OK) {
            for (uint32_t i = 0; i < read.count; i++) {
                for (const char *at = read.at[i].reason; *at != '\0'; at++) {
                    cr_assert(*at >= ' ' && *at <= '~');
                }
            }
        }
    }
    static const uint8_t many[200] = {1};
    cr_assert_eq(wl_attempts_unpack(many, sizeof many, &read), WL_ERR_DAMAGED, "too many");
    cr_assert_eq(wl_attempts_unpack("\2", 1, &read), WL_ERR_DAMAGED, "another format");
    cr_assert_eq(wl_attempts_unpack("\1", 1, &read), WL_ERR_DAMAGED, "none");
    cr_assert_eq(wl_attempts_unpack(NULL, 0, &read), WL_OK);
    cr_assert_eq(read.count, 0u);
}
