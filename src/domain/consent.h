/* consent.h: when a user's consent to a line stands (base/asset.h: WL_BUCKET_CONSENT). Pure, any
 * thread. */
#ifndef WL_DOMAIN_CONSENT_H
#define WL_DOMAIN_CONSENT_H

#include "base/asset.h"
#include "base/clock.h"

/* Is this a consent record that is given and not over? NULL: no. */
bool wl_consent_valid(const wl_asset_t *record, wl_wall_ms_t now);

#endif
