/* presence_renew.h: builds the set of a presence actor anew beside the one that serves. Part of the
 * presence actor and used on its thread only. */
#ifndef WL_ACTORS_PRESENCE_RENEW_H
#define WL_ACTORS_PRESENCE_RENEW_H

#include "actors/presence_state.h"

/* The only ways to change the set while it serves: what is born goes into both. */
void wl_presence_mark(wl_presence_t *self, const uint64_t *uids, size_t count);
void wl_presence_clear(wl_presence_t *self, uint64_t uid);

/* It is wanted; nothing new begins while one is under way. The console is told either way. */
void wl_presence_renew_start(wl_presence_t *self);
/* A feed was lost, so deaths may have been missed: exact mode builds anew by itself, within seconds
 * but at most once in 10 minutes. */
void wl_presence_renew_after_gap(wl_presence_t *self, int64_t now);
/* An OWNERS with `rebuild`, of a shard in range. */
void wl_presence_renew_take(wl_presence_t *self, const wl_msg_t *msg);
void wl_presence_renew_tick(wl_presence_t *self, int64_t now);

/* Of presence_owners.c: asks a shard for owners. asked_at 0: says that `after` is safely on
 * disk. */
void wl_presence_tell_owners(wl_presence_t *self, uint32_t shard, uint64_t after, int64_t asked_at,
                             bool rebuild);

#endif
