/* call.h: one question to one line, from wl_caller_ask() to its answer, and what the two adapters
 * (http_caller, zmq_caller) share. Private to lines/. */
#ifndef WL_LINES_CALL_H
#define WL_LINES_CALL_H

#include "lines/caller.h"

typedef enum { WL_CALL_ASSETS, WL_CALL_DETAILS, WL_CALL_SUMMARY } wl_call_kind_t;

typedef struct {
    wl_call_kind_t kind;
    uint32_t url_index;     /* into line.urls */
    uint64_t id;            /* the puller's */
    uint64_t made_version;  /* for assets of lines without versions */
    wl_wall_ms_t pulled_at; /* the puller's */
    wl_mono_ms_t started;   /* when it was asked */
    uint32_t slot;          /* 0 .. WL_CALLS_MAX - 1, its alone while it is under way */
    uint32_t uid_count;
    uint32_t limit;                     /* of details */
    uint32_t cursor_bytes;              /* likewise */
    uint8_t cursor[WL_LINE_CURSOR_MAX]; /* likewise */
    char month[8];                      /* of details and summary, "" = all */
    wl_line_t line;                     /* a copy: the configuration may change meanwhile */
    uint64_t uids[];                    /* uid_count */
} wl_call_t;

/* How a call ended on the wire. */
typedef struct {
    wl_err_t err;           /* WL_OK: body is a whole answer of the line */
    int http_status;        /* 0 for ZeroMQ or no answer */
    int64_t retry_after_ms; /* 0 = not said */
    char reason[96];        /* "" when err is WL_OK */
    const void *body;       /* borrowed for the duration of the callback */
    size_t body_bytes;
} wl_call_end_t;

/* Called once per call, from the loop, never from inside start(). The adapter is done with the call
 * and may be asked for the next one meanwhile. */
typedef void (*wl_call_end_fn)(wl_call_t *call, const wl_call_end_t *end, void *arg);

/* Key of signatures. */
typedef struct {
    const void *at; /* borrowed, NULL = the request is not signed */
    size_t bytes;
} wl_call_key_t;

/* What signed requests carry. */
typedef struct {
    char time[24];      /* decimal wall ms */
    char nonce[33];     /* 32 hex digits */
    char signature[65]; /* hex */
} wl_call_seal_t;

wl_call_t *wl_call_new(const wl_line_t *line, const uint64_t *uids, uint32_t uid_count);
void wl_call_destroy(wl_call_t **self);

/* Where it goes; NULL: the line has no such url. */
const char *wl_call_url(const wl_call_t *self);
/* "assets", "details" or "summary". */
const char *wl_call_method(const wl_call_t *self);

/* Signs a request with the time of now and a fresh nonce. See sign.h for the parts. */
void wl_call_seal(wl_call_key_t key, const char *method, const char *path, const char *query,
                  const void *body, size_t body_bytes, wl_call_seal_t *ret);

/* What is signed of a page over ZeroMQ (sign.h), NUL-terminated. The caller frees it. */
char *wl_call_page_text(const wl_call_t *self, size_t *ret_bytes);

/* Decimal uids with text around and between: ("[", ",", "]") gives [1,2]. The caller frees it with
 * wl_free(); ret_bytes is without the NUL. */
char *wl_call_uids_text(const wl_call_t *self, const char *before, const char *between,
                        const char *behind, size_t *ret_bytes);

#endif
