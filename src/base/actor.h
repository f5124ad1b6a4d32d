/* actor.h: starts and stops a thread around a czmq zactor, with a start that can fail.
 * zactor_new() throws away what the actor signalled, so the outcome travels in a boot record on the
 * heap that both sides see before and after the handshake only. Used by main's thread. */
#ifndef WL_BASE_ACTOR_H
#define WL_BASE_ACTOR_H

#include "base/err.h"

#include <czmq.h>

/* What the thread gets. status and fault are written by the actor before it signals. */
typedef struct {
    const char *name;    /* "cache.0", lives as long as the actor */
    const void *options; /* of the actor's own type, borrowed during the start only */
    wl_fault_t fault;         /* written before status */
    _Atomic wl_err_t status;  /* atomic, as the signal goes through libzmq, of which neither the
                               * language nor ThreadSanitizer knows that it orders memory */
} wl_boot_t;

/* The body: opens what it needs, sets boot->status, zsock_signal(pipe, 0) exactly once, then works
 * until $TERM arrives on the pipe (not at all when status is not WL_OK). boot is not touched after
 * the signal. */
typedef void(wl_actor_fn)(zsock_t *pipe, void *boot);

typedef struct wl_actor wl_actor_t;

/* Returns after the actor is ready, or its error with *fault filled. */
WL_MUST_USE wl_err_t wl_actor_start(const char *name, wl_actor_fn *body, const void *options,
                                    wl_actor_t **ret, wl_fault_t *fault);
/* Sends $TERM and waits for the thread's end. */
void wl_actor_destroy(wl_actor_t **self);
/* Sends one word over the control pipe: "RELOAD". Never for data. */
void wl_actor_tell(wl_actor_t *self, const char *word);
const char *wl_actor_name(const wl_actor_t *self);

#endif
