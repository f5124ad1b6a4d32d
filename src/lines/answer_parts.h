/* answer_parts.h: what the readers of answers share: each record begins with wl_answer_record()
 * and ends with wl_answer_settle(). Private to the answer*.c files. */
#ifndef WL_LINES_ANSWER_PARTS_H
#define WL_LINES_ANSWER_PARTS_H

#include "lines/answer.h"
#include "proto/unpacker.h"

enum {
    WL_ANSWER_STRANGERS_MAX = 16, /* refusals kept of records without an asked user */
    WL_ANSWER_FAULTS_MAX = 16,    /* faults kept of one record */
};

struct wl_answer_reader {
    const wl_line_t *line;            /* borrowed, of the read under way */
    int64_t pulled_at;                /* wall ms of the read under way */
    uint64_t made_version;            /* likewise */
    uint32_t asked_count;             /* users asked for */
    uint32_t asset_count;             /* accepted so far */
    uint32_t asset_capacity;          /* of assets */
    uint32_t refusal_count;           /* entries of refusals */
    uint32_t stranger_count;          /* those of them without an asked user */
    uint32_t refused_total;           /* records refused */
    uint32_t index;                   /* of the record under way */
    uint32_t fault_count;             /* of the record under way, also those not kept */
    wl_answer_watch_fn watch;         /* NULL = nobody */
    void *watch_arg;                  /* of watch */
    wl_asset_t *assets;               /* owned */
    msgpack_zone zone;                /* owned; what assets[].extra points to */
    wl_unpacker_t *unpacker;          /* owned */
    uint64_t asked[WL_PULL_UIDS_MAX]; /* ascending */
    bool refused[WL_PULL_UIDS_MAX];   /* per asked */
    wl_answer_refusal_t refusals[WL_PULL_UIDS_MAX + WL_ANSWER_STRANGERS_MAX];
    wl_fault_t faults[WL_ANSWER_FAULTS_MAX]; /* of the record under way */
};

/* Forgets the last answer. */
void wl_answer_begin(wl_answer_reader_t *self, const wl_line_t *line, wl_wall_ms_t pulled_at,
                     const wl_answer_t *answer);
/* Sorts, drops duplicates and hands over what was added. */
void wl_answer_finish(wl_answer_reader_t *self, wl_answer_t *answer);
/* The whole answer is not usable: drops what was added, sets answer->reason, returns err. */
wl_err_t wl_answer_fail(wl_answer_reader_t *self, wl_answer_t *answer, wl_err_t err,
                        const char *reason);

/* True when the answer may have so many records. */
bool wl_answer_count_allowed(const wl_answer_reader_t *self, size_t records);

/* Begins a record: *ret holds nothing but what the line's configuration says of it. */
void wl_answer_record(wl_answer_reader_t *self, uint32_t index, wl_asset_t *ret);
/* Where the next fault of the record goes, NULL when there is no more room; and whether it came:
 *     wl_answer_check(self, wl_record_text(..., wl_answer_fault(self))); */
wl_fault_t *wl_answer_fault(wl_answer_reader_t *self);
void wl_answer_check(wl_answer_reader_t *self, wl_err_t err);
/* Takes the record, or refuses it for its first fault, or when it is not asked for, not valid or
 * not sane. Copies it; extra must live in self->zone or in the bytes of the answer. json or map:
 * the record itself, for who watches. */
void wl_answer_settle(wl_answer_reader_t *self, const wl_asset_t *asset, json_t *json,
                      const msgpack_object *map);

/* A packed map of display fields that is being built; past WL_EXTRA_BYTES_MAX it only notes so. */
typedef struct {
    uint8_t bytes[WL_EXTRA_BYTES_MAX]; /* pairs, behind them nothing */
    size_t used;                       /* of bytes */
    uint32_t pairs;                    /* in bytes */
    bool overflow;                     /* something did not fit */
    msgpack_packer packer;             /* writes here */
} wl_extra_builder_t;

void wl_extra_begin(wl_extra_builder_t *self);
void wl_extra_text(wl_extra_builder_t *self, const char *text, size_t bytes);
/* Sets extra of the asset to a copy in the zone, with the head of the map. WL_ERR_TOO_BIG. */
WL_MUST_USE wl_err_t wl_extra_finish(wl_extra_builder_t *self, msgpack_zone *zone,
                                     wl_asset_t *asset);

#endif
