/* live_reads.h: answers the reads of the query actor, and asks lines before where that is needed
 * (domain/demand.h). All lines of a read are asked at once, each by a LIVE to the presence actor
 * that owns the user; the reply goes out when the last has answered, or a moment before the read's
 * deadline with what there is then. Part of the query actor and used on its thread only.
 *
 * Bounds: READS_MAX reads of READS_BYTES_MAX bytes wait, LINE_READS_MAX of them for one line of
 * base or candidate, so that a line that hangs leaves room for the others. Beyond them a line
 * counts as one that has not answered: the last good value is shown at once, marked;
 * wallet.balance is told `busy`. */
#ifndef WL_ACTORS_LIVE_READS_H
#define WL_ACTORS_LIVE_READS_H

#include "actors/render.h"

typedef struct wl_live_reads wl_live_reads_t;

/* Borrows hub and render, which must be open and outlive it. */
wl_live_reads_t *wl_live_reads_new(wl_hub_t *hub, wl_render_t *render);
void wl_live_reads_destroy(wl_live_reads_t **self); /* NULL and *NULL are accepted */

/* Answers a read of a user whose stored assets are these, now or when its lines have answered. An
 * unknown method is counted and dropped; without a configuration the answer is
 * WL_ERR_UNAVAILABLE. */
void wl_live_reads_take(wl_live_reads_t *self, uint32_t frontend, const wl_read_item_t *read,
                        wl_asset_list_t assets, wl_source_t source);
/* Takes a LIVED: what lines have said. */
void wl_live_reads_lived(wl_live_reads_t *self, const wl_msg_t *msg);
/* The user has withdrawn the consent to this line: nothing of it is shown any more. */
void wl_live_reads_withdrawn(wl_live_reads_t *self, uint64_t uid, const char *line_id);

/* Answers those whose time is up, and asks again where an answer was too old; monotonic ms. */
void wl_live_reads_tick(wl_live_reads_t *self, int64_t now);
bool wl_live_reads_waiting(const wl_live_reads_t *self); /* does any read wait? */
/* The configuration has just been replaced. */
void wl_live_reads_configured(wl_live_reads_t *self);

#endif
