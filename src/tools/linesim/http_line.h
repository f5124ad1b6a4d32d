/* http_line.h: serves one line over HTTP JSON (libmicrohttpd, a thread per connection), in the
 * standard contract or in another shape. */
#ifndef WL_TOOLS_LINESIM_HTTP_LINE_H
#define WL_TOOLS_LINESIM_HTTP_LINE_H

#include "sim.h"

typedef struct http_line http_line_t;

/* WL_ERR_BIND: the port is taken. */
WL_MUST_USE wl_err_t http_line_open(sim_t *sim, sim_line_t *line, http_line_t **ret);
void http_line_close(http_line_t **self);

#endif
