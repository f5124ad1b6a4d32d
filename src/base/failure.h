/* failure.h: why work on a user failed, as one word of a closed list, so that operators can count,
 * filter and redrive by it. Told from the reason for people, which stands beside it everywhere: so
 * that letters of an older program have a class as well. Pure, any thread. */
#ifndef WL_BASE_FAILURE_H
#define WL_BASE_FAILURE_H

#include <stdbool.h>

/* name, word, what it means. The numbers stand in files and messages: new ones go to the end. */
#define WL_FAILURES(F)                                                                   \
    F(NONE, "", "not told apart yet, or none")                                           \
    F(TIMEOUT, "timeout", "the line did not answer in time")                             \
    F(UNAVAILABLE, "unavailable", "no connection, or the line says that it cannot now")  \
    F(REFUSED, "refused", "the line does not want this question")                        \
    F(MALFORMED, "malformed", "the answer as a whole is not of the agreed shape")        \
    F(QUARANTINED, "quarantined", "a record of the user broke a rule")                   \
    F(STALE_VERSION, "stale_version", "the answer is older than the notification")       \
    F(UNCONFIGURED, "unconfigured", "the line is gone, or cannot be asked as it is set") \
    F(STORE, "store", "the shard could not write")                                       \
    F(UNDECODABLE, "undecodable", "a queue entry that nobody understands")               \
    F(OTHER, "other", "none of these")

typedef enum {
#define WL_FAILURE_ENUM(name, word, doc) WL_FAILURE_##name,
    WL_FAILURES(WL_FAILURE_ENUM)
#undef WL_FAILURE_ENUM
        WL_FAILURE_COUNT
} wl_failure_t;

/* Static text, never NULL; "other" for a number that a newer program wrote. */
const char *wl_failure_word(unsigned failure);
/* false: no word of the list. "" is none. */
bool wl_failure_parse(const char *word, wl_failure_t *ret);

/* What a reason means. refused: it was a rule about records that failed (WL_PULL_REFUSED), whatever
 * the words. Never WL_FAILURE_NONE. */
wl_failure_t wl_failure_of(const char *reason, bool refused);

#endif
