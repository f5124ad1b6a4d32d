#include "proto/notify.h"

#include <inttypes.h>
#include <string.h>

/* Puts "changes/3/" before what was said about one element. Returns err. */
static wl_err_t fault_of_element(wl_fault_t *fault, wl_err_t err, const char *list, uint32_t index,
                                 const wl_fault_t *inner) {
    const char *slash = inner->where[0] == '\0' ? "" : "/";
    char where[sizeof inner->where + 24];
    (void)snprintf(where, sizeof where, "%s/%u%s%s", list, index, slash, inner->where);
    return wl_fault(fault, err, where, "%s/%u%s%s", list, index, slash, inner->message);
}

static wl_err_t fault_required(wl_fault_t *fault, const char *key) {
    return wl_fault(fault, WL_ERR_BAD_REQUEST, key, "%s: is required", key);
}

/* A required list of 1..max elements. */
static wl_err_t read_list(const msgpack_object *args, const char *key, uint32_t max,
                          const msgpack_object_array **ret, wl_fault_t *fault) {
    const msgpack_object *list = NULL;
    wl_err_t err = wl_args_array(args, key, max, &list, fault);
    if (err == WL_ERR_NOT_FOUND) {
        return fault_required(fault, key);
    }
    if (err == WL_OK && list->via.array.size == 0) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, key, "%s: must not be empty", key);
    }
    if (err == WL_OK) {
        *ret = &list->via.array;
    }
    return err;
}

wl_err_t wl_notify_line(const msgpack_object *args, char ret_line[WL_LINE_ID_MAX + 1],
                        wl_fault_t *fault) {
    char line[WL_LINE_ID_MAX + 1] = "";
    wl_err_t err = wl_args_text(args, "line", line, WL_LINE_ID_MAX, fault);
    if (err == WL_ERR_NOT_FOUND) {
        return fault_required(fault, "line");
    }
    if (err == WL_OK && !wl_line_id_valid(line)) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "line", "line: is not of [a-z0-9_-]{1,32}");
    }
    if (err == WL_OK) {
        memcpy(ret_line, line, sizeof line);
    }
    return err;
}

static wl_err_t check_bucket(const char *bucket, wl_fault_t *fault) {
    return !wl_bucket_reserved(bucket)
               ? WL_OK
               : wl_fault(fault, WL_ERR_BAD_REQUEST, "bucket", "bucket: must not begin with \"!\"");
}

static wl_err_t change_read(const msgpack_object *value, wl_change_t *ret, wl_fault_t *fault) {
    if (value->type != MSGPACK_OBJECT_MAP) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "", ": must be a map, got %s",
                        wl_value_type_name(value));
    }
    wl_change_t change;
    memset(&change, 0, sizeof change);
    wl_err_t err = wl_args_uid(value, "uid", &change.uid, fault);
    if (err == WL_OK) {
        err = wl_args_text(value, "bucket", change.bucket, WL_BUCKET_MAX, fault);
    }
    if (err == WL_OK) {
        err = check_bucket(change.bucket, fault);
    }
    if (err == WL_OK || err == WL_ERR_NOT_FOUND) {
        err = wl_args_u64(value, "version", &change.version, fault);
    }
    if (err == WL_OK && change.version > WL_VERSION_MAX) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "version", "version: must be at most %" PRIu64,
                        WL_VERSION_MAX);
    }
    if (err == WL_OK || err == WL_ERR_NOT_FOUND) {
        *ret = change;
        return WL_OK;
    }
    return err;
}

wl_err_t wl_notify_changes(const msgpack_object *args, wl_change_t ret_changes[WL_CHANGES_MAX],
                           size_t *ret_count, wl_fault_t *fault) {
    const msgpack_object_array *list = NULL;
    wl_err_t err = read_list(args, "changes", WL_CHANGES_MAX, &list, fault);
    for (uint32_t i = 0; err == WL_OK && i < list->size; i++) {
        wl_fault_t inner = {.where = ""};
        err = change_read(&list->ptr[i], &ret_changes[i], &inner);
        if (err != WL_OK) {
            return fault_of_element(fault, err, "changes", i, &inner);
        }
    }
    if (err == WL_OK) {
        *ret_count = list->size;
    }
    return err;
}

static wl_err_t asset_read(const msgpack_object *value, const char *line, msgpack_zone *zone,
                           wl_asset_t *ret, wl_fault_t *fault) {
    wl_err_t err = wl_value_asset(value, zone, ret, fault);
    if (err != WL_OK) {
        return err;
    }
    if (ret->uid == 0) {
        return fault_required(fault, "uid");
    }
    err = check_bucket(ret->bucket, fault);
    if (err != WL_OK) {
        return err;
    }
    if (ret->line[0] != '\0' && strcmp(ret->line, line) != 0) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "line", "line: is not that of the request");
    }
    (void)snprintf(ret->line, sizeof ret->line, "%s", line);
    return WL_OK;
}

wl_err_t wl_notify_assets(const msgpack_object *args, const char *line, msgpack_zone *zone,
                          wl_asset_t ret_assets[WL_PAYLOAD_ASSETS_MAX], uint32_t *ret_count,
                          wl_fault_t *fault) {
    const msgpack_object_array *list = NULL;
    wl_err_t err = read_list(args, "assets", WL_PAYLOAD_ASSETS_MAX, &list, fault);
    for (uint32_t i = 0; err == WL_OK && i < list->size; i++) {
        wl_fault_t inner = {.where = ""};
        err = asset_read(&list->ptr[i], line, zone, &ret_assets[i], &inner);
        if (err != WL_OK) {
            return fault_of_element(fault, err, "assets", i, &inner);
        }
    }
    if (err == WL_OK) {
        *ret_count = list->size;
    }
    return err;
}

wl_err_t wl_notify_lines(const msgpack_object *args,
                         char ret_lines[WL_LINES_MAX][WL_LINE_ID_MAX + 1], uint32_t *ret_count,
                         wl_fault_t *fault) {
    const msgpack_object *list = NULL;
    wl_err_t err = wl_args_array(args, "lines", WL_LINES_MAX, &list, fault);
    if (err == WL_ERR_NOT_FOUND) {
        *ret_count = 0;
        return WL_OK;
    }
    if (err == WL_OK && list->via.array.size == 0) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "lines", "lines: must not be empty");
    }
    for (uint32_t i = 0; err == WL_OK && i < list->via.array.size; i++) {
        char line[WL_LINE_ID_MAX + 1] = "";
        if (wl_value_text(&list->via.array.ptr[i], line, WL_LINE_ID_MAX) != WL_OK ||
            !wl_line_id_valid(line)) {
            return wl_fault(fault, WL_ERR_BAD_REQUEST, "lines",
                            "lines/%u: is not of [a-z0-9_-]{1,32}", i);
        }
        memcpy(ret_lines[i], line, sizeof line);
    }
    if (err == WL_OK) {
        *ret_count = list->via.array.size;
    }
    return err;
}
