/* config_trial.h: how a candidate fares: replies and errors as the frontends of this process count
 * them, and lines that only the candidate has. A candidate that fails is withdrawn by itself. Part
 * of the config actor, on its thread. */
#ifndef WL_ACTORS_CONFIG_TRIAL_H
#define WL_ACTORS_CONFIG_TRIAL_H

#include "actors/config_self.h"

wl_config_trial_t *wl_config_trial_new(void);
void wl_config_trial_destroy(wl_config_trial_t **self);

/* TRIAL of a frontend: counts since it heard of the rollout. */
void wl_config_trial_take(wl_config_actor_t *actor, const wl_msg_t *msg);
/* Each config.poll_ms: withdraws the candidate when it has failed (wl_rollout_failed()) by all that
 * was counted or by what was counted in the last minute or two, or when a line that only it has was
 * sick for WL_TRIAL_SICK_MS; with abort_percent 0 never. */
enum { WL_TRIAL_SICK_MS = 5000 };
void wl_config_trial_look(wl_config_actor_t *actor);
/* It was withdrawn, or not (fault). */
void wl_config_trial_ended(wl_config_actor_t *actor, wl_err_t err, const wl_fault_t *fault);
/* {base, base_errors, candidate, candidate_errors}; null without a rollout. Caller owns it. */
json_t *wl_config_trial_write(const wl_config_actor_t *actor);

#endif
