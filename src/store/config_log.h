/* config_log.h: where changes of the runtime configuration (domain/config_state.h) are kept: an
 * append-only log of immutable records 1, 2, 3 .., immutable blobs named by their SHA-256, and
 * small texts that do change: the acknowledgements of nodes, a proposal, drafts. Three backends: a
 * directory, Redis, etcd (v3 JSON gateway). Blocks, each call at most about two timeouts, and a
 * large blob at most that for each MiB; one thread.
 *
 * Appending is the only decision in the whole life of a change: record n is there once, whole, or
 * not at all, whoever races and whoever is killed.
 *
 *   directory:  changes/00000012.json (written aside, flushed, link()ed: the name is free or
 *               taken), blobs/<digest>, notes/<name, "/" as "+">
 *   Redis:      {prefix}{config}:changes, a hash seq -> record, by a script (HLEN = seq - 1 and
 *               HSETNX, then PUBLISH "seq digest"), {prefix}{config}:blob:<digest>,
 *               {prefix}{config}:notes, a hash
 *   etcd:       /prefix/config/changes/00000012 by a txn on create_revision = 0, blobs in pieces
 *               (a value has at most 1.5 MB), notes with leases */
#ifndef WL_STORE_CONFIG_LOG_H
#define WL_STORE_CONFIG_LOG_H

#include "base/err.h"
#include "base/settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WL_CONFIG_RECORD_BYTES_MAX = 1 << 20,
    WL_CONFIG_BLOB_BYTES_MAX = 64 << 20,
    WL_CONFIG_NOTE_BYTES_MAX = WL_CONFIG_RECORD_BYTES_MAX, /* a proposal is a record */
    WL_CONFIG_NOTE_NAME_MAX = 128, /* [A-Za-z0-9_.-/] */
};

typedef struct wl_config_log wl_config_log_t;

/* Do not touch the network: a store that is away shows at the first question. `folder` is made when
 * missing. WL_ERR_SETTINGS: an address that cannot be read. */
WL_MUST_USE wl_err_t wl_config_log_dir(const char *folder, wl_config_log_t **ret,
                                       wl_fault_t *fault);
WL_MUST_USE wl_err_t wl_config_log_redis(const wl_settings_t *settings, wl_config_log_t **ret,
                                         wl_fault_t *fault);
WL_MUST_USE wl_err_t wl_config_log_etcd(const wl_settings_t *settings, wl_config_log_t **ret,
                                        wl_fault_t *fault);
void wl_config_log_destroy(wl_config_log_t **self);

const char *wl_config_log_name(const wl_config_log_t *self); /* "directory /a/b", "Redis h:p" */
/* Why the last call failed, for people; "" */
const char *wl_config_log_problem(const wl_config_log_t *self);

/* All: WL_ERR_UNAVAILABLE or WL_ERR_DEADLINE (a store that is away), WL_ERR_IO, WL_ERR_NO_SPACE,
 * WL_ERR_DAMAGED; WL_ERR_BAD_REQUEST: a digest or a name that is none, a text that is not JSON with
 * that "seq"; WL_ERR_TOO_BIG. The problem names the file or key. */

/* Number of the newest record, 0 = none. Records below it are all there, or it is DAMAGED. */
WL_MUST_USE wl_err_t wl_config_log_last(wl_config_log_t *self, uint64_t *ret_seq);
/* *ret_text is NUL-terminated and wl_free()d by the caller. WL_ERR_NOT_FOUND. */
WL_MUST_USE wl_err_t wl_config_log_read(wl_config_log_t *self, uint64_t seq, char **ret_text,
                                        size_t *ret_bytes);
/* seq = last + 1, or WL_ERR_CONFLICT: that record is there already, or one before it is missing.
 * After any other error it may be there all the same: read it. */
WL_MUST_USE wl_err_t wl_config_log_append(wl_config_log_t *self, uint64_t seq, const char *text,
                                          size_t bytes);

/* Puts a record back where it is damaged or missing, below or at the last one. WL_OK when that very
 * record is there; WL_ERR_CONFLICT: another sound one is. The caller knows that it is the right
 * one: its hash stands in the record after it, or in what was adopted from another log. */
WL_MUST_USE wl_err_t wl_config_log_mend(wl_config_log_t *self, uint64_t seq, const char *text,
                                        size_t bytes);

/* digest: 64 hex digits, checked against the bytes in both directions (WL_ERR_DAMAGED). Putting one
 * that is there costs a look. */
WL_MUST_USE wl_err_t wl_config_log_blob_put(wl_config_log_t *self, const char *digest,
                                            const void *bytes, size_t count);
WL_MUST_USE wl_err_t wl_config_log_blob_get(wl_config_log_t *self, const char *digest,
                                            void **ret_bytes, size_t *ret_count);

/* Small texts that change: "nodes/<name>", "drafts/<name>", "proposal". ttl_s > 0: gone after so
 * long (a directory keeps it: look at what it says). text NULL = take it away. */
WL_MUST_USE wl_err_t wl_config_log_note_put(wl_config_log_t *self, const char *name,
                                            const char *text, size_t bytes, uint32_t ttl_s);
WL_MUST_USE wl_err_t wl_config_log_note_get(wl_config_log_t *self, const char *name,
                                            char **ret_text, size_t *ret_bytes);
/* All notes whose names begin with `prefix`, in order of their names; stops when `each` says so. */
typedef bool (*wl_config_note_fn)(const char *name, const char *text, size_t bytes, void *arg);
WL_MUST_USE wl_err_t wl_config_log_notes(wl_config_log_t *self, const char *prefix,
                                         wl_config_note_fn each, void *arg);

/* Tells the others to look: "seq digest" of a change or of a proposal; nothing in it is trusted.
 * Appending does so by itself. Where there is no such way (directory, etcd) it does nothing. */
void wl_config_log_nudge(wl_config_log_t *self, const char *text);
/* A descriptor that becomes readable when a nudge has come, -1 = there is none now (it may be
 * another one after the next call: ask again). */
int wl_config_log_fd(wl_config_log_t *self);
/* Takes what has come; true when somebody nudged, or a connection was made anew. Never blocks. */
bool wl_config_log_nudged(wl_config_log_t *self);

#endif
