/* control.h: HTTP on the control port, for tests and for people with curl.
 *     GET  /stats                     what was asked, changed, acknowledged
 *     GET  /truth?line=ID&uid=N       one asset
 *     GET  /truth.ndjson              every asset of every line, one a line
 *     POST /fault {line, fault, rate} misbehave; "none" to heal; line "" = all
 *     POST /burst {changes, mode, rate}   change assets and tell walletd; 0 = stop */
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
