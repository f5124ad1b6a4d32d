/* fault.h: the ways in which a simulated line misbehaves, and when. Pure.
 *
 * A plan is a fault with its share of the calls and one number, `ms`, whose meaning depends on the
 * fault (see the table). It is given by --line, by POST /fault and by the steps of a scenario. */
#ifndef WL_TOOLS_LINESIM_FAULT_H
#define WL_TOOLS_LINESIM_FAULT_H

#include "base/err.h"

#include <jansson.h>
#include <stdint.h>

/* name, text, default of `ms`, what it does, what `ms` is ("" = nothing) */
#define SIM_FAULTS(F)                                                                          \
    F(NONE, "none", 0, "answers well", "")                                                     \
    F(HANG, "hang", 0, "takes the call, keeps the connection, never answers", "")              \
    F(DRIP, "drip", 100, "the answer trickles, byte by byte", "pause between two bytes")       \
    F(HALF_OPEN, "half-open", 0,                                                               \
      "accepts and says nothing; connections caught in it are reset when it heals", "")        \
    F(RST, "rst", 0, "the connection is reset instead of an answer", "")                       \
    F(ERROR, "error", 0, "HTTP 500; ZeroMQ: error internal", "")                               \
    F(UNAVAILABLE, "unavailable", 0, "HTTP 503; ZeroMQ: error unavailable", "")                \
    F(BUSY, "busy", 1000, "HTTP 429 with Retry-After; ZeroMQ: error busy with retry_after_ms", \
      "how long to wait; HTTP rounds up to seconds")                                           \
    F(GARBAGE, "garbage", 0, "bytes that are no JSON, no MessagePack", "")                     \
    F(TRUNCATED, "truncated", 0,                                                               \
      "half of the answer, then the end; ZeroMQ: a whole message with half of it", "")         \
    F(LIE_USER, "lie-user", 0, "another user's assets; nothing on details and sums", "")       \
    F(LIE_FLOAT, "lie-float", 0, "amounts are JSON reals or MessagePack floats", "")           \
    F(LIE_BIG, "lie-big", 0, "amounts beyond int64", "")                                       \
    F(VERSION_JUMP, "version-jump", 0,                                                         \
      "versions 10^12 too high with wrong amounts; nothing on details and sums", "")           \
    F(CLOCK_SKEW, "clock-skew", 31536000000,                                                   \
      "its clock is off: changed_at, times of details; refuses signatures 5 minutes from it",  \
      "how far it is ahead, negative = behind")                                                \
    F(FLAPPING, "flapping", 1000, "error and well in turn", "length of each")                  \
    F(SLOW, "slow", 3000, "answers late", "how late")                                          \
    F(HUGE, "huge", 0, "100 MB", "")                                                           \
    F(EMPTY, "empty", 0, "nobody owns anything; no details, sums of zero", "")

typedef enum {
#define SIM_FAULT_ENUM(name, text, ms, doc, unit) SIM_FAULT_##name,
    SIM_FAULTS(SIM_FAULT_ENUM)
#undef SIM_FAULT_ENUM
        SIM_FAULT_COUNT
} sim_fault_t;

typedef struct {
    sim_fault_t fault;
    double share; /* of the calls, 0 .. 1 */
    int64_t ms;
    int64_t since_ms; /* monotonic, when it began */
} fault_plan_t;

const char *sim_fault_name(sim_fault_t fault);
bool sim_fault_parse(const char *text, sim_fault_t *ret);
int64_t sim_fault_ms(sim_fault_t fault); /* its default */
/* For --help: "  hang   takes ...", and what ms is on a line of its own; NULL behind the last one.
 * `room` of at least 400 bytes is written. */
const char *sim_fault_help(unsigned index, char *room, size_t bytes);

/* {"fault": NAME, "share"?: 0..1, "ms"?: N}; "rate" is another word for share. Other keys are not
 * looked at. WL_ERR_BAD_REQUEST with *fault. */
WL_MUST_USE wl_err_t fault_plan_read(const json_t *object, fault_plan_t *ret, wl_fault_t *fault);

/* What a call at that moment meets when the plan hits it: FLAPPING is ERROR or NONE. */
sim_fault_t fault_plan_at(const fault_plan_t *self, int64_t now_ms);

#endif
