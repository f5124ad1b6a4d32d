#include "actors/request_args.h"

#include <string.h>

enum { SCENE_BYTES_MAX = 64 };

static wl_err_t lines_read(const msgpack_object *args, const wl_config_t *config,
                           wl_wallet_args_t *into, wl_fault_t *fault) {
    const msgpack_object *lines = NULL;
    wl_err_t err = wl_args_array(args, "lines", WL_LINES_MAX, &lines, fault);
    if (err != WL_OK) {
        return err == WL_ERR_NOT_FOUND ? WL_OK : err;
    }
    for (uint32_t i = 0; i < lines->via.array.size; i++) {
        char id[WL_LINE_ID_MAX + 1];
        if (wl_value_text(&lines->via.array.ptr[i], id, WL_LINE_ID_MAX) != WL_OK ||
            !wl_line_id_valid(id)) {
            return wl_fault(fault, WL_ERR_BAD_REQUEST, "lines",
                            "lines: element %u is not a line id [a-z0-9_-]{1,32}", i);
        }
        if (wl_config_line(config, id) == NULL) {
            return wl_fault(fault, WL_ERR_NOT_FOUND, "lines", "lines: there is no line \"%s\"", id);
        }
        size_t bytes = strlen(id);
        memcpy(into->filter + into->filter_bytes, id, bytes);
        into->filter[into->filter_bytes + bytes] = ',';
        into->filter_bytes += bytes + 1;
    }
    return WL_OK;
}

static wl_err_t home_read(const msgpack_object *args, wl_fault_t *fault) {
    char scene[SCENE_BYTES_MAX + 1];
    wl_err_t err = wl_args_text(args, "scene", scene, SCENE_BYTES_MAX, fault);
    if (err != WL_OK && err != WL_ERR_NOT_FOUND) {
        return err;
    }
    const msgpack_object *versions = NULL;
    err = wl_args_find(args, "min_version", &versions);
    if (err == WL_OK && versions->type != MSGPACK_OBJECT_MAP) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "min_version",
                        "min_version: must be a map, got %s", wl_value_type_name(versions));
    }
    return WL_OK;
}

wl_err_t wl_wallet_args_read(const wl_rpc_request_t *request, const wl_config_t *config,
                             wl_wallet_args_t *ret, wl_fault_t *fault) {
    ret->filter_bytes = 0;
    wl_err_t err = wl_args_uid(request->args, "uid", &ret->uid, fault);
    if (err == WL_OK && request->method == WL_METHOD_ASSETS) {
        err = lines_read(request->args, config, ret, fault);
    }
    if (err == WL_OK && request->method == WL_METHOD_HOME) {
        err = home_read(request->args, fault);
    }
    return err;
}

wl_err_t wl_has_args_read(const wl_rpc_request_t *request, uint64_t ret_uids[WL_HAS_UIDS_MAX],
                          uint32_t *ret_count, wl_fault_t *fault) {
    const msgpack_object *uids = NULL;
    wl_err_t err = wl_args_array(request->args, "uids", UINT32_MAX, &uids, fault);
    if (err != WL_OK) {
        return err == WL_ERR_NOT_FOUND
                   ? wl_fault(fault, WL_ERR_BAD_REQUEST, "uids", "uids: is required")
                   : err;
    }
    if (uids->via.array.size > WL_HAS_UIDS_MAX) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "uids", "uids: at most %d users, got %u",
                        WL_HAS_UIDS_MAX, uids->via.array.size);
    }
    for (uint32_t i = 0; i < uids->via.array.size; i++) {
        if (wl_value_u64(&uids->via.array.ptr[i], &ret_uids[i]) != WL_OK || ret_uids[i] == 0) {
            return wl_fault(fault, WL_ERR_BAD_REQUEST, "uids",
                            "uids: element %u is not an integer from 1 to 2^64-1", i);
        }
    }
    *ret_count = uids->via.array.size;
    return WL_OK;
}
