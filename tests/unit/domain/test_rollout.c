#include "domain/rollout.h"

#include "base/alloc.h"
#include "base/slot.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include <time.h>

enum { MILLION = 1000000 };

/* Ids as they come: one after the other, random of 32 bits, random of 64, every 4096th. */
static uint64_t uid_of(int shape, uint64_t i) {
    switch (shape) {
    case 0: return 1 + i;
    case 1: return 1 + (wl_mix64(i) >> 32);
    case 2: return wl_mix64(i) | 1;
    default: return 4096 * (1 + i);
    }
}

static bool takes(const wl_rollout_t *rollout, uint64_t uid) {
    return wl_rollout_takes(rollout, NULL, &(wl_rollout_asker_t){uid, "", ""});
}

Test(rollout, takes_its_share_of_any_ids_and_keeps_whom_it_had) {
    for (int shape = 0; shape < 4; shape++) {
        wl_rollout_t small = {.id = 17 + (uint64_t)shape, .share = 1000};
        wl_rollout_t large = small;
        large.share = 2000;
        uint32_t in_small = 0;
        uint32_t in_large = 0;
        for (uint64_t i = 0; i < MILLION; i++) {
            uint64_t uid = uid_of(shape, i);
            bool small_takes = takes(&small, uid);
            bool large_takes = takes(&large, uid);
            in_small += small_takes;
            in_large += large_takes;
            cr_assert(large_takes || !small_takes, "%llu flipped", (unsigned long long)uid);
        }
        cr_expect_leq(fabs(in_small / 10000.0 - 10), 0.2, "shape %d: %u", shape, in_small);
        cr_expect_leq(fabs(in_large / 10000.0 - 20), 0.2, "shape %d: %u", shape, in_large);
    }
}

Test(rollout, has_other_users_in_its_share_than_the_one_before) {
    wl_rollout_t first = {.id = 5, .share = 1000};
    wl_rollout_t second = {.id = 6, .share = 1000};
    uint32_t both = 0;
    for (uint64_t uid = 1; uid <= 100000; uid++) {
        both += takes(&first, uid) && takes(&second, uid);
    }
    cr_expect(both > 800 && both < 1200, "%u of 100,000, a hundredth is chance", both);
}

Test(rollout, takes_nobody_when_there_is_none_and_the_ends_of_a_share) {
    wl_rollout_t none = {.share = WL_ROLLOUT_WHOLE};
    wl_rollout_t zero = {.id = 1};
    wl_rollout_t all = {.id = 1, .share = WL_ROLLOUT_WHOLE};
    for (uint64_t uid = 1; uid < 1000; uid++) {
        cr_assert_not(takes(&none, uid));
        cr_assert_not(takes(&zero, uid));
        cr_assert(takes(&all, uid));
    }
}

Test(rollout, wants_all_its_conditions) {
    static const uint64_t listed[] = {42};
    wl_uid_set_t *set = wl_uid_set_new(listed, 1);
    wl_rollout_t rollout = {.id = 3,
                            .share = WL_ROLLOUT_WHOLE,
                            .whitelist = "x",
                            .scene_count = 2,
                            .scenes = {"home", "pay"},
                            .app_min = "13.4",
                            .app_max = "13.9.9"};
    wl_rollout_asker_t good = {42, "pay", "13.4.0"};
    cr_expect(wl_rollout_takes(&rollout, set, &good));
    cr_expect_not(wl_rollout_takes(&rollout, NULL, &good), "the set is not at hand");
    wl_rollout_asker_t others[] = {
        {43, "pay", "13.4.0"}, {42, "", "13.4.0"},    {42, "pays", "13.4"}, {42, "home", ""},
        {42, "home", "13.3"},  {42, "home", "13.10"}, {42, "home", "x"}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        cr_expect_not(wl_rollout_takes(&rollout, set, &others[i]), "%zu", i);
    }
    rollout.paused = true;
    cr_expect_not(wl_rollout_takes(&rollout, set, &good));
    wl_uid_set_destroy(&set);
}

Test(rollout, compares_versions_of_apps_as_numbers) {
    const struct {
        const char *left, *right;
        int order;
    } rows[] = {{"1", "1.0.0.0", 0}, {"13.4.0", "13.10", -1}, {"2", "10", -1},
                {"1.0.1", "1", 1},   {"007", "7", 0},         {"999999999", "1.2.3.4", 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_expect_eq(wl_app_version_compare(rows[i].left, rows[i].right), rows[i].order, "%zu", i);
        cr_expect_eq(wl_app_version_compare(rows[i].right, rows[i].left), -rows[i].order, "%zu", i);
    }
    const char *wrong[] = {"",          ".",  "1.", ".1",         "1..2",
                           "1.2.3.4.5", "1a", "-1", "1234567890", " 1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cr_expect_not(wl_app_version_valid(wrong[i]), "%s", wrong[i]);
    }
}

static wl_rollout_t read_text(const char *text, wl_err_t expected, const char *where) {
    wl_rollout_t rollout;
    wl_fault_t fault = {0};
    json_t *object = json_loads(text, JSON_DECODE_ANY, NULL);
    cr_assert_eq(wl_rollout_read(object, &rollout, &fault), expected, "%s", text);
    if (expected != WL_OK) {
        cr_expect_str_eq(fault.where, where, "%s", text);
    }
    json_decref(object);
    return rollout;
}

Test(rollout, reads_what_it_wrote) {
    wl_rollout_t full = {.id = 12,
                         .paused = true,
                         .share = 1234,
                         .scene_count = 1,
                         .scenes = {"home"},
                         .app_min = "1.2",
                         .app_max = "3",
                         .abort_share = 50,
                         .abort_replies = 1000};
    memset(full.whitelist, 'a', WL_DIGEST_HEX);
    json_t *object = wl_rollout_write(&full);
    wl_rollout_t back;
    cr_assert_eq(wl_rollout_read(object, &back, NULL), WL_OK);
    cr_expect_eq(memcmp(&full, &back, sizeof full), 0);
    json_decref(object);
    back = read_text("{}", WL_OK, "");
    cr_expect(back.id == 0 && back.share == WL_ROLLOUT_WHOLE, "everybody, unless it says so");
}

Test(rollout, refuses_conditions_out_of_bounds) {
    read_text("7", WL_ERR_BAD_REQUEST, "rollout");
    read_text("{\"percent\":100.5}", WL_ERR_BAD_REQUEST, "percent");
    read_text("{\"percent\":-1}", WL_ERR_BAD_REQUEST, "percent");
    read_text("{\"percent\":1.234}", WL_ERR_BAD_REQUEST, "percent");
    read_text("{\"percent\":\"10\"}", WL_ERR_BAD_REQUEST, "percent");
    read_text("{\"whitelist\":\"abc\"}", WL_ERR_BAD_REQUEST, "whitelist");
    read_text("{\"scenes\":\"home\"}", WL_ERR_BAD_REQUEST, "scenes");
    read_text("{\"scenes\":[\"\"]}", WL_ERR_BAD_REQUEST, "scenes");
    read_text("{\"scenes\":[1,2,3,4,5,6,7,8,9]}", WL_ERR_BAD_REQUEST, "scenes");
    read_text("{\"app_min\":\"new\"}", WL_ERR_BAD_REQUEST, "app_min");
    read_text("{\"app_min\":\"2\",\"app_max\":\"1\"}", WL_ERR_BAD_REQUEST, "app_max");
    read_text("{\"abort_replies\":-1}", WL_ERR_BAD_REQUEST, "abort_replies");
    read_text("{\"paused\":1}", WL_ERR_BAD_REQUEST, "paused");
    read_text("{\"precent\":1}", WL_ERR_BAD_REQUEST, "precent");
}

Test(rollout, a_candidate_fails_by_its_errors_beyond_those_of_the_base) {
    wl_rollout_t rollout = {.id = 1, .abort_share = 100, .abort_replies = 500};
    cr_expect_not(wl_rollout_failed(&rollout, 0, 0, 0, 0));
    cr_expect_not(wl_rollout_failed(&rollout, 1000, 0, 499, 400), "not yet");
    cr_expect(wl_rollout_failed(&rollout, 1000, 0, 500, 10), "2 percent");
    cr_expect_not(wl_rollout_failed(&rollout, 1000, 0, 500, 5), "fewer are chance");
    cr_expect_not(wl_rollout_failed(&rollout, 1000, 500, 1000, 505), "all are sick");
    cr_expect(wl_rollout_failed(&rollout, 1000, 500, 1000, 520));
    rollout.abort_share = 0;
    cr_expect_not(wl_rollout_failed(&rollout, 1000, 0, 1000, 1000), "never");
}
