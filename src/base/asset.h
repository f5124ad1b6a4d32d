/* asset.h: the record that all layers speak: what one (uid, line, bucket) holds now (design
 * section 3). Plain data, any thread; rules about it live in domain/asset_rules.h. */
#ifndef WL_BASE_ASSET_H
#define WL_BASE_ASSET_H

#include "base/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* name on the wire and in the configuration, doc */
#define WL_KINDS(K)                                                 \
    K(CASH, "cash", "money that can be spent or withdrawn")         \
    K(ACTIVITY, "activity", "a withdrawable reward of an activity") \
    K(CASHBACK, "cashback", "money returned on purchases")          \
    K(COUPON, "coupon", "pieces, each worth something somewhere")   \
    K(COIN, "coin", "virtual coins of a line")                      \
    K(LINK, "link", "no value, only a way to the line's own page")

#define WL_STATES(S)                                     \
    S(AVAILABLE, "available", "can be used now")         \
    S(FROZEN, "frozen", "owned, but cannot be used now") \
    S(EXPIRED, "expired", "was owned until expires_at")  \
    S(GONE, "gone", "a tombstone: deleted at this version")

typedef enum {
#define WL_KIND_ENUM(name, text, doc) WL_KIND_##name,
    WL_KINDS(WL_KIND_ENUM)
#undef WL_KIND_ENUM
        WL_KIND_COUNT
} wl_kind_t;

typedef enum {
#define WL_STATE_ENUM(name, text, doc) WL_STATE_##name,
    WL_STATES(WL_STATE_ENUM)
#undef WL_STATE_ENUM
        WL_STATE_COUNT
} wl_state_t;

const char *wl_kind_name(wl_kind_t kind);             /* "?" when out of range */
bool wl_kind_parse(const char *text, wl_kind_t *ret); /* false: unknown, *ret untouched */
const char *wl_state_name(wl_state_t state);
bool wl_state_parse(const char *text, wl_state_t *ret);

typedef struct {
    uint64_t uid;
    uint64_t version;               /* only grows per (uid, line, bucket); 0 = none given */
    int64_t amount;                 /* minor units */
    int64_t pending;                /* owed but not yet available, same unit */
    int64_t expires_at;             /* wall ms, 0 = never */
    int64_t changed_at;             /* wall ms, the line's clock: display only */
    int64_t pulled_at;              /* wall ms, our clock, when the pull started */
    uint32_t count;                 /* pieces */
    uint8_t kind;                   /* wl_kind_t */
    uint8_t state;                  /* wl_state_t */
    uint8_t scale;                  /* 0..9: amount / 10^scale units */
    uint16_t extra_bytes;           /* 0..WL_EXTRA_BYTES_MAX */
    char line[WL_LINE_ID_MAX + 1];  /* [a-z0-9_-]{1,32} */
    char bucket[WL_BUCKET_MAX + 1]; /* "" = the line's only one */
    char unit[WL_UNIT_MAX + 1];     /* "CNY", "bean" */
    const uint8_t *extra;           /* borrowed msgpack map, NULL when extra_bytes is 0 */
} wl_asset_t;

/* A user's consent to a line is a record of that line in this bucket, which no line can name:
 * state available = given until expires_at, gone = withdrawn; version and changed_at say when. It
 * travels and is guarded like any other record, and is never shown as one. */
#define WL_BUCKET_CONSENT "!consent"
bool wl_asset_is_consent(const wl_asset_t *asset);
/* Names that begin with "!" are walletd's own: lines that use one are refused. */
bool wl_bucket_reserved(const char *bucket);

/* [a-z0-9_-]{1,32}, NUL-terminated */
bool wl_line_id_valid(const char *text);

#endif
