#include "domain/home.h"

#include "domain/asset_rules.h"
#include "domain/home_campaign.h"
#include "domain/home_pack.h"

#include <string.h>

/* One pass over the assets sorts them by line; everything after it walks short chains.
 *
 *     first[line] -> live[i] -> live[next[i]] -> NONE       in the order of view->assets
 */
enum { NONE = -1 };

typedef struct {
    const wl_home_view_t *view;
    msgpack_sbuffer *into;
    wl_home_facts_t facts;
    uint32_t live_count;
    const wl_asset_t *live[WL_USER_ASSETS_MAX]; /* no tombstones, known lines only */
    int16_t next[WL_USER_ASSETS_MAX];           /* the next one of the same line */
    bool unknown[WL_USER_ASSETS_MAX];           /* it was not shown as an amount */
    int16_t first[WL_LINES_MAX];                /* per line */
    bool shown[WL_LINES_MAX];                   /* the line is on the page */
    bool doubtful[WL_LINES_MAX]; /* something of it was shown as stale, or not as an amount */
} home_t;

static_assert(WL_USER_ASSETS_MAX <= INT16_MAX, "chains are linked by int16");

/* Sorts the assets by line. The store keeps a user within WL_USER_ASSETS_MAX; a copy that breaks
 * the bound all the same is cut, and its line is marked as failing: labelled, never passed for the
 * truth. */
static void home_open(home_t *self, const wl_home_view_t *view, msgpack_sbuffer *into) {
    const wl_config_t *config = view->config;
    self->view = view;
    self->into = into;
    self->live_count = 0;
    wl_home_facts(&self->facts, view);
    for (uint32_t i = 0; i < config->line_count; i++) {
        self->first[i] = NONE;
        self->shown[i] = false;
        self->doubtful[i] = false;
    }
    int line = -1;
    for (uint32_t i = view->asset_count; i-- > 0;) { /* backwards: each goes to the head */
        const wl_asset_t *asset = &view->assets[i];
        if (asset->state == WL_STATE_GONE || wl_home_consent(asset)) {
            continue;
        }
        if (line < 0 || strcmp(config->lines[line].id, asset->line) != 0) {
            line = wl_config_line_index(config, asset->line);
        }
        if (line < 0 || self->facts.barred[line]) {
            continue;
        }
        if (self->live_count == WL_USER_ASSETS_MAX) {
            self->facts.marks[line] = WL_MARK_FAILING;
            self->facts.plain[line] = false;
            continue;
        }
        int16_t index = (int16_t)self->live_count++;
        self->live[index] = asset;
        self->next[index] = self->first[line];
        self->first[line] = index;
    }
}

static bool home_answered(const home_t *self, const wl_asset_t *asset) {
    return self->view->answered != NULL && self->view->answered[asset - self->view->assets];
}

/* How a record of a line, or a sum over its records, is shown. */
static wl_home_shown_t home_show(home_t *self, uint32_t line, int64_t pulled_at, bool answered) {
    wl_home_shown_t shown = wl_home_shown_fast(&self->facts, line, pulled_at, answered);
    if (!shown.known || shown.freshness == WL_FRESHNESS_STALE) {
        self->doubtful[line] = true;
    }
    return shown;
}

/* Nothing of a line without its consent counts, nor of one that is not to be seen. */
static bool home_counts(const wl_home_view_t *view, const wl_asset_t *asset) {
    int line = view->config == NULL || (!view->config->consents && view->unseen == NULL)
                   ? -1
                   : wl_config_line_index(view->config, asset->line);
    if (line < 0) {
        return !wl_home_unseen(view, asset);
    }
    return wl_home_asked(view, (uint32_t)line) != WL_ASKED_BARRED &&
           wl_home_consented(view, (uint32_t)line);
}

bool wl_home_has_assets(const wl_home_view_t *view) {
    for (uint32_t i = 0; i < view->asset_count; i++) {
        const wl_asset_t *asset = &view->assets[i];
        if (wl_home_worth(asset, view->now) && home_counts(view, asset)) {
            return true;
        }
    }
    return false;
}

/* golden slots */

/* Adds up the available buckets of a line. Only equal units add: a record from before a change of
 * the line's unit or scale makes the sum unknown, as an overflow does. */
static void golden_sum(home_t *self, uint32_t line_index, wl_pack_golden_t *slot) {
    const wl_line_t *line = &self->view->config->lines[line_index];
    bool exact = true;
    bool answered = true;
    slot->as_of = INT64_MAX;
    for (int at = self->first[line_index]; at != NONE; at = self->next[at]) {
        const wl_asset_t *asset = self->live[at];
        slot->version = asset->version > slot->version ? asset->version : slot->version;
        slot->as_of = asset->pulled_at < slot->as_of ? asset->pulled_at : slot->as_of;
        answered = answered && home_answered(self, asset);
        if (wl_asset_state_at(asset, self->view->now) != WL_STATE_AVAILABLE) {
            continue;
        }
        slot->count += asset->count;
        exact = exact && asset->scale == line->scale && strcmp(asset->unit, line->unit) == 0 &&
                wl_amount_add(&slot->amount, asset->amount) == WL_OK &&
                wl_amount_add(&slot->pending, asset->pending) == WL_OK;
    }
    wl_home_shown_t shown = home_show(self, line_index, slot->as_of, answered);
    slot->known = exact && shown.known;
    slot->last_good = exact && shown.last_good;
    slot->count = shown.known ? slot->count : 0;
    slot->freshness = shown.freshness;
    slot->source = shown.source;
}

static void golden_pack_slot(home_t *self, uint32_t position) {
    const wl_config_t *config = self->view->config;
    const wl_golden_slot_t *given = &config->golden[position];
    const wl_campaign_t *campaign = NULL;
    wl_pack_golden_t slot = {
        .position = position + 1,
        .line = "",
        .title = "",
        .link = "",
        .kind = "",
        .unit = "",
        .freshness = WL_FRESHNESS_MISSING,
        .source = self->view->source,
    };
    if (config->campaign_count > 0) {
        campaign = wl_home_golden(self->view, given);
    }
    if (given->used) {
        uint32_t index = campaign == NULL ? given->line_index : campaign->line_index;
        const wl_line_t *line = &config->lines[index];
        self->shown[index] = true;
        slot.line = line->id;
        slot.title = campaign == NULL ? given->title : campaign->title;
        slot.link = campaign == NULL ? given->link : campaign->link;
        slot.campaign = campaign == NULL ? NULL : campaign->id;
        slot.kind = wl_kind_name(line->kind);
        slot.unit = line->unit;
        slot.scale = line->scale;
        slot.there = self->first[index] != NONE;
        if (slot.there) {
            golden_sum(self, index, &slot);
        } else {
            wl_home_shown_t shown = wl_home_shown_nothing(&self->facts, index);
            slot.freshness = shown.freshness;
            slot.source = shown.source;
        }
    }
    wl_pack_golden(self->into, &slot);
}

static void home_pack_golden(home_t *self) {
    WL_PACK_KEY(self->into, "golden");
    wl_pack_array(self->into, WL_GOLDEN_SLOTS);
    for (uint32_t i = 0; i < WL_GOLDEN_SLOTS; i++) {
        golden_pack_slot(self, i);
    }
}

static void home_pack_user(home_t *self) {
    WL_PACK_KEY(self->into, "uid");
    wl_pack_u64(self->into, self->view->uid);
    WL_PACK_KEY(self->into, "has_assets");
    wl_pack_bool(self->into, wl_home_has_assets(self->view));
}

void wl_golden_write(const wl_home_view_t *view, msgpack_sbuffer *into) {
    home_t self;
    home_open(&self, view, into);
    wl_pack_map(into, 3 + wl_pack_variant_keys(view->candidate));
    home_pack_user(&self);
    home_pack_golden(&self);
    wl_pack_variant(into, view->candidate);
}

/* sections */

static void section_pack_asset(home_t *self, uint32_t index, int at) {
    const wl_asset_t *asset = self->live[at];
    wl_home_shown_t shown = home_show(self, index, asset->pulled_at, home_answered(self, asset));
    self->unknown[at] = !shown.known;
    wl_pack_asset(self->into, asset, wl_asset_state_at(asset, self->view->now), &shown);
}

/* The items of a line; campaign: it is there by that one, or NULL. */
static void section_pack_line(home_t *self, uint32_t index, const wl_campaign_t *campaign) {
    const wl_line_t *line = &self->view->config->lines[index];
    self->shown[index] = true;
    int at = self->first[index];
    do { /* a line without a record is one item that says so */
        size_t begin = self->into->size;
        if (line->mode == WL_MODE_LINK) {
            wl_pack_link(self->into, line, self->view->source);
        } else if (at == NONE) {
            wl_home_shown_t shown = wl_home_shown_nothing(&self->facts, index);
            wl_pack_nothing(self->into, line, &shown);
        } else {
            section_pack_asset(self, index, at);
            at = self->next[at];
        }
        if (campaign != NULL) {
            wl_pack_campaign(self->into, begin, campaign, line);
        }
    } while (at != NONE);
}

static void section_pack_items(home_t *self, const wl_home_section_t *section) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < section->line_count; i++) {
        int at = self->first[section->lines[i]];
        count += at == NONE; /* one that says so */
        for (; at != NONE; at = self->next[at]) {
            count++;
        }
    }
    WL_PACK_KEY(self->into, "items");
    wl_pack_array(self->into, count);
    for (uint32_t i = 0; i < section->line_count; i++) {
        section_pack_line(self, section->lines[i],
                          i < section->campaign_count ? section->campaigns[i] : NULL);
    }
}

/* Adds an asset to the total of its unit and scale, starting one when it is the first. */
static uint32_t totals_add(wl_pack_total_t *totals, uint32_t count, const wl_asset_t *asset,
                           bool unknown) {
    uint32_t at = 0;
    while (at < count &&
           (totals[at].scale != asset->scale || strcmp(totals[at].unit, asset->unit) != 0)) {
        at++;
    }
    wl_pack_total_t *total = &totals[at];
    if (at == count) {
        *total = (wl_pack_total_t){.unit = asset->unit, .scale = asset->scale};
        count++;
    }
    if (unknown) {
        total->unknown = true;
        return count;
    }
    total->count += asset->count;
    total->overflow = total->overflow || wl_amount_add(&total->amount, asset->amount) != WL_OK ||
                      wl_amount_add(&total->pending, asset->pending) != WL_OK;
    return count;
}

static void section_pack_totals(home_t *self, const wl_home_section_t *section) {
    wl_pack_total_t totals[WL_USER_ASSETS_MAX]; /* every asset may have a unit of its own */
    uint32_t count = 0;
    for (uint32_t i = 0; i < section->line_count; i++) {
        for (int at = self->first[section->lines[i]]; at != NONE; at = self->next[at]) {
            if (wl_asset_state_at(self->live[at], self->view->now) == WL_STATE_AVAILABLE) {
                count = totals_add(totals, count, self->live[at], self->unknown[at]);
            }
        }
    }
    WL_PACK_KEY(self->into, "totals");
    wl_pack_array(self->into, count);
    for (uint32_t i = 0; i < count; i++) {
        wl_pack_total(self->into, &totals[i]);
    }
}

static void home_pack_sections(home_t *self) {
    const wl_config_t *config = self->view->config;
    WL_PACK_KEY(self->into, "sections");
    wl_pack_array(self->into, config->section_count);
    for (uint32_t i = 0; i < config->section_count; i++) {
        const wl_section_t *section = &config->sections[i];
        wl_home_section_t now;
        wl_home_section(self->view, section, &now);
        wl_pack_map(self->into, 4);
        WL_PACK_KEY(self->into, "kind");
        wl_pack_text(self->into, wl_kind_name(section->kind));
        WL_PACK_KEY(self->into, "title");
        wl_pack_text(self->into, section->title);
        section_pack_items(self, &now);
        section_pack_totals(self, &now);
    }
}

/* Lines on the page whose copies cannot be trusted to be the newest, whatever they show. */
static void home_pack_degraded(home_t *self) {
    const wl_config_t *config = self->view->config;
    uint32_t degraded[WL_LINES_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < config->line_count; i++) {
        bool bad =
            self->doubtful[i] || (!self->facts.plain[i] && wl_home_degraded(&self->facts, i));
        if (self->shown[i] && bad) {
            degraded[count++] = i;
        }
    }
    WL_PACK_KEY(self->into, "degraded");
    wl_pack_array(self->into, count);
    for (uint32_t i = 0; i < count; i++) {
        wl_pack_text(self->into, config->lines[degraded[i]].id);
    }
}

void wl_home_write(const wl_home_view_t *view, msgpack_sbuffer *into) {
    home_t self;
    home_open(&self, view, into);
    wl_pack_map(into, 6 + wl_pack_variant_keys(view->candidate));
    home_pack_user(&self);
    home_pack_golden(&self);
    home_pack_sections(&self);
    home_pack_degraded(&self);
    WL_PACK_KEY(into, "config_version");
    wl_pack_text(into, view->config->version);
    wl_pack_variant(into, view->candidate);
}
