/* control.h: HTTP on the control port, for tests and for people with curl.
 *     GET  /stats                     what was asked, changed, acknowledged
 *     GET  /truth?line=ID&uid=N       one asset
 *     GET  /truth.ndjson              every asset of every line, one a line
 *     POST /fault {line, fault, share?, ms?}   misbehave, see fault.h; "none" to heal; line ""
 *                                     or absent = all
 *     POST /reset {line?}             counts of /stats to 0
 *     POST /burst {changes, mode, rate}   change assets and tell walletd; 0 = stop
 *     /change?line=ID&uid=N           change one asset and tell nobody: {"version"}
 *     /details/add?line=ID&uid=N[&time=MS][&amount=MINOR][&title=TEXT]   {"id", "time"}; time is
 *                                     now when absent
 *     /details/delete?line=ID&uid=N&id=ID
 *
 * /stats, for each line: calls (assets + details + summary), users asked for, peak_1s (most calls
 * within one second), concurrent and concurrent_max (see calls.h), early (calls that came while the
 * caller had been told to wait), repeated (users whose assets were asked for again after a call
 * that met a fault: retries, and new changes of such users), faults_injected, unsigned, fault. */
#ifndef WL_TOOLS_LINESIM_CONTROL_H
#define WL_TOOLS_LINESIM_CONTROL_H

#include "publisher.h"

typedef struct control control_t;

WL_MUST_USE wl_err_t control_open(sim_t *sim, publisher_t *publisher, uint16_t port,
                                  control_t **ret);
void control_close(control_t **self);

/* Writes what GET /truth.ndjson answers. Takes the lock. */
void control_write_truth(sim_t *sim, FILE *out);

#endif
