/* difference.h: what reconciliation found to differ between two copies of a record, and what it
 * does about it. Plain data, any thread; the rules are in domain/compare.h. */
#ifndef WL_BASE_DIFFERENCE_H
#define WL_BASE_DIFFERENCE_H

#include "base/limits.h"

#include <stdbool.h>
#include <stdint.h>

/* name on the wire, in the database and in docs; what differs */
#define WL_DIFFERENCES(D)                                                         \
    D(MISSING, "missing", "in the database, not in the cached copy")              \
    D(STALE, "stale", "the cached copy is older than the database")               \
    D(ALTERED, "altered", "the same version on both sides, but another content")  \
    D(AHEAD, "ahead", "the cached copy is newer than the database")               \
    D(ORPHAN, "orphan", "in the cached copy, the database has never heard of it") \
    D(ABSENT, "absent", "owns something, and presence says no: critical")

typedef enum {
#define WL_DIFFERENCE_ENUM(NAME, text, doc) WL_DIFFERENCE_##NAME,
    WL_DIFFERENCES(WL_DIFFERENCE_ENUM)
#undef WL_DIFFERENCE_ENUM
        WL_DIFFERENCE_KINDS
} wl_difference_kind_t;

const char *wl_difference_name(wl_difference_kind_t kind); /* "?" when out of range */
bool wl_difference_parse(const char *text, wl_difference_kind_t *ret);

typedef enum {
    WL_REPAIR_DROP,    /* the cached copy of the user goes */
    WL_REPAIR_RESTORE, /* the copy's record goes to the database, the way a line's value does */
    WL_REPAIR_MARK     /* the presence bit is set */
} wl_repair_t;
const char *wl_repair_name(wl_repair_t repair); /* "drop", "restore", "mark" */

typedef struct {
    uint64_t uid;
    wl_difference_kind_t kind;
    wl_repair_t repair;
    char line[WL_LINE_ID_MAX + 1]; /* "" for ABSENT */
    char bucket[WL_BUCKET_MAX + 1];
    uint64_t in_db;   /* version there, 0 = none */
    uint64_t in_copy; /* version there, 0 = none */
    char cause[64];   /* why this repair: "the copy is newer", "quarantined: amount" */
} wl_difference_t;

#endif
