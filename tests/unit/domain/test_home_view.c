#include "domain/home_view.h"

#include "domain/floors.h"
#include "domain/home.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* cash: must be revalidated; live: of use for 1 s + 2 s, worth nothing after 1 s + 9 s; card: needs
 * consent */
static const char integration[] =
    "{\"version\":3,\"lines\":{"
    "\"cash\":{\"kind\":\"cash\",\"url\":\"http://h\",\"unit\":\"CNY\",\"scale\":2,"
    "\"fresh_ms\":1000,\"must_revalidate\":true,\"sie_ms\":50000},"
    "\"card\":{\"kind\":\"cash\",\"url\":\"http://h\",\"unit\":\"CNY\",\"scale\":2,"
    "\"consent\":true},"
    "\"live\":{\"kind\":\"coin\",\"mode\":\"live\",\"url\":\"http://h\",\"unit\":\"bean\","
    "\"fresh_ms\":1000,\"swr_ms\":2000,\"sie_ms\":9000},"
    "\"coin\":{\"kind\":\"coin\",\"url\":\"http://h\",\"unit\":\"bean\"}}}";
static const char presentation[] =
    "{\"version\":7,\"golden\":[{\"line\":\"cash\"},{\"line\":\"card\"}],\"sections\":["
    "{\"kind\":\"cash\",\"lines\":[\"cash\",\"card\"]},"
    "{\"kind\":\"coin\",\"lines\":[\"live\",\"coin\"]}]}";

enum { NOW = 1000000, CASH = 0, CARD = 1, LIVE = 2, COIN = 3, TEXT_BYTES = 16384 };

typedef struct {
    wl_config_t *config;
    wl_home_view_t view;
    wl_asset_t assets[8];
    bool answered[8];
    bool sick[WL_LINES_MAX];
    uint8_t asked[WL_LINES_MAX];
    char text[TEXT_BYTES]; /* of the last answer */
    char part[TEXT_BYTES];
} user_t;

static void user_open(user_t *user) {
    wl_fault_t fault = {0};
    memset(user, 0, sizeof *user);
    cr_assert_eq(wl_config_compile(integration, sizeof integration - 1, presentation,
                                   sizeof presentation - 1, &user->config, &fault),
                 WL_OK, "%s: %s", fault.where, fault.message);
    user->view = (wl_home_view_t){.config = user->config,
                                  .sick = user->sick,
                                  .assets = user->assets,
                                  .uid = 77,
                                  .now = {NOW},
                                  .source = WL_SOURCE_DB,
                                  .asked = user->asked,
                                  .answered = user->answered};
}

static wl_asset_t *user_add(user_t *user, uint32_t line, const char *bucket, int64_t amount) {
    const wl_line_t *given = &user->config->lines[line];
    wl_asset_t *asset = &user->assets[user->view.asset_count++];
    *asset = (wl_asset_t){.uid = 77,
                          .version = 10,
                          .amount = amount,
                          .pulled_at = NOW,
                          .kind = (uint8_t)given->kind,
                          .scale = given->scale};
    (void)snprintf(asset->line, sizeof asset->line, "%s", given->id);
    (void)snprintf(asset->bucket, sizeof asset->bucket, "%s", bucket);
    (void)snprintf(asset->unit, sizeof asset->unit, "%s", given->unit);
    return asset;
}

/* As JSON says it, not as msgpack-c prints it. */
static void text_colons(char *text) {
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        bool arrow = from[0] == '=' && from[1] == '>';
        *to++ = arrow ? ':' : *from;
        from += arrow;
    }
    *to = '\0';
}

static const char *write_text(user_t *user,
                              void (*write)(const wl_home_view_t *, msgpack_sbuffer *)) {
    msgpack_sbuffer buffer;
    msgpack_unpacked unpacked;
    msgpack_sbuffer_init(&buffer);
    msgpack_unpacked_init(&unpacked);
    write(&user->view, &buffer);
    size_t used = 0;
    cr_assert_eq(msgpack_unpack_next(&unpacked, buffer.data, buffer.size, &used),
                 MSGPACK_UNPACK_SUCCESS);
    cr_assert_eq(used, buffer.size, "exactly one object");
    cr_assert_gt(msgpack_object_print_buffer(user->text, sizeof user->text, unpacked.data), 0);
    msgpack_unpacked_destroy(&unpacked);
    msgpack_sbuffer_destroy(&buffer);
    text_colons(user->text);
    return user->text;
}

/* From the nth `start` of the answer to the first `end` behind it. */
static const char *part(user_t *user, const char *start, const char *end, int nth) {
    const char *at = user->text;
    for (int i = 0; i <= nth && at != NULL; i++) {
        at = strstr(at + (i > 0), start);
    }
    cr_assert_not_null(at, "no %s in %s", start, user->text);
    const char *stop = strstr(at, end);
    cr_assert_not_null(stop);
    (void)snprintf(user->part, sizeof user->part, "%.*s", (int)(stop - at), at);
    return user->part;
}

/* The nth item of the line on the home page; golden slots begin with their position. */
static const char *item(user_t *user, const char *line, int nth) {
    char start[64];
    (void)snprintf(start, sizeof start, "{\"line\":\"%s\"", line);
    return part(user, start, "\"freshness\":\"", nth);
}

static void expect(user_t *user, const char *line, const char *amount, const char *freshness,
                   const char *source) {
    char start[64];
    char wanted[64];
    (void)write_text(user, wl_home_write);
    (void)snprintf(start, sizeof start, "{\"line\":\"%s\"", line);
    (void)part(user, start, "}, ", 0); /* behind extra: the rest comes next */
    (void)snprintf(wanted, sizeof wanted, "\"amount\":%s,", amount);
    cr_expect_not_null(strstr(user->part, wanted), "%s in %s", wanted, user->part);
    const char *rest = strstr(user->text, start);
    rest = strstr(rest, "\"as_of\"");
    (void)snprintf(user->part, sizeof user->part, "%.*s", 120, rest);
    (void)snprintf(wanted, sizeof wanted, "\"source\":\"%s\", \"freshness\":\"%s\"", source,
                   freshness);
    cr_expect_not_null(strstr(user->part, wanted), "%s in %s", wanted, user->part);
}

static const char *degraded(user_t *user) {
    (void)write_text(user, wl_home_write);
    return part(user, "\"degraded\":[", "]", 0) + strlen("\"degraded\":[");
}

Test(home_view, what_a_line_said_just_now_is_fresh_and_from_the_line) {
    static user_t user;
    user_open(&user);
    user_add(&user, LIVE, "", 5)->pulled_at = NOW - 20;
    user.asked[LIVE] = WL_ASKED_OK;
    user.answered[0] = true;
    user.sick[LIVE] = true; /* it fell ill afterwards */
    expect(&user, "live", "5", "fresh", "line");
    cr_expect_str_eq(degraded(&user), "");
    wl_config_destroy(&user.config);
}

Test(home_view, a_bucket_that_the_line_did_not_name_is_the_last_good) {
    static user_t user;
    user_open(&user);
    (void)user_add(&user, LIVE, "", 5);
    (void)user_add(&user, LIVE, "old", 6);
    user.asked[LIVE] = WL_ASKED_OK;
    user.answered[0] = true;
    (void)write_text(&user, wl_home_write);
    cr_expect_not_null(strstr(item(&user, "live", 1), "\"source\":\"last_good\""));
    cr_expect_str_eq(degraded(&user), "\"live\"");
    wl_config_destroy(&user.config);
}

Test(home_view, a_line_without_an_answer_shows_the_last_good_up_to_its_limit) {
    static user_t user;
    user_open(&user);
    wl_asset_t *asset = user_add(&user, LIVE, "", 5);
    user.asked[LIVE] = WL_ASKED_FAILED;
    asset->pulled_at = NOW - 10000;
    expect(&user, "live", "5", "stale", "last_good");
    cr_expect_str_eq(degraded(&user), "\"live\"");
    asset->pulled_at = NOW - 10001;
    expect(&user, "live", "nil", "missing", "last_good");
    cr_expect_not_null(strstr(part(&user, "\"totals\":[{", "]", 0), "\"amount\":nil"));
    cr_expect_str_eq(degraded(&user), "\"live\"");
    user.asked[LIVE] = WL_ASKED_NOT; /* nobody asked: it is not the line that fails */
    expect(&user, "live", "5", "refreshing", "db");
    cr_expect_str_eq(degraded(&user), "");
    user.sick[LIVE] = true;
    expect(&user, "live", "nil", "missing", "last_good");
    wl_config_destroy(&user.config);
}

Test(home_view, a_line_that_was_asked_and_has_nothing_is_missing_and_degraded_only_if_it_failed) {
    static user_t user;
    user_open(&user);
    user.asked[LIVE] = WL_ASKED_NOTHING;
    expect(&user, "live", "nil", "missing", "line");
    cr_expect_str_eq(degraded(&user), "");
    user.asked[LIVE] = WL_ASKED_FAILED;
    expect(&user, "live", "nil", "missing", "db");
    cr_expect_str_eq(degraded(&user), "\"live\"");
    wl_config_destroy(&user.config);
}

Test(home_view, a_copy_that_must_be_revalidated_is_only_named_as_last_good) {
    static user_t user;
    user_open(&user);
    wl_asset_t *asset = user_add(&user, CASH, "", 700);
    (void)user_add(&user, CASH, "b", 1);
    expect(&user, "cash", "700", "fresh", "db");
    asset->pulled_at = NOW - 1001;
    user.asked[CASH] = WL_ASKED_FAILED;
    expect(&user, "cash", "nil", "stale", "last_good");
    cr_expect_not_null(strstr(user.text, "\"freshness\":\"stale\", \"last_good\":700}"));
    const char *slot = part(&user, "{\"position\":1", "}", 0);
    cr_expect_not_null(strstr(slot, "\"amount\":nil"), "%s", slot);
    cr_expect_not_null(strstr(slot, "\"last_good\":701"), "%s", slot);
    const char *total = part(&user, "\"totals\":[{", "]", 0);
    cr_expect_not_null(strstr(total, "\"amount\":nil"), "%s", total);
    cr_expect_null(strstr(total, "overflow"));
    cr_expect_str_eq(degraded(&user), "\"cash\"");
    user.asked[CASH] = WL_ASKED_NOT; /* the golden slots alone do not ask */
    (void)write_text(&user, wl_golden_write);
    slot = part(&user, "{\"position\":1", "}", 0);
    cr_expect_not_null(strstr(slot, "\"amount\":nil"), "%s", slot);
    asset->pulled_at = NOW - 51001;
    user.asked[CASH] = WL_ASKED_FAILED;
    expect(&user, "cash", "nil", "missing", "last_good");
    cr_expect_null(strstr(user.text, "\"last_good\":700"), "too old to be of any use");
    wl_config_destroy(&user.config);
}

Test(home_view, without_consent_nothing_of_a_line_is_seen_or_counted) {
    static user_t user;
    user_open(&user);
    user_add(&user, CARD, "", 123456)->version = 987654;
    expect(&user, "card", "nil", "unauthorized", "db");
    cr_expect_null(strstr(user.text, "123456"));
    cr_expect_null(strstr(user.text, "987654"));
    cr_expect_not_null(strstr(part(&user, "\"sections\"", "]}", 0), "\"totals\":["));
    cr_expect_not_null(strstr(user.text, "\"totals\":[]"), "%s", user.text);
    cr_expect_str_eq(degraded(&user), "");
    cr_expect_not(wl_home_has_assets(&user.view));
    cr_expect_null(strstr(write_text(&user, wl_golden_write), "123456"));
    cr_expect_null(strstr(write_text(&user, wl_assets_write), "123456"));
    cr_expect_not_null(strstr(user.text, "unauthorized"));

    wl_asset_t *consent = user_add(&user, CARD, WL_BUCKET_CONSENT, 0);
    expect(&user, "card", "123456", "fresh", "db");
    cr_expect_null(strstr(user.text, "!consent"));
    cr_expect(wl_home_has_assets(&user.view));
    cr_expect_null(strstr(write_text(&user, wl_assets_write), "!consent"));
    consent->expires_at = NOW;
    expect(&user, "card", "nil", "unauthorized", "db");
    consent->expires_at = NOW + 1;
    user.asked[CARD] = WL_ASKED_BARRED; /* withdrawn while the line was asked */
    expect(&user, "card", "nil", "unauthorized", "db");
    cr_expect_not(wl_home_has_assets(&user.view));
    wl_config_destroy(&user.config);
}

Test(home_view, a_version_that_is_not_reached_is_refreshing_and_degraded) {
    static user_t user;
    char floors[WL_FLOORS_BYTES_MAX];
    user_open(&user);
    (void)user_add(&user, COIN, "", 5);
    (void)user_add(&user, CASH, "", 700);
    size_t bytes = wl_floors_add(floors, 0, "coin", 11);
    user.view.floors = floors;
    user.view.floors_bytes = wl_floors_add(floors, bytes, "cash", 11);
    user.asked[COIN] = WL_ASKED_OK;
    user.answered[0] = true;
    expect(&user, "coin", "5", "refreshing", "line");
    expect(&user, "cash", "nil", "stale", "db");
    cr_expect_str_eq(degraded(&user), "\"cash\", \"coin\"");
    user.assets[0].version = 11;
    user.assets[1].version = 12;
    expect(&user, "coin", "5", "fresh", "line");
    expect(&user, "cash", "700", "fresh", "db");
    cr_expect_str_eq(degraded(&user), "");
    wl_config_destroy(&user.config);
}

static void user_balance(user_t *user, const char *filter) {
    user->view.shows = WL_SHOWS_BALANCE;
    user->view.filter = filter;
    user->view.filter_bytes = strlen(filter);
    (void)write_text(user, wl_balance_write);
}

Test(home_view, a_balance_always_says_something_of_its_line) {
    static user_t user;
    user_open(&user);
    (void)user_add(&user, COIN, "", 5);
    user_balance(&user, "coin,");
    cr_expect_not_null(strstr(user.text, "\"amount\":5"));
    cr_expect_not_null(strstr(user.text, "\"degraded\":[]"));
    user_balance(&user, "live,");
    cr_expect_null(strstr(user.text, "\"amount\":5"));
    cr_expect_not_null(strstr(user.text, "\"freshness\":\"missing\""));
    user.asked[LIVE] = WL_ASKED_FAILED;
    user_balance(&user, "live,");
    cr_expect_not_null(strstr(user.text, "\"degraded\":[\"live\"]"));
    user_balance(&user, "card,");
    cr_expect_not_null(strstr(user.text, "\"freshness\":\"unauthorized\""));
    wl_config_destroy(&user.config);
}

/* A change of a line of which nothing is known yet: leaving the line out would be a zero. */
Test(home_view, assets_name_a_line_whose_first_change_is_coming_or_failed) {
    static user_t user;
    user_open(&user);
    cr_expect_null(strstr(write_text(&user, wl_assets_write), "\"coin\""));
    user.view.marks = "coin=1,";
    user.view.marks_bytes = 7;
    cr_expect_not_null(strstr(write_text(&user, wl_assets_write), "\"coin\""));
    cr_expect_not_null(strstr(user.text, "\"freshness\":\"refreshing\""));
    user.view.marks = "coin=2,";
    cr_expect_not_null(strstr(write_text(&user, wl_assets_write), "\"coin\""));
    cr_expect_not_null(strstr(user.text, "\"freshness\":\"missing\""));
    cr_expect_null(strstr(user.text, "\"amount\":0"));
    wl_config_destroy(&user.config);
}

Test(home_view, assets_name_a_live_line_that_gave_no_answer) {
    static user_t user;
    user_open(&user);
    user.asked[LIVE] = WL_ASKED_NOTHING;
    cr_expect_null(strstr(write_text(&user, wl_assets_write), "\"live\""));
    user.asked[LIVE] = WL_ASKED_FAILED;
    cr_expect_not_null(strstr(write_text(&user, wl_assets_write), "\"live\""));
    cr_expect_not_null(strstr(user.text, "\"freshness\":\"missing\""));
    wl_config_destroy(&user.config);
}

/* The longest texts of a record with everything beside it: what a map reserves is enough. */
Test(home_view, the_largest_record_with_a_last_good_fits) {
    static uint8_t extra[WL_EXTRA_BYTES_MAX] = {0x81, 0xa1, 'k', 0xda, 0x01, 0xfa};
    static user_t user;
    user_open(&user);
    memset(extra + 6, 'x', sizeof extra - 6);
    for (int i = 0; i < 8; i++) {
        char bucket[WL_BUCKET_MAX + 1];
        (void)snprintf(bucket, sizeof bucket, "bucket-%08u.", (unsigned)i % 8);
        wl_asset_t *asset = user_add(&user, CASH, bucket, INT64_MIN);
        asset->pending = INT64_MIN;
        asset->count = UINT32_MAX;
        asset->version = WL_VERSION_MAX;
        asset->changed_at = INT64_MIN;
        asset->expires_at = INT64_MAX;
        asset->pulled_at = NOW - 2000;
        asset->extra = extra;
        asset->extra_bytes = sizeof extra;
    }
    (void)write_text(&user, wl_home_write);
    cr_expect_not_null(strstr(user.text, "\"last_good\":-9223372036854775808"));
    wl_config_destroy(&user.config);
}
