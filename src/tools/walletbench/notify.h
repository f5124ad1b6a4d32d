/* notify.h: changes through the acknowledged port, as a busy line sends them: several DEALERs with
 * batches of 100 under way. */
#ifndef WL_TOOLS_WALLETBENCH_NOTIFY_H
#define WL_TOOLS_WALLETBENCH_NOTIFY_H

#include <stdint.h>

enum { BENCH_CHANGES = 100, BENCH_NOTIFIERS_MAX = 16 };

typedef struct {
    const char *endpoint;
    const char *line;
    uint32_t clients;   /* connections */
    uint32_t window;    /* batches under way on each */
    uint64_t uid_first; /* users in order, beginning again after uid_count */
    uint64_t uid_count;
    uint64_t changes; /* how many in all, 0 = until the time is over */
    uint32_t ms;      /* how long, 0 = until all are acknowledged */
} bench_notify_t;

/* Returns how many changes were acknowledged, and in how long. Busy replies are sent again. */
uint64_t bench_notify(const bench_notify_t *plan, uint64_t *ret_ns);

/* One line, one set of users; waits until all of it is stored. */
void bench_populate(const char *endpoint, const char *line, uint64_t uid_first, uint64_t uid_count);

/* The role "notify ENDPOINT RATE": so many changes a second of line "cash" until it is killed. */
int bench_notify_role(const char *endpoint, uint64_t rate);

#endif
