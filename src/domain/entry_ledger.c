#include "domain/entry_ledger.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/table.h"
#include "domain/pool.h"

typedef struct entry {
    uint64_t id;        /* the key */
    uint32_t expected;  /* announced and not yet attached */
    uint32_t attached;  /* attached and not yet ended */
    struct entry *next; /* released after this one */
    UT_hash_handle hh;
} entry_t;

/* Lists are rings with a pointer to the last element: appending and joining are O(1). */
struct wl_entry_ref {
    entry_t *entry;
    wl_entry_ref_t *next; /* of the last one: the first one */
    uint32_t count;       /* changes of this entry, one entry often names a pair many times */
};

struct wl_entry_ledger {
    entry_t *by_id;        /* uthash of entries not released */
    entry_t *first_free;   /* released, oldest first */
    entry_t *last_free;    /* its tail */
    wl_pool_t *entry_pool; /* owned */
    wl_pool_t *ref_pool;   /* owned */
    uint32_t refs_max;
};

wl_entry_ledger_t *wl_entry_ledger_new(uint32_t refs_max) {
    wl_entry_ledger_t *self = wl_alloc_zero(1, sizeof *self);
    self->entry_pool = wl_pool_new(sizeof(entry_t));
    self->ref_pool = wl_pool_new(sizeof(wl_entry_ref_t));
    self->refs_max = refs_max;
    return self;
}

static entry_t *ledger_find(const wl_entry_ledger_t *self, uint64_t id) {
    entry_t *entry = NULL;
    HASH_FIND(hh, self->by_id, &id, sizeof id, entry);
    return entry;
}

static void ledger_release_if_ended(wl_entry_ledger_t *self, entry_t *entry) {
    if (entry->expected > 0 || entry->attached > 0) {
        return;
    }
    HASH_DEL(self->by_id, entry);
    entry->next = NULL;
    if (self->first_free == NULL) {
        self->first_free = entry;
    } else {
        self->last_free->next = entry;
    }
    self->last_free = entry;
}

void wl_entry_ledger_announce(wl_entry_ledger_t *self, uint64_t id, uint32_t changes) {
    WL_ASSERT(self != NULL);
    WL_ASSERT(id != 0); /* 0 says "no entry" */
    entry_t *entry = ledger_find(self, id);
    if (entry == NULL) {
        entry = wl_pool_take(self->entry_pool);
        entry->id = id;
        HASH_ADD(hh, self->by_id, id, sizeof entry->id, entry);
    }
    entry->expected = changes;
    ledger_release_if_ended(self, entry);
}

bool wl_entry_ledger_full(const wl_entry_ledger_t *self) {
    return wl_pool_out(self->ref_pool) >= self->refs_max;
}

wl_err_t wl_entry_ledger_attach(wl_entry_ledger_t *self, uint64_t id, wl_entry_ref_t **list) {
    WL_ASSERT(self != NULL && list != NULL);
    entry_t *entry = id == 0 ? NULL : ledger_find(self, id);
    if (entry == NULL) {
        return WL_OK;
    }
    wl_entry_ref_t *last = *list;
    if (last == NULL || last->entry != entry) {
        if (wl_entry_ledger_full(self)) {
            return WL_ERR_FULL;
        }
        wl_entry_ref_t *ref = wl_pool_take(self->ref_pool);
        ref->entry = entry;
        ref->next = last == NULL ? ref : last->next;
        if (last != NULL) {
            last->next = ref;
        }
        *list = ref;
    }
    (*list)->count++;
    entry->attached++;
    entry->expected -= entry->expected > 0 ? 1 : 0;
    return WL_OK;
}

void wl_entry_ledger_join(wl_entry_ref_t **into, wl_entry_ref_t **from) {
    WL_ASSERT(into != NULL && from != NULL && into != from);
    if (*from == NULL) {
        return;
    }
    if (*into != NULL) {
        wl_entry_ref_t *first = (*into)->next;
        (*into)->next = (*from)->next;
        (*from)->next = first;
    }
    *into = *from;
    *from = NULL;
}

void wl_entry_ledger_end(wl_entry_ledger_t *self, wl_entry_ref_t **list) {
    WL_ASSERT(self != NULL && list != NULL);
    wl_entry_ref_t *last = *list;
    if (last == NULL) {
        return;
    }
    wl_entry_ref_t *ref = last->next;
    last->next = NULL; /* opens the ring */
    *list = NULL;
    while (ref != NULL) {
        wl_entry_ref_t *next = ref->next;
        WL_ASSERT(ref->entry->attached >= ref->count);
        ref->entry->attached -= ref->count;
        ledger_release_if_ended(self, ref->entry);
        wl_pool_give(self->ref_pool, ref);
        ref = next;
    }
}

size_t wl_entry_ledger_released(wl_entry_ledger_t *self, uint64_t *ret_ids, size_t max) {
    WL_ASSERT(self != NULL && (ret_ids != NULL || max == 0));
    size_t count = 0;
    while (count < max && self->first_free != NULL) {
        entry_t *entry = self->first_free;
        self->first_free = entry->next;
        ret_ids[count++] = entry->id;
        wl_pool_give(self->entry_pool, entry);
    }
    return count;
}

size_t wl_entry_ledger_entries(const wl_entry_ledger_t *self) {
    return wl_pool_out(self->entry_pool);
}

void wl_entry_ledger_destroy(wl_entry_ledger_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    uint64_t id = 0;
    while (wl_entry_ledger_released(*self, &id, 1) > 0) {
    }
    entry_t *entry = NULL;
    entry_t *next = NULL;
    HASH_ITER(hh, (*self)->by_id, entry, next) {
        HASH_DEL((*self)->by_id, entry);
        wl_pool_give((*self)->entry_pool, entry);
    }
    wl_pool_destroy(&(*self)->ref_pool);
    wl_pool_destroy(&(*self)->entry_pool);
    wl_free(*self);
    *self = NULL;
}
