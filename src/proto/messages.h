/* messages.h: everything about the messages between actors that messages.def describes: structs,
 * encoder, decoder, and the tools below. Include this one.
 *
 * An asset inside a message, and in the blobs that stores keep, is a positional array:
 *     [uid, line, bucket, kind, amount, unit, scale, count, pending, state, expires_at, version,
 *      changed_at, pulled_at, extra]
 * (WL_ASSET_FIELDS, then extra as bin: a MessagePack map of at most WL_EXTRA_BYTES_MAX bytes, or
 * empty). All fifteen are there from the first version on, so fewer are refused and more skipped.
 * A hint is [bucket, version].
 *
 * An encoder and a decoder belong to one thread. Nothing here logs or uses a socket. */
#ifndef WL_PROTO_MESSAGES_H
#define WL_PROTO_MESSAGES_H

#include "proto/decoder.h"
#include "proto/encoder.h"
#include "proto/message_structs.h"

#include <stdio.h>

/* Same id, head and items, value by value; lists and bytes by content. */
bool wl_msg_equal(const wl_msg_t *a, const wl_msg_t *b);
bool wl_asset_equal(const wl_asset_t *a, const wl_asset_t *b);

/* One line for the head and one for each item, for logs of tests and for people. Bytes and lists
 * are shown by their size. */
void wl_msg_print(const wl_msg_t *msg, FILE *out);

const char *wl_msg_name(wl_msg_id_t id); /* "READ", "?" when unknown */

#endif
