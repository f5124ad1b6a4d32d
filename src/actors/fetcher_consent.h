/* fetcher_consent.h: the gate in front of lines that are asked only with the user's consent: looks
 * the consents of a PULL or LIVE up in the database and passes on whose consent stands. Part of a
 * fetcher and used on its thread only.
 *
 * What it lets through may be withdrawn a moment later: the shard stores nothing then, and who
 * waits for a LIVED hears of the withdrawal by STORED. */
#ifndef WL_ACTORS_FETCHER_CONSENT_H
#define WL_ACTORS_FETCHER_CONSENT_H

#include "actors/hub.h"
#include "store/asset_db.h"

typedef struct wl_fetcher_consent wl_fetcher_consent_t;

/* Borrows both for its life. */
wl_fetcher_consent_t *wl_fetcher_consent_new(wl_hub_t *hub, wl_asset_db_t *db, uint32_t shard);
void wl_fetcher_consent_destroy(wl_fetcher_consent_t **self); /* NULL and *NULL are accepted */

/* Both take a message whole and answer for each of its users; what they return is the error of the
 * database, for the log.
 * PULL: whose consent stands go to the puller; the others to the shard as an answer without assets,
 * which ends their pulls; after an error they go back to the dispatcher, held, or as failed when
 * their page is damaged. */
WL_MUST_USE wl_err_t wl_fetcher_consent_pull(wl_fetcher_consent_t *self, const wl_msg_t *msg);
/* LIVE: to the puller, or back to presence as LIVED unauthorized, or unavailable after an error. */
WL_MUST_USE wl_err_t wl_fetcher_consent_live(wl_fetcher_consent_t *self, const wl_msg_t *msg);

#endif
