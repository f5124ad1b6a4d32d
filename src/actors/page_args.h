/* page_args.h: what wallet.details and wallet.summary are asked for, read from args that a stranger
 * wrote. Pure; any thread. */
#ifndef WL_ACTORS_PAGE_ARGS_H
#define WL_ACTORS_PAGE_ARGS_H

#include "domain/config.h"
#include "domain/cursor.h"
#include "domain/month.h"
#include "proto/rpc.h"

typedef struct {
    uint64_t uid;
    char line[WL_LINE_ID_MAX + 1];
    char month[WL_MONTH_BYTES + 1];
    uint8_t kind;   /* wl_kind_t, WL_KIND_COUNT = any */
    uint32_t limit; /* 1 .. WL_DETAILS_MAX */
    size_t cursor_bytes;
    char cursor[WL_CURSOR_TEXT_MAX + 1];
} wl_page_args_t;

/* uid; line; month; of details also kind, limit (20 when absent) and cursor. WL_ERR_BAD_REQUEST: a
 * value, or a line that offers no such thing; WL_ERR_NOT_FOUND: a line that is not configured.
 * fault->message is fit for the client. */
WL_MUST_USE wl_err_t wl_page_args_read(const wl_rpc_request_t *request, const wl_config_t *config,
                                       wl_page_args_t *ret, wl_fault_t *fault);

#endif
