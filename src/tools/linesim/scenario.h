/* scenario.h: a day of a line, written down: which fault begins when.
 *
 *     [{"at_ms": 0, "line": "cash", "fault": "none"},
 *      {"at_ms": 5000, "line": "cash", "fault": "busy", "share": 0.5, "ms": 2000},
 *      {"at_ms": 9000, "fault": "none"}]
 *
 * at_ms counts from the start of linesim; line "" or absent means all lines; fault, share and ms as
 * in fault.h; "note" is for people. Steps may stand in any order; of those with the same at_ms the
 * later one wins. */
#ifndef WL_TOOLS_LINESIM_SCENARIO_H
#define WL_TOOLS_LINESIM_SCENARIO_H

#include "base/asset.h"
#include "fault.h"

enum { SCENARIO_STEPS_MAX = 10000 };

typedef struct {
    int64_t at_ms;
    char line[WL_LINE_ID_MAX + 1]; /* "" = all */
    fault_plan_t plan;
} scenario_step_t;

typedef struct scenario scenario_t;

/* NULL: *fault says which step is wrong, and why. */
scenario_t *scenario_parse(const char *text, size_t bytes, wl_fault_t *fault);
scenario_t *scenario_load(const char *path, wl_fault_t *fault);
void scenario_destroy(scenario_t **self); /* NULL and *NULL are accepted */

/* The step that begins next, NULL = none is left: each is returned once, in the order of time, when
 * elapsed_ms has reached it. */
const scenario_step_t *scenario_take(scenario_t *self, int64_t elapsed_ms);
/* When the next step begins; -1 = none is left. */
int64_t scenario_next_ms(const scenario_t *self);
/* Step `index` by time, NULL behind the last one: for checking names of lines. */
const scenario_step_t *scenario_step(const scenario_t *self, uint32_t index);

#endif
