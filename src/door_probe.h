/* door_probe.h: tries the doors from outside, as a stranger would. libzmq lets everybody in when
 * the handler of its handshakes is missing, so that "it is configured" does not mean "it is
 * closed": at the start and every minute somebody has to push. Main's thread; waits for the
 * answers. */
#ifndef WL_DOOR_PROBE_H
#define WL_DOOR_PROBE_H

#include "base/key_file.h"
#include "base/settings.h"

typedef enum {
    WL_PROBE_REFUSED,  /* told that its key is not welcome */
    WL_PROBE_CUT,      /* the connection was ended without a word */
    WL_PROBE_ADMITTED, /* it is in */
    WL_PROBE_SILENT,   /* nothing happened in time, or nobody listens */
} wl_probe_t;

/* A CURVE client whose key was made a moment ago. type: of the socket that is bound there. */
wl_probe_t wl_probe_stranger(const char *endpoint, int type, const uint8_t server_key[WL_KEY_BYTES],
                             int timeout_ms);
/* A client without any key, which ignores what the server says about that (tcp only). */
wl_probe_t wl_probe_plain(const char *endpoint, int timeout_ms);

/* Tries every door of this process; all is well without CURVE. plain: the second way too, which no
 * handler is needed for: once is enough. WL_ERR_FORBIDDEN: a stranger came in; *fault says where.
 * WL_ERR_UNAVAILABLE: not refused either, within the time. */
WL_MUST_USE wl_err_t wl_probe_doors(const wl_settings_t *settings, bool plain, wl_fault_t *fault);

#endif
