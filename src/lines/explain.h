/* explain.h: what walletd makes of a line's answer, record by record and field by field, for the
 * people who connect a line. The verdict is that of the reader that walletd itself uses (answer.h);
 * this adds where each value came from and every rule that a record breaks, not only the first.
 * Untrusted input; pure, any thread; not for the path of pulls: it allocates a lot. */
#ifndef WL_LINES_EXPLAIN_H
#define WL_LINES_EXPLAIN_H

#include "base/clock.h"
#include "domain/config.h"

#include <jansson.h>

enum { WL_EXPLAIN_RECORDS_MAX = 500 }; /* records shown; all are judged and counted */

/* bytes: an answer to POST /assets as it came, MessagePack when the line's adapter is ZeroMQ. uids:
 * who was asked for, each not 0, at most WL_PULL_UIDS_MAX; uid_count 0 = everybody in the answer,
 * as far as that goes. now: wall ms, taken for the start of the pull.
 *
 * The caller owns the result:
 *     {"reason": "", "users": ["7"], "missing": [], "held": [], "taken": 1, "refused": 0,
 *      "records": [{"index": 0, "uid": "7", "taken": true, "fields": [
 *          {"field": "amount", "from": "/balance", "raw": "\"12.5\"", "kept": "12.50 CNY"}],
 *        "failed": [{"field": "amount", "reason": "amount: ..."}], "hints": ["..."]}]}
 * reason: why the answer as a whole is of no use, then there are no records. users: who was asked
 * for; missing: those of them without a record; held: those of whom nothing would be stored, for a
 * record that is refused. from: key of the standard contract, pointer of the mapping, "integration"
 * (the line's configuration) or "walletd" (made at the pull). raw: the JSON of the value, cut when
 * long; null = not there. kept: what walletd would keep; null = nothing, as the field is refused or
 * absent. Of records of users who were not asked for, values show their types only. */
json_t *wl_explain(const wl_line_t *line, const uint64_t *uids, uint32_t uid_count,
                   wl_wall_ms_t now, const void *bytes, size_t count);

#endif
