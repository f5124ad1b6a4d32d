#include "domain/key_ring.h"

#include "base/alloc.h"
#include "base/check.h"

#include <string.h>
#include <uthash.h>

typedef struct {
    char id[WL_KEY_ID_MAX + 1];
    wl_scopes_t scopes;
    UT_hash_handle hh;
} ring_key_t;

typedef struct {
    uint64_t revision; /* 0 = none */
    uint32_t total;    /* keys of the whole set */
    ring_key_t *keys;  /* owned table */
} ring_set_t;

struct wl_key_ring {
    ring_set_t live;
    ring_set_t next; /* being put together */
};

static void set_clear(ring_set_t *self) {
    ring_key_t *key = NULL;
    ring_key_t *after = NULL;
    HASH_ITER(hh, self->keys, key, after) {
        HASH_DEL(self->keys, key);
        wl_free(key);
    }
    *self = (ring_set_t){.revision = 0};
}

static ring_key_t *set_find(const ring_set_t *self, const char *id) {
    ring_key_t *key = NULL;
    HASH_FIND_STR(self->keys, id, key);
    return key;
}

wl_key_ring_t *wl_key_ring_new(void) {
    return wl_alloc_zero(1, sizeof(wl_key_ring_t));
}

void wl_key_ring_destroy(wl_key_ring_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    set_clear(&(*self)->live);
    set_clear(&(*self)->next);
    wl_free(*self);
    *self = NULL;
}

static void ring_swap_if_whole(wl_key_ring_t *self) {
    if (self->next.revision != 0 && HASH_COUNT(self->next.keys) == self->next.total) {
        set_clear(&self->live);
        self->live = self->next;
        self->next = (ring_set_t){.revision = 0};
    }
}

void wl_key_ring_begin(wl_key_ring_t *self, uint64_t revision, uint32_t total) {
    WL_ASSERT(revision > 0);
    if (revision == self->live.revision || total > WL_KEYS_MAX) {
        set_clear(&self->next);
    } else if (revision != self->next.revision || total != self->next.total) {
        set_clear(&self->next);
        self->next.revision = revision;
        self->next.total = total;
        ring_swap_if_whole(self);
    }
}

wl_err_t wl_key_ring_add(wl_key_ring_t *self, const char *id, const char *scope) {
    if (self->next.revision == 0) { /* of the set that is live: told again, and known */
        return WL_OK;
    }
    wl_scopes_t scopes;
    if (strlen(id) > WL_KEY_ID_MAX || wl_scopes_parse(scope, &scopes, NULL) != WL_OK) {
        return WL_ERR_MALFORMED;
    }
    ring_key_t *key = set_find(&self->next, id);
    if (key == NULL) {
        key = wl_alloc_zero(1, sizeof *key);
        memcpy(key->id, id, strlen(id) + 1);
        HASH_ADD_STR(self->next.keys, id, key);
    }
    key->scopes = scopes;
    ring_swap_if_whole(self);
    return WL_OK;
}

const wl_scopes_t *wl_key_ring_find(const wl_key_ring_t *self, const char *id) {
    const ring_key_t *key = set_find(&self->live, id);
    return key == NULL ? NULL : &key->scopes;
}

uint64_t wl_key_ring_revision(const wl_key_ring_t *self) {
    return self->live.revision;
}
