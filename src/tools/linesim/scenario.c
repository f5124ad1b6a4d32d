#include "scenario.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

struct scenario {
    scenario_step_t *steps; /* owned, by time */
    uint32_t count;
    uint32_t next; /* not taken so far */
};

static bool key_known(const char *key) {
    static const char *const known[] = {"at_ms", "line", "fault", "share", "rate", "ms", "note"};
    for (unsigned i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i], key) == 0) {
            return true;
        }
    }
    return false;
}

static wl_err_t step_read(const json_t *object, scenario_step_t *step, wl_fault_t *fault) {
    const json_t *at = json_object_get(object, "at_ms");
    const json_t *line = json_object_get(object, "line");
    if (!json_is_integer(at) || json_integer_value(at) < 0) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "at_ms", "must be a whole number from 0");
    }
    if (line != NULL && (!json_is_string(line) || json_string_length(line) > WL_LINE_ID_MAX)) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "line", "must be the id of a line");
    }
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)object, key, value) {
        if (!key_known(key)) {
            return wl_fault(fault, WL_ERR_BAD_REQUEST, "key", "\"%.32s\" is not known", key);
        }
    }
    *step = (scenario_step_t){.at_ms = json_integer_value(at)};
    if (line != NULL) {
        memcpy(step->line, json_string_value(line), json_string_length(line) + 1);
    }
    return fault_plan_read(object, &step->plan, fault);
}

/* Insertion keeps the order of equal times. */
static void steps_sort(scenario_step_t *steps, uint32_t count) {
    for (uint32_t i = 1; i < count; i++) {
        scenario_step_t step = steps[i];
        uint32_t place = i;
        for (; place > 0 && steps[place - 1].at_ms > step.at_ms; place--) {
            steps[place] = steps[place - 1];
        }
        steps[place] = step;
    }
}

static scenario_t *scenario_read(const json_t *document, wl_fault_t *fault) {
    if (!json_is_array(document) || json_array_size(document) > SCENARIO_STEPS_MAX) {
        (void)wl_fault(fault, WL_ERR_BAD_REQUEST, "scenario", "must be a list of at most %d steps",
                       SCENARIO_STEPS_MAX);
        return NULL;
    }
    scenario_t *self = wl_alloc_zero(1, sizeof *self);
    self->count = (uint32_t)json_array_size(document);
    self->steps = wl_alloc_zero(self->count + 1, sizeof *self->steps);
    for (uint32_t i = 0; i < self->count; i++) {
        wl_fault_t inner = {0};
        if (step_read(json_array_get(document, i), &self->steps[i], &inner) != WL_OK) {
            (void)wl_fault(fault, WL_ERR_BAD_REQUEST, "scenario", "step %u: %s %s", i, inner.where,
                           inner.message);
            scenario_destroy(&self);
            return NULL;
        }
    }
    steps_sort(self->steps, self->count);
    return self;
}

/* Takes the document; NULL: `error` tells why there is none. */
static scenario_t *scenario_of(json_t *document, const json_error_t *error, wl_fault_t *fault) {
    if (document == NULL) {
        (void)wl_fault(fault, WL_ERR_BAD_REQUEST, "scenario", "line %d: %s", error->line,
                       error->text);
        return NULL;
    }
    scenario_t *self = scenario_read(document, fault);
    json_decref(document);
    return self;
}

scenario_t *scenario_parse(const char *text, size_t bytes, wl_fault_t *fault) {
    json_error_t error = {0};
    return scenario_of(json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error), &error, fault);
}

scenario_t *scenario_load(const char *path, wl_fault_t *fault) {
    json_error_t error = {0};
    return scenario_of(json_load_file(path, JSON_REJECT_DUPLICATES, &error), &error, fault);
}

void scenario_destroy(scenario_t **pointer) {
    if (pointer != NULL && *pointer != NULL) {
        wl_free((*pointer)->steps);
        wl_free(*pointer);
        *pointer = NULL;
    }
}

const scenario_step_t *scenario_take(scenario_t *self, int64_t elapsed_ms) {
    if (self->next == self->count || self->steps[self->next].at_ms > elapsed_ms) {
        return NULL;
    }
    return &self->steps[self->next++];
}

int64_t scenario_next_ms(const scenario_t *self) {
    return self->next == self->count ? -1 : self->steps[self->next].at_ms;
}

const scenario_step_t *scenario_step(const scenario_t *self, uint32_t index) {
    return index < self->count ? &self->steps[index] : NULL;
}
