/* entry_ledger.h: which durable queue entries may be acknowledged. An entry announces how many
 * changes it holds; each is attached to a list of references; when all are attached and all their
 * lists have ended, the entry is released, once. Lists are held by the pairs of domain/pending.h.
 * Bounded: refs_max references at once; entries are at most the references and those announced but
 * not attached. All calls are O(1), those with a list O(its references). One owner thread. */
#ifndef WL_DOMAIN_ENTRY_LEDGER_H
#define WL_DOMAIN_ENTRY_LEDGER_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

typedef struct wl_entry_ledger wl_entry_ledger_t;
/* A list of references, NULL = empty. Belongs to one ledger. */
typedef struct wl_entry_ref wl_entry_ref_t;

wl_entry_ledger_t *wl_entry_ledger_new(uint32_t refs_max);
/* Every list has to be ended before. Entries that were not released are forgotten. */
void wl_entry_ledger_destroy(wl_entry_ledger_t **self);

/* An entry of 0 changes is released at once. An id that is announced again before its release, as
 * after a refused attach, expects all its changes anew and still waits for those attached. */
void wl_entry_ledger_announce(wl_entry_ledger_t *self, uint64_t id, uint32_t changes);
/* No more references: attach would be refused. */
bool wl_entry_ledger_full(const wl_entry_ledger_t *self);
/* One change of the entry now depends on *list. An id that was not announced, as 0, is ignored.
 * WL_ERR_FULL: nothing changed. */
WL_MUST_USE wl_err_t wl_entry_ledger_attach(wl_entry_ledger_t *self, uint64_t id,
                                            wl_entry_ref_t **list);
/* Moves all references of *from to *into, in O(1). */
void wl_entry_ledger_join(wl_entry_ref_t **into, wl_entry_ref_t **from);
/* What *list stood for has ended; the list is empty afterwards. */
void wl_entry_ledger_end(wl_entry_ledger_t *self, wl_entry_ref_t **list);

/* Takes up to max ids of released entries in the order of release. */
size_t wl_entry_ledger_released(wl_entry_ledger_t *self, uint64_t *ret_ids, size_t max);
/* Entries announced and not yet taken as released. */
size_t wl_entry_ledger_entries(const wl_entry_ledger_t *self);

#endif
