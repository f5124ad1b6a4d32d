/* caller.h: asks lines for their users' assets, over HTTP JSON (libcurl multi) or ZeroMQ
 * MessagePack, many calls at once on the actor's own loop. Belongs to one puller thread, never
 * blocks. What it returns has the shape and the users that were asked; limits and rates are the
 * puller's business. */
#ifndef WL_LINES_CALLER_H
#define WL_LINES_CALLER_H

#include "base/asset.h"
#include "base/clock.h"
#include "base/err.h"
#include "domain/config.h"

#include <czmq.h>

typedef struct wl_caller wl_caller_t;

/* One asset of an answer that broke a rule; its user keeps the last good value. */
typedef struct {
    uint64_t uid; /* 0 when even that could not be read: any user without an asset is meant */
    char reason[96];
} wl_answer_refusal_t;

/* Borrowed for the duration of the callback. */
typedef struct {
    uint64_t call_id;
    wl_err_t err;           /* WL_OK, DEADLINE, UNAVAILABLE, TOO_BIG, MALFORMED; of pages also
                               NOT_FOUND: the line has no such page */
    int http_status;        /* 0 for ZeroMQ or no answer */
    int64_t retry_after_ms; /* as the line asked, 0 = not said */
    int64_t elapsed_ms;
    char reason[96];       /* "" when err is WL_OK */
    const uint64_t *uids;  /* as asked */
    uint64_t made_version; /* of lines without versions: grows from call to call */
    uint32_t uid_count;
    const wl_asset_t *assets; /* asked users only; wl_asset_valid() and wl_asset_sane() hold */
    uint32_t asset_count;
    const wl_answer_refusal_t *refusals;
    uint32_t refusal_count; /* the first one of each asked user, and 16 others at most */
    uint32_t refused_total; /* all records refused, those without an entry too */
    const void *body;       /* the answer as it came, NULL = there is none */
    size_t body_bytes;
    const uint8_t *page; /* of wl_caller_page() when err is WL_OK: what wl_page_decode() or
                               wl_sums_decode() read (lines/page.h); else NULL */
    size_t page_bytes;   /* at most WL_PAGE_BYTES_MAX */
} wl_answer_t;

typedef enum { WL_PAGE_DETAILS, WL_PAGE_SUMMARY } wl_page_kind_t;

/* A question about what happened to one user's assets in a line. */
typedef struct {
    wl_page_kind_t kind;
    uint64_t uid;          /* not 0 */
    char month[8];         /* "2026-11", "" = all */
    const uint8_t *cursor; /* details: `next` of the page before, borrowed; NULL = first page */
    size_t cursor_bytes;   /* at most WL_LINE_CURSOR_MAX */
    uint32_t limit;        /* details: items wanted, 1 .. WL_DETAILS_MAX, else that; a line may send
                              more or fewer */
    uint32_t url_index;    /* which of the line's urls */
} wl_page_ask_t;

typedef void (*wl_answer_fn)(const wl_answer_t *answer, void *arg);

/* Registers itself on the loop (readers, pollers, one timer). secrets_dir: folder of signing keys,
 * one file each named by wl_line_t.secret, NULL = none. allow: refuse link-local and metadata
 * addresses always (SSRF); loopback is allowed. */
wl_caller_t *wl_caller_new(zloop_t *loop, const char *secrets_dir, wl_answer_fn answered,
                           void *arg);
/* Drops calls under way without calling back. Not from inside answered(). */
void wl_caller_destroy(wl_caller_t **self);

enum { WL_CALLS_MAX = 1024 }; /* calls of one caller under way at once, over all lines */

/* Starts one call; answered() is called exactly once for it, later, never from inside this call,
 * unless it is cancelled. call_id: the puller's, another one for each call under way.
 * pulled_at: wall ms, the pull's start, becomes the assets' pulled_at and, for lines without
 * versions, their version: microseconds, but always above that of the call before, even when the
 * clock steps back. line and uids (1..WL_PULL_UIDS_MAX, none 0) are copied. answered() may ask
 * again. url_index: which of line->urls. WL_ERR_SETTINGS: secret missing, url unusable, no such
 * url. WL_ERR_FULL: WL_CALLS_MAX are under way. */
WL_MUST_USE wl_err_t wl_caller_ask(wl_caller_t *self, const wl_line_t *line, const uint64_t *uids,
                                   uint32_t uid_count, uint64_t call_id, wl_wall_ms_t pulled_at,
                                   uint32_t url_index);
/* The same for a page of details or the sums of one user; answered() gets page instead of assets,
 * and uids is the one user. ask is copied, its cursor too. WL_ERR_BAD_REQUEST: no uid, a cursor
 * that is too long. */
WL_MUST_USE wl_err_t wl_caller_page(wl_caller_t *self, const wl_line_t *line,
                                    const wl_page_ask_t *ask, uint64_t call_id);
/* Ends a call under way without answered(), from inside it too; false: there is no such call. The
 * line may still work on it: over HTTP its connection is closed, over ZeroMQ its reply dropped. */
bool wl_caller_cancel(wl_caller_t *self, uint64_t call_id);
uint32_t wl_caller_in_flight(const wl_caller_t *self);

#endif
