/* sim.h: the state of the simulated lines: who owns what at which version, which fault is injected,
 * and what was asked. Shared by the threads of linesim behind one lock.
 *
 * A value is a pure function of (seed, line, uid, version), so the truth of N users costs 8 bytes
 * each and a line, and a run repeats exactly. Version 0 means that the user owns nothing. */
#ifndef WL_TOOLS_LINESIM_SIM_H
#define WL_TOOLS_LINESIM_SIM_H

#include "base/asset.h"
#include "base/err.h"
#include "calls.h"
#include "details.h"
#include "fault.h"

#include <pthread.h>

enum { SIM_LINES_MAX = 16 };

typedef struct {
    char id[WL_LINE_ID_MAX + 1];
    char unit[WL_UNIT_MAX + 1];
    wl_kind_t kind;
    uint8_t scale;
    uint16_t http_port; /* one of the two is 0 */
    uint16_t zmq_port;
    bool foreign;   /* answers in another shape, without versions */
    bool details;   /* offers them */
    bool summary;   /* likewise */
    bool told;      /* its changes are told to walletd */
    uint32_t truth; /* number of the line whose assets it has: its own, unless as= says another */
    int64_t give_up_ms; /* how long callers wait, for ZeroMQ: see calls.h; 0 = not known */
    fault_plan_t plan;
    uint64_t plan_number; /* grows with every plan */
    uint64_t *versions;   /* owned, one per user; NULL when as= says another line */
    bool *failed;         /* owned, one per user: the last call about them met a fault */
    details_t *bookings;  /* owned; NULL when as= says another line */
    uint64_t seq;         /* of PUB messages */
    calls_t calls;
} sim_line_t;

typedef struct {
    pthread_mutex_t lock; /* guards everything below and every line */
    bool ending;
    uint64_t seed;
    uint64_t first_uid;
    uint64_t users;
    uint32_t details_each; /* bookings of a user and line at the start */
    int64_t details_end_ms;
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
/* A line whose changes are told, by chance; NULL: there is none. The lock is held. */
sim_line_t *sim_line_draw(sim_t *self);
/* From now on the line misbehaves like this; id "" = all lines. false: no such line. Takes the
 * lock. */
bool sim_plan_set(sim_t *self, const char *id, const fault_plan_t *plan);

/* The next number of a deterministic stream; the lock is held. */
uint64_t sim_random(sim_t *self);
double sim_random_share(sim_t *self); /* [0, 1) */

/* Changes what a user owns; returns the new version, 0 = no such user. The lock is held. */
uint64_t sim_change(sim_t *self, sim_line_t *line, uint64_t uid);
/* The truth about a user; the lock is held. false: owns nothing and never did. */
bool sim_asset(const sim_t *self, const sim_line_t *line, uint64_t uid, wl_asset_t *ret);

/* One call as it is served. */
typedef struct {
    sim_line_t *line; /* borrowed */
    sim_fault_t fault;
    int64_t ms;           /* of the fault */
    uint64_t plan_number; /* when it came */
    uint32_t place;       /* of calls_begin() */
} sim_call_t;

typedef struct {
    sim_what_t what;
    const uint64_t *uids; /* borrowed */
    size_t uid_count;
    int fd; /* of the connection, -1 = not known */
} sim_asked_t;

/* A call comes: counts it and decides how it misbehaves. Takes the lock. */
sim_call_t sim_call_begin(sim_t *self, sim_line_t *line, const sim_asked_t *asked);
void sim_call_end(sim_t *self, const sim_call_t *call);
/* The asset as this call shows it: lie-user, version-jump and clock-skew change it. */
void sim_call_twist(const sim_call_t *call, wl_asset_t *asset);
/* Is `time` (decimal wall ms) of a signature within 5 minutes of the line's clock? Takes the
 * lock. */
bool sim_call_in_time(sim_t *self, const sim_line_t *line, const char *time);
/* Faults of ZeroMQ lines that wire.h makes, not the answer. */
bool sim_fault_of_wire(sim_fault_t fault);

#endif
