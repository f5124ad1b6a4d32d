/* asset_rules.h: what may be done with asset records: the version guard, validity, sanity against
 * a line's limits, the state at a moment, checked sums. Pure, any thread. */
#ifndef WL_DOMAIN_ASSET_RULES_H
#define WL_DOMAIN_ASSET_RULES_H

#include "base/asset.h"
#include "base/clock.h"
#include "base/err.h"
#include "domain/config.h"

/* Rule 2: an equal or older version never overwrites. stored == NULL: nothing there, so newer. */
bool wl_asset_newer(const wl_asset_t *incoming, const wl_asset_t *stored);

/* Same (uid, line, bucket). */
bool wl_asset_same_key(const wl_asset_t *a, const wl_asset_t *b);

/* Expiry is judged again at read time: AVAILABLE or FROZEN becomes EXPIRED at expires_at. */
wl_state_t wl_asset_state_at(const wl_asset_t *asset, wl_wall_ms_t now);

/* The record in itself: ids, version 1..WL_VERSION_MAX, enums, scale, text and extra bounds.
 * These three return WL_ERR_BAD_REQUEST; fault->where is the field, fault->message never has an
 * amount in it. */
WL_MUST_USE wl_err_t wl_asset_valid(const wl_asset_t *asset, wl_fault_t *fault);

/* True when bytes are exactly one well-formed MessagePack map of at most WL_EXTRA_BYTES_MAX bytes:
 * extra is embedded into replies as it is, so a damaged one would break the whole reply. */
bool wl_asset_extra_valid(const uint8_t *bytes, size_t count);

/* The record against its line: kind, unit, scale, amount bounds (design section 6, rule 7), no
 * reserved bucket. A tombstone needs only the right line and bucket. */
WL_MUST_USE wl_err_t wl_asset_sane(const wl_asset_t *asset, const wl_line_t *line,
                                   wl_fault_t *fault);

/* The step from what is stored: jump_max (not from or to a tombstone or another unit),
 * version_ahead_max. stored == NULL is always fine. */
WL_MUST_USE wl_err_t wl_asset_step_sane(const wl_asset_t *incoming, const wl_asset_t *stored,
                                        const wl_line_t *line, wl_fault_t *fault);

/* *sum += value. WL_ERR_OVERFLOW leaves *sum. */
WL_MUST_USE wl_err_t wl_amount_add(int64_t *sum, int64_t value);

/* Strict decimal text to minor units: "-12.50" with scale 2 is -1250. Refused: more digits than
 * scale (never rounded), empty, "+1", " 1", "1e3", "1.", ".5" with WL_ERR_BAD_REQUEST; numbers
 * beyond int64 with WL_ERR_OVERFLOW. */
WL_MUST_USE wl_err_t wl_amount_parse(const char *text, uint8_t scale, int64_t *ret);

/* Display text with `scale` decimals: "-12.50"; "?" for a scale above WL_SCALE_MAX.
 * ret_text holds at least 32 bytes. */
void wl_amount_format(int64_t amount, uint8_t scale, char ret_text[32]);

#endif
