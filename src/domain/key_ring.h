/* key_ring.h: what the keys that are authorised now may do, by the id that each message of a client
 * carries. Pure; one thread. A new set is put together from several messages and takes the place of
 * the old one when it is whole: a lost message leaves the old one, until the set is told again. */
#ifndef WL_DOMAIN_KEY_RING_H
#define WL_DOMAIN_KEY_RING_H

#include "base/key_file.h"
#include "domain/scope.h"

enum {
    WL_KEYS_MAX = 1000,                  /* authorised keys of one process */
    WL_KEY_ID_MAX = WL_KEY_NAME_MAX + 17 /* "app-1/3fa2b1c0d4e5f607" */
};

typedef struct wl_key_ring wl_key_ring_t;

wl_key_ring_t *wl_key_ring_new(void);           /* empty: nobody may do anything */
void wl_key_ring_destroy(wl_key_ring_t **self); /* NULL and *NULL are accepted */

/* Says that the next keys are of the set `revision`, which has `total` of them. The same revision
 * again goes on with that set; one that is live already is ignored. */
void wl_key_ring_begin(wl_key_ring_t *self, uint64_t revision, uint32_t total);
/* Adds a key to the set that was begun. WL_ERR_MALFORMED: no such scope. */
WL_MUST_USE wl_err_t wl_key_ring_add(wl_key_ring_t *self, const char *id, const char *scope);

/* NULL: not authorised. Borrowed until the next key is added. */
const wl_scopes_t *wl_key_ring_find(const wl_key_ring_t *self, const char *id);
/* The set that is live, 0 = none yet. */
uint64_t wl_key_ring_revision(const wl_key_ring_t *self);

#endif
