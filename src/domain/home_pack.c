#include "domain/home_pack.h"

#include "base/alloc.h"
#include "base/check.h"
#include "domain/asset_rules.h"

#include <endian.h>

/* These maps are most of what a reader costs, so they are not written through msgpack_packer: its
 * call, bound check and copy per object took two thirds of the time of a home page. Each map
 * reserves its largest size once and then runs a plain pen over the bytes (msgpack.org, spec.md);
 * tests read everything back with msgpack-c. */
enum {
    ASSET_KEYS = 16,
    GOLDEN_KEYS = 14,
    KEYS_BYTES_MAX = 192,   /* head and all keys of one map */
    NUMBERS_BYTES_MAX = 80, /* eight numbers of nine bytes and some nils */
    NAMES_BYTES_MAX = 64,   /* kind, state, source, freshness */
    WORD_MAX = 15,          /* bytes of one of them */
    ASSET_BYTES_MAX = KEYS_BYTES_MAX + NUMBERS_BYTES_MAX + NAMES_BYTES_MAX + WL_EXTRA_BYTES_MAX +
                      (WL_LINE_ID_MAX + 2) + (WL_BUCKET_MAX + 2) + (WL_UNIT_MAX + 2),
    HOLLOW_BYTES_MAX = ASSET_BYTES_MAX + (WL_TITLE_MAX + 2) + (WL_URL_MAX + 3) + 16,
    GOLDEN_BYTES_MAX = KEYS_BYTES_MAX + NUMBERS_BYTES_MAX + NAMES_BYTES_MAX + (WL_LINE_ID_MAX + 2) +
                       (WL_TITLE_MAX + 2) + (WL_LINK_MAX + 3) + (WL_UNIT_MAX + 2) +
                       (WL_LINE_ID_MAX + 2),
    CAMPAIGN_KEYS = 3,
    CAMPAIGN_BYTES_MAX =
        KEYS_BYTES_MAX + (WL_LINE_ID_MAX + 2) + (WL_TITLE_MAX + 2) + (WL_URL_MAX + 3),
    TOTAL_BYTES_MAX = KEYS_BYTES_MAX + NUMBERS_BYTES_MAX + (WL_UNIT_MAX + 2),
    BUFFER_BYTES_MIN = 8192, /* as msgpack_sbuffer starts */
};

/* the pen */

/* Room for `bytes` more; returns where they go. */
static uint8_t *pen_open(msgpack_sbuffer *into, size_t bytes) {
    if (into->alloc - into->size < bytes) {
        size_t wanted = into->alloc == 0 ? BUFFER_BYTES_MIN : into->alloc;
        while (wanted - into->size < bytes) {
            wanted *= 2;
        }
        into->data = wl_realloc(into->data, wanted);
        into->alloc = wanted;
    }
    return (uint8_t *)into->data + into->size;
}

static void pen_close(msgpack_sbuffer *into, const uint8_t *pen) {
    into->size = (size_t)(pen - (uint8_t *)into->data);
    WL_ASSERT(into->size <= into->alloc);
}

static inline uint8_t *pen_byte(uint8_t *pen, unsigned byte) {
    *pen = (uint8_t)byte;
    return pen + 1;
}

/* Head and number in network order. */
static inline uint8_t *pen_wide(uint8_t *pen, unsigned head, uint64_t number, unsigned width) {
    uint64_t big = htobe64(number << (64 - 8 * width));
    pen[0] = (uint8_t)head;
    memcpy(pen + 1, &big, sizeof big); /* the reserve covers the bytes behind a narrow number */
    return pen + 1 + width;
}

static inline uint8_t *pen_u64(uint8_t *pen, uint64_t number) {
    if (number < 0x80) {
        return pen_byte(pen, (unsigned)number);
    }
    if (number <= UINT8_MAX) {
        return pen_wide(pen, 0xcc, number, 1);
    }
    if (number <= UINT16_MAX) {
        return pen_wide(pen, 0xcd, number, 2);
    }
    return number <= UINT32_MAX ? pen_wide(pen, 0xce, number, 4) : pen_wide(pen, 0xcf, number, 8);
}

static inline uint8_t *pen_i64(uint8_t *pen, int64_t number) {
    if (number >= 0) {
        return pen_u64(pen, (uint64_t)number);
    }
    if (number >= -32) {
        return pen_byte(pen, (unsigned)(uint8_t)number);
    }
    if (number >= INT8_MIN) {
        return pen_wide(pen, 0xd0, (uint64_t)number, 1);
    }
    if (number >= INT16_MIN) {
        return pen_wide(pen, 0xd1, (uint64_t)number, 2);
    }
    return number >= INT32_MIN ? pen_wide(pen, 0xd2, (uint64_t)number, 4)
                               : pen_wide(pen, 0xd3, (uint64_t)number, 8);
}

static inline uint8_t *pen_nil(uint8_t *pen) {
    return pen_byte(pen, 0xc0);
}

static inline uint8_t *pen_map(uint8_t *pen, unsigned count) {
    return count < 16 ? pen_byte(pen, 0x80 | count) : pen_wide(pen, 0xde, count, 2);
}

/* bytes < 65536 */
static inline uint8_t *pen_bytes(uint8_t *pen, const char *text, size_t bytes) {
    if (bytes < 32) {
        *pen++ = (uint8_t)(0xa0 | bytes);
    } else if (bytes <= UINT8_MAX) {
        pen = pen_wide(pen, 0xd9, bytes, 1);
    } else {
        pen = pen_wide(pen, 0xda, bytes, 2);
    }
    memcpy(pen, text, bytes);
    return pen + bytes;
}

/* A text of a fixed field: never read past it, NUL or not. */
static inline uint8_t *pen_text(uint8_t *pen, const char *text, size_t max) {
    return pen_bytes(pen, text, strnlen(text, max));
}

/* A literal: copied with constant size. */
#define PEN_KEY(pen, literal) pen_bytes((pen), (literal), sizeof(literal) - 1)

static uint8_t *pen_amount(uint8_t *pen, bool known, int64_t amount) {
    return known ? pen_i64(pen, amount) : pen_nil(pen);
}

static uint8_t *pen_source(uint8_t *pen, wl_source_t source) {
    static const char *const names[] = {"cache", "db", "line", "last_good"};
    WL_ASSERT((unsigned)source <= WL_SOURCE_LAST_GOOD);
    pen = PEN_KEY(pen, "source");
    return pen_text(pen, names[source], WORD_MAX);
}

static uint8_t *pen_freshness(uint8_t *pen, wl_freshness_t freshness) {
    static const char *const names[WL_FRESHNESS_COUNT] = {
#define PACK_FRESHNESS_NAME(name, text, doc) text,
        WL_FRESHNESS(PACK_FRESHNESS_NAME)
#undef PACK_FRESHNESS_NAME
    };
    WL_ASSERT((unsigned)freshness < WL_FRESHNESS_COUNT);
    pen = PEN_KEY(pen, "freshness");
    return pen_text(pen, names[freshness], WORD_MAX);
}

/* the maps */

void wl_pack_asset(msgpack_sbuffer *into, const wl_asset_t *asset, wl_state_t state,
                   const wl_home_shown_t *shown) {
    uint8_t *pen = pen_open(into, ASSET_BYTES_MAX);
    pen = pen_map(pen, ASSET_KEYS + shown->last_good);
    pen = PEN_KEY(pen, "line");
    pen = pen_text(pen, asset->line, WL_LINE_ID_MAX);
    pen = PEN_KEY(pen, "bucket");
    pen = pen_text(pen, asset->bucket, WL_BUCKET_MAX);
    pen = PEN_KEY(pen, "kind");
    pen = pen_text(pen, wl_kind_name((wl_kind_t)asset->kind), WORD_MAX);
    pen = PEN_KEY(pen, "amount");
    pen = pen_amount(pen, shown->known, asset->amount);
    pen = PEN_KEY(pen, "unit");
    pen = pen_text(pen, asset->unit, WL_UNIT_MAX);
    pen = PEN_KEY(pen, "scale");
    pen = pen_u64(pen, asset->scale);
    pen = PEN_KEY(pen, "count");
    pen = pen_u64(pen, shown->known ? asset->count : 0);
    pen = PEN_KEY(pen, "pending");
    pen = pen_amount(pen, shown->known, asset->pending);
    pen = PEN_KEY(pen, "state");
    pen = pen_text(pen, wl_state_name(state), WORD_MAX);
    pen = PEN_KEY(pen, "expires_at");
    pen = pen_i64(pen, asset->expires_at);
    pen = PEN_KEY(pen, "version");
    pen = pen_u64(pen, asset->version);
    pen = PEN_KEY(pen, "changed_at");
    pen = pen_i64(pen, asset->changed_at);
    pen = PEN_KEY(pen, "extra");
    if (asset->extra_bytes > 0 && asset->extra != NULL &&
        wl_asset_extra_valid(asset->extra, asset->extra_bytes)) {
        memcpy(pen, asset->extra, asset->extra_bytes);
        pen += asset->extra_bytes;
    } else {
        pen = pen_map(pen, 0);
    }
    pen = PEN_KEY(pen, "as_of");
    pen = pen_i64(pen, asset->pulled_at);
    pen = pen_source(pen, shown->source);
    pen = pen_freshness(pen, shown->freshness);
    if (shown->last_good) {
        pen = PEN_KEY(pen, "last_good");
        pen = pen_i64(pen, asset->amount);
    }
    pen_close(into, pen);
}

/* The keys of an asset from line to changed_at, for something that is not one. */
static uint8_t *pen_hollow(uint8_t *pen, const wl_line_t *line) {
    pen = pen_map(pen, ASSET_KEYS);
    pen = PEN_KEY(pen, "line");
    pen = pen_text(pen, line->id, WL_LINE_ID_MAX);
    pen = PEN_KEY(pen, "bucket");
    pen = pen_text(pen, "", WL_BUCKET_MAX);
    pen = PEN_KEY(pen, "kind");
    pen = pen_text(pen, wl_kind_name(line->kind), WORD_MAX);
    pen = PEN_KEY(pen, "amount");
    pen = pen_nil(pen);
    pen = PEN_KEY(pen, "unit");
    pen = pen_text(pen, line->unit, WL_UNIT_MAX);
    pen = PEN_KEY(pen, "scale");
    pen = pen_u64(pen, line->scale);
    pen = PEN_KEY(pen, "count");
    pen = pen_u64(pen, 0);
    pen = PEN_KEY(pen, "pending");
    pen = pen_nil(pen);
    pen = PEN_KEY(pen, "state");
    pen = pen_nil(pen);
    pen = PEN_KEY(pen, "expires_at");
    pen = pen_u64(pen, 0);
    pen = PEN_KEY(pen, "version");
    pen = pen_u64(pen, 0);
    pen = PEN_KEY(pen, "changed_at");
    return pen_nil(pen);
}

void wl_pack_nothing(msgpack_sbuffer *into, const wl_line_t *line, const wl_home_shown_t *shown) {
    uint8_t *pen = pen_open(into, HOLLOW_BYTES_MAX);
    pen = pen_hollow(pen, line);
    pen = PEN_KEY(pen, "extra");
    pen = pen_map(pen, 0);
    pen = PEN_KEY(pen, "as_of");
    pen = pen_nil(pen);
    pen = pen_source(pen, shown->source);
    pen = pen_freshness(pen, shown->freshness);
    pen_close(into, pen);
}

void wl_pack_link(msgpack_sbuffer *into, const wl_line_t *line, wl_source_t source) {
    uint8_t *pen = pen_open(into, HOLLOW_BYTES_MAX);
    pen = pen_hollow(pen, line);
    pen = PEN_KEY(pen, "extra");
    pen = pen_map(pen, 2);
    pen = PEN_KEY(pen, "title");
    pen = pen_text(pen, line->title, WL_TITLE_MAX);
    pen = PEN_KEY(pen, "link");
    pen = pen_text(pen, line->url, WL_URL_MAX);
    pen = PEN_KEY(pen, "as_of");
    pen = pen_nil(pen);
    pen = pen_source(pen, source);
    pen = pen_freshness(pen, WL_FRESHNESS_FRESH);
    pen_close(into, pen);
}

void wl_pack_campaign(msgpack_sbuffer *into, size_t begin, const wl_campaign_t *campaign,
                      const wl_line_t *line) {
    uint8_t *pen = pen_open(into, CAMPAIGN_BYTES_MAX);
    uint8_t *head = (uint8_t *)into->data + begin;
    static_assert(ASSET_KEYS >= 16 && ASSET_KEYS + CAMPAIGN_KEYS < 256, "a head of three bytes");
    WL_ASSERT(head[0] == 0xde && head[1] == 0);
    head[2] = (uint8_t)(head[2] + CAMPAIGN_KEYS);
    pen = PEN_KEY(pen, "campaign");
    pen = pen_text(pen, campaign->id, WL_LINE_ID_MAX);
    pen = PEN_KEY(pen, "title");
    pen = pen_text(pen, campaign->title, WL_TITLE_MAX);
    pen = PEN_KEY(pen, "link");
    if (campaign->link[0] == '\0' && line->mode == WL_MODE_LINK) {
        pen = pen_text(pen, line->url, WL_URL_MAX);
    } else {
        pen = pen_text(pen, campaign->link, WL_LINK_MAX);
    }
    pen_close(into, pen);
}

void wl_pack_golden(msgpack_sbuffer *into, const wl_pack_golden_t *slot) {
    uint8_t *pen = pen_open(into, GOLDEN_BYTES_MAX);
    pen = pen_map(pen, GOLDEN_KEYS + slot->last_good + (slot->campaign == NULL ? 0u : 1u));
    pen = PEN_KEY(pen, "position");
    pen = pen_u64(pen, slot->position);
    pen = PEN_KEY(pen, "line");
    pen = pen_text(pen, slot->line, WL_LINE_ID_MAX);
    pen = PEN_KEY(pen, "title");
    pen = pen_text(pen, slot->title, WL_TITLE_MAX);
    pen = PEN_KEY(pen, "link");
    pen = pen_text(pen, slot->link, WL_LINK_MAX);
    pen = PEN_KEY(pen, "kind");
    pen = pen_text(pen, slot->kind, WORD_MAX);
    pen = PEN_KEY(pen, "amount");
    pen = pen_amount(pen, slot->known, slot->amount);
    pen = PEN_KEY(pen, "unit");
    pen = pen_text(pen, slot->unit, WL_UNIT_MAX);
    pen = PEN_KEY(pen, "scale");
    pen = pen_u64(pen, slot->scale);
    pen = PEN_KEY(pen, "count");
    pen = pen_u64(pen, slot->count);
    pen = PEN_KEY(pen, "pending");
    pen = pen_amount(pen, slot->known, slot->pending);
    pen = pen_freshness(pen, slot->freshness);
    pen = PEN_KEY(pen, "as_of");
    pen = pen_amount(pen, slot->there, slot->as_of);
    pen = pen_source(pen, slot->source);
    pen = PEN_KEY(pen, "version");
    pen = pen_u64(pen, slot->version);
    if (slot->last_good) {
        pen = PEN_KEY(pen, "last_good");
        pen = pen_i64(pen, slot->amount);
    }
    if (slot->campaign != NULL) {
        pen = PEN_KEY(pen, "campaign");
        pen = pen_text(pen, slot->campaign, WL_LINE_ID_MAX);
    }
    pen_close(into, pen);
}

void wl_pack_total(msgpack_sbuffer *into, const wl_pack_total_t *total) {
    uint8_t *pen = pen_open(into, TOTAL_BYTES_MAX);
    pen = pen_map(pen, total->overflow ? 6 : 5);
    pen = PEN_KEY(pen, "unit");
    pen = pen_text(pen, total->unit, WL_UNIT_MAX);
    pen = PEN_KEY(pen, "scale");
    pen = pen_u64(pen, total->scale);
    pen = PEN_KEY(pen, "amount");
    pen = pen_amount(pen, !total->overflow && !total->unknown, total->amount);
    pen = PEN_KEY(pen, "pending");
    pen = pen_amount(pen, !total->overflow && !total->unknown, total->pending);
    pen = PEN_KEY(pen, "count");
    pen = pen_u64(pen, total->count);
    if (total->overflow) {
        pen = PEN_KEY(pen, "overflow");
        pen = pen_byte(pen, 0xc3); /* true */
    }
    pen_close(into, pen);
}
