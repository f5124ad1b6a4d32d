#include "proto/encoder.h"

#include "base/alloc.h"
#include "base/check.h"
#include "proto/message_limits.h"

#include <msgpack.h>
#include <string.h>

enum { BUFFER_BYTES_MIN = 4096 };

struct wl_encoder {
    msgpack_packer packer; /* writes into the buffer below */
    uint8_t *at;           /* owned, kept from message to message */
    size_t used;           /* bytes written */
    size_t room;           /* bytes allocated */
    size_t count_at;       /* where the four bytes of the item count are */
    uint32_t count;        /* items */
    uint32_t objects;      /* MessagePack objects, as the receiver's walk will count them */
    wl_msg_id_t id;        /* of the message that was begun */
    bool begun;
};

static int encoder_write(void *data, const char *bytes, size_t count) {
    wl_encoder_t *self = data;
    if (count > self->room - self->used) {
        size_t room = self->room;
        while (room - self->used < count) {
            room *= 2;
        }
        self->at = wl_realloc(self->at, room);
        self->room = room;
    }
    if (count > 0) {
        memcpy(self->at + self->used, bytes, count);
        self->used += count;
    }
    return 0;
}

wl_encoder_t *wl_encoder_new(void) {
    wl_encoder_t *self = wl_alloc_zero(1, sizeof *self);
    self->room = BUFFER_BYTES_MIN;
    self->at = wl_alloc(self->room);
    msgpack_packer_init(&self->packer, self, encoder_write);
    return self;
}

void wl_encoder_destroy(wl_encoder_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_free((*self)->at);
    wl_free(*self);
    *self = NULL;
}

uint32_t wl_encoder_count(const wl_encoder_t *self) {
    return self->count;
}

size_t wl_encoder_bytes(const wl_encoder_t *self) {
    return self->begun ? self->used : 0;
}

bool wl_encoder_full(const wl_encoder_t *self) {
    return self->count >= WL_BATCH_ITEMS_MAX || self->used >= WL_MESSAGE_BYTES_FULL ||
           self->objects >= WL_MESSAGE_OBJECTS_FULL;
}

bool wl_encoder_begun(const wl_encoder_t *self) {
    return self->begun;
}

void wl_encoder_reset(wl_encoder_t *self) {
    self->used = 0;
    self->count = 0;
    self->objects = 0;
    self->begun = false;
}

wl_bytes_t wl_encoder_finish(wl_encoder_t *self) {
    WL_ASSERT(self->begun);
    for (unsigned i = 0; i < 4; i++) {
        self->at[self->count_at + i] = (uint8_t)(self->count >> (24 - 8 * i));
    }
    return (wl_bytes_t){self->at, self->used};
}

/* One function per field kind; the names are what ENCODE_FIELD puts together. */

static void encode_U64(wl_encoder_t *self, uint64_t value, size_t max) {
    (void)max;
    self->objects++;
    msgpack_pack_uint64(&self->packer, value);
}

static void encode_U8(wl_encoder_t *self, uint8_t value, size_t max) {
    encode_U64(self, value, max);
}

static void encode_U32(wl_encoder_t *self, uint32_t value, size_t max) {
    encode_U64(self, value, max);
}

static void encode_I64(wl_encoder_t *self, int64_t value, size_t max) {
    (void)max;
    self->objects++;
    msgpack_pack_int64(&self->packer, value);
}

static void encode_BOOL(wl_encoder_t *self, bool value, size_t max) {
    (void)max;
    self->objects++;
    if (value) {
        msgpack_pack_true(&self->packer);
    } else {
        msgpack_pack_false(&self->packer);
    }
}

static void encode_TEXT(wl_encoder_t *self, const char *value, size_t max) {
    size_t bytes = strnlen(value, max + 1);
    WL_ASSERT(bytes <= max);
    self->objects++;
    msgpack_pack_str(&self->packer, bytes);
    msgpack_pack_str_body(&self->packer, value, bytes);
}

static void encode_BYTES(wl_encoder_t *self, wl_bytes_t value, size_t max) {
    WL_ASSERT(value.count <= max);
    self->objects++;
    msgpack_pack_bin(&self->packer, value.count);
    msgpack_pack_bin_body(&self->packer, value.at, value.count);
}

/* An array head; its elements count themselves. */
static void encode_array(wl_encoder_t *self, size_t count) {
    self->objects++;
    msgpack_pack_array(&self->packer, count);
}

static void encode_U64S(wl_encoder_t *self, wl_u64_list_t value, size_t max) {
    WL_ASSERT(value.count <= max);
    encode_array(self, value.count);
    for (uint32_t i = 0; i < value.count; i++) {
        encode_U64(self, value.at[i], 0);
    }
}

#define ENCODE_FIELD(kind, name, max, doc) encode_##kind(self, from->name, (max));

static void encode_HINTS(wl_encoder_t *self, wl_hint_list_t value, size_t max) {
    WL_ASSERT(value.count <= max);
    encode_array(self, value.count);
    for (uint32_t i = 0; i < value.count; i++) {
        const wl_hint_t *from = &value.at[i];
        encode_array(self, WL_HINT_FIELD_COUNT);
        WL_HINT_FIELDS(ENCODE_FIELD)
    }
}

static void encode_ASSETS(wl_encoder_t *self, wl_asset_list_t value, size_t max) {
    WL_ASSERT(value.count <= max);
    encode_array(self, value.count);
    for (uint32_t i = 0; i < value.count; i++) {
        const wl_asset_t *from = &value.at[i];
        encode_array(self, WL_ASSET_WIRE_FIELDS);
        WL_ASSET_FIELDS(ENCODE_FIELD)
        encode_BYTES(self, (wl_bytes_t){from->extra, from->extra_bytes}, WL_EXTRA_BYTES_MAX);
    }
}

/* Messages: head, items and what is around them. */

/* [id, head, and the head's fields follow. */
static void message_begin(wl_encoder_t *self, wl_msg_id_t id, size_t head_fields) {
    wl_encoder_reset(self);
    self->id = id;
    self->begun = true;
    encode_array(self, 3);
    encode_U64(self, id, 0);
    encode_array(self, head_fields);
}

/* The head of the item array in its widest form, so that the count can be written at the end. */
static void message_open_items(wl_encoder_t *self) {
    static const char array32[5] = {(char)0xdd, 0, 0, 0, 0};
    self->objects++;
    self->count_at = self->used + 1;
    (void)encoder_write(self, array32, sizeof array32);
}

static void message_item(wl_encoder_t *self, wl_msg_id_t id, size_t item_fields) {
    WL_ASSERT(self->begun && self->id == id);
    WL_ASSERT(self->count < WL_BATCH_ITEMS_MAX);
    self->count++;
    encode_array(self, item_fields);
}

#define MESSAGE_FUNCTIONS(NAME, name, id, route, doc)                               \
    void wl_##name##_begin(wl_encoder_t *self, const wl_##name##_head_t *from) {    \
        enum { HEAD_FIELDS = 0 WL_HEAD_##NAME(WL_FIELD_ONE) };                      \
        WL_ASSERT(from != NULL || HEAD_FIELDS == 0);                                \
        message_begin(self, WL_MSG_##NAME, HEAD_FIELDS);                            \
        WL_HEAD_##NAME(ENCODE_FIELD) message_open_items(self);                      \
    }                                                                               \
    void wl_##name##_add(wl_encoder_t *self, const wl_##name##_item_t *from) {      \
        message_item(self, WL_MSG_##NAME, 0 WL_ITEM_##NAME(WL_FIELD_ONE));          \
        WL_ITEM_##NAME(ENCODE_FIELD) WL_ASSERT(self->used <= WL_MESSAGE_BYTES_MAX); \
    }
WL_MESSAGES(MESSAGE_FUNCTIONS)

#define MESSAGE_CASE(NAME, name, id, route, doc)        \
    case WL_MSG_##NAME:                                 \
        wl_##name##_begin(self, &msg->head.name);       \
        for (uint32_t i = 0; i < msg->count; i++) {     \
            wl_##name##_add(self, &msg->items.name[i]); \
        }                                               \
        break;

void wl_msg_encode(wl_encoder_t *self, const wl_msg_t *msg) {
    WL_ASSERT(msg->count <= WL_BATCH_ITEMS_MAX);
    switch (msg->id) { WL_MESSAGES(MESSAGE_CASE) }
}

void wl_encoder_asset_blob(wl_encoder_t *self, const wl_asset_t *assets, uint32_t count,
                           wl_bytes_t *ret_bytes) {
    wl_encoder_reset(self);
    wl_asset_list_t list = {NULL, count};
    memcpy(&list.at, &assets, sizeof list.at); /* only read: the list type serves both ways */
    encode_ASSETS(self, list, WL_ASSET_BLOB_MAX);
    *ret_bytes = (wl_bytes_t){self->at, self->used};
    self->used = 0;
    self->objects = 0;
}
