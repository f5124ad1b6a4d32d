/* frame.h: what channel.c and rpc.c share about single ZeroMQ frames: the marks that tell
 * ThreadSanitizer about the hand-over. libzmq is not instrumented, so without them every message
 * looks like a race. The address of the bytes is the meeting point: a frame above 33 bytes lives on
 * the heap and keeps its address over inproc. Smaller ones are copied inside zmq_msg_t, where the
 * two sides see different addresses: the channel makes its small messages larger under TSan, and
 * frames of clients, who share nothing with us, go without. */
#ifndef WL_PROTO_FRAME_H
#define WL_PROTO_FRAME_H

#include <stdbool.h>
#include <zmq.h>

#if defined(__SANITIZE_THREAD__)
#define WL_FRAME_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WL_FRAME_TSAN 1
#endif
#endif
#ifndef WL_FRAME_TSAN
#define WL_FRAME_TSAN 0
#endif

/* Receives one frame into an initialised zmq_msg_t without waiting. false: nothing there, or the
 * context ends. */
bool wl_frame_recv(void *socket, zmq_msg_t *frame);

/* Throws away what is left of a multipart message after `frame`. */
void wl_frame_drain(void *socket, zmq_msg_t *frame);

/* What libzmq knows about the connection that a frame came by: its User-Id, NULL when there is
 * none; its file descriptor, -1 when that is not known. Each is a search in a small map. */
const char *wl_frame_user(zmq_msg_t *frame);
int wl_frame_connection(zmq_msg_t *frame);

/* Sends without waiting and consumes the frame in any case. 0, or the errno. */
int wl_frame_send(void *socket, zmq_msg_t *frame, int flags);

#endif
