/* line_ask.h: asks a line as walletd's puller does, with the same caller, and waits for the answer.
 * One thread. */
#ifndef WL_TOOLS_WALLETCTL_LINE_ASK_H
#define WL_TOOLS_WALLETCTL_LINE_ASK_H

#include "lines/caller.h"

#include <jansson.h>

typedef enum {
    CTL_LINE_ANSWERED, /* there is an answer, good or not */
    CTL_LINE_AWAY,     /* nobody there, no answer in time, or too busy now */
    CTL_LINE_REFUSED   /* it answers, but not to us */
} ctl_line_outcome_t;

typedef struct {
    ctl_line_outcome_t outcome;
    wl_err_t err;           /* of the answer */
    int http_status;        /* 0 for ZeroMQ or no answer */
    int64_t retry_after_ms; /* 0 = not said */
    int64_t elapsed_ms;
    char reason[96];
    void *body; /* wl_free(): the answer as it came, NULL = there is none */
    size_t body_bytes;
    void *page; /* wl_free(): of a page (lines/page.h), NULL = there is none */
    size_t page_bytes;
} ctl_line_answer_t;

void ctl_line_answer_release(ctl_line_answer_t *self);

/* Asks for users at one of the line's urls. secrets: folder of signing keys, NULL = none. Waits for
 * timeout_ms of the line at most. *ret is released by the caller in any case. WL_ERR_SETTINGS: not
 * asked, the key or the url cannot be used. */
WL_MUST_USE wl_err_t ctl_line_ask(const wl_line_t *line, const char *secrets, const uint64_t *uids,
                                  uint32_t uid_count, uint32_t url_index, ctl_line_answer_t *ret);
/* The same for the first page of details, or the sums, of one user. */
WL_MUST_USE wl_err_t ctl_line_page(const wl_line_t *line, const char *secrets, wl_page_kind_t kind,
                                   uint64_t uid, ctl_line_answer_t *ret);

#endif
