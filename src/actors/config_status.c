/* admin.config.status: what is live, where it came from, who else has it. */
#include "actors/config_args.h"
#include "actors/config_self.h"
#include "actors/config_trial.h"

#include <string.h>

static json_t *places_write(const wl_document_at_t at[WL_DOCUMENT_COUNT]) {
    json_t *object = json_object();
    for (wl_document_t d = 0; d < WL_DOCUMENT_COUNT; d++) {
        (void)json_object_set_new(object, wl_document_name(d),
                                  json_pack("{s:I, s:I}", "version", (json_int_t)at[d].version,
                                            "seq", (json_int_t)at[d].seq));
    }
    return object;
}

/* Everything that is wrong, in words. */
static json_t *problems_write(const wl_config_actor_t *self, const json_t *logs,
                              const char *nodes) {
    json_t *list = json_array();
    if (self->problem[0] != '\0') {
        (void)json_array_append_new(list, wl_config_text_json(self->problem));
    }
    for (size_t i = 0; i < json_array_size(logs); i++) {
        json_t *problem = json_object_get(json_array_get(logs, i), "problem");
        if (json_string_length(problem) > 0) {
            (void)json_array_append(list, problem);
        }
    }
    if (nodes[0] != '\0') {
        (void)json_array_append_new(list, json_string(nodes));
    }
    return list;
}

wl_err_t wl_config_view_status(wl_config_actor_t *self, const msgpack_object *args,
                               const char *user, json_t **ret, wl_fault_t *fault) {
    (void)args, (void)user, (void)fault;
    const wl_config_state_t *state = wl_config_sources_state(self->sources);
    const wl_config_live_t *live = self->live;
    wl_config_log_t *store = wl_config_sources_store(self->sources);
    json_t *nodes = NULL;
    const char *unknown = "";
    if (!wl_config_sources_store_near(self->sources) ||
        wl_config_nodes_list(self->nodes, store, &nodes) != WL_OK) {
        unknown = "other processes are not known while the store does not answer";
        nodes = json_array();
    }
    json_t *logs = wl_config_sources_report(self->sources);
    json_t *problems = problems_write(self, logs, unknown);
    json_t *rollout = json_null();
    if (state->rollout.id != 0) {
        rollout = wl_rollout_write(&state->rollout);
        (void)json_object_set_new(rollout, "candidate", places_write(state->candidate));
    }
    *ret = json_pack(
        "{s:I, s:I, s:s, s:s, s:s, s:o, s:{s:I, s:I}, s:o, s:o, s:o, s:o, s:o}", "seq",
        (json_int_t)state->seq, "live_seq", (json_int_t)live->seq, "version", live->config->version,
        "source", wl_config_source_name(live->source), "store", wl_config_log_name(store), "head",
        places_write(state->head), "newest", wl_document_name(0), (json_int_t)state->newest[0],
        wl_document_name(1), (json_int_t)state->newest[1], "rollout", rollout, "trial",
        wl_config_trial_write(self), "logs", logs, "problems", problems, "nodes", nodes);
    if (self->emergency_until != 0) {
        (void)json_object_set_new(*ret, "emergency_until",
                                  json_integer((json_int_t)self->emergency_until));
    }
    return WL_OK;
}
