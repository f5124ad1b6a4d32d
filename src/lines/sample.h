/* sample.h: the recorded answer that a line's configuration brings along, judged as an answer of
 * that line: what a change of the mapping would break is seen before it is live. Pure, any thread;
 * not for the path of pulls. */
#ifndef WL_LINES_SAMPLE_H
#define WL_LINES_SAMPLE_H

#include "base/clock.h"
#include "domain/config.h"

#include <jansson.h>

/* json: an answer to /assets, not NUL-terminated; also for a ZeroMQ line, whose answers are the
 * same in MessagePack. now: wall ms. Whoever is in it was asked for.
 * WL_OK: it has records and each would be kept. WL_ERR_SETTINGS: fault->where is
 * "integration/lines/<id>/sample" and message names the first record that is refused, why, and how
 * many more there are; or why the whole is of no use. fault may be NULL.
 * ret_report: as wl_explain() gives it, in both cases; owned by the caller; may be NULL. */
WL_MUST_USE wl_err_t wl_sample_check(const wl_line_t *line, const char *json, size_t bytes,
                                     wl_wall_ms_t now, json_t **ret_report, wl_fault_t *fault);

/* Every sample of a configuration: the first that is refused, as above. */
WL_MUST_USE wl_err_t wl_samples_check(const wl_config_t *config, wl_wall_ms_t now,
                                      wl_fault_t *fault);

#endif
