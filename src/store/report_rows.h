/* report_rows.h: what store/report_db.h keeps: runs, their parts, differences. Plain data. */
#ifndef WL_STORE_REPORT_ROWS_H
#define WL_STORE_REPORT_ROWS_H

#include "base/difference.h"

enum {
    WL_REPORT_BODY_MAX = 65536,         /* bytes of a part's sums */
    WL_REPORT_STEP_DIFFERENCES = 20000, /* of one call */
    WL_REPORT_RUNS_KEPT = 200,          /* and as many rounds; older ones go, bit by bit */
};

/* name in the database and on the wire */
#define WL_REPORT_STATES(S)                             \
    S(OPEN, "open", "under way, or waits for a writer") \
    S(DONE, "done", "compared to the end")              \
    S(STOPPED, "stopped", "an operator has stopped it") \
    S(CAPPED, "capped", "too much differs: nothing more is repaired")

typedef enum {
#define WL_REPORT_ENUM(NAME, text, doc) WL_REPORT_##NAME,
    WL_REPORT_STATES(WL_REPORT_ENUM)
#undef WL_REPORT_ENUM
        WL_REPORT_STATE_COUNT
} wl_report_state_t;
const char *wl_report_state_name(wl_report_state_t state);

/* What is to be compared: given once, never changed. */
typedef struct {
    uint64_t id;           /* set by wl_report_db_begin(), grows */
    bool rolling;          /* a round of the rolling comparison, not a run */
    bool dry_run;          /* repairs nothing */
    uint32_t cap_permille; /* of compared users that may differ; 1000 = no cap */
    uint64_t rate;         /* records a second, of all parts together; 0 = any */
    uint32_t shards;       /* parts */
    int64_t only_shard;    /* -1 = all */
    char by[65];           /* who asked; "schedule" */
} wl_report_run_t;

typedef struct {
    wl_report_run_t run;
    wl_report_state_t state; /* OPEN until every part has ended; then the worst of theirs */
    char note[201];          /* why it was stopped or capped */
    int64_t started_at;      /* wall ms by the database's clock (SQLite: ours) */
    int64_t ended_at;        /* 0 = not yet */
} wl_report_t;

typedef struct {
    uint64_t run;
    uint32_t shard;
    wl_report_state_t state;
    char holder[129];    /* who works at it, "" = nobody */
    uint8_t phase;       /* the reconciler's: which direction */
    uint64_t after;      /* the reconciler's: up to here it is done and written down */
    int64_t ended_at;    /* wall ms, 0 = not yet */
    uint8_t *body;       /* the part's sums, the reconciler's own MessagePack; wl_free() */
    uint32_t body_bytes; /* <= WL_REPORT_BODY_MAX */
} wl_report_part_t;
void wl_report_part_destroy(wl_report_part_t *self); /* frees the body, leaves it empty */

/* How many of each kind were found, repaired, left; found counts all. */
typedef struct {
    uint64_t found[WL_DIFFERENCE_KINDS];
    uint64_t repaired[WL_DIFFERENCE_KINDS];
    uint64_t left[WL_DIFFERENCE_KINDS];
} wl_report_sums_t;
/* name in the database and on the wire */
typedef enum { WL_FOUND_OPEN, WL_FOUND_REPAIRED, WL_FOUND_LEFT } wl_found_state_t;
const char *wl_found_state_name(wl_found_state_t state); /* "open", "repaired", "left" */
typedef struct {
    uint64_t id; /* grows within the run */
    uint32_t shard;
    wl_difference_t difference;
    wl_found_state_t state;
    int64_t at; /* wall ms when it was written down */
} wl_found_t;

#endif
