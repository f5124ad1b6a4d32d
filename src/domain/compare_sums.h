/* compare_sums.h: what a comparison counts on its way through a shard, kept with the place it has
 * reached, so that a part that was cut off ends with the same sums; and the rule that stops it when
 * too much differs. Pure, any thread. */
#ifndef WL_DOMAIN_COMPARE_SUMS_H
#define WL_DOMAIN_COMPARE_SUMS_H

#include "base/asset.h"
#include "base/err.h"

#include <msgpack.h>

enum {
    WL_COMPARE_AGES = 8,
    WL_COMPARE_CAP_MIN = 20,      /* fewer users that differ never stop a comparison */
    WL_COMPARE_PACKED_MAX = 65536 /* bytes of packed sums */
};

/* Upper bounds, in ms, of how long ago a record was pulled; the last one has none. */
extern const int64_t wl_compare_ages[WL_COMPARE_AGES - 1];

typedef struct {
    char line[WL_LINE_ID_MAX + 1];
    uint64_t records; /* live ones */
    uint64_t changed; /* of those: changed by the line within the last day, by the line's clock */
} wl_compare_line_t;

typedef struct {
    uint64_t users;     /* with records in the database, or told by the cache */
    uint64_t rows;      /* records read, tombstones included */
    uint64_t equal;     /* users with an equal copy */
    uint64_t uncached;  /* users without a copy */
    uint64_t checked;   /* owners whose presence bit was looked at */
    uint64_t moving;    /* differed at the first look, and otherwise or not at all at the second */
    uint64_t worked_ms; /* time that steps took, without the pauses between them */
    uint64_t ages[WL_COMPARE_AGES];
    uint32_t line_count;
    wl_compare_line_t lines[WL_LINES_MAX]; /* others are not counted by line */
    uint32_t slot_users[WL_SLOTS];         /* compared, by slot */
    uint32_t slot_found[WL_SLOTS];         /* of those: that differ */
} wl_compare_sums_t;

/* A live or dead record of the database at `now`, wall ms. */
void wl_compare_sums_row(wl_compare_sums_t *self, const wl_asset_t *asset, int64_t now);
/* A user, compared; and later, that the user differs. */
void wl_compare_sums_user(wl_compare_sums_t *self, uint64_t uid);
void wl_compare_sums_found(wl_compare_sums_t *self, uint64_t uid);

/* What several parts have counted together, but for the slots. */
void wl_compare_sums_add(wl_compare_sums_t *self, const wl_compare_sums_t *part);

/* Does more than cap_permille of the users of one slot, or of all, differ? 1000: never. Each counts
 * from WL_COMPARE_CAP_MIN users that differ on. *ret_slot: which, -1 = all together. */
bool wl_compare_capped(const wl_compare_sums_t *self, uint32_t cap_permille, int *ret_slot);

/* As MessagePack, at most WL_COMPARE_PACKED_MAX bytes. */
void wl_compare_sums_pack(const wl_compare_sums_t *self, msgpack_sbuffer *into);
/* WL_ERR_MALFORMED: *ret is empty then. No bytes are empty sums. */
WL_MUST_USE wl_err_t wl_compare_sums_unpack(const void *bytes, size_t count,
                                            wl_compare_sums_t *ret);

/* A line fell silent when much less has changed within a day than usual. past: what changed in the
 * last runs, newest first. *ret_usual: their median, 0 = too few runs to say. */
bool wl_compare_silent(uint64_t changed, const uint64_t *past, uint32_t count, uint64_t *ret_usual);

#endif
