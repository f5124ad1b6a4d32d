#include "proto/zap.h"

#include "base/check.h"
#include "proto/frame.h"

#include <string.h>

static const char zap_version[] = "1.0";

/* Receives one more frame as text, cut to what fits. false: there is none. */
static bool recv_text(void *socket, zmq_msg_t *frame, char *into, size_t room) {
    if (!zmq_msg_more(frame) || !wl_frame_recv(socket, frame)) {
        return false;
    }
    size_t bytes = zmq_msg_size(frame);
    bytes = bytes < room - 1 ? bytes : room - 1;
    memcpy(into, zmq_msg_data(frame), bytes);
    into[bytes] = '\0';
    return true;
}

/* [back][""][version][sequence][domain][address][routing id][mechanism][credential...] */
static bool recv_request(void *socket, zmq_msg_t *frame, wl_zap_request_t *ret) {
    char delimiter[2];
    char version[8];
    char routing_id[8];
    char mechanism[16];
    size_t bytes = zmq_msg_size(frame);
    if (bytes > sizeof ret->back) {
        return false;
    }
    memcpy(ret->back, zmq_msg_data(frame), bytes);
    ret->back_bytes = (uint8_t)bytes;
    if (!recv_text(socket, frame, delimiter, sizeof delimiter) || delimiter[0] != '\0' ||
        !recv_text(socket, frame, version, sizeof version) || strcmp(version, zap_version) != 0 ||
        !recv_text(socket, frame, ret->sequence, sizeof ret->sequence) ||
        !recv_text(socket, frame, ret->domain, sizeof ret->domain) ||
        !recv_text(socket, frame, ret->address, sizeof ret->address) ||
        !recv_text(socket, frame, routing_id, sizeof routing_id) ||
        !recv_text(socket, frame, mechanism, sizeof mechanism)) {
        return false;
    }
    if (strcmp(mechanism, "CURVE") == 0) {
        if (!zmq_msg_more(frame) || !wl_frame_recv(socket, frame) ||
            zmq_msg_size(frame) != WL_KEY_BYTES) {
            return false;
        }
        memcpy(ret->key, zmq_msg_data(frame), WL_KEY_BYTES);
        ret->curve = true;
    }
    return true;
}

wl_err_t wl_zap_recv(zsock_t *handler, wl_zap_request_t *ret) {
    void *socket = zsock_resolve(handler);
    wl_zap_request_t request = {.back_bytes = 0};
    zmq_msg_t frame;
    (void)zmq_msg_init(&frame);
    if (!wl_frame_recv(socket, &frame)) {
        (void)zmq_msg_close(&frame);
        return WL_ERR_EMPTY;
    }
    bool valid = recv_request(socket, &frame, &request);
    wl_frame_drain(socket, &frame);
    (void)zmq_msg_close(&frame);
    if (!valid) {
        return WL_ERR_MALFORMED;
    }
    *ret = request;
    return WL_OK;
}

static bool send_bytes(void *socket, const void *bytes, size_t count, int flags) {
    zmq_msg_t frame;
    int rc = zmq_msg_init_size(&frame, count);
    WL_ASSERT(rc == 0);
    if (count > 0) {
        memcpy(zmq_msg_data(&frame), bytes, count);
    }
    return wl_frame_send(socket, &frame, flags) == 0;
}

static bool send_text(void *socket, const char *text) {
    return send_bytes(socket, text, strlen(text), ZMQ_SNDMORE);
}

bool wl_zap_reply(zsock_t *handler, const wl_zap_request_t *request, wl_zap_verdict_t verdict,
                  const char *text, const char *user) {
    void *socket = zsock_resolve(handler);
    char code[8];
    (void)snprintf(code, sizeof code, "%d", (int)verdict);
    return send_bytes(socket, request->back, request->back_bytes, ZMQ_SNDMORE) &&
           send_text(socket, "") && send_text(socket, zap_version) &&
           send_text(socket, request->sequence) && send_text(socket, code) &&
           send_text(socket, text) && send_text(socket, user) && send_bytes(socket, NULL, 0, 0);
}
