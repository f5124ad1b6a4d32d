/* gather.h: reads that wait for lines: each with a copy of what was found of its user, the lines
 * that were asked for it, and what they have said so far. Bookkeeping of one query thread, bounded
 * in reads and bytes; sends nothing and knows no clock. */
#ifndef WL_ACTORS_GATHER_H
#define WL_ACTORS_GATHER_H

#include "base/table.h"
#include "domain/home_view.h"
#include "proto/messages.h"

typedef struct {
    char id[WL_LINE_ID_MAX + 1];
    wl_asked_t asked; /* how it ended, or would end now */
    bool awaited;     /* an answer, or the time to ask again, is waited for */
    int64_t again_at; /* monotonic ms when it is asked again, 0 = it is being asked */
    uint64_t floor;   /* the version that the read wants, 0 = any */
    uint32_t tries;   /* questions so far */
} wl_gather_line_t;

typedef struct {
    uint64_t number;     /* the key: ticket of its questions */
    uint32_t frontend;   /* who waits for the reply */
    wl_read_item_t read; /* what it points to lives as long as this */
    wl_source_t source;  /* of the copy */
    int64_t answer_by;   /* monotonic ms */
    size_t bytes;        /* memory in use */
    uint32_t awaited;    /* lines */
    uint32_t line_count;
    wl_gather_line_t *lines; /* owned */
    uint32_t asset_count;
    uint32_t asset_room;
    wl_asset_t *assets; /* owned, with their extra */
    bool *answered;     /* owned, [asset_count]: a line said so for this read */
    uint8_t *text;      /* owned: filter, marks and floors of the read */
    UT_hash_handle hh;
} wl_gather_t;

typedef struct wl_gathers wl_gathers_t;

wl_gathers_t *wl_gathers_new(uint32_t count_max, size_t bytes_max);
void wl_gathers_destroy(wl_gathers_t **self); /* NULL and *NULL are accepted */

/* A read with copies of everything, and room for so many lines. NULL: too many wait already, or too
 * much of them. answer_by is the caller's to set. Borrowed until it is closed. */
wl_gather_t *wl_gathers_open(wl_gathers_t *self, uint32_t frontend, const wl_read_item_t *read,
                             wl_asset_list_t assets, wl_source_t source, uint32_t lines);
void wl_gathers_close(wl_gathers_t *self, wl_gather_t **gather);

wl_gather_t *wl_gathers_find(wl_gathers_t *self, uint64_t number); /* NULL: closed, or never open */
uint32_t wl_gathers_count(const wl_gathers_t *self);
/* Visits all; the one being visited may be closed. */
void wl_gathers_each(wl_gathers_t *self, void (*visit)(wl_gather_t *gather, void *arg), void *arg);

/* One more line, not awaited yet; at most as many as were made room for. */
wl_gather_line_t *wl_gather_add_line(wl_gather_t *gather, const char *line_id);
wl_gather_line_t *wl_gather_line(wl_gather_t *gather, const char *line_id); /* NULL: not asked */
void wl_gather_await(wl_gather_t *gather, wl_gather_line_t *line, bool awaited);

/* Takes in what a line said of the user: a record replaces the one of its bucket unless that has a
 * newer version, which then stays as it is. Records of another user or line, and consents, are
 * passed over. Returns how many records the line has said, tombstones included. */
uint32_t wl_gathers_merge(wl_gathers_t *self, wl_gather_t *gather, const char *line_id,
                          wl_asset_list_t said);
/* May what the line said be shown beside what is known: no step beyond jump_max or
 * version_ahead_max? The shard refuses such a step, too. */
bool wl_gather_sane(const wl_gather_t *gather, const wl_line_t *line, wl_asset_list_t said);
/* The newest version of the line that is known now. */
uint64_t wl_gather_version(const wl_gather_t *gather, const char *line_id);
/* The user's consent is gone: nothing of this line stays, and it is awaited no longer. */
void wl_gather_bar(wl_gather_t *gather, const char *line_id);

#endif
