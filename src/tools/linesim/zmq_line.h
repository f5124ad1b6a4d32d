/* zmq_line.h: serves all ZeroMQ lines from one thread: a ROUTER each, MessagePack-RPC. Callers come
 * through wire.h. */
#ifndef WL_TOOLS_LINESIM_ZMQ_LINE_H
#define WL_TOOLS_LINESIM_ZMQ_LINE_H

#include "sim.h"

#include <czmq.h>

void zmq_lines_run(zsock_t *pipe, void *boot); /* a wl_actor_fn; options: a sim_t * */

#endif
