/* monitor.h: what libzmq tells about the connections of a socket. Used by the thread that owns the
 * PAIR which was connected to the monitor's endpoint. */
#ifndef WL_PROTO_MONITOR_H
#define WL_PROTO_MONITOR_H

#include "base/err.h"

#include <czmq.h>

typedef struct {
    uint16_t event;     /* ZMQ_EVENT_ACCEPTED... */
    uint32_t value;     /* a file descriptor or a reason, as the event says */
    char endpoint[128]; /* ours, or the one connected to; cut when longer */
} wl_monitor_event_t;

/* Never blocks. WL_ERR_EMPTY: nothing there. WL_ERR_MALFORMED: not an event. */
WL_MUST_USE wl_err_t wl_monitor_recv(zsock_t *monitor, wl_monitor_event_t *ret);

#endif
