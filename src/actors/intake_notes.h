/* intake_notes.h: turns what clients of the intake say into entries of its batch: changes, assets,
 * and users who want fresh copies. Checked against the runtime configuration, element by element.
 * Part of the intake actor and used on its thread only. */
#ifndef WL_ACTORS_INTAKE_NOTES_H
#define WL_ACTORS_INTAKE_NOTES_H

#include "actors/intake_batch.h"
#include "domain/config.h"

#include <msgpack.h>

typedef struct {
    const wl_config_t *config; /* borrowed; NULL: nobody knows yet which lines there are */
    wl_intake_batch_t *batch;  /* borrowed */
    wl_change_t changes[WL_CHANGES_MAX];      /* of the request being read */
    wl_asset_t assets[WL_PAYLOAD_ASSETS_MAX]; /* of the request being read */
} wl_intake_notes_t;

/* The line of a notification. WL_ERR_UNAVAILABLE without a configuration, WL_ERR_NOT_FOUND, or
 * WL_ERR_BAD_REQUEST: it holds nothing. */
WL_MUST_USE wl_err_t wl_intake_notes_line(const wl_intake_notes_t *self, const msgpack_object *args,
                                          const wl_line_t **ret_line, wl_fault_t *fault);

/* notify.changed, notify.assets and wallet.refresh: add to the batch, or nothing on an error.
 * *ret_count is what is reported back. Extras of assets live in zone until the batch is cleared. */
WL_MUST_USE wl_err_t wl_intake_notes_changed(wl_intake_notes_t *self, const msgpack_object *args,
                                             uint64_t *ret_count, wl_fault_t *fault);
WL_MUST_USE wl_err_t wl_intake_notes_assets(wl_intake_notes_t *self, const msgpack_object *args,
                                            msgpack_zone *zone, uint64_t *ret_count,
                                            wl_fault_t *fault);
WL_MUST_USE wl_err_t wl_intake_notes_refresh(wl_intake_notes_t *self, const msgpack_object *args,
                                             uint64_t *ret_count, wl_fault_t *fault);

#endif
