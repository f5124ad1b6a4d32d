/* consent_args.h: what wallet.consent is asked for, read from args that a stranger wrote. Pure; any
 * thread. */
#ifndef WL_ACTORS_CONSENT_ARGS_H
#define WL_ACTORS_CONSENT_ARGS_H

#include "base/clock.h"
#include "domain/config.h"
#include "proto/rpc.h"

typedef struct {
    uint64_t uid;
    char line[WL_LINE_ID_MAX + 1];
    bool granted;       /* false: withdrawn */
    int64_t expires_at; /* wall ms until which it is given, 0 = for ever */
} wl_consent_args_t;

/* uid, line and granted are required; expires_at only with granted, and in the future.
 * WL_ERR_BAD_REQUEST, also for a line that needs no consent; WL_ERR_NOT_FOUND: no such line.
 * fault->message is fit for the client. */
WL_MUST_USE wl_err_t wl_consent_args_read(const wl_rpc_request_t *request,
                                          const wl_config_t *config, wl_wall_ms_t now,
                                          wl_consent_args_t *ret, wl_fault_t *fault);

#endif
