#include "base/failure.h"

#include "base/alloc.h"
#include "base/err.h"

#include <stdlib.h>
#include <string.h>

static const char *const words[WL_FAILURE_COUNT] = {
#define FAILURE_WORD(name, word, doc) word,
    WL_FAILURES(FAILURE_WORD)
#undef FAILURE_WORD
};

const char *wl_failure_word(unsigned failure) {
    return failure < WL_FAILURE_COUNT ? words[failure] : words[WL_FAILURE_OTHER];
}

bool wl_failure_parse(const char *word, wl_failure_t *ret) {
    for (unsigned i = WL_FAILURE_NONE + 1; i < WL_FAILURE_COUNT; i++) {
        if (strcmp(words[i], word) == 0) {
            *ret = (wl_failure_t)i;
            return true;
        }
    }
    return false;
}

/* What a reason begins with. */
typedef struct {
    const char *text;
    wl_failure_t failure;
} sign_t;

static const sign_t begins[] = {
    {"no answer within ", WL_FAILURE_TIMEOUT},
    {"no connection within ", WL_FAILURE_UNAVAILABLE},
    {"the line is damaged", WL_FAILURE_UNDECODABLE}, /* of an entry */
    {"the line ", WL_FAILURE_UNAVAILABLE},           /* does not answer, asked to be left alone */
    {"the quota ", WL_FAILURE_UNAVAILABLE},
    {"the puller is not ready", WL_FAILURE_UNAVAILABLE},
    {"the answer is longer than ", WL_FAILURE_MALFORMED},
    {"the answer has no list", WL_FAILURE_MALFORMED},
    {"more records than users can have", WL_FAILURE_MALFORMED},
    {"not one sound MessagePack object", WL_FAILURE_MALFORMED},
    {"not JSON", WL_FAILURE_MALFORMED},
    {"not UTF-8", WL_FAILURE_MALFORMED},
    {"a key stands twice", WL_FAILURE_MALFORMED},
    {"the text ends too early", WL_FAILURE_MALFORMED},
    {"a NUL byte", WL_FAILURE_MALFORMED},
    {"nested deeper than ", WL_FAILURE_MALFORMED},
    {"the answer is older than the notification", WL_FAILURE_STALE_VERSION},
    {"the answer had refused records", WL_FAILURE_QUARANTINED},
    {"a record was refused", WL_FAILURE_QUARANTINED},
    {"more than 256 records for one user", WL_FAILURE_QUARANTINED},
    {"line is not configured", WL_FAILURE_UNCONFIGURED},
    {"the key that signs is missing", WL_FAILURE_UNCONFIGURED},
    {"the address is not one", WL_FAILURE_UNCONFIGURED},
    {"its shard could not write", WL_FAILURE_STORE},
    {"the changes do not decode", WL_FAILURE_UNDECODABLE},
    {"the assets do not decode", WL_FAILURE_UNDECODABLE},
    {"an asset of nobody", WL_FAILURE_UNDECODABLE},
    {"unknown kind of entry", WL_FAILURE_UNDECODABLE},
};

/* What stands somewhere in the words of the HTTP library. */
static const sign_t holds[] = {
    {"onnect", WL_FAILURE_UNAVAILABLE},      {"resolve", WL_FAILURE_UNAVAILABLE},
    {"failure", WL_FAILURE_UNAVAILABLE},     {"Empty reply", WL_FAILURE_UNAVAILABLE},
    {"SSL", WL_FAILURE_UNAVAILABLE},         {"TLS", WL_FAILURE_UNAVAILABLE},
    {"certificate", WL_FAILURE_UNAVAILABLE}, {"timed out", WL_FAILURE_TIMEOUT},
    {"closed", WL_FAILURE_UNAVAILABLE},
};

static wl_failure_t failure_of_http(const char *status) {
    long number = strtol(status, NULL, 10);
    if (number == 408 || number == 504) {
        return WL_FAILURE_TIMEOUT;
    }
    return number == 429 || number >= 500 ? WL_FAILURE_UNAVAILABLE : WL_FAILURE_REFUSED;
}

/* The code that a line over ZeroMQ has answered with. */
static wl_failure_t failure_of_code(const char *code) {
    if (strcmp(code, wl_err_wire_code(WL_ERR_DEADLINE)) == 0) {
        return WL_FAILURE_TIMEOUT;
    }
    bool away = strcmp(code, wl_err_wire_code(WL_ERR_UNAVAILABLE)) == 0 ||
                strcmp(code, wl_err_wire_code(WL_ERR_BUSY)) == 0 ||
                strcmp(code, wl_err_wire_code(WL_ERR_INTERNAL)) == 0;
    return away ? WL_FAILURE_UNAVAILABLE : WL_FAILURE_REFUSED;
}

/* Where nothing else is said, the reason is the text of the error. */
static wl_failure_t failure_of_err(const char *reason) {
    static const struct {
        wl_err_t err;
        wl_failure_t failure;
    } rows[] = {
        {WL_ERR_DEADLINE, WL_FAILURE_TIMEOUT},      {WL_ERR_UNAVAILABLE, WL_FAILURE_UNAVAILABLE},
        {WL_ERR_FULL, WL_FAILURE_UNAVAILABLE},      {WL_ERR_BUSY, WL_FAILURE_UNAVAILABLE},
        {WL_ERR_MALFORMED, WL_FAILURE_MALFORMED},   {WL_ERR_TOO_BIG, WL_FAILURE_MALFORMED},
        {WL_ERR_SETTINGS, WL_FAILURE_UNCONFIGURED}, {WL_ERR_IO, WL_FAILURE_STORE},
        {WL_ERR_NO_SPACE, WL_FAILURE_STORE},        {WL_ERR_DAMAGED, WL_FAILURE_STORE},
    };
    for (size_t i = 0; i < WL_COUNT_OF(rows); i++) {
        if (strcmp(reason, wl_err_text(rows[i].err)) == 0) {
            return rows[i].failure;
        }
    }
    return WL_FAILURE_OTHER;
}

/* "amount: is missing": what is wrong with a record is said behind the name of its field. */
static bool names_field(const char *reason) {
    size_t bytes = strspn(reason, "abcdefghijklmnopqrstuvwxyz_");
    return bytes > 0 && strncmp(reason + bytes, ": ", 2) == 0;
}

/* "12 objects and arrays in 34 bytes" */
static bool counts_objects(const char *reason) {
    size_t digits = strspn(reason, "0123456789");
    static const char rest[] = " objects and arrays in ";
    return digits > 0 && strncmp(reason + digits, rest, sizeof rest - 1) == 0;
}

wl_failure_t wl_failure_of(const char *reason, bool refused) {
    if (refused) {
        return WL_FAILURE_QUARANTINED;
    }
    if (strncmp(reason, "HTTP ", 5) == 0) {
        return failure_of_http(reason + 5);
    }
    if (strncmp(reason, "error ", 6) == 0) {
        return failure_of_code(reason + 6);
    }
    for (size_t i = 0; i < WL_COUNT_OF(begins); i++) {
        if (strncmp(reason, begins[i].text, strlen(begins[i].text)) == 0) {
            return begins[i].failure;
        }
    }
    if (counts_objects(reason)) {
        return WL_FAILURE_MALFORMED;
    }
    if (names_field(reason)) {
        return WL_FAILURE_QUARANTINED;
    }
    wl_failure_t failure = failure_of_err(reason);
    for (size_t i = 0; failure == WL_FAILURE_OTHER && i < WL_COUNT_OF(holds); i++) {
        failure = strstr(reason, holds[i].text) != NULL ? holds[i].failure : failure;
    }
    return failure;
}
