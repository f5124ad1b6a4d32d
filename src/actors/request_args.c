#include "actors/request_args.h"

#include <string.h>

static wl_err_t line_known(const wl_config_t *config, const char *key, const char *id,
                           wl_fault_t *fault) {
    return wl_config_line(config, id) != NULL
               ? WL_OK
               : wl_fault(fault, WL_ERR_NOT_FOUND, key, "%s: there is no line \"%s\"", key, id);
}

static void filter_add(wl_wallet_args_t *into, const char *id) {
    size_t bytes = strlen(id);
    memcpy(into->filter + into->filter_bytes, id, bytes);
    into->filter[into->filter_bytes + bytes] = ',';
    into->filter_bytes += bytes + 1;
}

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
        err = line_known(config, "lines", id, fault);
        if (err != WL_OK) {
            return err;
        }
        filter_add(into, id);
    }
    return WL_OK;
}

static wl_err_t line_read(const msgpack_object *args, const wl_config_t *config,
                          wl_wallet_args_t *into, wl_fault_t *fault) {
    char id[WL_LINE_ID_MAX + 1];
    wl_err_t err = wl_args_text(args, "line", id, WL_LINE_ID_MAX, fault);
    if (err == WL_ERR_NOT_FOUND) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "line", "line: is required");
    }
    if (err == WL_OK && !wl_line_id_valid(id)) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "line",
                        "line: is not a line id [a-z0-9_-]{1,32}");
    }
    if (err == WL_OK) {
        err = line_known(config, "line", id, fault);
    }
    if (err == WL_OK) {
        filter_add(into, id);
    }
    return err;
}

/* min_version: {line: version} */
static wl_err_t floors_read(const msgpack_object *args, const wl_config_t *config,
                            wl_wallet_args_t *into, wl_fault_t *fault) {
    static const char key[] = "min_version";
    const msgpack_object *versions = NULL;
    if (wl_args_find(args, key, &versions) != WL_OK) {
        return WL_OK;
    }
    if (versions->type != MSGPACK_OBJECT_MAP) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, key, "%s: must be a map, got %s", key,
                        wl_value_type_name(versions));
    }
    if (versions->via.map.size > WL_LINES_MAX) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, key, "%s: at most %d lines, got %u", key,
                        WL_LINES_MAX, versions->via.map.size);
    }
    for (uint32_t i = 0; i < versions->via.map.size; i++) {
        const msgpack_object_kv *pair = &versions->via.map.ptr[i];
        char id[WL_LINE_ID_MAX + 1];
        uint64_t version = 0;
        if (wl_value_text(&pair->key, id, WL_LINE_ID_MAX) != WL_OK || !wl_line_id_valid(id)) {
            return wl_fault(fault, WL_ERR_BAD_REQUEST, key,
                            "%s: key %u is not a line id [a-z0-9_-]{1,32}", key, i);
        }
        if (wl_value_u64(&pair->val, &version) != WL_OK || version > WL_VERSION_MAX) {
            return wl_fault(fault, WL_ERR_BAD_REQUEST, key,
                            "%s: the version of \"%s\" is not an integer from 0 to 2^63-1", key,
                            id);
        }
        wl_err_t err = line_known(config, key, id, fault);
        if (err != WL_OK) {
            return err;
        }
        if (version > 0) {
            into->floors_bytes = wl_floors_add(into->floors, into->floors_bytes, id, version);
        }
    }
    return WL_OK;
}

wl_err_t wl_asker_args_read(const msgpack_object *args, wl_asker_args_t *ret, wl_fault_t *fault) {
    ret->scene[0] = ret->app_version[0] = '\0';
    wl_err_t err = wl_args_text(args, "scene", ret->scene, WL_SCENE_MAX, fault);
    if (err != WL_OK && err != WL_ERR_NOT_FOUND) {
        return err;
    }
    err = wl_args_text(args, "app_version", ret->app_version, WL_APP_VERSION_MAX, fault);
    if (err == WL_OK && !wl_app_version_valid(ret->app_version)) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "app_version",
                        "app_version: must be one to four numbers between dots, like 13.4.0");
    }
    return err == WL_ERR_NOT_FOUND ? WL_OK : err;
}

wl_err_t wl_wallet_args_read(const wl_rpc_request_t *request, const wl_config_t *config,
                             wl_wallet_args_t *ret, wl_fault_t *fault) {
    ret->filter_bytes = 0;
    ret->floors_bytes = 0;
    wl_err_t err = wl_args_uid(request->args, "uid", &ret->uid, fault);
    if (err == WL_OK && request->method == WL_METHOD_ASSETS) {
        err = lines_read(request->args, config, ret, fault);
    } else if (err == WL_OK && request->method == WL_METHOD_HOME) {
        err = floors_read(request->args, config, ret, fault);
    } else if (err == WL_OK && request->method == WL_METHOD_BALANCE) {
        err = line_read(request->args, config, ret, fault);
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
