#include "proto/monitor.h"

#include "proto/frame.h"

#include <string.h>

wl_err_t wl_monitor_recv(zsock_t *monitor, wl_monitor_event_t *ret) {
    void *socket = zsock_resolve(monitor);
    wl_monitor_event_t event = {.event = 0};
    zmq_msg_t frame;
    (void)zmq_msg_init(&frame);
    if (!wl_frame_recv(socket, &frame)) {
        (void)zmq_msg_close(&frame);
        return WL_ERR_EMPTY;
    }
    bool valid = zmq_msg_size(&frame) == sizeof event.event + sizeof event.value;
    if (valid) { /* neither is aligned, both are in the order of this machine */
        const uint8_t *bytes = zmq_msg_data(&frame);
        memcpy(&event.event, bytes, sizeof event.event);
        memcpy(&event.value, bytes + sizeof event.event, sizeof event.value);
    }
    valid = valid && zmq_msg_more(&frame) && wl_frame_recv(socket, &frame);
    if (valid) {
        size_t bytes = zmq_msg_size(&frame);
        bytes = bytes < sizeof event.endpoint - 1 ? bytes : sizeof event.endpoint - 1;
        memcpy(event.endpoint, zmq_msg_data(&frame), bytes);
    }
    wl_frame_drain(socket, &frame);
    (void)zmq_msg_close(&frame);
    if (!valid) {
        return WL_ERR_MALFORMED;
    }
    *ret = event;
    return WL_OK;
}
