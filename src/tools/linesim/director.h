/* director.h: plays a scenario: a thread that gives lines their faults by the clock. */
#ifndef WL_TOOLS_LINESIM_DIRECTOR_H
#define WL_TOOLS_LINESIM_DIRECTOR_H

#include "scenario.h"
#include "sim.h"

#include <czmq.h>

typedef struct {
    sim_t *sim;           /* borrowed */
    scenario_t *scenario; /* borrowed, used by the director alone from now on */
} director_options_t;

void director_run(zsock_t *pipe, void *boot); /* a wl_actor_fn; options: a director_options_t * */

#endif
