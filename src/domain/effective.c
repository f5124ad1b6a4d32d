#include "domain/effective.h"

#include "domain/moment.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { WHY_BYTES = 240, PERCENT = WL_ROLLOUT_WHOLE / 100 };

static const char *const effect_names[WL_EFFECT_COUNT] = {
#define EFFECT_NAME(name, text, doc) text,
    WL_EFFECTS(EFFECT_NAME)
#undef EFFECT_NAME
};

const char *wl_effect_name(wl_effect_t effect) {
    return (unsigned)effect < WL_EFFECT_COUNT ? effect_names[effect] : "?";
}

/* ---- verdicts -------------------------------------------------------------------------------- */

/* As if there were no other campaigns. */
static wl_effect_t effect_alone(const wl_effective_t *self, const wl_campaign_t *campaign) {
    bool sick = self->sick != NULL && self->sick[campaign->line_index];
    if (self->at.ms < campaign->start) {
        return WL_EFFECT_NOT_BEGUN;
    }
    if (self->at.ms >= campaign->end) {
        return WL_EFFECT_OVER;
    }
    if (sick && (campaign->unless & 1u << WL_UNLESS_SICK) != 0) {
        return WL_EFFECT_SICK;
    }
    return (campaign->unless & 1u << WL_UNLESS_EMPTY) != 0 ? WL_EFFECT_DEPENDS : WL_EFFECT_SHOWN;
}

static bool may_stand(wl_effect_t effect) {
    return effect == WL_EFFECT_SHOWN || effect == WL_EFFECT_DEPENDS;
}

const wl_campaign_t *wl_effective_golden(const wl_effective_t *self, const wl_golden_slot_t *slot,
                                         wl_effective_verdict_t ret[WL_GOLDEN_CAMPAIGNS_MAX]) {
    const wl_campaign_t *shown = NULL;
    const wl_campaign_t *maybe = NULL; /* the first one that may be there in its stead */
    for (uint32_t i = 0; i < slot->campaign_count; i++) {
        const wl_campaign_t *campaign = &self->config->campaigns[slot->campaign_first + i];
        wl_effect_t effect = effect_alone(self, campaign);
        ret[i] = (wl_effective_verdict_t){effect, NULL};
        if (!may_stand(effect)) {
            continue;
        }
        if (shown != NULL) {
            ret[i] = (wl_effective_verdict_t){WL_EFFECT_OUTRANKED, shown};
            continue;
        }
        ret[i].by = maybe;
        shown = effect == WL_EFFECT_SHOWN ? campaign : NULL;
        maybe = maybe == NULL && effect == WL_EFFECT_DEPENDS ? campaign : maybe;
    }
    return shown;
}

void wl_effective_section(const wl_effective_t *self, const wl_section_t *section,
                          wl_effective_verdict_t ret[WL_SECTION_CAMPAIGNS_MAX]) {
    const wl_campaign_t *campaigns = &self->config->campaigns[section->campaign_first];
    for (uint32_t i = 0; i < section->campaign_count; i++) {
        ret[i] = (wl_effective_verdict_t){effect_alone(self, &campaigns[i]), NULL};
        for (uint32_t j = 0; may_stand(ret[i].effect) && j < i; j++) {
            if (campaigns[j].line_index != campaigns[i].line_index) {
                continue;
            }
            if (ret[j].effect == WL_EFFECT_SHOWN) {
                ret[i] = (wl_effective_verdict_t){WL_EFFECT_DOUBLE, &campaigns[j]};
            } else if (ret[j].effect == WL_EFFECT_DEPENDS && ret[i].by == NULL) {
                ret[i].by = &campaigns[j];
            }
        }
    }
}

/* ---- in words -------------------------------------------------------------------------------- */

static void why_write(const wl_effective_t *self, const wl_campaign_t *campaign,
                      const wl_effective_verdict_t *verdict, char ret[WHY_BYTES]) {
    char moment[WL_MOMENT_BYTES + 1];
    const wl_line_t *line = &self->config->lines[campaign->line_index];
    const char *by = verdict->by == NULL ? "" : verdict->by->id;
    ret[0] = '\0';
    switch (verdict->effect) {
    case WL_EFFECT_SHOWN:
        (void)snprintf(ret, WHY_BYTES, "%s%s%s",
                       by[0] == '\0' ? "nothing stands before it" : "unless campaign ", by,
                       by[0] == '\0' ? "" : " is there, which depends on what the user has");
        break;
    case WL_EFFECT_DEPENDS:
        (void)snprintf(ret, WHY_BYTES, "only when the user has something of %s%s%s%s", line->id,
                       by[0] == '\0' ? "" : ", and campaign ", by,
                       by[0] == '\0' ? "" : " is not there");
        break;
    case WL_EFFECT_NOT_BEGUN:
        wl_moment_write((wl_wall_ms_t){campaign->start}, moment);
        (void)snprintf(ret, WHY_BYTES, "begins %s", moment);
        break;
    case WL_EFFECT_OVER:
        wl_moment_write((wl_wall_ms_t){campaign->end}, moment);
        (void)snprintf(ret, WHY_BYTES, "ended %s", moment);
        break;
    case WL_EFFECT_SICK:
        (void)snprintf(ret, WHY_BYTES, "%s cannot be asked now, and it gives way then", line->id);
        break;
    case WL_EFFECT_OUTRANKED:
        (void)snprintf(ret, WHY_BYTES, "campaign %s stands first, priority %" PRIu32 " to %" PRIu32,
                       by, verdict->by->priority, campaign->priority);
        break;
    case WL_EFFECT_DOUBLE:
        (void)snprintf(ret, WHY_BYTES, "campaign %s shows %s already", by, line->id);
        break;
    case WL_EFFECT_COUNT: break;
    }
}

static json_t *campaigns_write(const wl_effective_t *self, uint32_t first, uint32_t count,
                               const wl_effective_verdict_t *verdicts) {
    json_t *list = json_array();
    for (uint32_t i = 0; i < count; i++) {
        const wl_campaign_t *campaign = &self->config->campaigns[first + i];
        char why[WHY_BYTES];
        why_write(self, campaign, &verdicts[i], why);
        (void)json_array_append_new(
            list, json_pack("{s:s, s:s, s:I, s:s, s:s}", "campaign", campaign->id, "line",
                            campaign->line, "priority", (json_int_t)campaign->priority, "verdict",
                            wl_effect_name(verdicts[i].effect), "why", why));
    }
    return list;
}

/* A line in its place; campaign NULL: it is there by itself. */
static json_t *item_write(const char *line, const char *title, const char *link,
                          const wl_campaign_t *campaign, bool certain) {
    json_t *item =
        json_pack("{s:s, s:s, s:s, s:s, s:b}", "line", line, "title", title, "link", link, "by",
                  campaign == NULL ? "base" : "campaign", "certain", certain);
    if (campaign != NULL) {
        (void)json_object_set_new(item, "campaign", json_string(campaign->id));
    }
    return item;
}

static json_t *item_of_campaign(const wl_campaign_t *campaign, bool certain) {
    return item_write(campaign->line, campaign->title, campaign->link, campaign, certain);
}

/* ---- the page -------------------------------------------------------------------------------- */

static json_t *golden_write(const wl_effective_t *self, uint32_t position) {
    const wl_golden_slot_t *slot = &self->config->golden[position];
    wl_effective_verdict_t verdicts[WL_GOLDEN_CAMPAIGNS_MAX];
    const wl_campaign_t *shown = wl_effective_golden(self, slot, verdicts);
    bool certain = true;
    for (uint32_t i = 0; i < slot->campaign_count; i++) {
        certain = certain && verdicts[i].effect != WL_EFFECT_DEPENDS;
    }
    json_t *json = shown == NULL ? item_write(slot->line, slot->title, slot->link, NULL, certain)
                                 : item_of_campaign(shown, certain);
    (void)json_object_set_new(json, "position", json_integer((json_int_t)position + 1));
    (void)json_object_set_new(
        json, "campaigns",
        campaigns_write(self, slot->campaign_first, slot->campaign_count, verdicts));
    return json;
}

static json_t *section_write(const wl_effective_t *self, const wl_section_t *section) {
    wl_effective_verdict_t verdicts[WL_SECTION_CAMPAIGNS_MAX];
    wl_effective_section(self, section, verdicts);
    json_t *items = json_array();
    for (uint32_t i = 0; i < section->campaign_count; i++) {
        const wl_campaign_t *campaign = &self->config->campaigns[section->campaign_first + i];
        bool certain = verdicts[i].effect == WL_EFFECT_SHOWN && verdicts[i].by == NULL;
        if (may_stand(verdicts[i].effect)) {
            (void)json_array_append_new(items, item_of_campaign(campaign, certain));
        }
    }
    for (uint32_t i = 0; i < section->line_count; i++) {
        const wl_line_t *line = &self->config->lines[section->line_indexes[i]];
        const char *link = line->mode == WL_MODE_LINK ? line->url : "";
        (void)json_array_append_new(items, item_write(line->id, line->title, link, NULL, true));
    }
    return json_pack(
        "{s:s, s:s, s:o, s:o}", "kind", wl_kind_name(section->kind), "title", section->title,
        "items", items, "campaigns",
        campaigns_write(self, section->campaign_first, section->campaign_count, verdicts));
}

json_t *wl_effective_page(const wl_effective_t *self) {
    json_t *golden = json_array();
    json_t *sections = json_array();
    for (uint32_t i = 0; i < WL_GOLDEN_SLOTS; i++) {
        if (self->config->golden[i].used) {
            (void)json_array_append_new(golden, golden_write(self, i));
        }
    }
    for (uint32_t i = 0; i < self->config->section_count; i++) {
        (void)json_array_append_new(sections, section_write(self, &self->config->sections[i]));
    }
    return json_pack("{s:o, s:o}", "golden", golden, "sections", sections);
}

/* ---- the rollout ----------------------------------------------------------------------------- */

typedef struct {
    char wants[WL_ROLLOUT_SCENES_MAX * (WL_SCENE_MAX + 2) + 32];
    char has[256];
} rule_words_t;

static const char *or_not_said(const char *text) {
    return text[0] == '\0' ? "not said" : text;
}

static void scenes_write(const wl_rollout_t *rollout, rule_words_t *ret) {
    size_t used = 0;
    for (uint32_t i = 0; i < rollout->scene_count; i++) {
        used += (size_t)snprintf(ret->wants + used, sizeof ret->wants - used, "%s%s",
                                 i == 0 ? "" : ", ", rollout->scenes[i]);
    }
}

static void app_write(const wl_rollout_t *rollout, rule_words_t *ret) {
    bool min = rollout->app_min[0] != '\0';
    bool max = rollout->app_max[0] != '\0';
    if (min || max) {
        (void)snprintf(ret->wants, sizeof ret->wants, "%s%s%s%s%s", min ? "from " : "",
                       rollout->app_min, min && max ? " " : "", max ? "up to " : "",
                       rollout->app_max);
    }
}

static void rule_words(const wl_rollout_t *rollout, wl_rollout_rule_t rule, const char *problem,
                       const wl_rollout_asker_t *asker, bool holds, rule_words_t *ret) {
    uint32_t place = wl_rollout_place(rollout->id, asker->uid);
    (void)snprintf(ret->wants, sizeof ret->wants, "any");
    ret->has[0] = '\0';
    switch (rule) {
    case WL_ROLLOUT_RUNNING:
        (void)snprintf(ret->wants, sizeof ret->wants, "running");
        (void)snprintf(ret->has, sizeof ret->has, rollout->paused ? "paused" : "running");
        break;
    case WL_ROLLOUT_SCENE:
        scenes_write(rollout, ret);
        (void)snprintf(ret->has, sizeof ret->has, "%.64s", or_not_said(asker->scene));
        break;
    case WL_ROLLOUT_APP:
        app_write(rollout, ret);
        (void)snprintf(ret->has, sizeof ret->has, "%.64s", or_not_said(asker->app_version));
        break;
    case WL_ROLLOUT_SHARE:
        (void)snprintf(ret->wants, sizeof ret->wants, "a place below %u.%02u",
                       rollout->share / PERCENT, rollout->share % PERCENT);
        (void)snprintf(ret->has, sizeof ret->has, "place %u.%02u of 100", place / PERCENT,
                       place % PERCENT);
        break;
    case WL_ROLLOUT_WHITELIST:
        if (rollout->whitelist[0] != '\0') {
            (void)snprintf(ret->wants, sizeof ret->wants, "a member of set %.12s..",
                           rollout->whitelist);
            (void)snprintf(ret->has, sizeof ret->has, "%s%s", holds ? "a member" : "not a member",
                           problem[0] == '\0' ? "" : ", as the set is not here: ");
            size_t used = strlen(ret->has);
            (void)snprintf(ret->has + used, sizeof ret->has - used, "%s", problem);
        }
        break;
    case WL_ROLLOUT_RULE_COUNT: break;
    }
}

json_t *wl_effective_rules(const wl_rollout_t *rollout, const wl_uid_set_t *whitelist,
                           const char *problem, const wl_rollout_asker_t *asker) {
    json_t *list = json_array();
    for (unsigned r = 0; rollout->id != 0 && r < WL_ROLLOUT_RULE_COUNT; r++) {
        wl_rollout_rule_t rule = (wl_rollout_rule_t)r;
        rule_words_t words;
        bool holds = wl_rollout_holds(rollout, rule, whitelist, asker);
        rule_words(rollout, rule, problem, asker, holds, &words);
        (void)json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:b}", "rule",
                                                    wl_rollout_rule_name(rule), "wants",
                                                    words.wants, "has", words.has, "holds", holds));
    }
    return list;
}
