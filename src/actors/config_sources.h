/* config_sources.h: everywhere a published configuration may be found, as one log of changes: the
 * store (config.store), the mirrors (config.mirror_dir, config.mirror_etcd), and this process's own
 * snapshot, <server.data_dir>/config. Each look adopts the longest log that continues what is known
 * here, and brings those that are behind up to it, so that a store that lost everything gets it
 * back from whoever still has it. A log that tells another story (another record under a number
 * known here) is left as it is and named as a problem. Part of the config actor, on its thread;
 * blocks for at most about two timeouts for each log. */
#ifndef WL_ACTORS_CONFIG_SOURCES_H
#define WL_ACTORS_CONFIG_SOURCES_H

#include "domain/config_state.h"
#include "store/config_log.h"

/* name on the wire, doc; in the order in which they are believed */
#define WL_CONFIG_SOURCES(S)                                                 \
    S(EMERGENCY, "emergency", "config.emergency_file, until its expires_at") \
    S(STORE, "store", "config.store")                                        \
    S(MIRROR, "mirror", "config.mirror_dir or config.mirror_etcd")           \
    S(SNAPSHOT, "snapshot", "what this process last knew, on its disk")      \
    S(DIRECTORY, "directory", "files of server.config_dir: nothing was published yet")

typedef enum {
#define WL_CONFIG_SOURCE_ENUM(NAME, text, doc) WL_CONFIG_FROM_##NAME,
    WL_CONFIG_SOURCES(WL_CONFIG_SOURCE_ENUM)
#undef WL_CONFIG_SOURCE_ENUM
        WL_CONFIG_SOURCE_COUNT
} wl_config_source_t;

typedef struct wl_config_sources wl_config_sources_t;

const char *wl_config_source_name(wl_config_source_t source);

/* Nothing is asked yet. WL_ERR_SETTINGS: an address that cannot be read; WL_ERR_IO: the snapshot's
 * folder cannot be made. */
WL_MUST_USE wl_err_t wl_config_sources_new(const wl_settings_t *settings, wl_config_sources_t **ret,
                                           wl_fault_t *fault);
void wl_config_sources_destroy(wl_config_sources_t **self);

/* One look at every log. true: there is a newer state. */
bool wl_config_sources_look(wl_config_sources_t *self);
/* More was found than one look carries over: look again soon. */
bool wl_config_sources_behind(const wl_config_sources_t *self);

/* What is known: seq 0 = nothing was ever published. Borrowed, valid until the next look. */
const wl_config_state_t *wl_config_sources_state(const wl_config_sources_t *self);
/* SHA-256 of the record that made it, "" for seq 0. */
const char *wl_config_sources_digest(const wl_config_sources_t *self);
/* Where it was found: STORE, MIRROR or SNAPSHOT. */
wl_config_source_t wl_config_sources_source(const wl_config_sources_t *self);

/* Nothing is known, though a log has changes that cannot be read: true, and in ret which and what
 * to do. What is begun now would be another history, so nothing is appended. */
bool wl_config_sources_lost(const wl_config_sources_t *self, char *ret, size_t bytes);

/* One change, from the nearest log that has it. WL_ERR_NOT_FOUND, WL_ERR_DAMAGED and errors of the
 * store. Release *ret in any case. digest (WL_DIGEST_HEX + 1 bytes): of its record, may be NULL. */
WL_MUST_USE wl_err_t wl_config_sources_change(wl_config_sources_t *self, uint64_t seq,
                                              wl_config_change_t *ret, char *digest,
                                              wl_fault_t *fault);
/* A document as text for people (two spaces of indent), wl_free()d by the caller. `seq` names the
 * change that brought it. */
WL_MUST_USE wl_err_t wl_config_sources_document(wl_config_sources_t *self, wl_document_t document,
                                                uint64_t seq, char **ret_text, size_t *ret_bytes,
                                                wl_fault_t *fault);
/* Makes a record the next one: in the store, then here and in the mirrors. state: the one after it.
 * WL_ERR_CONFLICT: somebody else was first, or the store is behind what is known here and has to be
 * healed first, or it has lost the beginning of a log that nobody knows; WL_ERR_UNAVAILABLE: the
 * store is away, nothing was published; WL_ERR_DEADLINE: the store did not say whether it has it;
 * the next look will tell. */
WL_MUST_USE wl_err_t wl_config_sources_append(wl_config_sources_t *self, const char *text,
                                              size_t bytes, const wl_config_state_t *state,
                                              wl_fault_t *fault);

/* The set of users that a rollout names, brought into the snapshot (its blobs are the files that
 * frontends read). WL_ERR_NOT_FOUND: nobody has it. */
WL_MUST_USE wl_err_t wl_config_sources_blob(wl_config_sources_t *self, const char *digest,
                                            wl_fault_t *fault);
/* Keeps a blob in the snapshot and the store, later also in the mirrors. */
WL_MUST_USE wl_err_t wl_config_sources_blob_put(wl_config_sources_t *self, const char *digest,
                                                const void *bytes, size_t count, wl_fault_t *fault);

/* The store itself, for notes (nodes/, drafts/, proposal) and nudges; its calls may fail. */
wl_config_log_t *wl_config_sources_store(wl_config_sources_t *self);
/* It answered when it was asked last: while it does not, it is left alone for a while, and each
 * question about notes would wait for a timeout. */
bool wl_config_sources_store_near(const wl_config_sources_t *self);
/* What a call of the store's notes returned: one that is away is left alone from now on. */
void wl_config_sources_store_said(wl_config_sources_t *self, wl_err_t err);
/* [{"name", "role", "seq", "problem"}] of every log as the last look saw it. Caller owns it. */
json_t *wl_config_sources_report(const wl_config_sources_t *self);

#endif
