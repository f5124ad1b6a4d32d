/* details_json.h: pages and sums of a line as the documents that HTTP and ZeroMQ lines answer:
 *     {"items": [{"id", "time", "title", "amount", "unit", "scale", "kind"?}], "next": text | null}
 *     {"in", "out", "count", "unit", "scale"}
 * Amounts, in and out are text of minor units, time is ms since 1970, newest first. */
#ifndef WL_TOOLS_LINESIM_DETAILS_JSON_H
#define WL_TOOLS_LINESIM_DETAILS_JSON_H

#include "sim.h"

#include <jansson.h>
#include <msgpack.h>

enum { QUESTION_MONTH_MAX = 15, QUESTION_CURSOR_MAX = 255, QUESTION_LIMIT = 20 };

typedef struct {
    sim_what_t what; /* SIM_DETAILS, SIM_SUMMARY */
    uint64_t uid;
    char month[QUESTION_MONTH_MAX + 1];   /* "" = all */
    char cursor[QUESTION_CURSOR_MAX + 1]; /* "" = from the newest */
    uint32_t limit;                       /* 0 = QUESTION_LIMIT; above 100 is 100 */
} question_t;

/* The answer, with the lies of the call's fault; the caller frees it. Takes the lock.
 * WL_ERR_NOT_FOUND: the line does not offer this. WL_ERR_BAD_REQUEST: month or cursor. */
WL_MUST_USE wl_err_t details_answer(sim_t *sim, const sim_call_t *call, const question_t *question,
                                    json_t **ret);

/* The same document as MessagePack. */
void details_pack(msgpack_packer *pack, const json_t *value);

#endif
