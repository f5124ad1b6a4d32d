/* http_fault.h: how an HTTP line misbehaves on the wire. Each call runs in the thread of its
 * connection and may block it. */
#ifndef WL_TOOLS_LINESIM_HTTP_FAULT_H
#define WL_TOOLS_LINESIM_HTTP_FAULT_H

#include "sim.h"

#include <microhttpd.h>

/* Waits for ms, ms < 0: until the line gets another plan; not beyond the end of linesim. false: the
 * caller has hung up. */
bool http_fault_hold(sim_t *sim, const sim_call_t *call, struct MHD_Connection *connection,
                     int64_t ms);

/* Serves a call whose fault takes the place of the answer, or spoils it: `text` is the good answer,
 * which is freed. The call is ended. For faults in the contents and NONE: answers well. */
enum MHD_Result http_fault_answer(sim_t *sim, const sim_call_t *call,
                                  struct MHD_Connection *connection, char *text);

/* Answers with a document; the text is freed. */
enum MHD_Result http_respond(struct MHD_Connection *connection, unsigned status, char *text);

/* The descriptor of a connection. */
int http_connection_fd(struct MHD_Connection *connection);

#endif
