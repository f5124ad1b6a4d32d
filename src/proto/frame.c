#include "proto/frame.h"

#include <errno.h>

#if WL_FRAME_TSAN
void __tsan_acquire(void *at);
void __tsan_release(void *at);
#endif

static void mark_sent(zmq_msg_t *frame) {
#if WL_FRAME_TSAN
    __tsan_release(zmq_msg_data(frame));
#else
    (void)frame;
#endif
}

static void mark_taken(zmq_msg_t *frame) {
#if WL_FRAME_TSAN
    __tsan_acquire(zmq_msg_data(frame));
#else
    (void)frame;
#endif
}

bool wl_frame_recv(void *socket, zmq_msg_t *frame) {
    int rc = -1;
    do {
        rc = zmq_msg_recv(frame, socket, ZMQ_DONTWAIT);
    } while (rc == -1 && errno == EINTR);
    if (rc == -1) {
        return false;
    }
    mark_taken(frame);
    return true;
}

void wl_frame_drain(void *socket, zmq_msg_t *frame) {
    while (zmq_msg_more(frame) && wl_frame_recv(socket, frame)) {
    }
}

const char *wl_frame_user(zmq_msg_t *frame) {
    const char *user = zmq_msg_gets(frame, "User-Id");
    return user == NULL || user[0] == '\0' ? NULL : user;
}

int wl_frame_connection(zmq_msg_t *frame) {
    return zmq_msg_get(frame, ZMQ_SRCFD);
}

int wl_frame_send(void *socket, zmq_msg_t *frame, int flags) {
    mark_sent(frame);
    int rc = -1;
    do {
        rc = zmq_msg_send(frame, socket, flags | ZMQ_DONTWAIT);
    } while (rc == -1 && errno == EINTR);
    if (rc == -1) {
        int reason = errno;
        (void)zmq_msg_close(frame);
        return reason;
    }
    return 0;
}
