/* effective.h: why a page shows what it shows, for people: which rules of a rollout hold for a
 * user, and what became of each campaign at a moment. It decides as rollout.h and home_campaign.h
 * do, but without the user's assets: what depends on them is said to depend. Pure, any thread;
 * allocates. */
#ifndef WL_DOMAIN_EFFECTIVE_H
#define WL_DOMAIN_EFFECTIVE_H

#include "base/clock.h"
#include "domain/config.h"
#include "domain/rollout.h"

/* What became of a campaign: name, name in answers, doc. */
#define WL_EFFECTS(E)                                                         \
    E(SHOWN, "shown", "it is there")                                          \
    E(DEPENDS, "depends", "it is there when the user has something of it")    \
    E(NOT_BEGUN, "not_begun", "its time has not come")                        \
    E(OVER, "over", "its time is over")                                       \
    E(SICK, "sick", "its line cannot be asked, and it gives way then")        \
    E(OUTRANKED, "outranked", "another one of this golden slot stands first") \
    E(DOUBLE, "double", "another one of this section shows its line already")

typedef enum {
#define WL_EFFECT_ENUM(name, text, doc) WL_EFFECT_##name,
    WL_EFFECTS(WL_EFFECT_ENUM)
#undef WL_EFFECT_ENUM
        WL_EFFECT_COUNT
} wl_effect_t;

/* A page at a moment. Borrowed. */
typedef struct {
    const wl_config_t *config;
    const bool *sick; /* [config->line_count]: the line cannot be asked; NULL: none is sick */
    wl_wall_ms_t at;
} wl_effective_t;

/* of SHOWN and DEPENDS: by is NULL, or a campaign that is there in its stead when the user has
 * something of that one; of OUTRANKED and DOUBLE: who stands before it. */
typedef struct {
    wl_effect_t effect;
    const wl_campaign_t *by;
} wl_effective_verdict_t;

const char *wl_effect_name(wl_effect_t effect); /* "not_begun"; "?" when out of range */

/* One verdict for each of the slot's campaigns, in their order. Returns the one that is there when
 * the user has nothing; NULL: the slot's own line. */
const wl_campaign_t *wl_effective_golden(const wl_effective_t *self, const wl_golden_slot_t *slot,
                                         wl_effective_verdict_t ret[WL_GOLDEN_CAMPAIGNS_MAX]);
void wl_effective_section(const wl_effective_t *self, const wl_section_t *section,
                          wl_effective_verdict_t ret[WL_SECTION_CAMPAIGNS_MAX]);

/* {"golden": [{"position": 1, "line", "title", "link", "by": "base" or "campaign", "campaign"?,
 * "certain", "campaigns": [{"campaign", "line", "priority", "verdict", "why"}]}],
 * "sections": [{"kind", "title", "items": [{"line", "title", "link", "by", "campaign"?,
 * "certain"}], "campaigns"}]}. certain false: the user's assets decide. Positions that are empty
 * are left out. The caller owns the result. */
json_t *wl_effective_page(const wl_effective_t *self);

/* [{"rule", "wants", "has", "holds"}] of each condition, in the order in which they are looked at;
 * those that are not set want "any". whitelist as of wl_rollout_holds(); problem: why it is not at
 * hand, "" = none. The caller owns the result. */
json_t *wl_effective_rules(const wl_rollout_t *rollout, const wl_uid_set_t *whitelist,
                           const char *problem, const wl_rollout_asker_t *asker);

#endif
