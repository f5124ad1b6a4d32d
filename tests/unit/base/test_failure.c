#include "base/failure.h"

#include "base/alloc.h"
#include "base/err.h"

#include <criterion/criterion.h>
#include <string.h>

/* Every reason that the code can produce for a letter, as its producer writes it. */
static const struct {
    const char *reason;
    wl_failure_t failure;
} reasons[] = {
    /* lines/http_caller.c */
    {"no answer within 500 ms", WL_FAILURE_TIMEOUT},
    {"HTTP 400", WL_FAILURE_REFUSED},
    {"HTTP 401", WL_FAILURE_REFUSED},
    {"HTTP 404", WL_FAILURE_REFUSED},
    {"HTTP 408", WL_FAILURE_TIMEOUT},
    {"HTTP 429", WL_FAILURE_UNAVAILABLE},
    {"HTTP 500", WL_FAILURE_UNAVAILABLE},
    {"HTTP 503", WL_FAILURE_UNAVAILABLE},
    {"HTTP 504", WL_FAILURE_TIMEOUT},
    {"the answer is longer than 1048576 bytes", WL_FAILURE_MALFORMED},
    {"the address is not one to connect to", WL_FAILURE_UNCONFIGURED},
    {"Failed to connect to 127.0.0.1 port 1 after 0 ms: Connection refused",
     WL_FAILURE_UNAVAILABLE},
    {"Couldn't connect to server", WL_FAILURE_UNAVAILABLE},
    {"Could not resolve host: nowhere.example", WL_FAILURE_UNAVAILABLE},
    {"Empty reply from server", WL_FAILURE_UNAVAILABLE},
    {"Recv failure: Connection reset by peer", WL_FAILURE_UNAVAILABLE},
    {"transfer closed with 12 bytes remaining to read", WL_FAILURE_UNAVAILABLE},
    {"SSL certificate problem: self-signed certificate", WL_FAILURE_UNAVAILABLE},
    /* lines/zmq_caller.c */
    {"no connection within 500 ms", WL_FAILURE_UNAVAILABLE},
    {"error unavailable", WL_FAILURE_UNAVAILABLE},
    {"error busy", WL_FAILURE_UNAVAILABLE},
    {"error internal", WL_FAILURE_UNAVAILABLE},
    {"error deadline", WL_FAILURE_TIMEOUT},
    {"error bad_request", WL_FAILURE_REFUSED},
    {"error without a code", WL_FAILURE_REFUSED},
    /* lines/json_text.c, answer_json.c, answer_msgpack.c */
    {"not JSON, line 1 column 5", WL_FAILURE_MALFORMED},
    {"not UTF-8, line 1 column 5", WL_FAILURE_MALFORMED},
    {"a key stands twice in an object, line 1 column 5", WL_FAILURE_MALFORMED},
    {"the text ends too early, line 1 column 5", WL_FAILURE_MALFORMED},
    {"a NUL byte", WL_FAILURE_MALFORMED},
    {"nested deeper than 16 levels", WL_FAILURE_MALFORMED},
    {"900 objects and arrays in 1024 bytes", WL_FAILURE_MALFORMED},
    {"the answer has no list \"assets\"", WL_FAILURE_MALFORMED},
    {"the answer has no list where the mapping says", WL_FAILURE_MALFORMED},
    {"more records than users can have", WL_FAILURE_MALFORMED},
    {"not one sound MessagePack object", WL_FAILURE_MALFORMED},
    /* actors/puller_answer.c, dispatcher_settle.c */
    {"amount: is missing", WL_FAILURE_QUARANTINED},
    {"expires_at: is out of range", WL_FAILURE_QUARANTINED},
    {"more than 256 records for one user", WL_FAILURE_QUARANTINED},
    {"the answer had refused records of an unknown user", WL_FAILURE_QUARANTINED},
    {"a record was refused: jump_max, version_ahead_max or too many", WL_FAILURE_QUARANTINED},
    {"the answer is older than the notification", WL_FAILURE_STALE_VERSION},
    {"given up", WL_FAILURE_OTHER},
    /* actors/puller.c, puller_calls.c, puller_limits.c, puller_quota.c, dispatcher_lanes.c */
    {"line is not configured", WL_FAILURE_UNCONFIGURED},
    {"the key that signs is missing, or the url is bad", WL_FAILURE_UNCONFIGURED},
    {"the puller is not ready for this line", WL_FAILURE_UNAVAILABLE},
    {"the line asked to be left alone for a while", WL_FAILURE_UNAVAILABLE},
    {"the line does not answer: its breaker is open", WL_FAILURE_UNAVAILABLE},
    {"the quota is too small for this writer's share of it", WL_FAILURE_UNAVAILABLE},
    {"the quota of the day is used up", WL_FAILURE_UNAVAILABLE},
    /* actors/dispatcher_gates.c */
    {"its shard could not write", WL_FAILURE_STORE},
    /* actors/dispatcher_read.c */
    {"the changes do not decode", WL_FAILURE_UNDECODABLE},
    {"the assets do not decode", WL_FAILURE_UNDECODABLE},
    {"an asset of nobody", WL_FAILURE_UNDECODABLE},
    {"unknown kind of entry", WL_FAILURE_UNDECODABLE},
    {"the line is damaged", WL_FAILURE_UNDECODABLE},
    {"", WL_FAILURE_OTHER},
    {"something new", WL_FAILURE_OTHER},
};

Test(failure, every_reason_has_a_class) {
    bool met[WL_FAILURE_COUNT] = {false};
    for (size_t i = 0; i < WL_COUNT_OF(reasons); i++) {
        wl_failure_t failure = wl_failure_of(reasons[i].reason, false);
        cr_expect_eq(failure, reasons[i].failure, "\"%s\" is %s", reasons[i].reason,
                     wl_failure_word(failure));
        met[failure] = true;
        cr_expect_eq(wl_failure_of(reasons[i].reason, true), WL_FAILURE_QUARANTINED);
    }
    for (unsigned i = WL_FAILURE_NONE + 1; i < WL_FAILURE_COUNT; i++) {
        cr_expect(met[i], "%s is never the class of anything", wl_failure_word(i));
    }
}

/* Where a call says nothing else, the text of its error is the reason. */
Test(failure, every_error_has_a_class) {
    for (unsigned err = WL_ERR_OK + 1; err < WL_ERR_COUNT; err++) {
        wl_failure_t failure = wl_failure_of(wl_err_text((wl_err_t)err), false);
        cr_expect(failure > WL_FAILURE_NONE && failure < WL_FAILURE_COUNT);
    }
    cr_expect_eq(wl_failure_of(wl_err_text(WL_ERR_DEADLINE), false), WL_FAILURE_TIMEOUT);
    cr_expect_eq(wl_failure_of(wl_err_text(WL_ERR_UNAVAILABLE), false), WL_FAILURE_UNAVAILABLE);
    cr_expect_eq(wl_failure_of(wl_err_text(WL_ERR_MALFORMED), false), WL_FAILURE_MALFORMED);
}

Test(failure, words_are_read_back) {
    for (unsigned i = WL_FAILURE_NONE + 1; i < WL_FAILURE_COUNT; i++) {
        wl_failure_t read = WL_FAILURE_NONE;
        cr_expect(wl_failure_parse(wl_failure_word(i), &read));
        cr_expect_eq(read, (wl_failure_t)i);
        cr_expect_eq(strspn(wl_failure_word(i), "abcdefghijklmnopqrstuvwxyz_"),
                     strlen(wl_failure_word(i)), "one word");
    }
    wl_failure_t read = WL_FAILURE_STORE;
    cr_expect_not(wl_failure_parse("", &read));
    cr_expect_not(wl_failure_parse("Timeout", &read));
    cr_expect_eq(read, WL_FAILURE_STORE, "untouched");
    cr_expect_str_eq(wl_failure_word(200), "other");
}
