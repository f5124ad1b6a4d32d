#include "proto/published.h"

#include "base/alloc.h"
#include "base/check.h"
#include "proto/frame.h"

#include <string.h>

static const char topic_prefix[] = "changed.";
enum { PREFIX_BYTES = sizeof topic_prefix - 1 };

struct wl_published {
    wl_rpc_t *rpc;  /* owned; decodes the body */
    zmq_msg_t body; /* owned; the bytes that the request points into */
};

wl_published_t *wl_published_new(void) {
    wl_published_t *self = wl_alloc_zero(1, sizeof *self);
    self->rpc = wl_rpc_new();
    (void)zmq_msg_init(&self->body);
    return self;
}

void wl_published_destroy(wl_published_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_rpc_destroy(&(*self)->rpc);
    (void)zmq_msg_close(&(*self)->body);
    wl_free(*self);
    *self = NULL;
}

static bool topic_read(const char *topic, size_t bytes, char ret_line[WL_LINE_ID_MAX + 1]) {
    if (bytes <= PREFIX_BYTES || bytes > PREFIX_BYTES + WL_LINE_ID_MAX ||
        memcmp(topic, topic_prefix, PREFIX_BYTES) != 0) {
        return false;
    }
    char line[WL_LINE_ID_MAX + 1] = "";
    memcpy(line, topic + PREFIX_BYTES, bytes - PREFIX_BYTES);
    if (strlen(line) != bytes - PREFIX_BYTES || !wl_line_id_valid(line)) {
        return false;
    }
    memcpy(ret_line, line, sizeof line);
    return true;
}

wl_err_t wl_published_recv(wl_published_t *self, zsock_t *subscriber,
                           char ret_line[WL_LINE_ID_MAX + 1], wl_rpc_request_t *ret_request,
                           wl_fault_t *fault) {
    WL_ASSERT(self != NULL && subscriber != NULL);
    void *socket = zsock_resolve(subscriber);
    zmq_msg_t *frame = &self->body;
    if (!wl_frame_recv(socket, frame)) {
        return WL_ERR_EMPTY;
    }
    bool known = topic_read(zmq_msg_data(frame), zmq_msg_size(frame), ret_line);
    bool framed = zmq_msg_more(frame) && wl_frame_recv(socket, frame) && !zmq_msg_more(frame);
    if (!known || !framed) {
        wl_frame_drain(socket, frame);
        return wl_fault(fault, WL_ERR_MALFORMED, "",
                        "a publication is two frames, the first one changed.<line>");
    }
    ret_request->peer.identity_bytes = 0;
    wl_err_t err = wl_rpc_decode(self->rpc, zmq_msg_data(frame), zmq_msg_size(frame),
                                 WL_PORT_WRITER, ret_request, fault);
    if (err == WL_OK && ret_request->method != WL_METHOD_NOTIFY_CHANGED) {
        return wl_fault(fault, WL_ERR_UNKNOWN_METHOD, "method",
                        "method: only notify.changed is published");
    }
    if (err == WL_OK && !ret_request->notification) {
        return wl_fault(fault, WL_ERR_MALFORMED, "", "a publication is a notification, [2, ...]");
    }
    return err;
}

const char *wl_published_user(wl_published_t *self) {
    return wl_frame_user(&self->body);
}

int wl_published_connection(wl_published_t *self) {
    return wl_frame_connection(&self->body);
}
