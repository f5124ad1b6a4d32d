#include "actors/hub_config.h"

#include "base/log.h"

#include <jansson.h>
#include <string.h>

/* ---- variants -------------------------------------------------------------------------------- */

uint32_t wl_hub_variant(const wl_hub_t *self, uint64_t rollout) {
    return rollout != 0 && rollout == self->rollout.id && self->candidate != NULL;
}

const wl_config_t *wl_hub_config(const wl_hub_t *self, uint64_t rollout) {
    return wl_hub_variant(self, rollout) == 1 ? self->candidate : self->config;
}

const bool *wl_hub_sick(const wl_hub_t *self, uint64_t rollout) {
    return wl_hub_variant(self, rollout) == 1 ? self->candidate_sick : self->sick;
}

const wl_line_t *wl_hub_line(const wl_hub_t *self, const char *line_id) {
    const wl_line_t *line = self->config == NULL ? NULL : wl_config_line(self->config, line_id);
    return line != NULL || self->candidate == NULL ? line
                                                   : wl_config_line(self->candidate, line_id);
}

static void sick_apply_to(const wl_hub_t *self, const wl_config_t *config,
                          bool ret_sick[WL_LINES_MAX]) {
    memset(ret_sick, 0, WL_LINES_MAX * sizeof ret_sick[0]);
    for (uint32_t i = 0; config != NULL && i < self->sick_count; i++) {
        int index = wl_config_line_index(config, self->sick_lines[i]);
        if (index >= 0) {
            ret_sick[index] = true;
        }
    }
}

static void sick_apply(wl_hub_t *self) {
    sick_apply_to(self, self->config, self->sick);
    sick_apply_to(self, self->candidate, self->candidate_sick);
    if (self->handlers.lines_changed != NULL) {
        self->handlers.lines_changed(self->self);
    }
}

void wl_hub_take_lines(wl_hub_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_line_item_t *line = &msg->items.line[i];
        uint32_t at = 0;
        while (at < self->sick_count && strcmp(self->sick_lines[at], line->line) != 0) {
            at++;
        }
        if (line->sick && at == self->sick_count && at < WL_LINES_MAX) {
            memcpy(self->sick_lines[self->sick_count++], line->line, sizeof line->line);
        } else if (!line->sick && at < self->sick_count) {
            memmove(self->sick_lines[at], self->sick_lines[at + 1],
                    (--self->sick_count - at) * sizeof self->sick_lines[0]);
        }
    }
    sick_apply(self);
}

/* The config actor has compiled the same bytes: a refusal is a fault of ours. */
static wl_config_t *hub_compile(wl_hub_t *self, const wl_bytes_t *integration,
                                const wl_bytes_t *presentation) {
    wl_config_t *config = NULL;
    wl_fault_t fault = {0};
    if (wl_config_compile((const char *)integration->at, integration->count,
                          (const char *)presentation->at, presentation->count, &config,
                          &fault) != WL_OK) {
        WL_COUNT(&self->counters, config_refused, 1);
        wl_log(WL_LOG_ERROR, self->name, "config_refused", "%s: %s", fault.where, fault.message);
        return NULL;
    }
    return config;
}

/* The rollout that comes with it: whoever is not shown the candidate is shown the base. */
static void hub_take_candidate(wl_hub_t *self, const wl_config_head_t *head,
                               const wl_config_item_t *item) {
    wl_config_destroy(&self->candidate);
    memset(&self->rollout, 0, sizeof self->rollout);
    if (head->rollout.count == 0) {
        return;
    }
    json_t *conditions = json_loadb((const char *)head->rollout.at, head->rollout.count,
                                    JSON_REJECT_DUPLICATES, NULL);
    wl_rollout_t rollout;
    bool read = wl_rollout_read(conditions, &rollout, NULL) == WL_OK;
    json_decref(conditions);
    self->candidate =
        read ? hub_compile(self, &item->candidate_integration, &item->candidate_presentation)
             : NULL;
    if (self->candidate != NULL) {
        self->rollout = rollout;
    }
    WL_COUNT(&self->counters, msg_malformed, !read);
}

void wl_hub_take_config(wl_hub_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_config_item_t *item = &msg->items.config[i];
        wl_config_t *config = hub_compile(self, &item->integration, &item->presentation);
        if (config == NULL) {
            continue;
        }
        wl_config_destroy(&self->config);
        self->config = config;
        self->config_seq = msg->head.config.seq;
        memcpy(self->config_source, msg->head.config.source, sizeof self->config_source);
        hub_take_candidate(self, &msg->head.config, item);
        sick_apply(self);
        if (self->handlers.configured != NULL) {
            self->handlers.configured(self->self);
        }
    }
}
