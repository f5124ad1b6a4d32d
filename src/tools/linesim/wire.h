/* wire.h: the bytes between the callers of ZeroMQ lines and their ROUTERs: a relay in a thread of
 * its own, listening on the lines' ports. It passes everything on, and makes the faults that only a
 * connection can have: drip, half-open, rst. With share < 1 each connection is in it or not; of rst
 * each piece that arrives. */
#ifndef WL_TOOLS_LINESIM_WIRE_H
#define WL_TOOLS_LINESIM_WIRE_H

#include "sim.h"

typedef struct wire wire_t;

enum { WIRE_ADDRESS_BYTES = 64 };

/* WL_ERR_BIND: the port of a line is taken. */
WL_MUST_USE wl_err_t wire_start(sim_t *sim, wire_t **ret);
/* sim->ending was set before. NULL and *NULL are accepted. */
void wire_stop(wire_t **self);

/* Where the ROUTER of the line with this port listens: a name of an abstract Unix socket as libzmq
 * writes it, "@...". */
void wire_address(uint16_t port, char ret[WIRE_ADDRESS_BYTES]);

#endif
