/* notify.h: reads what notify.changed, notify.assets and wallet.refresh carry. Strangers write it;
 * every refusal names the element: "changes/3/uid: must not be 0". Pure, any thread.
 * Errors are WL_ERR_BAD_REQUEST with *fault, whose message is a sentence for the client. */
#ifndef WL_PROTO_NOTIFY_H
#define WL_PROTO_NOTIFY_H

#include "base/asset.h"
#include "proto/args.h"
#include "proto/change.h"

/* line: required, [a-z0-9_-]{1,32}. */
WL_MUST_USE wl_err_t wl_notify_line(const msgpack_object *args, char ret_line[WL_LINE_ID_MAX + 1],
                                    wl_fault_t *fault);

/* changes: required, 1 .. WL_CHANGES_MAX of {uid, bucket?, version?}; a version is at most
 * WL_VERSION_MAX, a bucket is not a reserved one. */
WL_MUST_USE wl_err_t wl_notify_changes(const msgpack_object *args,
                                       wl_change_t ret_changes[WL_CHANGES_MAX], size_t *ret_count,
                                       wl_fault_t *fault);

/* assets: required, 1 .. WL_PAYLOAD_ASSETS_MAX maps as wl_value_asset() reads them, each with a
 * uid and no reserved bucket; their line is `line` or absent, and is set. Rules about values are
 * the caller's. Repacked extras live in zone. */
WL_MUST_USE wl_err_t wl_notify_assets(const msgpack_object *args, const char *line,
                                      msgpack_zone *zone,
                                      wl_asset_t ret_assets[WL_PAYLOAD_ASSETS_MAX],
                                      uint32_t *ret_count, wl_fault_t *fault);

/* lines: optional, at most WL_LINES_MAX ids, no empty list. *ret_count = 0: not given. */
WL_MUST_USE wl_err_t wl_notify_lines(const msgpack_object *args,
                                     char ret_lines[WL_LINES_MAX][WL_LINE_ID_MAX + 1],
                                     uint32_t *ret_count, wl_fault_t *fault);

#endif
