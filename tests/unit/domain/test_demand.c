#include "domain/demand.h"

#include "domain/floors.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* cash: sync, must be revalidated; live, gift: live; card: live, with consent; off: on no page */
static const char integration[] =
    "{\"version\":3,\"lines\":{"
    "\"cash\":{\"kind\":\"cash\",\"url\":\"http://h\",\"unit\":\"CNY\",\"scale\":2,"
    "\"fresh_ms\":1000,\"must_revalidate\":true},"
    "\"coin\":{\"kind\":\"coin\",\"url\":\"tcp://h:1\",\"unit\":\"bean\",\"fresh_ms\":5000},"
    "\"live\":{\"kind\":\"coin\",\"mode\":\"live\",\"url\":\"http://h\",\"unit\":\"bean\","
    "\"fresh_ms\":1000,\"swr_ms\":2000},"
    "\"gift\":{\"kind\":\"coin\",\"mode\":\"live\",\"url\":\"http://h\",\"unit\":\"bean\"},"
    "\"card\":{\"kind\":\"cash\",\"mode\":\"live\",\"url\":\"http://h\",\"unit\":\"CNY\","
    "\"consent\":true,\"must_revalidate\":true,\"fresh_ms\":1000},"
    "\"off\":{\"kind\":\"coin\",\"mode\":\"live\",\"url\":\"http://h\",\"unit\":\"bean\"},"
    "\"help\":{\"kind\":\"link\",\"mode\":\"link\",\"url\":\"app://help\"}}}";
static const char presentation[] =
    "{\"version\":7,\"golden\":[{\"line\":\"cash\"},null,{\"line\":\"coin\"}],\"sections\":["
    "{\"kind\":\"cash\",\"lines\":[\"card\"]},{\"kind\":\"coin\",\"lines\":[\"live\",\"gift\"]},"
    "{\"kind\":\"link\",\"lines\":[\"help\"]}]}";
static const char *const ids[] = {"cash", "coin", "live", "gift", "card", "off", "help"};

enum { NOW = 1000000, LINES = 7, ASSETS_MAX = 64 };

typedef struct {
    wl_config_t *config;
    wl_home_view_t view;
    wl_asset_t assets[ASSETS_MAX];
    bool sick[WL_LINES_MAX];
    uint8_t asked[WL_LINES_MAX];
    char marks[256];
    char floors[WL_FLOORS_BYTES_MAX];
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
                                  .marks = user->marks,
                                  .floors = user->floors,
                                  .asked = user->asked};
}

static wl_asset_t *user_add(user_t *user, const char *line, const char *bucket, int64_t age) {
    wl_asset_t *asset = &user->assets[user->view.asset_count++];
    *asset = (wl_asset_t){.uid = 77, .version = 10, .amount = 5, .pulled_at = NOW - age};
    (void)snprintf(asset->line, sizeof asset->line, "%s", line);
    (void)snprintf(asset->bucket, sizeof asset->bucket, "%s", bucket);
    return asset;
}

/* "cash,live," */
static const char *first(const user_t *user) {
    static char text[256];
    wl_demand_t demand;
    text[0] = '\0';
    wl_demand_first(&user->view, &demand);
    for (uint32_t i = 0; i < demand.count; i++) {
        (void)strcat(text, user->config->lines[demand.lines[i]].id);
        (void)strcat(text, ",");
    }
    return text;
}

static void on_behind(const wl_line_t *line, void *arg) {
    char *text = arg;
    (void)strcat(text, line->id);
    (void)strcat(text, ",");
}

static const char *behind(const user_t *user) {
    static char text[256];
    text[0] = '\0';
    wl_demand_each_behind(&user->view, on_behind, text);
    return text;
}

static void user_filter(user_t *user, wl_shows_t shows, const char *filter) {
    user->view.shows = shows;
    user->view.filter = filter;
    user->view.filter_bytes = strlen(filter);
}

/* single promises */

Test(demand, a_live_line_goes_from_shown_to_refreshed_behind_to_asked_first) {
    user_t user;
    user_open(&user);
    /* out of the way: asked in any case */
    user.asked[wl_config_line_index(user.config, "gift")] = WL_ASKED_NOTHING;
    wl_asset_t *asset = user_add(&user, "live", "", 1000);
    cr_expect_str_eq(first(&user), "");
    cr_expect_str_eq(behind(&user), "");
    asset->pulled_at = NOW - 1001;
    cr_expect_str_eq(first(&user), "");
    cr_expect_str_eq(behind(&user), "live,");
    asset->pulled_at = NOW - 3000;
    cr_expect_str_eq(first(&user), "");
    asset->pulled_at = NOW - 3001;
    cr_expect_str_eq(first(&user), "live,");
    asset->pulled_at = NOW + 50;
    cr_expect_str_eq(first(&user), "", "another host's clock is ahead");
    asset->pulled_at = INT64_MIN;
    cr_expect_str_eq(first(&user), "live,");
    wl_config_destroy(&user.config);
}

Test(demand, the_oldest_bucket_decides_and_a_young_tombstone_is_an_answer) {
    user_t user;
    user_open(&user);
    user_filter(&user, WL_SHOWS_ASSETS, "live,");
    user_add(&user, "live", "", 10)->state = WL_STATE_GONE;
    cr_expect_str_eq(first(&user), "");
    user.assets[0].pulled_at = NOW - 1001;
    cr_expect_str_eq(first(&user), "live,");
    user_add(&user, "live", "a", 10)->state = WL_STATE_GONE;
    cr_expect_str_eq(first(&user), "");
    (void)user_add(&user, "live", "b", 10);
    cr_expect_str_eq(first(&user), "");
    (void)user_add(&user, "live", "c", 3001);
    cr_expect_str_eq(first(&user), "live,");
    wl_config_destroy(&user.config);
}

Test(demand, a_line_that_must_be_revalidated_is_asked_unless_it_is_fresh) {
    user_t user;
    user_open(&user);
    user_filter(&user, WL_SHOWS_ASSETS, "cash,");
    cr_expect_str_eq(first(&user), "", "a sync line without a record has nothing");
    wl_asset_t *asset = user_add(&user, "cash", "", 1000);
    cr_expect_str_eq(first(&user), "");
    (void)strcpy(user.marks, "cash=1,");
    user.view.marks_bytes = strlen(user.marks);
    cr_expect_str_eq(first(&user), "cash,", "a change is on its way");
    user.view.marks_bytes = 0;
    asset->pulled_at--;
    cr_expect_str_eq(first(&user), "cash,");
    user.view.shows = WL_SHOWS_GOLDEN;
    cr_expect_str_eq(first(&user), "");
    cr_expect_str_eq(behind(&user), "cash,", "but behind it");
    wl_config_destroy(&user.config);
}

Test(demand, a_floor_is_reached_by_the_newest_version_of_the_line) {
    user_t user;
    user_open(&user);
    user_filter(&user, WL_SHOWS_ASSETS, "coin,");
    user.view.floors_bytes = wl_floors_add(user.floors, 0, "coin", 10);
    cr_expect_str_eq(first(&user), "coin,", "nothing is there");
    wl_asset_t *asset = user_add(&user, "coin", "", 0);
    cr_expect_str_eq(first(&user), "");
    user.view.floors_bytes = wl_floors_add(user.floors, 0, "coin", 11);
    cr_expect_str_eq(first(&user), "coin,");
    user_add(&user, "coin", WL_BUCKET_CONSENT, 0)->version = 99;
    cr_expect_str_eq(first(&user), "coin,", "a consent has a version of its own");
    asset->version = 11;
    asset->state = WL_STATE_GONE;
    cr_expect_str_eq(first(&user), "");
    wl_config_destroy(&user.config);
}

Test(demand, nothing_is_asked_without_consent) {
    user_t user;
    user_open(&user);
    user_filter(&user, WL_SHOWS_BALANCE, "card,");
    cr_expect_str_eq(first(&user), "");
    wl_asset_t *consent = user_add(&user, "card", WL_BUCKET_CONSENT, 0);
    cr_expect_str_eq(first(&user), "card,");
    consent->expires_at = NOW;
    cr_expect_str_eq(first(&user), "");
    consent->expires_at = NOW + 1;
    cr_expect_str_eq(first(&user), "card,");
    (void)user_add(&user, "card", "", 2000);
    cr_expect_str_eq(behind(&user), "card,");
    consent->state = WL_STATE_GONE;
    cr_expect_str_eq(first(&user), "");
    cr_expect_str_eq(behind(&user), "");
    wl_config_destroy(&user.config);
}

/* Nobody else would find out that it is well again. */
Test(demand, a_sick_line_that_only_reads_ask_is_told_behind_whatever_is_stored) {
    user_t user;
    user_open(&user);
    user.sick[wl_config_line_index(user.config, "live")] = true;
    user.sick[wl_config_line_index(user.config, "coin")] = true;
    user.sick[wl_config_line_index(user.config, "card")] = true;
    user.sick[wl_config_line_index(user.config, "cash")] = true;
    cr_expect_str_eq(behind(&user), "cash,live,", "card has no consent, coin is told of changes");
    user.view.shows = WL_SHOWS_GOLDEN;
    cr_expect_str_eq(behind(&user), "");
    user_filter(&user, WL_SHOWS_BALANCE, "coin,");
    cr_expect_str_eq(behind(&user), "coin,");
    user_filter(&user, WL_SHOWS_ASSETS, "gift,");
    cr_expect_str_eq(behind(&user), "");
    wl_config_destroy(&user.config);
}

/* properties */

static uint64_t random_state = 88172645463325252u;

static uint32_t below(uint32_t bound) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 33) % bound;
}

static void user_random(user_t *user) {
    static const int64_t ages[] = {0, 1, 1000, 1001, 3000, 3001, 5001, -50};
    static const char *const filters[] = {"", "cash,live,", "gift,off,help,", "card,", "coin,"};
    user->view.asset_count = 0;
    user->view.shows = below(4);
    const char *filter = filters[below(5)];
    user_filter(user, user->view.shows, filter);
    for (uint32_t i = 0; i < 2 * LINES; i++) {
        if (below(3) > 0) {
            wl_asset_t *asset =
                user_add(user, ids[i % LINES], i < LINES ? "" : "b", ages[below(8)]);
            asset->state = below(4) == 0 ? WL_STATE_GONE : WL_STATE_AVAILABLE;
            asset->version = below(4);
        }
    }
    if (below(2) == 0) {
        user_add(user, "card", WL_BUCKET_CONSENT, 0)->state = (uint8_t)(below(2) * WL_STATE_GONE);
    }
    user->marks[0] = '\0';
    user->view.floors_bytes = 0;
    for (uint32_t i = 0; i < LINES; i++) {
        size_t used = strlen(user->marks);
        if (below(4) == 0) {
            (void)snprintf(user->marks + used, sizeof user->marks - used, "%s=%u,", ids[i],
                           1 + below(2));
        }
        if (below(6) == 0) {
            user->view.floors_bytes =
                wl_floors_add(user->floors, user->view.floors_bytes, ids[i], below(5));
        }
        user->sick[i] = below(8) == 0;
        user->asked[i] = (uint8_t)(below(6) == 0 ? 1 + below(3) : 0);
    }
    user->view.marks_bytes = strlen(user->marks);
}

/* The rules, each read for itself over everything again. */
static bool model_asks(const user_t *user, uint32_t index) {
    const wl_home_view_t *view = &user->view;
    const wl_line_t *line = &user->config->lines[index];
    bool there = false, answered_gone = false, old = false, older = false, consent = !line->consent;
    uint64_t version = 0;
    for (uint32_t i = 0; i < view->asset_count; i++) {
        const wl_asset_t *asset = &user->assets[i];
        int64_t age = NOW - asset->pulled_at;
        if (strcmp(asset->line, line->id) != 0) {
            continue;
        }
        if (strcmp(asset->bucket, WL_BUCKET_CONSENT) == 0) {
            consent = asset->state == WL_STATE_AVAILABLE;
            continue;
        }
        version = asset->version > version ? asset->version : version;
        bool fresh = age < 0 || (line->fresh_ms > 0 && age <= (int64_t)line->fresh_ms);
        if (asset->state == WL_STATE_GONE) {
            answered_gone = answered_gone || fresh;
            continue;
        }
        there = true;
        old = old || !fresh;
        older = older || !(fresh || age <= (int64_t)(line->fresh_ms + line->swr_ms)) ||
                (!fresh && line->fresh_ms + line->swr_ms == 0);
    }
    const char *const home = ",cash,coin,card,live,gift,help,";
    char wanted[64];
    (void)snprintf(wanted, sizeof wanted, ",%s,", line->id);
    char filter[128];
    (void)snprintf(filter, sizeof filter, ",%s", view->filter);
    bool page = view->shows == WL_SHOWS_HOME ? strstr(home, wanted) != NULL
                : view->shows == WL_SHOWS_GOLDEN
                    ? false
                    : view->filter_bytes == 0 || strstr(filter, wanted);
    if (!page || line->mode == WL_MODE_LINK || user->sick[index] || user->asked[index] != 0 ||
        !consent) {
        return false;
    }
    wl_mark_state_t mark = wl_marks_text_get(user->marks, view->marks_bytes, line->id);
    if (view->shows == WL_SHOWS_BALANCE ||
        version < wl_floors_get(user->floors, view->floors_bytes, line->id)) {
        return true;
    }
    if (!there) {
        return line->mode == WL_MODE_LIVE && !answered_gone;
    }
    if (line->must_revalidate) {
        return old || mark != WL_MARK_NONE;
    }
    return line->mode == WL_MODE_LIVE && (older || mark == WL_MARK_FAILING);
}

Test(demand, asks_what_a_naive_model_says) {
    static user_t user;
    user_open(&user);
    for (uint32_t round = 0; round < 200000; round++) {
        user_random(&user);
        wl_demand_t demand;
        wl_demand_first(&user.view, &demand);
        uint32_t at = 0;
        for (uint32_t i = 0; i < user.config->line_count; i++) {
            bool asked = at < demand.count && demand.lines[at] == i;
            at += asked;
            cr_assert_eq(asked, model_asks(&user, i), "%s in round %u", user.config->lines[i].id,
                         round);
        }
        cr_assert_eq(at, demand.count);
        cr_assert(demand.count == 0 ||
                  wl_demand_possible(user.config, user.view.shows, user.view.floors_bytes));
        user.view.asset_count = 0;
        wl_demand_first(&user.view, &demand);
        cr_assert(demand.count == 0 ||
                  wl_demand_possible_absent(user.config, user.view.shows, user.view.floors_bytes));
    }
    wl_config_destroy(&user.config);
}

/* The page with campaigns: cash must be revalidated, gift and live are only there by campaigns. */
#define FROM(second) ",\"start\":\"1970-01-01T00:00:" second "Z\""
#define UNTIL(second) ",\"end\":\"1970-01-01T00:00:" second "Z\""
#define CAMPAIGN(id, line, more) "{\"id\":\"" id "\",\"line\":\"" line "\"" more "}"
static const char
    campaign_page[] =
        "{\"version\":8,\"golden\":[{\"line\":\"coin\",\"campaigns\":[" CAMPAIGN("a", "cash", FROM("10") UNTIL("20") ",\"priority\":2,\"unless\":[\"empty\"]") "," CAMPAIGN(
            "b", "coin",
            FROM("20") ",\"unless\":[\"sick\"]") "," CAMPAIGN("c", "cash",
                                                              FROM("30")) "]}],\"sections\":[{"
                                                                          "\"kind\":\"coin\","
                                                                          "\"lines\":[],"
                                                                          "\"campaigns\":"
                                                                          "[" CAMPAIGN("d", "gift",
                                                                                       UNTIL(
                                                                                           "10")) "," CAMPAIGN("e",
                                                                                                               "live",
                                                                                                               FROM(
                                                                                                                   "10") ",\"unless\":[\"sick\",\"empty\"]") "]}]}";

Test(demand, lines_of_campaigns_are_asked_while_those_run) {
    user_t user;
    wl_fault_t fault = {0};
    user_open(&user);
    wl_config_destroy(&user.config);
    cr_assert_eq(wl_config_compile(integration, sizeof integration - 1, campaign_page,
                                   sizeof campaign_page - 1, &user.config, &fault),
                 WL_OK, "%s: %s", fault.where, fault.message);
    user.view.config = user.config;
    cr_expect(wl_demand_possible_absent(user.config, WL_SHOWS_HOME, 0));
    (void)user_add(&user, "cash", "", 2000);
    uint8_t *coin = &user.asked[wl_config_line_index(user.config, "coin")];
    user.view.campaign_now.ms = 9999;
    cr_expect_str_eq(first(&user), "gift,");
    user.view.campaign_now.ms = 10000;
    cr_expect_str_eq(first(&user), "cash,live,",
                     "empty, as far as is known: it may have something");
    user.view.asset_count = 0;
    cr_expect_str_eq(first(&user), "live,", "a sync line would have told");
    user.view.asset_count = 1;
    user.view.campaign_now.ms = 19999;
    cr_expect_str_eq(first(&user), "cash,live,");
    user.view.campaign_now.ms = 20000;
    cr_expect_str_eq(first(&user), "live,");
    user.view.campaign_now.ms = 30000;
    cr_expect_str_eq(first(&user), "live,", "b stands before c for everybody");
    user.sick[coin - user.asked] = true;
    cr_expect_str_eq(first(&user), "cash,live,", "b gives way to c");
    user.view.shows = WL_SHOWS_GOLDEN;
    cr_expect_str_eq(first(&user), "");
    wl_config_destroy(&user.config);
}

/* Else it would be away for the rest of its time: only reads ask a live line. */
Test(demand, a_sick_line_that_gives_way_is_tried_again_behind_the_answer) {
    user_t user;
    wl_fault_t fault = {0};
    user_open(&user);
    wl_config_destroy(&user.config);
    cr_assert_eq(wl_config_compile(integration, sizeof integration - 1, campaign_page,
                                   sizeof campaign_page - 1, &user.config, &fault),
                 WL_OK, "%s: %s", fault.where, fault.message);
    user.view.config = user.config;
    user.sick[wl_config_line_index(user.config, "live")] = true;
    user.view.campaign_now.ms = 10000;
    cr_expect_str_eq(first(&user), "");
    cr_expect_str_eq(behind(&user), "live,");
    user.view.campaign_now.ms = 9999;
    cr_expect_str_eq(behind(&user), "");
    wl_config_destroy(&user.config);
}

Test(demand, a_configuration_of_plain_lines_has_nothing_to_ask) {
    static const char plain[] =
        "{\"version\":1,\"lines\":{\"coin\":{\"kind\":\"coin\",\"url\":\"http://h\",\"unit\":"
        "\"bean\",\"fresh_ms\":1}}}";
    static const char page[] =
        "{\"version\":1,\"sections\":[{\"kind\":\"coin\",\"lines\":[\"coin\"]}]}";
    wl_config_t *config = NULL;
    cr_assert_eq(wl_config_compile(plain, sizeof plain - 1, page, sizeof page - 1, &config, NULL),
                 WL_OK);
    for (wl_shows_t shows = WL_SHOWS_HOME; shows <= WL_SHOWS_ASSETS; shows++) {
        cr_expect_not(wl_demand_possible(config, shows, 0));
        cr_expect_not(wl_demand_possible_absent(config, shows, 0));
        cr_expect_eq(wl_demand_possible(config, shows, 1), shows != WL_SHOWS_GOLDEN);
    }
    cr_expect(wl_demand_possible(config, WL_SHOWS_BALANCE, 0));
    wl_config_destroy(&config);
}
