/* fleet.h: many readers in one thread, as a busy app server has them: each a DEALER that frames
 * like REQ and keeps `window` requests under way. Every reply is checked: its msgid, and that it
 * carries no error. */
#ifndef WL_TOOLS_WALLETBENCH_FLEET_H
#define WL_TOOLS_WALLETBENCH_FLEET_H

#include <stdint.h>

typedef struct bench_fleet bench_fleet_t;

/* clients x window <= 65536 */
bench_fleet_t *bench_fleet_open(const char *endpoint, uint32_t clients, uint32_t window);
void bench_fleet_close(bench_fleet_t **self);

/* Asks for users of the range for so long, then waits for what is under way. Replies a second. */
double bench_fleet_run(bench_fleet_t *self, uint64_t uid_first, uint64_t uid_count, uint32_t ms);

/* Asks once for each user of the range. */
void bench_fleet_visit(bench_fleet_t *self, uint64_t uid_first, uint64_t uid_count);

/* Average bytes of the replies so far. */
uint32_t bench_fleet_reply_bytes(const bench_fleet_t *self);

#endif
