#include "domain/demand.h"

#include "domain/home_campaign.h"

#include <string.h>

/* What the assets say of one line. */
typedef struct {
    bool there;      /* it has records that are not tombstones */
    int64_t oldest;  /* pulled_at of the oldest of those */
    bool gone;       /* it has tombstones */
    int64_t gone_at; /* pulled_at of the youngest of those */
} copy_t;

static void copy_add(copy_t *self, const wl_asset_t *asset) {
    int64_t pulled_at = asset->pulled_at;
    if (asset->state == WL_STATE_GONE) {
        self->gone_at = !self->gone || pulled_at > self->gone_at ? pulled_at : self->gone_at;
        self->gone = true;
    } else {
        self->oldest = !self->there || pulled_at < self->oldest ? pulled_at : self->oldest;
        self->there = true;
    }
}

/* ---- the page ------------------------------------------------------------------------------- */

/* The lines of a slot. What a line says may decide whether its campaign gives way, so one that
 * would give way now counts as well as the next. So does one that cannot be asked: it has to be
 * tried again. */
static void page_of_slot(const wl_home_view_t *view, const wl_golden_slot_t *slot,
                         bool on[WL_LINES_MAX]) {
    for (uint32_t i = 0; i < slot->campaign_count; i++) {
        const wl_campaign_t *campaign = &view->config->campaigns[slot->campaign_first + i];
        if (!wl_home_runs(view, campaign)) {
            continue;
        }
        on[campaign->line_index] = true;
        bool sick = wl_home_sick(view, campaign->line_index);
        if (campaign->unless == 0 || (campaign->unless == 1u << WL_UNLESS_SICK && !sick)) {
            return; /* it is shown to everybody */
        }
    }
    on[slot->line_index] = true;
}

static void page_of_home(const wl_home_view_t *view, bool on[WL_LINES_MAX]) {
    const wl_config_t *config = view->config;
    for (uint32_t i = 0; i < WL_GOLDEN_SLOTS; i++) {
        const wl_golden_slot_t *slot = &config->golden[i];
        if (slot->used) {
            page_of_slot(view, slot, on);
        }
    }
    for (uint32_t i = 0; i < config->section_count; i++) {
        const wl_section_t *section = &config->sections[i];
        for (uint32_t j = 0; j < section->campaign_count; j++) {
            const wl_campaign_t *campaign = &config->campaigns[section->campaign_first + j];
            on[campaign->line_index] = on[campaign->line_index] || wl_home_runs(view, campaign);
        }
        for (uint32_t j = 0; j < section->line_count; j++) {
            on[section->line_indexes[j]] = true;
        }
    }
}

/* The lines that may be asked because the read shows them. */
static void page_of(const wl_home_view_t *view, bool on[WL_LINES_MAX]) {
    memset(on, 0, WL_LINES_MAX * sizeof *on);
    if (view->shows == WL_SHOWS_HOME) {
        page_of_home(view, on);
    } else if (view->shows != WL_SHOWS_GOLDEN) {
        for (uint32_t i = 0; i < view->config->line_count; i++) {
            on[i] = wl_home_listed(view, view->config->lines[i].id);
        }
    }
}

/* ---- before the answer ---------------------------------------------------------------------- */

static bool demand_of_copy(const wl_home_facts_t *facts, uint32_t index, const copy_t *copy) {
    const wl_line_t *line = &facts->view->config->lines[index];
    wl_wall_ms_t now = facts->view->now;
    bool live = line->mode == WL_MODE_LIVE;
    if (facts->below[index]) {
        return true;
    }
    if (!copy->there) { /* a sync line that says nothing has nothing: it would have told */
        return live && !(copy->gone && !wl_home_older(line, copy->gone_at, 0, now));
    }
    if (line->must_revalidate) {
        return facts->marks[index] != WL_MARK_NONE || wl_home_older(line, copy->oldest, 0, now);
    }
    return live && (facts->marks[index] == WL_MARK_FAILING ||
                    wl_home_older(line, copy->oldest, line->swr_ms, now));
}

void wl_demand_first(const wl_home_view_t *view, wl_demand_t *ret) {
    const wl_config_t *config = view->config;
    copy_t copies[WL_LINES_MAX];
    bool on[WL_LINES_MAX];
    wl_home_facts_t facts;
    ret->count = 0;
    if (!wl_demand_possible(config, view->shows, view->floors_bytes)) {
        return;
    }
    memset(copies, 0, config->line_count * sizeof *copies);
    for (uint32_t i = 0; i < view->asset_count; i++) {
        int line = wl_config_line_index(config, view->assets[i].line);
        if (line >= 0 && !wl_home_consent(&view->assets[i])) {
            copy_add(&copies[line], &view->assets[i]);
        }
    }
    page_of(view, on);
    wl_home_facts(&facts, view);
    for (uint32_t i = 0; i < config->line_count; i++) {
        bool may = on[i] && config->lines[i].mode != WL_MODE_LINK && !facts.barred[i] &&
                   !wl_home_sick(view, i) && wl_home_asked(view, i) == WL_ASKED_NOT;
        if (may && (view->shows == WL_SHOWS_BALANCE || demand_of_copy(&facts, i, &copies[i]))) {
            ret->lines[ret->count++] = (uint8_t)i;
        }
    }
}

/* ---- behind it ------------------------------------------------------------------------------ */

static bool behind_is_old(const wl_home_view_t *view, const wl_asset_t *asset, uint32_t index,
                          const bool *on) {
    const wl_line_t *line = &view->config->lines[index];
    return wl_home_older(line, asset->pulled_at, 0, view->now) && !wl_home_sick(view, index) &&
           wl_home_asked(view, index) == WL_ASKED_NOT && wl_home_consented(view, index) &&
           (line->mode != WL_MODE_LIVE || (on != NULL && on[index])) &&
           wl_marks_text_get(view->marks, view->marks_bytes, line->id) != WL_MARK_FAILING;
}

static bool behind_is_probe(const wl_home_view_t *view, uint32_t index) {
    const wl_line_t *line = &view->config->lines[index];
    return wl_home_sick(view, index) && line->mode != WL_MODE_LINK &&
           (line->mode == WL_MODE_LIVE || line->must_revalidate ||
            view->shows == WL_SHOWS_BALANCE) &&
           wl_home_consented(view, index);
}

void wl_demand_each_behind(const wl_home_view_t *view,
                           void (*tell)(const wl_line_t *line, void *arg), void *arg) {
    const wl_config_t *config = view->config;
    bool asks = wl_demand_possible(config, view->shows, view->floors_bytes);
    bool told[WL_LINES_MAX] = {false};
    bool on[WL_LINES_MAX];
    if (asks) {
        page_of(view, on);
    }
    for (uint32_t i = 0; i < view->asset_count; i++) {
        const wl_asset_t *asset = &view->assets[i];
        if (asset->state == WL_STATE_GONE || wl_home_consent(asset)) {
            continue;
        }
        int line = wl_config_line_index(config, asset->line);
        if (line >= 0 && !told[line] &&
            behind_is_old(view, asset, (uint32_t)line, asks ? on : NULL)) {
            told[line] = true;
            tell(&config->lines[line], arg);
        }
    }
    for (uint32_t i = 0; asks && i < config->line_count; i++) {
        if (on[i] && behind_is_probe(view, i)) {
            tell(&config->lines[i], arg);
        }
    }
}
