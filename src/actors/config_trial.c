#include "actors/config_trial.h"

#include "actors/config_publish.h"
#include "base/alloc.h"
#include "base/log.h"
#include "base/random.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    FRONTENDS_MAX = 64,
    LATELY_MS = 60000,
    AGAIN_MS = 1000, /* after an attempt to withdraw it, and up to so much more, by chance */
    AGAIN_MORE_MS = 2000,
};

typedef struct {
    uint64_t base;
    uint64_t base_errors;
    uint64_t candidate;
    uint64_t candidate_errors;
} counts_t;

struct wl_config_trial {
    uint64_t rollout; /* what is counted here, 0 = nothing */
    counts_t frontends[FRONTENDS_MAX];
    counts_t marks[2];           /* sums of one to two LATELY_MS ago, and of up to one ago */
    int64_t marked_at;           /* monotonic ms: of the later one */
    int64_t again_at;            /* monotonic ms: withdrawn not before */
    char why[WL_REASON_MAX + 1]; /* it is withdrawn */
    int64_t sick_since; /* monotonic ms: a line of the candidate alone is sick, 0 = none is */
};

wl_config_trial_t *wl_config_trial_new(void) {
    return wl_alloc_zero(1, sizeof(wl_config_trial_t));
}

void wl_config_trial_destroy(wl_config_trial_t **self) {
    if (self != NULL && *self != NULL) {
        wl_free(*self);
        *self = NULL;
    }
}

/* Counts are of one rollout. */
static void turn_to(wl_config_trial_t *self, uint64_t rollout) {
    if (self->rollout != rollout) {
        memset(self, 0, sizeof *self);
        self->rollout = rollout;
    }
}

void wl_config_trial_take(wl_config_actor_t *actor, const wl_msg_t *msg) {
    const wl_trial_head_t *head = &msg->head.trial;
    if (head->frontend >= FRONTENDS_MAX) {
        WL_COUNT(&actor->hub.counters, msg_malformed, 1);
        return;
    }
    turn_to(actor->trial, actor->live->rollout.id);
    for (uint32_t i = 0; i < msg->count && head->rollout == actor->trial->rollout; i++) {
        const wl_trial_item_t *item = &msg->items.trial[i];
        actor->trial->frontends[head->frontend] =
            (counts_t){item->base, item->base_errors, item->candidate, item->candidate_errors};
    }
}

static counts_t sum(const wl_config_trial_t *self) {
    counts_t all = {.base = 0};
    for (uint32_t i = 0; i < FRONTENDS_MAX; i++) {
        all.base += self->frontends[i].base;
        all.base_errors += self->frontends[i].base_errors;
        all.candidate += self->frontends[i].candidate;
        all.candidate_errors += self->frontends[i].candidate_errors;
    }
    return all;
}

/* A sick line that only the candidate has; NULL = none. */
static const char *sick_line(const wl_config_actor_t *actor) {
    const wl_config_live_t *live = actor->live;
    for (uint32_t i = 0; live->candidate_config != NULL && i < actor->hub.sick_count; i++) {
        const char *line = actor->hub.sick_lines[i];
        if (wl_config_line(live->candidate_config, line) != NULL &&
            wl_config_line(live->config, line) == NULL) {
            return line;
        }
    }
    return NULL;
}

void wl_config_trial_ended(wl_config_actor_t *actor, wl_err_t err, const wl_fault_t *fault) {
    const wl_config_trial_t *self = actor->trial;
    if (err == WL_OK) {
        WL_COUNT(&actor->hub.counters, config_aborted, 1);
        wl_log(WL_LOG_WARN, actor->hub.name, "config_aborted", "rollout %" PRIu64 ": %s",
               self->rollout, self->why);
    } else if (err != WL_ERR_CONFLICT && err != WL_ERR_BUSY) { /* somebody else does it */
        wl_log(WL_LOG_ERROR, actor->hub.name, "config_abort_failed", "rollout %" PRIu64 ": %s",
               self->rollout, fault->message);
    }
}

/* Every process that shares the store may find out at the same moment, and the later proposal takes
 * the place of the earlier one: whoever was overtaken leaves the other one some time. */
static void withdraw(wl_config_actor_t *actor, int64_t now) {
    wl_config_trial_t *self = actor->trial;
    const wl_config_state_t *state = wl_config_sources_state(actor->sources);
    wl_config_wish_t wish = {.action = WL_CONFIG_ACTION_ABORT,
                             .base = state->seq,
                             .author = "walletd",
                             .reason = self->why,
                             .from = actor->hub.settings->server_name,
                             .rollout_id = state->rollout.id};
    wl_fault_t fault = {.where = ""};
    json_t *result = NULL;
    if (now < self->again_at || actor->publishing != NULL) {
        return;
    }
    self->again_at = now + AGAIN_MS + (int64_t)wl_random_below(AGAIN_MORE_MS);
    wl_err_t err =
        wl_config_publish(actor, &wish, false, (wl_config_asker_t){0, 0}, &result, &fault);
    if (err != WL_OK || result != NULL) { /* else it is told when all have judged it */
        wl_config_trial_ended(actor, err, &fault);
    }
    json_decref(result);
}

static uint64_t minus(uint64_t left, uint64_t right) {
    return left > right ? left - right : 0;
}

/* What was counted in the last one to two minutes: a candidate that did well for days is not to
 * fail for hours before its sums show it. */
static counts_t lately(wl_config_trial_t *self, const counts_t *all, int64_t now) {
    if (now - self->marked_at >= LATELY_MS) {
        self->marks[0] = self->marked_at == 0 ? self->marks[0] : self->marks[1];
        self->marks[1] = *all;
        self->marked_at = now;
    }
    const counts_t *from = &self->marks[0];
    return (counts_t){minus(all->base, from->base), minus(all->base_errors, from->base_errors),
                      minus(all->candidate, from->candidate),
                      minus(all->candidate_errors, from->candidate_errors)};
}

/* Has it failed by these counts? Then why has it. */
static bool counts_fail(wl_config_trial_t *self, const wl_rollout_t *rollout,
                        const counts_t *counts, const char *when) {
    bool failed = wl_rollout_failed(rollout, counts->base, counts->base_errors, counts->candidate,
                                    counts->candidate_errors);
    if (failed) {
        (void)snprintf(self->why, sizeof self->why,
                       "%" PRIu64 " errors in %" PRIu64 " replies of the candidate, %" PRIu64
                       " in %" PRIu64 " of the base%s",
                       counts->candidate_errors, counts->candidate, counts->base_errors,
                       counts->base, when);
    }
    return failed;
}

void wl_config_trial_look(wl_config_actor_t *actor) {
    wl_config_trial_t *self = actor->trial;
    const wl_rollout_t *rollout = &actor->live->rollout;
    turn_to(self, rollout->id);
    if (rollout->id == 0 || rollout->abort_share == 0 || rollout->paused ||
        wl_config_sources_state(actor->sources)->rollout.id != rollout->id) {
        self->sick_since = 0;
        return;
    }
    counts_t all = sum(self);
    int64_t now = wl_mono_now().ms;
    counts_t recent = lately(self, &all, now);
    const char *line = sick_line(actor);
    self->sick_since = line == NULL ? 0 : self->sick_since == 0 ? now : self->sick_since;
    if (counts_fail(self, rollout, &all, "") ||
        counts_fail(self, rollout, &recent, " in the last minutes")) {
        withdraw(actor, now);
    } else if (line != NULL && now - self->sick_since >= WL_TRIAL_SICK_MS) {
        (void)snprintf(self->why, sizeof self->why, "line %s, which only the candidate has, fails",
                       line);
        withdraw(actor, now);
    }
}

json_t *wl_config_trial_write(const wl_config_actor_t *actor) {
    if (actor->live->rollout.id == 0 || actor->trial->rollout != actor->live->rollout.id) {
        return json_null();
    }
    counts_t all = sum(actor->trial);
    return json_pack("{s:I, s:I, s:I, s:I}", "base", (json_int_t)all.base, "base_errors",
                     (json_int_t)all.base_errors, "candidate", (json_int_t)all.candidate,
                     "candidate_errors", (json_int_t)all.candidate_errors);
}
