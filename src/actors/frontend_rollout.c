#include "actors/frontend_rollout.h"

#include "actors/request_args.h"
#include "actors/whitelist.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

#include <string.h>

enum { SECOND_MS = 1000 };

struct wl_frontend_rollout {
    wl_hub_t *hub;             /* borrowed */
    uint64_t id;               /* whose answers are counted */
    wl_trial_item_t trial;     /* since we heard of it */
    wl_whitelist_t *whitelist; /* owned; the set of users that it names */
    bool configured;           /* a configuration has come */
    bool told;                 /* the log has it that the set cannot be read */
    int64_t second_at;         /* monotonic ms when the config actor was last told */
};

wl_frontend_rollout_t *wl_frontend_rollout_new(wl_hub_t *hub) {
    wl_frontend_rollout_t *self = wl_alloc_zero(1, sizeof *self);
    self->hub = hub;
    self->whitelist = wl_whitelist_new(hub->settings->server_data_dir);
    return self;
}

void wl_frontend_rollout_destroy(wl_frontend_rollout_t **self) {
    if (self != NULL && *self != NULL) {
        wl_whitelist_destroy(&(*self)->whitelist);
        wl_free(*self);
        *self = NULL;
    }
}

/* ---- the set of users ------------------------------------------------------------------------ */

/* wait: nobody is served yet. */
static void set_look(wl_frontend_rollout_t *self, bool wait, int64_t now) {
    wl_fault_t fault = {.where = ""};
    wl_err_t err = wl_whitelist_step(self->whitelist, wait, now, &fault);
    if (err != WL_OK) {
        WL_COUNT(&self->hub->counters, rollout_unreadable, 1);
    }
    if (err != WL_OK && !self->told) { /* once: it is tried again each second */
        self->told = true;
        wl_log(WL_LOG_WARN, self->hub->name, "rollout_set", "%s: %s: nobody is in it for now",
               self->hub->rollout.whitelist,
               fault.message[0] == '\0' ? wl_err_text(err) : fault.message);
    }
}

/* A process that starts reads the set before it serves anybody: nobody who is shown the candidate
 * elsewhere sees the base for a moment. Later on what serves must go on serving. */
void wl_frontend_rollout_configured(wl_frontend_rollout_t *self) {
    const wl_rollout_t *rollout = &self->hub->rollout;
    bool same = self->id == rollout->id;
    if (!same) {
        self->id = rollout->id;
        self->trial = (wl_trial_item_t){.base = 0};
    }
    wl_whitelist_want(self->whitelist, rollout->whitelist, same);
    self->told = false;
    set_look(self, !self->configured, wl_mono_now().ms);
    self->configured = true;
}

/* ---- requests -------------------------------------------------------------------------------- */

wl_err_t wl_frontend_rollout_choose(wl_frontend_rollout_t *self, const wl_rpc_request_t *request,
                                    uint64_t *ret_rollout, wl_fault_t *fault) {
    wl_asker_args_t args;
    const wl_rollout_t *rollout = &self->hub->rollout;
    wl_rollout_asker_t asker = {.scene = args.scene, .app_version = args.app_version};
    *ret_rollout = 0;
    wl_err_t err = wl_asker_args_read(request->args, &args, fault);
    if (err == WL_OK && rollout->id != 0) {
        err = wl_args_uid(request->args, "uid", &asker.uid, fault);
    }
    if (err == WL_OK && rollout->id != 0 &&
        wl_rollout_takes(rollout, wl_whitelist_set(self->whitelist), &asker)) {
        *ret_rollout = rollout->id;
    }
    return err;
}

/* What is the fault of nobody who asks. */
static bool is_failure(wl_err_t err) {
    return err == WL_ERR_INTERNAL || err == WL_ERR_DEADLINE || err == WL_ERR_UNAVAILABLE;
}

/* A request that was taken in under an earlier rollout says nothing about this one. */
void wl_frontend_rollout_answered(wl_frontend_rollout_t *self, uint64_t rollout, wl_err_t err) {
    bool candidate = rollout == self->id;
    if (self->id == 0 || (!candidate && rollout != 0)) {
        return;
    }
    wl_trial_item_t *trial = &self->trial;
    *(candidate ? &trial->candidate : &trial->base) += 1;
    *(candidate ? &trial->candidate_errors : &trial->base_errors) += is_failure(err);
    WL_COUNT(&self->hub->counters, rollout_candidate, candidate);
}

void wl_frontend_rollout_tick(wl_frontend_rollout_t *self, int64_t now) {
    set_look(self, false, now);
    if (self->id == 0 || now - self->second_at < SECOND_MS) {
        return;
    }
    self->second_at = now;
    wl_encoder_t *to = wl_hub_to(self->hub, WL_ACTOR_CONFIG, 0, WL_MSG_TRIAL, self->id);
    if (!wl_encoder_begun(to)) {
        wl_trial_head_t head = {.frontend = self->hub->instance, .rollout = self->id};
        wl_trial_begin(to, &head);
    }
    wl_trial_add(to, &self->trial);
}
