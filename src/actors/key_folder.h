/* key_folder.h: the authorised public keys: every NAME.key of one folder, checked strictly. A file
 * that cannot be used is refused alone, the others stay. Part of the guard actor, on its thread. */
#ifndef WL_ACTORS_KEY_FOLDER_H
#define WL_ACTORS_KEY_FOLDER_H

#include "base/key_file.h"
#include "domain/key_ring.h"
#include "domain/scope.h"

#include <uthash.h>

typedef struct {
    uint8_t public_key[WL_KEY_BYTES];
    char id[WL_KEY_ID_MAX + 1]; /* name/fingerprint */
    wl_scopes_t scopes;
    bool fresh; /* new since the last wl_key_folder_settle() */
    UT_hash_handle hh;
} wl_known_key_t;

typedef struct wl_key_folder wl_key_folder_t;

/* file: its name in the folder, "" when it is about the folder. */
typedef void(wl_key_refused_fn)(const char *file, const wl_fault_t *fault, void *arg);

wl_key_folder_t *wl_key_folder_new(const char *path); /* empty until loaded */
void wl_key_folder_destroy(wl_key_folder_t **self);   /* NULL and *NULL are accepted */

/* Has any file come, gone or changed since the last load? One stat per file. */
bool wl_key_folder_changed(const wl_key_folder_t *self);
/* Reads all files; on success their keys are the known ones, and those that were not known before
 * are fresh. Files that are refused are told one by one. WL_ERR_IO, WL_ERR_FORBIDDEN: the folder
 * cannot be read, or others may write it; what was known stays. */
WL_MUST_USE wl_err_t wl_key_folder_load(wl_key_folder_t *self, wl_key_refused_fn *on_refused,
                                        void *arg, wl_fault_t *fault);
/* From now on no key is fresh. true: some were. */
bool wl_key_folder_settle(wl_key_folder_t *self);

/* NULL: not authorised. Borrowed until the next load. */
const wl_known_key_t *wl_key_folder_find(const wl_key_folder_t *self,
                                         const uint8_t public_key[WL_KEY_BYTES]);
/* The first one; the next is ->hh.next. NULL: no more. */
const wl_known_key_t *wl_key_folder_first(const wl_key_folder_t *self);
uint32_t wl_key_folder_count(const wl_key_folder_t *self);
/* Keys of other processes (scope peer) that the last load took away. */
uint32_t wl_key_folder_peers_lost(const wl_key_folder_t *self);

#endif
