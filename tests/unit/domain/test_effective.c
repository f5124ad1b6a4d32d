/* Why a page shows what it shows: a table, then random pages, where every verdict has to fit what
 * home_campaign.h shows to users with everything, with nothing, and with something. */
#include "domain/effective.h"

#include "base/alloc.h"
#include "domain/home_campaign.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE(id, kind, unit) \
    "\"" id "\":{\"kind\":\"" kind "\",\"url\":\"http://h\",\"unit\":\"" unit "\"}"
static const char integration[] = "{\"version\":3,\"lines\":{" LINE("cash", "cash", "CNY") "," LINE(
    "coin", "coin",
    "bean") "," LINE("a", "coin", "bean") "," LINE("b", "coin",
                                                   "bean") "," LINE("c", "coin",
                                                                    "bean") "," LINE("d", "coin",
                                                                                     "bean") "}}";

enum { LINES = 6, CAMPAIGNS = 6, SECONDS = 12 };

typedef struct {
    wl_config_t *config;
    bool sick[WL_LINES_MAX];
} page_t;

static void page_open(page_t *page, const char *presentation) {
    wl_fault_t fault = {.line = 0};
    memset(page, 0, sizeof *page);
    cr_assert_eq(wl_config_compile(integration, sizeof integration - 1, presentation,
                                   strlen(presentation), &page->config, &fault),
                 WL_OK, "%s: %s: %s", fault.where, fault.message, presentation);
}

#define TIME(second) "\"1970-01-01T00:00:" second "Z\""
#define CAMPAIGN(id, line, more) "{\"id\":\"" id "\",\"line\":\"" line "\"" more "}"
static const char
    page_text[] =
        "{\"version\":7,\"golden\":[null,{\"line\":\"cash\",\"title\":\"Cash!\",\"campaigns\":"
        "[" CAMPAIGN("late", "a", ",\"priority\":9,\"start\":" TIME("30")) "," CAMPAIGN(
            "past", "a",
            ",\"priority\":8,\"end\":" TIME(
                "10")) "," CAMPAIGN("ill", "b", ",\"priority\":7,\"unless\":[\"sick\"]") "," CAMPAIGN("own",
                                                                                                      "a", ",\"priority\":6,\"title\":\"Own\",\"unless\":[\"empty\"]") "," CAMPAIGN("top", "a", ",\"priority\":5") "," CAMPAIGN("low", "a", ",\"priority\":4") "]}],\"sections\":[{\"kind\":\"coin\",\"title\":\"Coins\",\"lines\":[\"coin\"],\"campaigns\":[" CAMPAIGN("s1", "c", ",\"priority\":3,\"unless\":[\"empty\"]") "," CAMPAIGN("s2",
                                                                                                                                                                                                                                                                                                                                                                                                                                          "c",
                                                                                                                                                                                                                                                                                                                                                                                                                                          ",\"priority\":2") "," CAMPAIGN("s3", "c", ",\"priority\":1") "," CAMPAIGN("s4", "d", ",\"start\":" TIME("30")) "]}]}";

static const json_t *at(const json_t *list, size_t index, const char *key) {
    return json_object_get(json_array_get(list, index), key);
}

static const char *text_at(const json_t *list, size_t index, const char *key) {
    const char *text = json_string_value(at(list, index, key));
    return text == NULL ? "(none)" : text;
}

Test(effective, says_of_each_campaign_what_became_of_it) {
    page_t page;
    page_open(&page, page_text);
    page.sick[wl_config_line_index(page.config, "b")] = true;
    wl_effective_t view = {.config = page.config, .sick = page.sick, .at = {20000}};
    json_t *json = wl_effective_page(&view);
    const json_t *golden = json_object_get(json, "golden");
    cr_assert_eq(json_array_size(golden), 1, "an empty position is left out");
    cr_expect_eq(json_integer_value(at(golden, 0, "position")), 2);
    cr_expect_str_eq(text_at(golden, 0, "by"), "campaign");
    cr_expect_str_eq(text_at(golden, 0, "campaign"), "top");
    cr_expect(json_is_false(at(golden, 0, "certain")), "own may stand there instead");
    static const char *const verdicts[] = {"not_begun", "over",  "sick",
                                           "depends",   "shown", "outranked"};
    static const char *const whys[] = {"begins 1970-01-01T00:00:30Z",
                                       "ended 1970-01-01T00:00:10Z",
                                       "b cannot be asked now, and it gives way then",
                                       "only when the user has something of a",
                                       "unless campaign own is there, which depends on what the "
                                       "user has",
                                       "campaign top stands first, priority 5 to 4"};
    const json_t *campaigns = at(golden, 0, "campaigns");
    cr_assert_eq(json_array_size(campaigns), 6);
    for (size_t i = 0; i < 6; i++) {
        cr_expect_str_eq(text_at(campaigns, i, "verdict"), verdicts[i]);
        cr_expect_str_eq(text_at(campaigns, i, "why"), whys[i]);
    }
    const json_t *sections = json_object_get(json, "sections");
    const json_t *items = at(sections, 0, "items");
    cr_assert_eq(json_array_size(items), 3);
    cr_expect_str_eq(text_at(items, 0, "campaign"), "s1");
    cr_expect_str_eq(text_at(items, 1, "campaign"), "s2");
    cr_expect(json_is_false(at(items, 1, "certain")));
    cr_expect_str_eq(text_at(items, 2, "line"), "coin");
    cr_expect_str_eq(text_at(items, 2, "by"), "base");
    campaigns = at(sections, 0, "campaigns");
    cr_expect_str_eq(text_at(campaigns, 2, "verdict"), "double");
    cr_expect_str_eq(text_at(campaigns, 2, "why"), "campaign s2 shows c already");
    cr_expect_str_eq(text_at(campaigns, 3, "verdict"), "not_begun");
    json_decref(json);
    wl_config_destroy(&page.config);
}

Test(effective, a_slot_shows_its_own_line_when_no_campaign_runs) {
    page_t page;
    page_open(&page,
              "{\"version\":7,\"golden\":[{\"line\":\"cash\",\"title\":\"Cash!\",\"link\":"
              "\"app://c\",\"campaigns\":[" CAMPAIGN("x", "a", ",\"end\":" TIME("10")) "]}]}");
    wl_effective_t view = {.config = page.config, .at = {10000}};
    json_t *json = wl_effective_page(&view);
    const json_t *golden = json_object_get(json, "golden");
    cr_expect_str_eq(text_at(golden, 0, "by"), "base");
    cr_expect_str_eq(text_at(golden, 0, "line"), "cash");
    cr_expect_str_eq(text_at(golden, 0, "title"), "Cash!");
    cr_expect_str_eq(text_at(golden, 0, "link"), "app://c");
    cr_expect(json_is_true(at(golden, 0, "certain")));
    json_decref(json);
    wl_config_destroy(&page.config);
    cr_expect_str_eq(wl_effect_name(WL_EFFECT_COUNT), "?");
}

/* ---- against what is really shown ------------------------------------------------------------ */

static size_t campaigns_make(char *text, size_t room, const char *lines, uint32_t seed) {
    size_t used = 0;
    for (int i = 0; i < CAMPAIGNS; i++) {
        unsigned start = (seed = seed * 1664525u + 1013904223u) >> 16;
        unsigned more = (seed = seed * 1664525u + 1013904223u) >> 16;
        static const char *const unless[] = {"", "\"sick\"", "\"empty\"", "\"sick\",\"empty\""};
        used += (size_t)snprintf(
            text + used, room - used,
            "%s{\"id\":\"%c%d\",\"line\":\"%c\",\"priority\":%u,\"start\":\"1970-01-01T00:00:%02uZ"
            "\",\"end\":\"1970-01-01T00:00:%02uZ\",\"unless\":[%s]}",
            i == 0 ? "" : ",", lines[0], i, lines[more % 2], more / 2 % 3, start % 6,
            start % 6 + 1 + more / 8 % 6, unless[more / 64 % 4]);
    }
    return used;
}

static void page_random(page_t *page, uint32_t seed) {
    char golden[2000];
    char section[2000];
    char text[5000];
    (void)campaigns_make(golden, sizeof golden, "ab", seed);
    (void)campaigns_make(section, sizeof section, "cd", seed ^ 0x5bd1e995u);
    (void)snprintf(text, sizeof text,
                   "{\"version\":7,\"golden\":[{\"line\":\"cash\",\"campaigns\":[%s]}],"
                   "\"sections\":[{\"kind\":\"coin\",\"lines\":[\"coin\"],\"campaigns\":[%s]}]}",
                   golden, section);
    page_open(page, text);
    for (uint32_t i = 0; i < LINES; i++) {
        page->sick[i] = (seed >> (20 + i) & 1) != 0;
    }
}

static void golden_compare(const wl_effective_t *page, const wl_home_view_t *view, uint32_t owned) {
    const wl_golden_slot_t *slot = &page->config->golden[0];
    wl_effective_verdict_t verdicts[WL_GOLDEN_CAMPAIGNS_MAX];
    const wl_campaign_t *certain = wl_effective_golden(page, slot, verdicts);
    const wl_campaign_t *really = wl_home_golden(view, slot);
    const wl_campaign_t *expected = certain;
    for (uint32_t i = 0; i < slot->campaign_count; i++) {
        const wl_campaign_t *campaign = &page->config->campaigns[slot->campaign_first + i];
        if (verdicts[i].effect == WL_EFFECT_DEPENDS && (owned >> campaign->line_index & 1) != 0) {
            expected = campaign;
            break;
        }
    }
    cr_expect_eq(really, expected, "%s instead of %s", really == NULL ? "base" : really->id,
                 expected == NULL ? "base" : expected->id);
}

static void section_compare(const wl_effective_t *page, const wl_home_view_t *view,
                            uint32_t owned) {
    const wl_section_t *section = &page->config->sections[0];
    wl_effective_verdict_t verdicts[WL_SECTION_CAMPAIGNS_MAX];
    wl_home_section_t really;
    uint32_t shown = 0;
    uint32_t lines = 0; /* those that an earlier one shows */
    wl_effective_section(page, section, verdicts);
    wl_home_section(view, section, &really);
    for (uint32_t i = 0; i < section->campaign_count; i++) {
        const wl_campaign_t *campaign = &page->config->campaigns[section->campaign_first + i];
        uint32_t bit = 1u << campaign->line_index;
        bool stands = verdicts[i].effect == WL_EFFECT_SHOWN ||
                      (verdicts[i].effect == WL_EFFECT_DEPENDS && (owned & bit) != 0);
        if (!stands || (lines & bit) != 0) {
            cr_expect(verdicts[i].effect != WL_EFFECT_SHOWN || verdicts[i].by != NULL,
                      "it was certain");
            continue;
        }
        lines |= bit;
        cr_expect(shown < really.campaign_count && really.campaigns[shown] == campaign, "%s",
                  campaign->id);
        shown++;
    }
    cr_expect_eq(shown, really.campaign_count);
}

Test(effective, fits_what_users_are_really_shown) {
    wl_asset_t assets[LINES];
    for (uint32_t round = 0; round < 400; round++) {
        page_t page;
        page_random(&page, round * 2654435761u);
        for (int64_t second = 0; second < SECONDS; second++) {
            wl_effective_t effective = {
                .config = page.config, .sick = page.sick, .at = {second * 1000}};
            for (uint32_t kind = 0; kind < 4; kind++) {
                uint32_t owned = kind == 0 ? 0 : kind == 1 ? 63 : round * 31 + kind * 17;
                wl_home_view_t view = {.config = page.config,
                                       .sick = page.sick,
                                       .assets = assets,
                                       .now = effective.at,
                                       .campaign_now = effective.at};
                memset(assets, 0, sizeof assets);
                for (uint32_t line = 0; line < LINES; line++) {
                    if ((owned >> line & 1) != 0) {
                        wl_asset_t *asset = &assets[view.asset_count++];
                        memcpy(asset->line, page.config->lines[line].id, sizeof asset->line);
                        asset->amount = 5;
                        asset->version = 1;
                    }
                }
                golden_compare(&effective, &view, owned);
                section_compare(&effective, &view, owned);
            }
        }
        wl_config_destroy(&page.config);
    }
}

/* ---- rules ----------------------------------------------------------------------------------- */

Test(effective, rules_say_what_they_want_and_what_they_found) {
    wl_rollout_t rollout = {.id = 12, .share = 1250};
    wl_rollout_asker_t asker = {.uid = 77, .scene = "", .app_version = ""};
    json_t *rules = wl_effective_rules(&rollout, NULL, "", &asker);
    cr_assert_eq(json_array_size(rules), WL_ROLLOUT_RULE_COUNT);
    char place[32];
    (void)snprintf(place, sizeof place, "place %u.%02u of 100", wl_rollout_place(12, 77) / 100,
                   wl_rollout_place(12, 77) % 100);
    cr_expect_str_eq(text_at(rules, WL_ROLLOUT_SHARE, "wants"), "a place below 12.50");
    cr_expect_str_eq(text_at(rules, WL_ROLLOUT_SHARE, "has"), place);
    cr_expect_str_eq(text_at(rules, WL_ROLLOUT_SCENE, "wants"), "any");
    cr_expect_str_eq(text_at(rules, WL_ROLLOUT_APP, "wants"), "any");
    cr_expect_str_eq(text_at(rules, WL_ROLLOUT_WHITELIST, "wants"), "any");
    for (unsigned r = 0; r < WL_ROLLOUT_RULE_COUNT; r++) {
        cr_expect_eq(json_is_true(at(rules, r, "holds")),
                     wl_rollout_holds(&rollout, (wl_rollout_rule_t)r, NULL, &asker));
    }
    json_decref(rules);
    rollout = (wl_rollout_t){.id = 12, .app_min = "1.2", .app_max = "3", .scene_count = 8};
    for (uint32_t i = 0; i < 8; i++) {
        memset(rollout.scenes[i], 'x', WL_SCENE_MAX);
    }
    memset(rollout.whitelist, 'a', WL_DIGEST_HEX);
    rules = wl_effective_rules(&rollout, NULL, "not found", &asker);
    cr_expect_str_eq(text_at(rules, WL_ROLLOUT_APP, "wants"), "from 1.2 up to 3");
    cr_expect_eq(strlen(text_at(rules, WL_ROLLOUT_SCENE, "wants")), 8 * WL_SCENE_MAX + 7 * 2);
    cr_expect_str_eq(text_at(rules, WL_ROLLOUT_WHITELIST, "has"),
                     "not a member, as the set is not here: not found");
    json_decref(rules);
    rollout.id = 0;
    rules = wl_effective_rules(&rollout, NULL, "", &asker);
    cr_expect_eq(json_array_size(rules), 0);
    json_decref(rules);
}
