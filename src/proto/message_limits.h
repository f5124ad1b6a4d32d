/* message_limits.h: how large a message between actors may get, with the proof that an encoder that
 * is not full can always take one more item, and that what it makes is accepted by a decoder.
 * For encoder.c, decoder.c and document.c. */
#ifndef WL_PROTO_MESSAGE_LIMITS_H
#define WL_PROTO_MESSAGE_LIMITS_H

#include "proto/message_structs.h"

enum {
    WL_MESSAGE_OBJECTS_MAX = 300000,  /* MessagePack objects of one message, 24 bytes each */
    WL_MESSAGE_BYTES_FULL = 983040,   /* the encoder calls itself full from here */
    WL_MESSAGE_OBJECTS_FULL = 250000, /* or from here */
    WL_ASSET_WIRE_FIELDS = 15,        /* WL_ASSET_FIELDS and extra */
    WL_ASSET_WIRE_BYTES = 704,        /* upper bound of one packed asset */
    WL_HINT_WIRE_BYTES = 48,          /* upper bound of one packed hint */
};

/* Upper bounds of one packed field, and of the objects in it. */
#define WL_BYTES_OF_U8(max) 2
#define WL_BYTES_OF_U32(max) 5
#define WL_BYTES_OF_U64(max) 9
#define WL_BYTES_OF_I64(max) 9
#define WL_BYTES_OF_BOOL(max) 1
#define WL_BYTES_OF_TEXT(max) ((max) + 5)
#define WL_BYTES_OF_BYTES(max) ((max) + 5)
#define WL_BYTES_OF_ASSETS(max) ((max)*WL_ASSET_WIRE_BYTES + 5)
#define WL_BYTES_OF_HINTS(max) ((max)*WL_HINT_WIRE_BYTES + 5)
#define WL_BYTES_OF_U64S(max) ((max)*9 + 5)
#define WL_BYTES_OF(kind, name, max, doc) +WL_BYTES_OF_##kind(max)

#define WL_OBJECTS_OF_U8(max) 1
#define WL_OBJECTS_OF_U32(max) 1
#define WL_OBJECTS_OF_U64(max) 1
#define WL_OBJECTS_OF_I64(max) 1
#define WL_OBJECTS_OF_BOOL(max) 1
#define WL_OBJECTS_OF_TEXT(max) 1
#define WL_OBJECTS_OF_BYTES(max) 1
#define WL_OBJECTS_OF_ASSETS(max) (1 + (max) * (WL_ASSET_WIRE_FIELDS + 1))
#define WL_OBJECTS_OF_HINTS(max) (1 + (max)*3)
#define WL_OBJECTS_OF_U64S(max) (1 + (max))
#define WL_OBJECTS_OF(kind, name, max, doc) +WL_OBJECTS_OF_##kind(max)

#define WL_FIELD_ONE(kind, name, max, doc) +1
#define WL_ASSET_FIELD_COUNT (0 WL_ASSET_FIELDS(WL_FIELD_ONE))
#define WL_HINT_FIELD_COUNT (0 WL_HINT_FIELDS(WL_FIELD_ONE))

static_assert(WL_ASSET_WIRE_FIELDS == WL_ASSET_FIELD_COUNT + 1, "extra is the last one");
static_assert(5 WL_ASSET_FIELDS(WL_BYTES_OF) + WL_EXTRA_BYTES_MAX + 5 <= WL_ASSET_WIRE_BYTES,
              "an asset fits its bound");
static_assert(5 WL_HINT_FIELDS(WL_BYTES_OF) <= WL_HINT_WIRE_BYTES, "a hint fits its bound");

#define WL_MSG_FITS(NAME, name, id, route, doc)                                                  \
    static_assert(WL_MESSAGE_BYTES_FULL + 5 WL_ITEM_##NAME(WL_BYTES_OF) <= WL_MESSAGE_BYTES_MAX, \
                  "one more item of " #name " fits the bytes");                                  \
    static_assert(WL_MESSAGE_OBJECTS_FULL + 1 WL_ITEM_##NAME(WL_OBJECTS_OF) <=                   \
                      WL_MESSAGE_OBJECTS_MAX,                                                    \
                  "one more item of " #name " fits the objects");
WL_MESSAGES(WL_MSG_FITS)
#undef WL_MSG_FITS

#endif
