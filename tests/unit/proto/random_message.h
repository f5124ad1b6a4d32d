/* random_message.h: messages of every id with random content, made from messages.def like the codec
 * itself. One test program at a time: the memory is static. */
#ifndef WL_TESTS_RANDOM_MESSAGE_H
#define WL_TESTS_RANDOM_MESSAGE_H

#include "base/alloc.h"
#include "proto/messages.h"
#include "proto_random.h"

#include <criterion/criterion.h>

static rng_t rng;

/* Memory of one random message; freed as a whole. */
static void *blocks[4096];
static unsigned block_count;

static inline void *keep(size_t bytes) {
    void *at = wl_alloc_zero(1, bytes);
    cr_assert_lt(block_count, WL_COUNT_OF(blocks));
    blocks[block_count++] = at;
    return at;
}

static inline void drop_all(void) {
    while (block_count > 0) {
        wl_free(blocks[--block_count]);
    }
}

/* Mostly small, sometimes the bound. */
static inline uint32_t some(uint32_t max) {
    uint32_t pick = rng_below(&rng, 40);
    return pick == 0 ? max : rng_below(&rng, max < 6 ? max + 1 : 6);
}

static inline void fill_U8(uint8_t *at, uint32_t max) {
    (void)max;
    *at = (uint8_t)rng_u64(&rng);
}

static inline void fill_U32(uint32_t *at, uint32_t max) {
    (void)max;
    *at = (uint32_t)rng_wide(&rng);
}

static inline void fill_U64(uint64_t *at, uint32_t max) {
    (void)max;
    *at = rng_wide(&rng);
}

static inline void fill_I64(int64_t *at, uint32_t max) {
    (void)max;
    *at = (int64_t)rng_wide(&rng);
}

static inline void fill_BOOL(bool *at, uint32_t max) {
    (void)max;
    *at = rng_below(&rng, 2) == 1;
}

static inline void fill_TEXT(char *at, uint32_t max) {
    uint32_t bytes = some(max);
    for (uint32_t i = 0; i < bytes; i++) {
        at[i] = (char)(1 + rng_below(&rng, 255));
    }
    at[bytes] = '\0';
}

static inline void fill_BYTES(wl_bytes_t *at, uint32_t max) {
    uint32_t bytes = some(max < 5000 ? max : 5000);
    uint8_t *copy = bytes == 0 ? NULL : keep(bytes);
    for (uint32_t i = 0; i < bytes; i++) {
        copy[i] = (uint8_t)rng_u64(&rng);
    }
    *at = (wl_bytes_t){copy, bytes};
}

static inline void fill_U64S(wl_u64_list_t *at, uint32_t max) {
    at->count = some(max);
    at->at = at->count == 0 ? NULL : keep(at->count * sizeof *at->at);
    for (uint32_t i = 0; i < at->count; i++) {
        fill_U64(&at->at[i], 0);
    }
}

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
#define FILL(kind, name, max, doc) fill_##kind(PLACE_##kind to->name, (max));

static inline void fill_HINTS(wl_hint_list_t *at, uint32_t max) {
    at->count = some(max);
    at->at = at->count == 0 ? NULL : keep(at->count * sizeof *at->at);
    for (uint32_t i = 0; i < at->count; i++) {
        wl_hint_t *to = &at->at[i];
        WL_HINT_FIELDS(FILL)
    }
}

static inline void fill_asset(wl_asset_t *to) {
    memset(to, 0, sizeof *to);
    WL_ASSET_FIELDS(FILL)
    to->scale = (uint8_t)rng_below(&rng, WL_SCALE_MAX + 1);
    if (rng_below(&rng, 2) == 0) {
        static const uint8_t title[] = {0x81, 0xa5, 't', 'i', 't', 'l', 'e', 0xa2, 'h', 'i'};
        to->extra = title;
        to->extra_bytes = sizeof title;
    }
}

static inline void fill_ASSETS(wl_asset_list_t *at, uint32_t max) {
    at->count = some(max < 300 ? max : 300);
    at->at = at->count == 0 ? NULL : keep(at->count * sizeof *at->at);
    for (uint32_t i = 0; i < at->count; i++) {
        fill_asset(&at->at[i]);
    }
}

#define FILL_MESSAGE(NAME, name, id_, route, doc)                           \
    static void fill_##name(wl_msg_t *msg) {                                \
        wl_##name##_head_t *head = &msg->head.name;                         \
        {                                                                   \
            wl_##name##_head_t *to = head;                                  \
            (void)to;                                                       \
            WL_HEAD_##NAME(FILL)                                            \
        }                                                                   \
        msg->items.name = keep((msg->count + 1) * sizeof *msg->items.name); \
        for (uint32_t i = 0; i < msg->count; i++) {                         \
            wl_##name##_item_t *to = &msg->items.name[i];                   \
            WL_ITEM_##NAME(FILL)                                            \
        }                                                                   \
    }
WL_MESSAGES(FILL_MESSAGE)

#define FILL_CASE(NAME, name, id_, route, doc) \
    case WL_MSG_##NAME: fill_##name(msg); break;

static inline void fill_message(wl_msg_t *msg, wl_msg_id_t id, uint32_t count) {
    memset(msg, 0, sizeof *msg);
    msg->id = id;
    msg->count = count;
    switch (id) { WL_MESSAGES(FILL_CASE) }
}

static const wl_msg_id_t ids[] = {
#define ID(NAME, name, id_, route, doc) WL_MSG_##NAME,
    WL_MESSAGES(ID)
#undef ID
};

static inline bool same(const wl_msg_t *a, const wl_msg_t *b) {
    bool equal = wl_msg_equal(a, b);
    if (!equal) {
        wl_msg_print(a, stderr);
        wl_msg_print(b, stderr);
    }
    return equal;
}

#endif
