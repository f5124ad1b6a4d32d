/* wallet.h: libwallet, a small C client of walletd (docs/PROTOCOL.md). Link with -lwallet.
 *
 * A wallet_t is one connection with its own request ids: a reply that comes after its caller has
 * given up is recognised by its id and dropped, so an answer never belongs to another question.
 * There are no hidden retries: every call says whether asking again makes sense, and all methods
 * of walletd may be asked twice. The connection itself comes back on its own after a restart of
 * the server; requests that were under way then end by their timeout.
 *
 * Arguments and results are MessagePack bytes, so that you may use any MessagePack library.
 *
 * Threads: a wallet_t belongs to the thread that opened it; open one for each thread. Do not carry
 * one over fork(). libwallet uses czmq, which takes SIGINT and SIGTERM when the first socket opens
 * unless the program has called zsys_handler_set(NULL) before. */
#ifndef WALLET_H
#define WALLET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    WALLET_IN_FLIGHT_MAX = 4096,       /* requests sent and neither answered nor forgotten */
    WALLET_REQUEST_BYTES_MAX = 262144, /* walletd never takes more; refused here without sending */
    WALLET_METHOD_MAX = 64,            /* bytes of a method name */
};

typedef struct wallet wallet_t;

typedef enum {
    WALLET_OK = 0,
    WALLET_REFUSED,     /* walletd answered with an error: see reply->error */
    WALLET_TIMEOUT,     /* sent, but no answer came in time: the outcome is not known */
    WALLET_UNREACHABLE, /* not sent: there is no connection, it takes no more, or walletd does not
                           accept the key (it does not say which) */
    WALLET_FULL,        /* not sent: WALLET_IN_FLIGHT_MAX requests are under way */
    WALLET_INVALID      /* not sent: an argument is wrong */
} wallet_status_t;

/* What walletd said when it refused. The texts are always NUL-terminated. */
typedef struct {
    char code[32];           /* bad_request unknown_method unauthorized forbidden not_found
                                conflict busy deadline unavailable internal */
    char message[256];       /* a sentence for people, cut when longer */
    bool retryable;          /* the same request may succeed later */
    uint32_t retry_after_ms; /* how long to wait before, 0 = not said */
} wallet_error_t;

typedef struct {
    uint64_t msgid;     /* of the request that it answers */
    const void *result; /* one MessagePack object, borrowed from the wallet_t until its next
                             call; NULL when refused */
    size_t result_bytes;
    wallet_error_t error; /* all zero unless refused */
} wallet_reply_t;

/* Connects to "tcp://127.0.0.1:7700" or another ZeroMQ endpoint; returns at once, whether or not
 * somebody listens there. The environment may name keys, as files: WALLET_KEY and WALLET_SERVER_KEY,
 * see wallet_options_t. NULL: the endpoint is not well formed, or a key cannot be used. The caller
 * owns the result. */
wallet_t *wallet_open(const char *endpoint);

/* Keys for a walletd that wants them (CURVE), as files; `walletctl keys new` makes them. Both NULL:
 * no encryption. A secret key is read once and wiped by wallet_close(). */
typedef struct {
    const char *key_file;        /* our own pair, NAME.key_secret, mode 0600 */
    const char *server_key_file; /* the server's public key, NAME.key; while the server's key is
                                    being changed the old and the new one, with a comma between */
} wallet_options_t;

/* The same with keys that the caller names; the environment is not asked. NULL options are those of
 * the environment. On NULL, ret_problem (may be NULL) gets a sentence of at most problem_bytes. */
wallet_t *wallet_open_with(const char *endpoint, const wallet_options_t *options, char *ret_problem,
                           size_t problem_bytes);

/* Closes and frees; requests under way are abandoned. *self becomes NULL; NULL and *NULL are
 * accepted. */
void wallet_close(wallet_t **self);

/* Asks and waits, at most timeout_ms in all (0 or less: WALLET_INVALID). args is one MessagePack
 * map, NULL with 0 bytes is an empty one; it is copied. *ret_reply is written for WALLET_OK and
 * WALLET_REFUSED and zeroed otherwise. While pipelined requests are under way: WALLET_INVALID,
 * because their replies would have to be thrown away. */
wallet_status_t wallet_call(wallet_t *self, const char *method, const void *args, size_t args_bytes,
                            int timeout_ms, wallet_reply_t *ret_reply);

/* ---- pipelined use: many requests under way, replies in any order -------------------------- */

/* Sends a request and returns at once, after waiting at most timeout_ms (0 = not at all) for the
 * connection to take it. *ret_msgid is the number its reply will carry; it may be NULL. */
wallet_status_t wallet_send(wallet_t *self, const char *method, const void *args, size_t args_bytes,
                            int timeout_ms, uint64_t *ret_msgid);

/* Waits at most timeout_ms (0 = not at all) for the reply to any request under way. WALLET_OK and
 * WALLET_REFUSED: that request is done. WALLET_TIMEOUT: nothing came, all are still under way.
 * WALLET_INVALID: none is under way. */
wallet_status_t wallet_receive(wallet_t *self, int timeout_ms, wallet_reply_t *ret_reply);

/* Gives a request up: its reply will be dropped. Unknown numbers are ignored. */
void wallet_forget(wallet_t *self, uint64_t msgid);

/* Requests under way. */
uint32_t wallet_in_flight(const wallet_t *self);

/* Messages dropped since opening: late replies, and bytes that are not a reply. */
uint64_t wallet_dropped(const wallet_t *self);

/* "ok", "refused", "timeout"...; never NULL. */
const char *wallet_status_text(wallet_status_t status);

#ifdef __cplusplus
}
#endif

#endif
