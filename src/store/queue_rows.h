/* queue_rows.h: what stands in the durable queue: entries, retries, dead letters. Plain values, any
 * thread; see store/queue.h. */
#ifndef WL_STORE_QUEUE_ROWS_H
#define WL_STORE_QUEUE_ROWS_H

#include "base/asset.h"
#include "base/failure.h"

#include <stddef.h>
#include <stdint.h>

enum { WL_HISTORY_BYTES_MAX = 2048 }; /* a longer one that was read is left out */

typedef enum {
    WL_ENTRY_CHANGES = 1, /* body: wl_changes_pack() */
    WL_ENTRY_ASSETS = 2,  /* body: wl_encoder_asset_blob() */
    WL_ENTRY_REFRESH = 3  /* body: wl_changes_pack(); a user waits */
} wl_entry_kind_t;

typedef struct {
    uint64_t id;          /* grows in its partition; given by append */
    uint32_t partition;   /* of append: where it goes */
    int64_t at;           /* wall ms when it was accepted */
    wl_entry_kind_t kind; /* as stored: a newer program may have written a number unknown here */
    char line[WL_LINE_ID_MAX + 1]; /* "" when the stored one is damaged */
    const void *body;              /* borrowed; from read never NULL */
    size_t body_bytes;
    const void *history; /* borrowed; of a redriven letter of one user, see wl_retry_row_t */
    size_t history_bytes;
} wl_queue_entry_t;

typedef struct {
    uint64_t uid;
    char line[WL_LINE_ID_MAX + 1];
    uint32_t attempts;
    int64_t due_at; /* wall ms */
    int64_t notified_at;
    char reason[97];
    const void *history; /* borrowed: its attempts, packed (domain/attempts.h), NULL = none; what
                            is read may be anything up to WL_HISTORY_BYTES_MAX */
    size_t history_bytes;
} wl_retry_row_t;

typedef struct {
    uint64_t id; /* given by the store */
    uint64_t uid;
    char line[WL_LINE_ID_MAX + 1];
    uint32_t attempts;
    int64_t at; /* wall ms */
    char reason[97];
    const void *body; /* borrowed: the bytes of an entry that did not decode; else NULL */
    size_t body_bytes;
    uint8_t failure;     /* wl_failure_t; 0 when settled = told from the reason */
    const void *history; /* as of a retry */
    size_t history_bytes;
} wl_dead_letter_t;

#endif
