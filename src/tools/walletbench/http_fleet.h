/* http_fleet.h: the HTTP counterpart of fleet.h: many keep-alive connections in one thread, one
 * request under way on each. Every answer must be 200 with a Content-Length. */
#ifndef WL_TOOLS_WALLETBENCH_HTTP_FLEET_H
#define WL_TOOLS_WALLETBENCH_HTTP_FLEET_H

#include <stdint.h>

typedef struct bench_http bench_http_t;

bench_http_t *bench_http_open(uint16_t port, uint32_t connections);
void bench_http_close(bench_http_t **self);

/* Asks GET /home?uid=N for users of the range for so long. Answers a second. */
double bench_http_run(bench_http_t *self, uint64_t uid_first, uint64_t uid_count, uint32_t ms);

#endif
