/* home_pack.h: the MessagePack shapes that home.c is made of: asset, golden slot, total. Shapes are
 * fixed: every key is always there. Pure, any thread; allocates only the growth of `into`. Private
 * to home*.c. */
#ifndef WL_DOMAIN_HOME_PACK_H
#define WL_DOMAIN_HOME_PACK_H

#include "domain/home_view.h"

#include <msgpack.h>
#include <string.h>

/* Short texts and small numbers go out as one write each. */
static inline void wl_pack_u64(msgpack_sbuffer *into, uint64_t number) {
    msgpack_packer packer = {into, msgpack_sbuffer_write};
    (void)msgpack_pack_uint64(&packer, number);
}

static inline void wl_pack_i64(msgpack_sbuffer *into, int64_t number) {
    msgpack_packer packer = {into, msgpack_sbuffer_write};
    (void)msgpack_pack_int64(&packer, number);
}

static inline void wl_pack_nil(msgpack_sbuffer *into) {
    (void)msgpack_sbuffer_write(into, "\xc0", 1);
}

static inline void wl_pack_bool(msgpack_sbuffer *into, bool flag) {
    (void)msgpack_sbuffer_write(into, flag ? "\xc3" : "\xc2", 1);
}

static inline void wl_pack_map(msgpack_sbuffer *into, uint32_t count) {
    msgpack_packer packer = {into, msgpack_sbuffer_write};
    (void)msgpack_pack_map(&packer, count);
}

static inline void wl_pack_array(msgpack_sbuffer *into, uint32_t count) {
    msgpack_packer packer = {into, msgpack_sbuffer_write};
    (void)msgpack_pack_array(&packer, count);
}

static inline void wl_pack_text(msgpack_sbuffer *into, const char *text) {
    msgpack_packer packer = {into, msgpack_sbuffer_write};
    size_t bytes = strlen(text);
    (void)msgpack_pack_str(&packer, bytes);
    (void)msgpack_pack_str_body(&packer, text, bytes);
}

/* How many keys wl_pack_variant() appends. */
static inline uint32_t wl_pack_variant_keys(bool candidate) {
    return candidate ? 1 : 0;
}

/* Head and body of a literal in one write of constant size; at most 31 bytes. */
#define WL_PACK_KEY(into, literal)                                              \
    do {                                                                        \
        static_assert(sizeof(literal) <= 32, "a short text has one head byte"); \
        char key_[sizeof(literal)];                                             \
        key_[0] = (char)(0xa0 | (sizeof(literal) - 1));                         \
        memcpy(key_ + 1, literal, sizeof(literal) - 1);                         \
        (void)msgpack_sbuffer_write((into), key_, sizeof key_);                 \
    } while (0)

/* The key that only answers from a candidate have. */
static inline void wl_pack_variant(msgpack_sbuffer *into, bool candidate) {
    if (candidate) {
        WL_PACK_KEY(into, "variant");
        wl_pack_text(into, "candidate");
    }
}

/* A record; state as judged now. Damaged extra bytes become an empty map. Of one that is not to be
 * known amount and pending are nil, and the key last_good may stand behind them. */
void wl_pack_asset(msgpack_sbuffer *into, const wl_asset_t *asset, wl_state_t state,
                   const wl_home_shown_t *shown);
/* The same map for a line without a record: everything that is not known is nil. */
void wl_pack_nothing(msgpack_sbuffer *into, const wl_line_t *line, const wl_home_shown_t *shown);
/* The same map for a link: title and target in extra. */
void wl_pack_link(msgpack_sbuffer *into, const wl_line_t *line, wl_source_t source);
/* Adds the keys campaign, title and link to such a map: the last one, written from `begin` on. */
void wl_pack_campaign(msgpack_sbuffer *into, size_t begin, const wl_campaign_t *campaign,
                      const wl_line_t *line);

typedef struct {
    uint32_t position; /* 1..4 */
    uint8_t scale;
    bool there;           /* the user has a record: as_of means something */
    bool known;           /* amount and pending are exact, else nil */
    bool last_good;       /* the amount is shown as last_good instead */
    const char *campaign; /* its id, or NULL */
    const char *line;
    const char *title;
    const char *link;
    const char *kind;
    const char *unit;
    int64_t amount;
    int64_t pending;
    int64_t as_of;
    uint64_t count;
    uint64_t version;
    wl_freshness_t freshness;
    wl_source_t source;
} wl_pack_golden_t;
void wl_pack_golden(msgpack_sbuffer *into, const wl_pack_golden_t *slot);

typedef struct {
    const char *unit;
    int64_t amount;
    int64_t pending;
    uint64_t count;
    uint8_t scale;
    bool overflow; /* amount and pending are nil then */
    bool unknown;  /* likewise: a part of the sum is not known */
} wl_pack_total_t;
void wl_pack_total(msgpack_sbuffer *into, const wl_pack_total_t *total);

#endif
