/* consent_trail.h: withdrawn consents that came with the feed of one writer and are on their way
 * through the actors of this process (actors/consent_way.h), in the order in which they came.
 * Bookkeeping only; owned by one presence thread. At most WL_CONSENT_TRAIL_MAX, 80 bytes each. */
#ifndef WL_ACTORS_CONSENT_TRAIL_H
#define WL_ACTORS_CONSENT_TRAIL_H

#include "proto/messages.h"

enum { WL_CONSENT_TRAIL_MAX = 16384 };

typedef struct wl_consent_trail wl_consent_trail_t;

wl_consent_trail_t *wl_consent_trail_new(void);
void wl_consent_trail_destroy(wl_consent_trail_t **self); /* NULL and *NULL are accepted */
void wl_consent_trail_clear(wl_consent_trail_t *self);

/* The withdrawn ones of a STORED that came as number feed_seq. WL_ERR_FULL: some are not noted. */
WL_MUST_USE wl_err_t wl_consent_trail_note(wl_consent_trail_t *self, uint64_t feed_seq,
                                           const wl_msg_t *stored, int64_t now);
/* One has come to its end. false: it is not on its way here. */
bool wl_consent_trail_end(wl_consent_trail_t *self, const char *line, uint64_t uid, uint64_t seq);

/* feed_seq of the oldest one, `none` when there is none. */
uint64_t wl_consent_trail_seq(const wl_consent_trail_t *self, uint64_t none);
/* Monotonic ms when the oldest one came; INT64_MAX: there is none. */
int64_t wl_consent_trail_since(const wl_consent_trail_t *self);

#endif
