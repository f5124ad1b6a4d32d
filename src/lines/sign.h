/* sign.h: the signature of requests to lines (design section 4): HMAC-SHA256 over
 *     method "\n" path "\n" query "\n" time "\n" nonce "\n" body
 * in lower-case hex, sent as X-Wallet-Signature with X-Wallet-Line, -Time (ms) and -Nonce.
 * Pages are asked by GET: query is what stands behind "?" as it was sent, body is empty.
 * ZeroMQ has no headers: there the args carry the keys line, time, nonce and signature, method is
 * "ZMQ", path is the RPC method ("assets", "details", "summary"), query is empty and body is, for
 * assets, the decimal uids joined by commas ("1,2,3"); for details the values of uid, month, cursor
 * and limit, one per line ("7\n2026-11\n\n20", absent ones empty); for summary those of uid and
 * month ("7\n2026-11"). A line should refuse times more than 5 minutes off and nonces it has seen.
 * libsodium's crypto_auth_hmacsha256. Pure, any thread. */
#ifndef WL_LINES_SIGN_H
#define WL_LINES_SIGN_H

#include <stddef.h>

typedef struct {
    const char *method; /* "POST" */
    const char *path;   /* "/assets" */
    const char *query;  /* "" */
    const char *time;   /* decimal ms since 1970 */
    const char *nonce;  /* 32 hex digits */
    const void *body;
    size_t body_bytes;
} wl_sign_request_t;

/* key may have any length; ret_hex is NUL-terminated. Nothing may be NULL, but for body when
 * body_bytes is 0. */
void wl_sign(const void *key, size_t key_bytes, const wl_sign_request_t *request, char ret_hex[65]);

#endif
