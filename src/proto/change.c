#include "proto/change.h"

#include "base/check.h"
#include "proto/args.h"
#include "proto/walk.h"

#include <string.h>

enum {
    CHANGE_FIELDS = 3,
    CHANGE_FIELDS_MAX = 16, /* what a newer program may add */
    ZONE_BYTES = 4096,
};

void wl_changes_pack(msgpack_sbuffer *into, const wl_change_t *changes, size_t count) {
    WL_ASSERT(count <= WL_CHANGES_MAX);
    msgpack_packer packer;
    msgpack_packer_init(&packer, into, msgpack_sbuffer_write);
    msgpack_pack_array(&packer, count);
    for (size_t i = 0; i < count; i++) {
        size_t bytes = strnlen(changes[i].bucket, sizeof changes[i].bucket);
        WL_ASSERT(bytes <= WL_BUCKET_MAX);
        msgpack_pack_array(&packer, CHANGE_FIELDS);
        msgpack_pack_uint64(&packer, changes[i].uid);
        msgpack_pack_str(&packer, bytes);
        msgpack_pack_str_body(&packer, changes[i].bucket, bytes);
        msgpack_pack_uint64(&packer, changes[i].version);
    }
}

/* Fields that are not there are zero, more than we know are skipped. */
static wl_err_t change_read(const msgpack_object *from, wl_change_t *ret) {
    if (from->type != MSGPACK_OBJECT_ARRAY || from->via.array.size < 1) {
        return WL_ERR_MALFORMED;
    }
    const msgpack_object_array *fields = &from->via.array;
    wl_change_t change;
    memset(&change, 0, sizeof change);
    wl_err_t err = wl_value_u64(&fields->ptr[0], &change.uid);
    if (err == WL_OK && fields->size > 1) {
        err = wl_value_text(&fields->ptr[1], change.bucket, WL_BUCKET_MAX);
    }
    if (err == WL_OK && fields->size > 2) {
        err = wl_value_u64(&fields->ptr[2], &change.version);
    }
    if (err != WL_OK) {
        return WL_ERR_MALFORMED;
    }
    *ret = change;
    return WL_OK;
}

static wl_err_t changes_read(const msgpack_object *root, wl_change_t *ret_changes,
                             size_t *ret_count) {
    if (root->type != MSGPACK_OBJECT_ARRAY) {
        return WL_ERR_MALFORMED;
    }
    if (root->via.array.size > WL_CHANGES_MAX) {
        return WL_ERR_TOO_BIG;
    }
    for (uint32_t i = 0; i < root->via.array.size; i++) {
        wl_err_t err = change_read(&root->via.array.ptr[i], &ret_changes[i]);
        if (err != WL_OK) {
            return err;
        }
    }
    *ret_count = root->via.array.size;
    return WL_OK;
}

wl_err_t wl_changes_unpack(const void *bytes, size_t count, wl_change_t ret_changes[WL_CHANGES_MAX],
                           size_t *ret_count) {
    static const wl_walk_limits_t limits = {WL_WALK_DEPTH_MAX,
                                            WL_CHANGES_MAX * (CHANGE_FIELDS_MAX + 1) + 1};
    wl_err_t err = wl_walk(bytes, count, &limits, NULL);
    if (err != WL_OK) {
        return err;
    }
    msgpack_zone zone;
    bool ready = msgpack_zone_init(&zone, ZONE_BYTES);
    WL_ASSERT(ready);
    msgpack_object root;
    size_t used = 0;
    err = WL_ERR_MALFORMED;
    if (msgpack_unpack(bytes, count, &used, &zone, &root) == MSGPACK_UNPACK_SUCCESS) {
        err = changes_read(&root, ret_changes, ret_count);
    }
    msgpack_zone_destroy(&zone);
    return err;
}
