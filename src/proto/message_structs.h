/* message_structs.h: the C shape of every message that messages.def declares, made from it by
 * macros, and of the values inside. Plain data, any thread. Pointers are borrowed: from the bytes
 * that were decoded and from the decoder. */
#ifndef WL_PROTO_MESSAGE_STRUCTS_H
#define WL_PROTO_MESSAGE_STRUCTS_H

#include "base/asset.h"
#include "proto/messages.def"

typedef struct {
    const uint8_t *at; /* borrowed, may be NULL when count is 0 */
    size_t count;      /* bytes */
} wl_bytes_t;

typedef struct {
    char bucket[WL_BUCKET_MAX + 1]; /* which sub-account */
    uint64_t version;               /* 0 = not said */
} wl_hint_t;

typedef struct {
    wl_asset_t *at; /* borrowed, NULL when count is 0 */
    uint32_t count; /* elements */
} wl_asset_list_t;

typedef struct {
    wl_hint_t *at;  /* borrowed, NULL when count is 0 */
    uint32_t count; /* elements */
} wl_hint_list_t;

typedef struct {
    uint64_t *at;   /* borrowed, NULL when count is 0 */
    uint32_t count; /* elements */
} wl_u64_list_t;

/* How a pull of one (uid, line) ended. */
typedef enum {
    WL_PULL_OK = 0,       /* stored, nothing left to do */
    WL_PULL_RETRY = 1,    /* the line failed or was behind: try again later */
    WL_PULL_REFUSED = 2,  /* the line's answer broke a sanity rule: last good stays */
    WL_PULL_PERMANENT = 3 /* will not get better by itself: dead letter */
} wl_pull_outcome_t;

/* What a LIVE asks for. */
typedef enum {
    WL_LIVE_ASSETS = 0,  /* the user's assets now, as a pull */
    WL_LIVE_DETAILS = 1, /* a page of what happened to them */
    WL_LIVE_SUMMARY = 2, /* sums of a month, or of all */
    WL_LIVE_CONSENT = 3  /* not the line: the user's consent is written down */
} wl_live_what_t;

/* In the head of a STORED or NOTICE that came from another process: nobody here waits for DONE. */
#define WL_DISPATCHER_NONE UINT32_MAX

typedef enum {
#define WL_MSG_ENUM(NAME, name, id, route, doc) WL_MSG_##NAME = id,
    WL_MESSAGES(WL_MSG_ENUM)
#undef WL_MSG_ENUM
} wl_msg_id_t;

#define WL_FIELD_U8(name, max) uint8_t name;
#define WL_FIELD_U32(name, max) uint32_t name;
#define WL_FIELD_U64(name, max) uint64_t name;
#define WL_FIELD_I64(name, max) int64_t name;
#define WL_FIELD_BOOL(name, max) bool name;
#define WL_FIELD_TEXT(name, max) char name[(max) + 1];
#define WL_FIELD_BYTES(name, max) wl_bytes_t name;
#define WL_FIELD_ASSETS(name, max) wl_asset_list_t name;
#define WL_FIELD_HINTS(name, max) wl_hint_list_t name;
#define WL_FIELD_U64S(name, max) wl_u64_list_t name;
#define WL_FIELD(kind, name, max, doc) WL_FIELD_##kind(name, max)

/* wl_read_head_t, wl_read_item_t, ... ; a head without fields keeps one unused byte. */
#define WL_MSG_STRUCTS(NAME, name, id, route, doc) \
    typedef struct {                               \
        WL_HEAD_##NAME(WL_FIELD) uint8_t unused;   \
    } wl_##name##_head_t;                          \
    typedef struct {                               \
        WL_ITEM_##NAME(WL_FIELD)                   \
    } wl_##name##_item_t;
WL_MESSAGES(WL_MSG_STRUCTS)
#undef WL_MSG_STRUCTS

/* A decoded message. Everything it points to lives until the decoder's next use. */
typedef struct {
    wl_msg_id_t id; /* says which member of the unions is meant */
    uint32_t count; /* items */
    union {
#define WL_MSG_HEADS(NAME, name, id, route, doc) wl_##name##_head_t name;
        WL_MESSAGES(WL_MSG_HEADS)
#undef WL_MSG_HEADS
    } head;
    union {
        void *any; /* NULL when count is 0 */
#define WL_MSG_ITEMS(NAME, name, id, route, doc) wl_##name##_item_t *name;
        WL_MESSAGES(WL_MSG_ITEMS)
#undef WL_MSG_ITEMS
    } items;
} wl_msg_t;

#endif
