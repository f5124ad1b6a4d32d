/* slot_copy_users.h: one handle of a move, and its transactions on users; shared by slot_copy.c and
 * slot_copy_users.c only. */
#ifndef WL_STORE_SLOT_COPY_USERS_H
#define WL_STORE_SLOT_COPY_USERS_H

#include "base/asset.h"
#include "store/asset_db.h"
#include "store/mysql_schema.h"
#include "store/slot_copy.h"
#include "store/sql_text.h"

enum {
    WL_SLOT_COPY_USERS = 512, /* of one transaction */
    WL_SLOT_COPY_VIA = 32,    /* bytes of consent.via */
};

/* A row of the trail of consents. */
typedef struct {
    uint64_t uid;
    uint64_t version;
    int64_t at;
    int64_t expires_at;
    bool granted;
    char line[WL_LINE_ID_MAX + 1];
    char via[WL_SLOT_COPY_VIA + 1];
} wl_slot_consent_t;

/* What stands in a side's meta row. */
typedef struct {
    uint64_t commit_seq;
    uint64_t owner_seq;
} wl_slot_numbers_t;

struct wl_slot_copy {
    wl_mysql_t *link[2];       /* owned; by side */
    wl_mysql_shard_t shard[2]; /* whose databases these must be */
    uint32_t first;            /* slots */
    uint32_t last;
    uint64_t epoch;
    wl_sql_text_t sql;     /* owned; of one statement */
    wl_asset_rows_t rows;  /* owned; of the side that is copied from */
    wl_asset_rows_t there; /* owned; of the other, when comparing */
    wl_slot_consent_t *consents;
    uint32_t consent_count;
    uint32_t consent_room;
    uint64_t uids[WL_SLOT_COPY_USERS]; /* users of the step: ascending, each once */
    uint32_t count;
};

/* Begins a transaction on a side: no shard actor commits there until its end. WL_ERR_CONFLICT: a
 * newer mover has begun. After any outcome call end. */
WL_MUST_USE wl_err_t wl_slot_copy_lock(wl_slot_copy_t *self, wl_side_t side,
                                       wl_slot_numbers_t *ret);
/* Commits when err is WL_OK, else rolls back; returns err or that of the commit. */
WL_MUST_USE wl_err_t wl_slot_copy_end(wl_slot_copy_t *self, wl_side_t side, wl_err_t err);
/* One commit more than numbers say. */
WL_MUST_USE wl_err_t wl_slot_copy_count(wl_slot_copy_t *self, wl_side_t side,
                                        const wl_slot_numbers_t *numbers);

/* The next users of the slots behind `after`, up to `last`, at most max <= WL_SLOT_COPY_USERS, into
 * uids. */
WL_MUST_USE wl_err_t wl_slot_copy_next(wl_slot_copy_t *self, wl_side_t side, uint64_t after,
                                       uint64_t last, uint32_t max);
/* All records of the slots' users behind `after`, up to `last`. */
WL_MUST_USE wl_err_t wl_slot_copy_range(wl_slot_copy_t *self, wl_side_t side, uint64_t after,
                                        uint64_t last, wl_asset_rows_t *ret);
/* What `to` has of uids becomes what `from` has. */
WL_MUST_USE wl_err_t wl_slot_copy_replace(wl_slot_copy_t *self, wl_side_t from, wl_side_t to,
                                          uint32_t *ret_records);
/* Deletes all of uids on a side. */
WL_MUST_USE wl_err_t wl_slot_copy_remove(wl_slot_copy_t *self, wl_side_t side,
                                         uint32_t *ret_records);

/* The user at these places of rows and there: the lower one. */
uint64_t wl_slot_copy_user_at(const wl_slot_copy_t *self, uint32_t here, uint32_t there);
/* Moves both places behind the user; are all records the same? */
bool wl_slot_copy_user_same(const wl_slot_copy_t *self, uint64_t uid, uint32_t *here,
                            uint32_t *there);
/* "uid IN (1,2,3)" */
void wl_slot_copy_in(wl_sql_text_t *sql, const uint64_t *uids, uint32_t count);

#endif
