/* log.h: one NDJSON object a line on stderr. Only actors and main log; libraries return errors.
 * Any thread. A line is one write(2); if stderr cannot take it at once the line is dropped and
 * counted, so a stuck terminal never stops an actor. Equal (code) lines beyond 10 in 10 s are
 * collapsed into one with "repeats". No amounts, no raw uids: wl_log_uid() gives a stand-in. */
#ifndef WL_BASE_LOG_H
#define WL_BASE_LOG_H

#include "base/err.h"

#include <stdint.h>

typedef enum { WL_LOG_DEBUG, WL_LOG_INFO, WL_LOG_WARN, WL_LOG_ERROR } wl_log_level_t;

/* The least level that is written, INFO at start. */
void wl_log_level_set(wl_log_level_t level);
bool wl_log_level_parse(const char *text, wl_log_level_t *ret);

/* actor: "frontend.0" or "main"; code: a stable short word "pull_failed"; text: printf-like. */
void wl_log(wl_log_level_t level, const char *actor, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Lines dropped since start because stderr was full. */
uint64_t wl_log_dropped(void);

/* A keyed hash of a uid, the same within one process: "u:1f2e3d4c". Writes 11 bytes with NUL. */
void wl_log_uid(uint64_t uid, char ret_text[16]);

#endif
