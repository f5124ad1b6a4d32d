/* home_campaign.h: which campaigns a user sees now, and so which lines stand in the golden slots
 * and sections of the page. Pure, any thread; allocates nothing. Decided anew for every answer,
 * from view->campaign_now, view->sick and what the user has. */
#ifndef WL_DOMAIN_HOME_CAMPAIGN_H
#define WL_DOMAIN_HOME_CAMPAIGN_H

#include "domain/asset_rules.h"
#include "domain/home_view.h"

/* Something that makes an owner, were it not for consents. */
static inline bool wl_home_worth(const wl_asset_t *asset, wl_wall_ms_t now) {
    if (asset->amount == 0 && asset->pending == 0 && asset->count == 0) {
        return false;
    }
    wl_state_t state = wl_asset_state_at(asset, now);
    return state != WL_STATE_GONE && state != WL_STATE_EXPIRED;
}

/* Has the user something of this line at view->now? A record that is neither gone nor expired, has
 * an amount, a pending amount or a count, and is not one whose consent is missing. */
bool wl_home_owns(const wl_home_view_t *view, uint32_t line);

/* Is it the campaign's time? */
static inline bool wl_home_runs(const wl_home_view_t *view, const wl_campaign_t *campaign) {
    return view->campaign_now.ms >= campaign->start && view->campaign_now.ms < campaign->end;
}
/* Is it, and does nothing stand against showing it to this user? */
bool wl_home_shows(const wl_home_view_t *view, const wl_campaign_t *campaign);
/* The campaign that fills a slot now; NULL: none, it shows its own line. */
const wl_campaign_t *wl_home_golden(const wl_home_view_t *view, const wl_golden_slot_t *slot);

/* The lines of a section now, those of campaigns first. */
typedef struct {
    uint32_t campaign_count; /* lines[i] is there by campaigns[i], i < campaign_count */
    uint32_t line_count;
    const uint32_t *lines; /* into config->lines: the section's own, or `mixed` */
    const wl_campaign_t *campaigns[WL_SECTION_CAMPAIGNS_MAX];
    uint32_t mixed[WL_LINES_MAX];
} wl_home_section_t;

void wl_home_section(const wl_home_view_t *view, const wl_section_t *section,
                     wl_home_section_t *ret);

#endif
