/* Which campaigns a user sees: a table, then random pages against a model, read back from what
 * wl_home_write() writes. */
#include "domain/home_campaign.h"

#include "base/alloc.h"
#include "domain/home.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SYNC(id, kind, unit)                                    \
    "\"" id "\":{\"kind\":\"" kind "\",\"title\":\"T " id "\"," \
    "\"url\":\"http://h\",\"unit\":\"" unit "\"}"
static const char integration[] = "{\"version\":3,\"lines\":{" SYNC("cash", "cash", "CNY") "," SYNC(
    "coin", "coin",
    "bean") "," SYNC("gift", "coin",
                     "bean") "," SYNC("red", "cash",
                                      "CNY") "," SYNC("back", "cashback",
                                                      "CNY") ",\"card\":{\"kind\":\"cash\",\"url\":"
                                                             "\"http://"
                                                             "h\",\"unit\":\"CNY\",\"consent\":"
                                                             "true},"
                                                             "\"live\":{\"kind\":\"coin\",\"mode\":"
                                                             "\"live\",\"url\":\"http://"
                                                             "h\",\"unit\":\"bean\"},"
                                                             "\"help\":{\"kind\":\"link\",\"mode\":"
                                                             "\"link\",\"title\":\"Help\",\"url\":"
                                                             "\"app://help\"},"
                                                             "\"sale\":{\"kind\":\"link\",\"mode\":"
                                                             "\"link\",\"title\":\"Sale\",\"url\":"
                                                             "\"app://sale\"}}}";

/* Moments are seconds of 1970 here. */
#define AT(second) "\"1970-01-01T00:00:" second "Z\""
static const char
    presentation
        [] =
            "{\"version\":7,\"golden\":[{\"line\":\"cash\",\"title\":\"Cash\",\"link\":\"app://"
            "cash\","
            "\"campaigns\":["
            "{\"id\":\"low\",\"line\":\"red\",\"start\":" AT("10") ",\"end\":" AT(
                "50") "},"
                      "{\"id\":\"top\",\"line\":\"gift\",\"title\":\"Gift!\",\"link\":\"app://"
                      "gift\",\"start\":" AT("20") ",\"end\":" AT(
                          "30") ",\"priority\":9,\"unless\":[\"empty\",\"sick\"]},"
                                "{\"id\":\"mid\",\"line\":\"card\",\"start\":" AT(
                                    "25") ",\"priority\":5,"
                                          "\"unless\":[\"empty\"]},"
                                          "{\"id\":\"tie\",\"line\":\"gift\",\"start\":" AT("40") ",\"end\":" AT(
                                              "45") "}"
                                                    "]},null,{\"line\":\"coin\"}],\"sections\":["
                                                    "{\"kind\":\"coin\",\"lines\":[\"coin\"],"
                                                    "\"campaigns\":["
                                                    "{\"id\":\"s1\",\"line\":\"gift\","
                                                    "\"start\":" AT("10") ",\"end\":" AT(
                                                        "20") "},"
                                                              "{\"id\":\"s2\",\"line\":\"live\","
                                                              "\"start\":" AT("15") ",\"end\":" AT(
                                                                  "25") ",\"priority\":3,"
                                                                        "\"unless\":[\"sick\"]},"
                                                                        "{\"id\":\"s3\",\"line\":"
                                                                        "\"gift\",\"end\":" AT(
                                                                            "15") ",\"priority\":"
                                                                                  "1000}]},"
                                                                                  "{\"kind\":"
                                                                                  "\"cashback\","
                                                                                  "\"lines\":[],"
                                                                                  "\"campaigns\":["
                                                                                  "{\"id\":\"s4\","
                                                                                  "\"line\":"
                                                                                  "\"back\","
                                                                                  "\"unless\":["
                                                                                  "\"empty\"]}]},"
                                                                                  "{\"kind\":"
                                                                                  "\"link\","
                                                                                  "\"lines\":["
                                                                                  "\"help\"],"
                                                                                  "\"campaigns\":["
                                                                                  "{\"id\":\"s5\","
                                                                                  "\"line\":"
                                                                                  "\"sale\","
                                                                                  "\"start\":" AT(
                                                                                      "10") "}]}]}";

enum { NOW = 1000000, ASSETS_MAX = 16 };

typedef struct {
    wl_config_t *config;
    wl_home_view_t view;
    wl_asset_t assets[ASSETS_MAX];
    bool sick[WL_LINES_MAX];
    uint8_t asked[WL_LINES_MAX];
} user_t;

static void user_open(user_t *user, const char *page) {
    wl_fault_t fault = {0};
    memset(user, 0, sizeof *user);
    cr_assert_eq(wl_config_compile(integration, sizeof integration - 1, page, strlen(page),
                                   &user->config, &fault),
                 WL_OK, "%s: %s", fault.where, fault.message);
    user->view = (wl_home_view_t){.config = user->config,
                                  .sick = user->sick,
                                  .assets = user->assets,
                                  .asked = user->asked,
                                  .uid = 77,
                                  .now = {NOW}};
}

static uint32_t line_of(const user_t *user, const char *id) {
    int index = wl_config_line_index(user->config, id);
    cr_assert_geq(index, 0, "%s", id);
    return (uint32_t)index;
}

static wl_asset_t *user_add(user_t *user, const char *line_id, int64_t amount) {
    const wl_line_t *line = wl_config_line(user->config, line_id);
    cr_assert_lt(user->view.asset_count, ASSETS_MAX);
    wl_asset_t *asset = &user->assets[user->view.asset_count++];
    *asset = (wl_asset_t){.uid = 77, .version = 1, .amount = amount, .pulled_at = NOW};
    memcpy(asset->line, line->id, sizeof line->id);
    memcpy(asset->unit, line->unit, sizeof line->unit);
    asset->kind = (uint8_t)line->kind;
    (void)snprintf(asset->bucket, sizeof asset->bucket, "b%u", user->view.asset_count);
    return asset;
}

static void user_consent(user_t *user, const char *line_id) {
    wl_asset_t *asset = user_add(user, line_id, 0);
    (void)snprintf(asset->bucket, sizeof asset->bucket, "%s", WL_BUCKET_CONSENT);
}

/* ---- reading back --------------------------------------------------------------------------- */

typedef struct {
    msgpack_unpacked root;
    msgpack_sbuffer buffer;
} page_t;

static void page_open(page_t *self, const user_t *user, bool golden) {
    msgpack_sbuffer_init(&self->buffer);
    (golden ? wl_golden_write : wl_home_write)(&user->view, &self->buffer);
    size_t used = 0;
    msgpack_unpacked_init(&self->root);
    cr_assert_eq(msgpack_unpack_next(&self->root, self->buffer.data, self->buffer.size, &used),
                 MSGPACK_UNPACK_SUCCESS);
    cr_assert_eq(used, self->buffer.size);
}

static void page_close(page_t *self) {
    msgpack_unpacked_destroy(&self->root);
    msgpack_sbuffer_destroy(&self->buffer);
}

static const msgpack_object *get(const msgpack_object *map, const char *key) {
    cr_assert_eq(map->type, MSGPACK_OBJECT_MAP);
    for (uint32_t i = 0; i < map->via.map.size; i++) {
        const msgpack_object *each = &map->via.map.ptr[i].key;
        if (each->via.str.size == strlen(key) && memcmp(each->via.str.ptr, key, strlen(key)) == 0) {
            return &map->via.map.ptr[i].val;
        }
    }
    return NULL;
}

static const msgpack_object *at(const msgpack_object *list, uint32_t index) {
    cr_assert(list != NULL && list->type == MSGPACK_OBJECT_ARRAY && index < list->via.array.size);
    return &list->via.array.ptr[index];
}

/* Of a text; "-" when the key is not there. */
static const char *text(const msgpack_object *map, const char *key) {
    static char copies[8][WL_LINK_MAX + 1];
    static unsigned next;
    const msgpack_object *value = get(map, key);
    char *copy = copies[next++ % 8];
    (void)snprintf(copy, WL_LINK_MAX + 1, "%.*s", value == NULL ? 1 : (int)value->via.str.size,
                   value == NULL ? "-" : value->via.str.ptr);
    return copy;
}

/* "gift:top coin:-" for golden slots or items: line and campaign. */
static void tell(const msgpack_object *list, char *into, size_t max) {
    into[0] = '\0';
    for (uint32_t i = 0; i < list->via.array.size; i++) {
        size_t used = strlen(into);
        (void)snprintf(into + used, max - used, "%s%s:%s", i == 0 ? "" : " ",
                       text(at(list, i), "line"), text(at(list, i), "campaign"));
    }
}

static void expect_golden(const user_t *user, int64_t ms, const char *expected) {
    user_t copy = *user;
    copy.view.campaign_now.ms = ms;
    for (int golden = 0; golden < 2; golden++) {
        page_t page;
        char told[512];
        page_open(&page, &copy, golden == 1);
        tell(get(&page.root.data, "golden"), told, sizeof told);
        cr_expect_str_eq(told, expected, "at %lld: %s, not %s", (long long)ms, told, expected);
        page_close(&page);
    }
}

static void expect_section(const user_t *user, int64_t ms, uint32_t section, const char *expected) {
    user_t copy = *user;
    page_t page;
    char told[512];
    copy.view.campaign_now.ms = ms;
    page_open(&page, &copy, false);
    tell(get(at(get(&page.root.data, "sections"), section), "items"), told, sizeof told);
    cr_expect_str_eq(told, expected, "at %lld: %s, not %s", (long long)ms, told, expected);
    page_close(&page);
}

/* ---- golden slots --------------------------------------------------------------------------- */

Test(home_campaign, the_highest_priority_whose_time_it_is_fills_the_slot) {
    user_t user;
    user_open(&user, presentation);
    (void)user_add(&user, "gift", 5);
    const struct {
        int64_t ms;
        const char *slot;
    } rows[] = {
        {0, "cash:-"},         {9999, "cash:-"},    {10000, "red:low"}, {19999, "red:low"},
        {20000, "gift:top"},   {29999, "gift:top"}, {30000, "red:low"}, {40000, "red:low"},
        {44999, "red:low"},    {49999, "red:low"},  {50000, "cash:-"},  {INT64_MAX, "cash:-"},
        {INT64_MIN, "cash:-"},
    };
    for (size_t i = 0; i < WL_COUNT_OF(rows); i++) {
        char expected[64];
        (void)snprintf(expected, sizeof expected, "%s :- coin:- :-", rows[i].slot);
        expect_golden(&user, rows[i].ms, expected);
    }
    wl_config_destroy(&user.config);
}

Test(home_campaign, one_that_gives_way_leaves_the_slot_to_the_next) {
    user_t user;
    user_open(&user, presentation);
    expect_golden(&user, 25000, "red:low :- coin:- :-"); /* nothing of gift, nothing of card */
    wl_asset_t *gift = user_add(&user, "gift", 0);
    expect_golden(&user, 25000, "red:low :- coin:- :-"); /* a zero is nothing */
    gift->pending = 1;
    expect_golden(&user, 25000, "gift:top :- coin:- :-");
    gift->expires_at = NOW;
    expect_golden(&user, 25000, "red:low :- coin:- :-");
    gift->expires_at = NOW + 1;
    expect_golden(&user, 25000, "gift:top :- coin:- :-");
    gift->state = WL_STATE_FROZEN;
    expect_golden(&user, 25000, "gift:top :- coin:- :-"); /* it makes an owner */
    user.sick[line_of(&user, "gift")] = true;
    expect_golden(&user, 25000, "red:low :- coin:- :-");
    user.sick[line_of(&user, "red")] = true; /* has no condition */
    expect_golden(&user, 25000, "red:low :- coin:- :-");
    user.sick[line_of(&user, "gift")] = false;
    gift->state = WL_STATE_GONE;
    expect_golden(&user, 25000, "red:low :- coin:- :-");
    expect_golden(&user, 60000, "cash:- :- coin:- :-");
    wl_config_destroy(&user.config);
}

Test(home_campaign, what_needs_consent_is_nothing_without_it) {
    user_t user;
    user_open(&user, presentation);
    (void)user_add(&user, "card", 5);
    expect_golden(&user, 60000, "cash:- :- coin:- :-");
    user_consent(&user, "card");
    expect_golden(&user, 60000, "card:mid :- coin:- :-");
    user.asked[line_of(&user, "card")] = WL_ASKED_BARRED;
    expect_golden(&user, 60000, "cash:- :- coin:- :-");
    wl_config_destroy(&user.config);
}

Test(home_campaign, a_consent_alone_is_nothing) {
    user_t user;
    user_open(&user, presentation);
    user_consent(&user, "card");
    user.assets[0].count = 1;
    expect_golden(&user, 60000, "cash:- :- coin:- :-");
    wl_config_destroy(&user.config);
}

Test(home_campaign, the_slot_is_the_campaigns_in_every_key) {
    user_t user;
    user_open(&user, presentation);
    (void)user_add(&user, "gift", 5);
    (void)user_add(&user, "cash", 900);
    user.view.campaign_now.ms = 20000;
    page_t page;
    page_open(&page, &user, true);
    const msgpack_object *slot = at(get(&page.root.data, "golden"), 0);
    cr_expect_str_eq(text(slot, "title"), "Gift!");
    cr_expect_str_eq(text(slot, "link"), "app://gift");
    cr_expect_str_eq(text(slot, "kind"), "coin");
    cr_expect_str_eq(text(slot, "unit"), "bean");
    cr_expect_eq(get(slot, "amount")->via.i64, 5);
    cr_expect_eq(get(slot, "position")->via.i64, 1);
    cr_expect_eq(slot->via.map.size, 15);
    page_close(&page);
    user.view.campaign_now.ms = 10000;
    page_open(&page, &user, true);
    slot = at(get(&page.root.data, "golden"), 0);
    cr_expect_str_eq(text(slot, "title"), "T red", "the title of its line");
    cr_expect_str_eq(text(slot, "link"), "", "not the slot's own");
    cr_expect_str_eq(text(slot, "freshness"), "missing");
    page_close(&page);
    user.view.campaign_now.ms = 0;
    page_open(&page, &user, true);
    slot = at(get(&page.root.data, "golden"), 0);
    cr_expect_eq(slot->via.map.size, 14);
    page_close(&page);
    wl_config_destroy(&user.config);
}

/* The longest slot there is: sixteen keys. */
Test(home_campaign, a_slot_may_have_last_good_as_well) {
    static const char lines[] = "{\"version\":3,\"lines\":{" SYNC(
        "cash", "cash", "CNY") ",\"must\":{"
                               "\"kind\":\"cash\",\"url\":\"http://h\",\"unit\":\"CNY\","
                               "\"must_revalidate\":true,\"fresh_ms\":1000}}}";
    static const char shown[] = "{\"version\":7,\"golden\":[{\"line\":\"cash\",\"campaigns\":["
                                "{\"id\":\"a\",\"line\":\"must\"}]}]}";
    user_t user = {0};
    cr_assert_eq(
        wl_config_compile(lines, sizeof lines - 1, shown, sizeof shown - 1, &user.config, NULL),
        WL_OK);
    user.view = (wl_home_view_t){.config = user.config, .assets = user.assets, .now = {NOW}};
    user_add(&user, "must", 5)->pulled_at = NOW - 2000;
    page_t page;
    page_open(&page, &user, true);
    const msgpack_object *slot = at(get(&page.root.data, "golden"), 0);
    cr_expect_eq(slot->via.map.size, 16);
    cr_expect_eq(get(slot, "last_good")->via.i64, 5);
    cr_expect_str_eq(text(slot, "campaign"), "a");
    page_close(&page);
    wl_config_destroy(&user.config);
}

/* ---- sections ------------------------------------------------------------------------------- */

Test(home_campaign, lines_of_campaigns_stand_before_the_others) {
    user_t user;
    user_open(&user, presentation);
    (void)user_add(&user, "gift", 5);
    (void)user_add(&user, "gift", 6);
    expect_section(&user, 0, 0, "gift:s3 gift:s3 coin:-");
    expect_section(&user, 10000, 0, "gift:s3 gift:s3 coin:-"); /* once, by the higher one */
    expect_section(&user, 15000, 0, "live:s2 gift:s1 gift:s1 coin:-");
    expect_section(&user, 20000, 0, "live:s2 coin:-");
    expect_section(&user, 25000, 0, "coin:-");
    user.sick[line_of(&user, "live")] = true;
    expect_section(&user, 15000, 0, "gift:s1 gift:s1 coin:-");
    expect_section(&user, 0, 1, "");
    (void)user_add(&user, "back", 1);
    expect_section(&user, 0, 1, "back:s4");
    expect_section(&user, 0, 2, "help:-");
    expect_section(&user, 10000, 2, "sale:s5 help:-");
    wl_config_destroy(&user.config);
}

Test(home_campaign, items_of_campaigns_are_whole_and_in_the_totals) {
    user_t user;
    user_open(&user, presentation);
    (void)user_add(&user, "gift", 5);
    (void)user_add(&user, "coin", 6);
    user.sick[line_of(&user, "gift")] = true;
    page_t page;
    page_open(&page, &user, false);
    const msgpack_object *section = at(get(&page.root.data, "sections"), 0);
    const msgpack_object *gift = at(get(section, "items"), 0);
    cr_expect_eq(gift->via.map.size, 19);
    cr_expect_str_eq(text(gift, "title"), "T gift");
    cr_expect_str_eq(text(gift, "link"), "");
    cr_expect_eq(get(gift, "amount")->via.i64, 5);
    cr_expect_eq(at(get(section, "items"), 1)->via.map.size, 16);
    cr_expect_eq(get(at(get(section, "totals"), 0), "amount")->via.i64, 11);
    cr_expect_eq(get(&page.root.data, "degraded")->via.array.size, 1, "it is on the page");
    page_close(&page);
    user.view.campaign_now.ms = 50000;
    page_open(&page, &user, false);
    section = at(get(&page.root.data, "sections"), 0);
    cr_expect_eq(get(at(get(section, "totals"), 0), "amount")->via.i64, 6);
    cr_expect_eq(get(&page.root.data, "degraded")->via.array.size, 0, "it is not");
    const msgpack_object *sale = at(get(at(get(&page.root.data, "sections"), 2), "items"), 0);
    cr_expect_str_eq(text(sale, "title"), "Sale");
    cr_expect_str_eq(text(sale, "link"), "app://sale", "where the link leads");
    page_close(&page);
    wl_config_destroy(&user.config);
}

Test(home_campaign, a_user_without_anything_sees_them_too) {
    user_t user;
    user_open(&user, presentation);
    user.view.assets = NULL;
    expect_golden(&user, 45000, "red:low :- coin:- :-");
    expect_golden(&user, 25000, "red:low :- coin:- :-");
    expect_section(&user, 15000, 0, "live:s2 gift:s1 coin:-");
    expect_section(&user, 15000, 1, "");
    wl_config_destroy(&user.config);
}

/* ---- random pages against a model ----------------------------------------------------------- */

typedef struct {
    char id[16];
    int line; /* into golden_lines */
    int64_t start, end;
    int priority;
    bool sick, empty;
} model_t;

static const char *const golden_lines[] = {"cash", "coin", "gift", "red", "back"};

static size_t model_write(const model_t *model, char *into, size_t max) {
    int used = snprintf(
        into, max, "{\"id\":\"%s\",\"line\":\"%s\",\"priority\":%d,\"unless\":[%s%s%s]", model->id,
        golden_lines[model->line], model->priority, model->sick ? "\"sick\"" : "",
        model->sick && model->empty ? "," : "", model->empty ? "\"empty\"" : "");
    if (model->start != INT64_MIN) {
        used += snprintf(into + used, max - (size_t)used, ",\"start\":\"1970-01-01T00:00:%02dZ\"",
                         (int)model->start / 1000);
    }
    if (model->end != INT64_MAX) {
        used += snprintf(into + used, max - (size_t)used, ",\"end\":\"1970-01-01T00:00:%02dZ\"",
                         (int)model->end / 1000);
    }
    return (size_t)used + (size_t)snprintf(into + used, max - (size_t)used, "}");
}

/* The one with the highest priority, the first of equal ones; NULL: none. */
static const model_t *model_pick(const model_t *models, int count, const user_t *user,
                                 int64_t now) {
    const model_t *best = NULL;
    for (int i = 0; i < count; i++) {
        const model_t *each = &models[i];
        const char *line = golden_lines[each->line];
        bool owns = false;
        for (uint32_t j = 0; j < user->view.asset_count; j++) {
            owns = owns || strcmp(user->assets[j].line, line) == 0;
        }
        bool runs = each->start <= now && now < each->end;
        bool away = (each->sick && user->sick[line_of(user, line)]) || (each->empty && !owns);
        if (runs && !away && (best == NULL || each->priority > best->priority)) {
            best = each;
        }
    }
    return best;
}

static int random_campaigns(model_t models[WL_GOLDEN_CAMPAIGNS_MAX]) {
    int count = rand() % (WL_GOLDEN_CAMPAIGNS_MAX + 1);
    for (int i = 0; i < count; i++) {
        model_t *each = &models[i];
        *each = (model_t){.line = rand() % 5, .priority = rand() % 3};
        (void)snprintf(each->id, sizeof each->id, "c%d", i);
        each->start = rand() % 3 == 0 ? INT64_MIN : rand() % 30 * 1000;
        each->end = rand() % 3 == 0 ? INT64_MAX : 30000 + rand() % 30 * 1000;
        each->sick = rand() % 2 == 0;
        each->empty = rand() % 2 == 0;
    }
    return count;
}

Test(home_campaign, at_any_time_exactly_one_line_fills_the_slot) {
    srand(3);
    uint32_t shown = 0;
    for (int round = 0; round < 400; round++) {
        model_t models[WL_GOLDEN_CAMPAIGNS_MAX];
        int count = random_campaigns(models);
        char page[4096] = "{\"version\":7,\"golden\":[{\"line\":\"cash\",\"campaigns\":[";
        for (int i = 0; i < count; i++) {
            size_t used = strlen(page);
            (void)snprintf(page + used, sizeof page - used, "%s", i == 0 ? "" : ",");
            (void)model_write(&models[i], page + strlen(page), sizeof page - strlen(page));
        }
        (void)strcat(page, "]}]}");
        user_t user;
        user_open(&user, page);
        for (int i = 0; i < 5; i++) {
            user.sick[line_of(&user, golden_lines[i])] = rand() % 3 == 0;
            if (rand() % 2 == 0) {
                (void)user_add(&user, golden_lines[i], 1 + rand());
            }
        }
        for (int64_t ms = -500; ms < 61000; ms += 500 - rand() % 2) {
            const model_t *model = model_pick(models, count, &user, ms);
            char expected[64];
            (void)snprintf(expected, sizeof expected, "%s:%s :- :- :-",
                           model == NULL ? "cash" : golden_lines[model->line],
                           model == NULL ? "-" : model->id);
            user_t copy = user;
            page_t written;
            char told[128];
            copy.view.campaign_now.ms = ms;
            page_open(&written, &copy, true);
            tell(get(&written.root.data, "golden"), told, sizeof told);
            cr_assert_str_eq(told, expected, "round %d at %lld: %s, not %s", round, (long long)ms,
                             told, expected);
            page_close(&written);
            shown += model != NULL;
        }
        wl_config_destroy(&user.config);
    }
    cr_expect_gt(shown, 5000);
}
