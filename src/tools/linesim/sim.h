/* sim.h: the state of the simulated lines: who owns what at which version, which fault is injected,
 * and what was asked. Shared by the threads of linesim behind one lock.
 *
 * A value is a pure function of (seed, line, uid, version), so the truth of N users costs 8 bytes
 * each and a line, and a run repeats exactly. Version 0 means that the user owns nothing. */
#ifndef WL_TOOLS_LINESIM_SIM_H
#define WL_TOOLS_LINESIM_SIM_H

#include "base/asset.h"
#include "base/err.h"

#include <pthread.h>

enum { SIM_LINES_MAX = 16 };

/* How a line misbehaves: name, doc */
#define SIM_FAULTS(F)                                                     \
    F(NONE, "none", "answers well")                                       \
    F(HANG, "hang", "takes the call and never answers")                   \
    F(ERROR, "error", "HTTP 500, or an RPC error")                        \
    F(GARBAGE, "garbage", "answers random bytes")                         \
    F(LIE_USER, "lie-user", "answers with another user's asset")          \
    F(LIE_FLOAT, "lie-float", "amounts are JSON reals or msgpack floats") \
    F(LIE_BIG, "lie-big", "amounts beyond int64")                         \
    F(EMPTY, "empty", "answers that nobody owns anything")                \
    F(SLOW, "slow", "answers after 3 s")                                  \
    F(HUGE, "huge", "answers 100 MB")

typedef enum {
#define SIM_FAULT_ENUM(name, text, doc) SIM_FAULT_##name,
    SIM_FAULTS(SIM_FAULT_ENUM)
#undef SIM_FAULT_ENUM
        SIM_FAULT_COUNT
} sim_fault_t;

typedef struct {
    char id[WL_LINE_ID_MAX + 1];
    char unit[WL_UNIT_MAX + 1];
    wl_kind_t kind;
    uint8_t scale;
    uint16_t http_port; /* one of the two is 0 */
    uint16_t zmq_port;
    bool foreign; /* answers in another shape, without versions */
    sim_fault_t fault;
    double fault_rate;  /* share of calls that misbehave */
    uint64_t *versions; /* owned, one per user */
    uint64_t seq;       /* of PUB messages */
    uint64_t calls;
    uint64_t users_asked;
    uint64_t faults_injected;
    uint64_t unsigned_calls;
    uint32_t concurrent;
    uint32_t concurrent_max;
} sim_line_t;

typedef struct {
    pthread_mutex_t lock;   /* guards everything below and every line */
    pthread_cond_t changed; /* a fault was changed, or the end has come */
    bool ending;
    uint64_t seed;
    uint64_t first_uid;
    uint64_t users;
    double error_rate; /* share of calls of any line that fail */
    bool keep;         /* no asset is ever gone */
    uint32_t latency_ms;
    const char *secret; /* key of signed calls, NULL = not checked */
    sim_line_t lines[SIM_LINES_MAX];
    uint32_t line_count;
    uint64_t random; /* state of sim_random() */
} sim_t;

void sim_init(sim_t *self);
/* "cash,kind=cash,unit=CNY,scale=2,http=8101": adds a line; *fault says what is wrong. */
WL_MUST_USE wl_err_t sim_line_add(sim_t *self, const char *description, wl_fault_t *fault);
/* Allocates the users; `owners` of them own something at version 1. */
void sim_users_open(sim_t *self, double owners);
void sim_close(sim_t *self);

sim_line_t *sim_line_find(sim_t *self, const char *id);
const char *sim_fault_name(sim_fault_t fault);
bool sim_fault_parse(const char *text, sim_fault_t *ret);

/* The next number of a deterministic stream; the lock is held. */
uint64_t sim_random(sim_t *self);
double sim_random_share(sim_t *self); /* [0, 1) */

/* The truth about a user. false: owns nothing and never did. */
bool sim_asset(const sim_t *self, const sim_line_t *line, uint64_t uid, wl_asset_t *ret);

/* A call begins: counts it and decides how it misbehaves. Takes the lock. */
sim_fault_t sim_call_begin(sim_t *self, sim_line_t *line, uint64_t users);
void sim_call_end(sim_t *self, sim_line_t *line);
/* Blocks while the fault is HANG or for `ms`, until the end of linesim at most. Takes the lock. */
void sim_hold(sim_t *self, sim_line_t *line, uint32_t ms);

#endif
