/* hedge.h: second calls for the few that take long (Dean and Barroso, "The Tail at Scale"), kept to
 * one in twenty: each call earns a twentieth, a second call costs one, and little is saved up, so
 * that a line that becomes slow does not meet twice the calls.
 * Pure; a plain struct, one owner thread. */
#ifndef WL_DOMAIN_HEDGE_H
#define WL_DOMAIN_HEDGE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint32_t earned; /* twentieths */
} wl_hedge_t;

/* A call has been made that was no second one. */
static inline void wl_hedge_earn(wl_hedge_t *self) {
    self->earned += self->earned < 200 ? 1 : 0; /* ten second calls at most */
}

static inline bool wl_hedge_may(const wl_hedge_t *self) {
    return self->earned >= 20;
}

/* Only when it may. */
static inline void wl_hedge_take(wl_hedge_t *self) {
    self->earned -= 20;
}

#endif
