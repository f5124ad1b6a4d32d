#include "proto/decoder.h"

#include "base/alloc.h"
#include "base/check.h"
#include "proto/args.h"
#include "proto/encoder.h"
#include "proto/message_limits.h"
#include "proto/unpacker.h"

#include <string.h>
#include <zmq.h>

struct wl_decoder {
    wl_unpacker_t *unpacker; /* owned; objects, items and lists of the last message live in it */
    zmq_msg_t frame;         /* owned; the bytes of the last message that the channel received */
};

static const wl_walk_limits_t message_limits = {WL_WALK_DEPTH_MAX, WL_MESSAGE_OBJECTS_MAX};

wl_decoder_t *wl_decoder_new(void) {
    wl_decoder_t *self = wl_alloc_zero(1, sizeof *self);
    self->unpacker = wl_unpacker_new();
    (void)zmq_msg_init(&self->frame);
    return self;
}

void wl_decoder_destroy(wl_decoder_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_unpacker_destroy(&(*self)->unpacker);
    (void)zmq_msg_close(&(*self)->frame);
    wl_free(*self);
    *self = NULL;
}

zmq_msg_t *wl_decoder_frame(wl_decoder_t *self) {
    return &self->frame;
}

wl_bytes_t wl_decoder_bytes(wl_decoder_t *self) {
    return (wl_bytes_t){zmq_msg_data(&self->frame), zmq_msg_size(&self->frame)};
}

/* One function per field kind; the names are what DECODE_FIELD puts together. */

static wl_err_t decode_U64(wl_decoder_t *self, const msgpack_object *from, size_t max,
                           uint64_t *ret) {
    (void)self, (void)max;
    return wl_value_u64(from, ret) == WL_OK ? WL_OK : WL_ERR_MALFORMED;
}

static wl_err_t decode_U32(wl_decoder_t *self, const msgpack_object *from, size_t max,
                           uint32_t *ret) {
    uint64_t value = 0;
    if (decode_U64(self, from, max, &value) != WL_OK || value > UINT32_MAX) {
        return WL_ERR_MALFORMED;
    }
    *ret = (uint32_t)value;
    return WL_OK;
}

static wl_err_t decode_U8(wl_decoder_t *self, const msgpack_object *from, size_t max,
                          uint8_t *ret) {
    uint64_t value = 0;
    if (decode_U64(self, from, max, &value) != WL_OK || value > UINT8_MAX) {
        return WL_ERR_MALFORMED;
    }
    *ret = (uint8_t)value;
    return WL_OK;
}

static wl_err_t decode_I64(wl_decoder_t *self, const msgpack_object *from, size_t max,
                           int64_t *ret) {
    (void)self, (void)max;
    return wl_value_i64(from, ret) == WL_OK ? WL_OK : WL_ERR_MALFORMED;
}

static wl_err_t decode_BOOL(wl_decoder_t *self, const msgpack_object *from, size_t max, bool *ret) {
    (void)self, (void)max;
    if (from->type != MSGPACK_OBJECT_BOOLEAN) {
        return WL_ERR_MALFORMED;
    }
    *ret = from->via.boolean;
    return WL_OK;
}

static wl_err_t decode_TEXT(wl_decoder_t *self, const msgpack_object *from, size_t max, char *ret) {
    (void)self;
    return wl_value_text(from, ret, max) == WL_OK ? WL_OK : WL_ERR_MALFORMED;
}

static wl_err_t decode_BYTES(wl_decoder_t *self, const msgpack_object *from, size_t max,
                             wl_bytes_t *ret) {
    (void)self;
    if (from->type != MSGPACK_OBJECT_BIN && from->type != MSGPACK_OBJECT_STR) {
        return WL_ERR_MALFORMED;
    }
    if (from->via.bin.size > max) { /* str and bin share their layout in msgpack-c */
        return WL_ERR_TOO_BIG;
    }
    *ret = (wl_bytes_t){(const uint8_t *)from->via.bin.ptr, from->via.bin.size};
    return WL_OK;
}

/* An array of at most max elements. */
static wl_err_t decode_array(const msgpack_object *from, size_t max, msgpack_object_array *ret) {
    if (from->type != MSGPACK_OBJECT_ARRAY) {
        return WL_ERR_MALFORMED;
    }
    if (from->via.array.size > max) {
        return WL_ERR_TOO_BIG;
    }
    *ret = from->via.array;
    return WL_OK;
}

static wl_err_t decode_U64S(wl_decoder_t *self, const msgpack_object *from, size_t max,
                            wl_u64_list_t *ret) {
    msgpack_object_array array;
    wl_err_t err = decode_array(from, max, &array);
    if (err != WL_OK) {
        return err;
    }
    ret->at = wl_unpacker_alloc(self->unpacker, array.size, sizeof *ret->at);
    ret->count = array.size;
    for (uint32_t i = 0; i < array.size && err == WL_OK; i++) {
        err = decode_U64(self, &array.ptr[i], 0, &ret->at[i]);
    }
    return err;
}

/* Where a field lies in the struct: text is an array already. */
#define PLACE_U8 &
#define PLACE_U32 &
#define PLACE_U64 &
#define PLACE_I64 &
#define PLACE_BOOL &
#define PLACE_TEXT
#define PLACE_BYTES &
#define PLACE_ASSETS &
#define PLACE_HINTS &
#define PLACE_U64S &

/* Takes the next of `fields` into ret->name; a field that is not there stays zero. */
#define DECODE_FIELD(kind, name, max, doc)                                             \
    if (next < fields.size && err == WL_OK) {                                          \
        err = decode_##kind(self, &fields.ptr[next++], (max), PLACE_##kind ret->name); \
    }

static wl_err_t decode_hint(wl_decoder_t *self, msgpack_object_array fields, wl_hint_t *ret) {
    wl_err_t err = WL_OK;
    uint32_t next = 0;
    WL_HINT_FIELDS(DECODE_FIELD)
    return err;
}

static wl_err_t decode_HINTS(wl_decoder_t *self, const msgpack_object *from, size_t max,
                             wl_hint_list_t *ret) {
    msgpack_object_array array;
    wl_err_t err = decode_array(from, max, &array);
    if (err != WL_OK) {
        return err;
    }
    ret->at = wl_unpacker_alloc(self->unpacker, array.size, sizeof *ret->at);
    ret->count = array.size;
    for (uint32_t i = 0; i < array.size && err == WL_OK; i++) {
        if (array.ptr[i].type != MSGPACK_OBJECT_ARRAY) {
            return WL_ERR_MALFORMED;
        }
        err = decode_hint(self, array.ptr[i].via.array, &ret->at[i]);
    }
    return err;
}

/* extra goes into replies as it is, so it must be what it says. */
static wl_err_t decode_extra(wl_decoder_t *self, const msgpack_object *from, wl_asset_t *ret) {
    wl_bytes_t extra = {NULL, 0};
    wl_err_t err = decode_BYTES(self, from, WL_EXTRA_BYTES_MAX, &extra);
    if (err != WL_OK || extra.count == 0) {
        return err;
    }
    if (!wl_extra_valid(extra.at, extra.count)) {
        return WL_ERR_MALFORMED;
    }
    ret->extra = extra.at;
    ret->extra_bytes = (uint16_t)extra.count;
    return WL_OK;
}

static wl_err_t decode_asset(wl_decoder_t *self, const msgpack_object *from, wl_asset_t *ret) {
    if (from->type != MSGPACK_OBJECT_ARRAY || from->via.array.size < WL_ASSET_WIRE_FIELDS) {
        return WL_ERR_MALFORMED;
    }
    msgpack_object_array fields = from->via.array;
    wl_err_t err = WL_OK;
    uint32_t next = 0;
    WL_ASSET_FIELDS(DECODE_FIELD)
    if (err != WL_OK || ret->scale > WL_SCALE_MAX) {
        return WL_ERR_MALFORMED;
    }
    return decode_extra(self, &fields.ptr[next], ret);
}

static wl_err_t decode_ASSETS(wl_decoder_t *self, const msgpack_object *from, size_t max,
                              wl_asset_list_t *ret) {
    msgpack_object_array array;
    wl_err_t err = decode_array(from, max, &array);
    if (err != WL_OK) {
        return err;
    }
    ret->at = wl_unpacker_alloc(self->unpacker, array.size, sizeof *ret->at);
    ret->count = array.size;
    for (uint32_t i = 0; i < array.size && err == WL_OK; i++) {
        err = decode_asset(self, &array.ptr[i], &ret->at[i]);
    }
    return err;
}

/* Messages: head, items and what is around them. */

#define MESSAGE_FUNCTIONS(NAME, name, id, route, doc)                                             \
    static wl_err_t decode_##name##_head(wl_decoder_t *self, msgpack_object_array fields,         \
                                         wl_##name##_head_t *ret) {                               \
        wl_err_t err = WL_OK;                                                                     \
        uint32_t next = 0;                                                                        \
        (void)self, (void)fields, (void)next, (void)ret;                                          \
        WL_HEAD_##NAME(DECODE_FIELD) return err;                                                  \
    }                                                                                             \
    static wl_err_t decode_##name##_item(wl_decoder_t *self, msgpack_object_array fields,         \
                                         wl_##name##_item_t *ret) {                               \
        wl_err_t err = WL_OK;                                                                     \
        uint32_t next = 0;                                                                        \
        (void)self;                                                                               \
        WL_ITEM_##NAME(DECODE_FIELD) return err;                                                  \
    }                                                                                             \
    static wl_err_t decode_##name(wl_decoder_t *self, msgpack_object_array head,                  \
                                  msgpack_object_array items, wl_msg_t *msg) {                    \
        wl_err_t err = decode_##name##_head(self, head, &msg->head.name);                         \
        msg->items.name = wl_unpacker_alloc(self->unpacker, items.size, sizeof *msg->items.name); \
        for (uint32_t i = 0; i < items.size && err == WL_OK; i++) {                               \
            if (items.ptr[i].type != MSGPACK_OBJECT_ARRAY) {                                      \
                return WL_ERR_MALFORMED;                                                          \
            }                                                                                     \
            err = decode_##name##_item(self, items.ptr[i].via.array, &msg->items.name[i]);        \
        }                                                                                         \
        return err;                                                                               \
    }
WL_MESSAGES(MESSAGE_FUNCTIONS)

#define MESSAGE_CASE(NAME, name, id, route, doc) \
    case WL_MSG_##NAME: return decode_##name(self, head, items, msg);

static wl_err_t decode_message(wl_decoder_t *self, uint64_t id, msgpack_object_array head,
                               msgpack_object_array items, wl_msg_t *msg) {
    if (id > UINT8_MAX) { /* no id is larger; the enum below would be cut off silently */
        return WL_ERR_MALFORMED;
    }
    msg->id = (wl_msg_id_t)id;
    msg->count = items.size;
    switch (msg->id) { WL_MESSAGES(MESSAGE_CASE) }
    return WL_ERR_MALFORMED;
}

wl_err_t wl_msg_decode(wl_decoder_t *self, const void *bytes, size_t count, wl_msg_t *ret_msg) {
    if (count > WL_MESSAGE_BYTES_MAX) {
        return WL_ERR_TOO_BIG;
    }
    const msgpack_object *root = NULL;
    wl_err_t err = wl_unpacker_read(self->unpacker, bytes, count, &message_limits, &root);
    if (err != WL_OK) {
        return err;
    }
    if (root->type != MSGPACK_OBJECT_ARRAY || root->via.array.size < 1) {
        return WL_ERR_MALFORMED;
    }
    msgpack_object_array top = root->via.array;
    msgpack_object_array head = {0, NULL};
    msgpack_object_array items = {0, NULL};
    uint64_t id = 0;
    err = decode_U64(self, &top.ptr[0], 0, &id);
    if (err == WL_OK && top.size > 1) {
        err = decode_array(&top.ptr[1], UINT32_MAX, &head);
    }
    if (err == WL_OK && top.size > 2) {
        err = decode_array(&top.ptr[2], WL_BATCH_ITEMS_MAX, &items);
    }
    if (err != WL_OK) {
        return err;
    }
    wl_msg_t msg;
    memset(&msg, 0, sizeof msg);
    err = decode_message(self, id, head, items, &msg);
    if (err == WL_OK) {
        *ret_msg = msg;
    }
    return err;
}

wl_err_t wl_decoder_asset_blob(wl_decoder_t *self, const void *bytes, size_t count,
                               wl_asset_list_t *ret_assets) {
    if (count > WL_MESSAGE_BYTES_MAX) {
        return WL_ERR_TOO_BIG;
    }
    const msgpack_object *root = NULL;
    wl_asset_list_t list = {NULL, 0};
    wl_err_t err = wl_unpacker_read(self->unpacker, bytes, count, &message_limits, &root);
    if (err == WL_OK) {
        err = decode_ASSETS(self, root, WL_ASSET_BLOB_MAX, &list);
    }
    if (err == WL_OK) {
        *ret_assets = list;
    }
    return err;
}
