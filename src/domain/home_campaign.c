#include "domain/home_campaign.h"

#include <string.h>

bool wl_home_owns(const wl_home_view_t *view, uint32_t line) {
    const char *id = view->config->lines[line].id;
    if (wl_home_asked(view, line) == WL_ASKED_BARRED || !wl_home_consented(view, line)) {
        return false;
    }
    for (uint32_t i = 0; i < view->asset_count; i++) {
        const wl_asset_t *asset = &view->assets[i];
        if (strcmp(asset->line, id) == 0 && !wl_home_consent(asset) &&
            wl_home_worth(asset, view->now)) {
            return true;
        }
    }
    return false;
}

bool wl_home_shows(const wl_home_view_t *view, const wl_campaign_t *campaign) {
    uint32_t line = campaign->line_index;
    bool sick = (campaign->unless & 1u << WL_UNLESS_SICK) != 0;
    bool empty = (campaign->unless & 1u << WL_UNLESS_EMPTY) != 0;
    return wl_home_runs(view, campaign) && !(sick && wl_home_sick(view, line)) &&
           !(empty && !wl_home_owns(view, line));
}

const wl_campaign_t *wl_home_golden(const wl_home_view_t *view, const wl_golden_slot_t *slot) {
    for (uint32_t i = 0; i < slot->campaign_count; i++) {
        const wl_campaign_t *campaign = &view->config->campaigns[slot->campaign_first + i];
        if (wl_home_shows(view, campaign)) {
            return campaign;
        }
    }
    return NULL;
}

static bool section_has(const wl_home_section_t *self, uint32_t line) {
    for (uint32_t i = 0; i < self->line_count; i++) {
        if (self->mixed[i] == line) {
            return true;
        }
    }
    return false;
}

void wl_home_section(const wl_home_view_t *view, const wl_section_t *section,
                     wl_home_section_t *ret) {
    ret->campaign_count = 0;
    if (section->campaign_count == 0) {
        ret->line_count = section->line_count;
        ret->lines = section->line_indexes;
        return;
    }
    ret->line_count = 0;
    ret->lines = ret->mixed;
    for (uint32_t i = 0; i < section->campaign_count; i++) {
        const wl_campaign_t *campaign = &view->config->campaigns[section->campaign_first + i];
        if (!section_has(ret, campaign->line_index) && wl_home_shows(view, campaign)) {
            ret->campaigns[ret->campaign_count++] = campaign;
            ret->mixed[ret->line_count++] = campaign->line_index;
        }
    }
    for (uint32_t i = 0; i < section->line_count; i++) { /* no line is both */
        ret->mixed[ret->line_count++] = section->line_indexes[i];
    }
}
