/* MessagePack answers: the standard contract over ZeroMQ. */
#include "lines/answer_parts.h"
#include "proto/args.h"

#include <string.h>

enum { OBJECTS_FREE = 64 }; /* any answer may have so many, larger ones one per two bytes */

static bool has_key(const msgpack_object *map, const char *key) {
    const msgpack_object *value = NULL;
    return wl_args_find(map, key, &value) == WL_OK;
}

/* What the record leaves out is as the configuration says, not as an empty record would have it. */
static void fill_defaults(const msgpack_object *map, const wl_asset_t *blank, wl_asset_t *asset) {
    if (!has_key(map, "line")) {
        memcpy(asset->line, blank->line, sizeof asset->line);
    }
    if (!has_key(map, "kind")) {
        asset->kind = blank->kind;
    }
    if (!has_key(map, "unit")) {
        memcpy(asset->unit, blank->unit, sizeof asset->unit);
    }
    if (!has_key(map, "scale")) {
        asset->scale = blank->scale;
    }
}

static wl_err_t check_value(const msgpack_object *map, const wl_asset_t *asset, wl_fault_t *fault) {
    bool pieces = asset->kind == WL_KIND_COUPON;
    bool has_value = has_key(map, "amount") || (pieces && has_key(map, "count"));
    if (has_value || asset->state == WL_STATE_GONE) {
        return WL_OK;
    }
    return wl_fault(fault, WL_ERR_BAD_REQUEST, "amount",
                    pieces ? "amount: neither amount nor count is there" : "amount: is missing");
}

static bool key_is(const msgpack_object *key, const char *text) {
    size_t bytes = strlen(text);
    return key->type == MSGPACK_OBJECT_STR && key->via.str.size == bytes &&
           memcmp(key->via.str.ptr, text, bytes) == 0;
}

/* Moves title and badge from beside extra into it. */
static wl_err_t merge_display(const msgpack_object *map, msgpack_zone *zone, wl_asset_t *asset,
                              wl_fault_t *fault) {
    static const char *const beside[] = {"title", "badge"};
    const msgpack_object *values[2] = {NULL, NULL};
    wl_extra_builder_t builder;
    wl_extra_begin(&builder);
    for (size_t i = 0; i < 2; i++) {
        if (wl_args_find(map, beside[i], &values[i]) != WL_OK) {
            continue;
        }
        if (values[i]->type != MSGPACK_OBJECT_STR) {
            return wl_fault(fault, WL_ERR_BAD_REQUEST, beside[i], "%s: must be text", beside[i]);
        }
        wl_extra_text(&builder, beside[i], strlen(beside[i]));
        wl_extra_text(&builder, values[i]->via.str.ptr, values[i]->via.str.size);
        builder.pairs++;
    }
    if (builder.pairs == 0) {
        return WL_OK; /* extra, if any, stays as it is */
    }
    const msgpack_object *extra = NULL;
    bool is_map = wl_args_find(map, "extra", &extra) == WL_OK && extra->type == MSGPACK_OBJECT_MAP;
    for (uint32_t i = 0; is_map && i < extra->via.map.size && !builder.overflow; i++) {
        const msgpack_object_kv *pair = &extra->via.map.ptr[i];
        bool again = (values[0] != NULL && key_is(&pair->key, beside[0])) ||
                     (values[1] != NULL && key_is(&pair->key, beside[1]));
        if (!again) {
            (void)msgpack_pack_object(&builder.packer, pair->key);
            (void)msgpack_pack_object(&builder.packer, pair->val);
            builder.pairs++;
        }
    }
    if (wl_extra_finish(&builder, zone, asset) != WL_OK) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "extra", "extra: more than %d bytes packed",
                        WL_EXTRA_BYTES_MAX);
    }
    return WL_OK;
}

static wl_err_t read_fields(wl_answer_reader_t *self, const msgpack_object *map, wl_asset_t *asset,
                            wl_fault_t *fault) {
    wl_asset_t blank = *asset;
    wl_err_t err = wl_args_uid(map, "uid", &asset->uid, fault);
    if (err != WL_OK) {
        return err;
    }
    wl_asset_t whole;
    err = wl_value_asset(map, &self->zone, &whole, fault);
    if (err != WL_OK) {
        return err;
    }
    fill_defaults(map, &blank, &whole);
    *asset = whole;
    err = check_value(map, asset, fault);
    return err == WL_OK ? merge_display(map, &self->zone, asset, fault) : err;
}

static void read_record(wl_answer_reader_t *self, uint32_t index, const msgpack_object *map) {
    wl_asset_t asset;
    wl_answer_record(self, index, &asset);
    wl_answer_check(self, read_fields(self, map, &asset, wl_answer_fault(self)));
    wl_answer_settle(self, &asset, NULL, map);
}

wl_err_t wl_answer_read_msgpack(wl_answer_reader_t *self, const wl_line_t *line,
                                wl_wall_ms_t pulled_at, const void *bytes, size_t count,
                                wl_answer_t *answer) {
    wl_answer_begin(self, line, pulled_at, answer);
    wl_walk_limits_t limits = {WL_WALK_DEPTH_MAX, OBJECTS_FREE + (uint32_t)(count / 2)};
    const msgpack_object *root = NULL;
    if (count > UINT32_MAX ||
        wl_unpacker_read(self->unpacker, bytes, count, &limits, &root) != WL_OK) {
        return wl_answer_fail(self, answer, WL_ERR_MALFORMED, "not one sound MessagePack object");
    }
    const msgpack_object *list = NULL;
    if (wl_args_find(root, "assets", &list) != WL_OK || list->type != MSGPACK_OBJECT_ARRAY) {
        return wl_answer_fail(self, answer, WL_ERR_MALFORMED, "the answer has no list \"assets\"");
    }
    if (!wl_answer_count_allowed(self, list->via.array.size)) {
        return wl_answer_fail(self, answer, WL_ERR_TOO_BIG, "more records than users can have");
    }
    for (uint32_t i = 0; i < list->via.array.size; i++) {
        read_record(self, i, &list->via.array.ptr[i]);
    }
    wl_answer_finish(self, answer);
    return WL_OK;
}
