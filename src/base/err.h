/* err.h: the one error type of walletd.
 * Every function that can fail returns wl_err_t; results travel through trailing ret_* parameters,
 * which are written only on success. Zero is success. Any thread. */
#ifndef WL_BASE_ERR_H
#define WL_BASE_ERR_H

#include <stdbool.h>

/* name, wire code, retryable by the caller, text */
#define WL_ERRORS(E)                                                                \
    E(OK, "ok", false, "ok")                                                        \
    E(EMPTY, "internal", true, "nothing to receive")                                \
    E(FULL, "busy", true, "a queue is full")                                        \
    E(BUSY, "busy", true, "too much work, try again later")                         \
    E(BAD_REQUEST, "bad_request", false, "the request is not well formed")          \
    E(UNKNOWN_METHOD, "unknown_method", false, "no such method")                    \
    E(UNAUTHORIZED, "unauthorized", false, "who are you?")                          \
    E(FORBIDDEN, "forbidden", false, "not allowed")                                 \
    E(NOT_FOUND, "not_found", false, "not found")                                   \
    E(CONFLICT, "conflict", false, "the base version is not the live one")          \
    E(DEADLINE, "deadline", true, "the deadline passed")                            \
    E(UNAVAILABLE, "unavailable", true, "a part that is needed is not there")       \
    E(INTERNAL, "internal", true, "an error of the server")                         \
    E(MALFORMED, "bad_request", false, "the bytes are not a message of the schema") \
    E(TOO_BIG, "bad_request", false, "larger than the bound")                       \
    E(DAMAGED, "internal", false, "stored bytes are damaged")                       \
    E(IO, "unavailable", true, "reading or writing failed")                         \
    E(NO_SPACE, "busy", true, "the disk is full")                                   \
    E(BIND, "unavailable", false, "cannot bind the endpoint")                       \
    E(SETTINGS, "bad_request", false, "the configuration is not valid")             \
    E(OVERFLOW, "internal", false, "the number does not fit")

typedef enum {
#define WL_ERR_ENUM(name, code, retryable, text) WL_ERR_##name,
    WL_ERRORS(WL_ERR_ENUM)
#undef WL_ERR_ENUM
        WL_ERR_COUNT
} wl_err_t;

/* The short way to say success. */
#define WL_OK WL_ERR_OK

/* Marks every function whose error must be looked at. */
#define WL_MUST_USE __attribute__((warn_unused_result))

/* Static texts, never NULL; an unknown value yields "internal". */
const char *wl_err_name(wl_err_t err);      /* "BAD_REQUEST" */
const char *wl_err_wire_code(wl_err_t err); /* "bad_request", design section 4 */
const char *wl_err_text(wl_err_t err);      /* a sentence for people */
bool wl_err_retryable(wl_err_t err);

/* Where and why a document or message was refused. Filled by decoders and validators on failure. */
typedef struct {
    unsigned line;     /* 1-based, 0 = not known */
    unsigned column;   /* 1-based, 0 = not known */
    char where[96];    /* JSON pointer, key or field; "" = the whole */
    char message[400]; /* a sentence without a full stop */
} wl_fault_t;

/* Formats where and message into *fault (NULL is accepted) and returns err, for `return`. */
wl_err_t wl_fault(wl_fault_t *fault, wl_err_t err, const char *where, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
