/* encoder.h: builds one message item by item, to be handed to wl_channel_send().
 * An encoder belongs to one thread and owns a buffer that it keeps from message to message. What it
 * is given is our own: a value that does not fit its field is a bug and asserted. */
#ifndef WL_PROTO_ENCODER_H
#define WL_PROTO_ENCODER_H

#include "proto/message_structs.h"

typedef struct wl_encoder wl_encoder_t;

wl_encoder_t *wl_encoder_new(void);
void wl_encoder_destroy(wl_encoder_t **self); /* NULL and *NULL are accepted */

/* Items so far; 0 also means "nothing begun" for messages that carry items. */
uint32_t wl_encoder_count(const wl_encoder_t *self);
/* Bytes so far, 0 when nothing is begun. */
size_t wl_encoder_bytes(const wl_encoder_t *self);
/* True when the message should be sent before another item is added: WL_BATCH_ITEMS_MAX items, or
 * so many bytes or MessagePack objects that one more item of the largest size might be refused by
 * the receiver. As long as it says false, any one item may be added. */
bool wl_encoder_full(const wl_encoder_t *self);
bool wl_encoder_begun(const wl_encoder_t *self);
/* Forgets what was built, keeps the memory. */
void wl_encoder_reset(wl_encoder_t *self);
/* The finished bytes, borrowed until the next call on self. The encoder must have begun; items may
 * still be added afterwards and the message finished again. */
wl_bytes_t wl_encoder_finish(wl_encoder_t *self);

/* wl_read_begin(encoder, &head): starts a message, dropping what was there. head may be NULL for a
 * message without head fields.
 * wl_read_add(encoder, &item): appends one to the message of the same name that was begun; the
 * caller keeps ownership. Never more than WL_BATCH_ITEMS_MAX items and WL_MESSAGE_BYTES_MAX bytes
 * (asserted): ask wl_encoder_full() first when items are large or many. */
#define WL_MSG_ENCODE(NAME, name, id, route, doc)                               \
    void wl_##name##_begin(wl_encoder_t *self, const wl_##name##_head_t *head); \
    void wl_##name##_add(wl_encoder_t *self, const wl_##name##_item_t *item);
WL_MESSAGES(WL_MSG_ENCODE)
#undef WL_MSG_ENCODE

/* Starts the encoder anew with the same message: decode(encode(m)) == m. */
void wl_msg_encode(wl_encoder_t *self, const wl_msg_t *msg);

/* Packs assets for a store: [asset, ...] in the positional form of messages.def, at most
 * WL_ASSET_BLOB_MAX of them. Drops what was being built; the bytes are borrowed until the next
 * call on self. */
enum { WL_ASSET_BLOB_MAX = 1024 };
void wl_encoder_asset_blob(wl_encoder_t *self, const wl_asset_t *assets, uint32_t count,
                           wl_bytes_t *ret_bytes);

#endif
