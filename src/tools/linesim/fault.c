#include "fault.h"

#include <stdio.h>
#include <string.h>

enum { MS_MAX = 2000000000 }; /* 23 days, but for the clock */

typedef struct {
    const char *name;
    int64_t ms;
    const char *doc;
    const char *unit;
} fault_row_t;

static const fault_row_t rows[SIM_FAULT_COUNT] = {
#define SIM_FAULT_ROW(name, text, ms, doc, unit) {text, ms, doc, unit},
    SIM_FAULTS(SIM_FAULT_ROW)
#undef SIM_FAULT_ROW
};

const char *sim_fault_name(sim_fault_t fault) {
    return (unsigned)fault < SIM_FAULT_COUNT ? rows[fault].name : "?";
}

int64_t sim_fault_ms(sim_fault_t fault) {
    return (unsigned)fault < SIM_FAULT_COUNT ? rows[fault].ms : 0;
}

bool sim_fault_parse(const char *text, sim_fault_t *ret) {
    for (unsigned i = 0; i < SIM_FAULT_COUNT; i++) {
        if (strcmp(rows[i].name, text) == 0) {
            *ret = (sim_fault_t)i;
            return true;
        }
    }
    return false;
}

const char *sim_fault_help(unsigned index, char *room, size_t bytes) {
    if (index >= SIM_FAULT_COUNT) {
        return NULL;
    }
    const fault_row_t *row = &rows[index];
    int used = snprintf(room, bytes, "  %-13s %s", row->name, row->doc);
    if (row->unit[0] != '\0' && used > 0 && (size_t)used < bytes) {
        (void)snprintf(room + used, bytes - (size_t)used, "\n%16sms: %s (%lld)", "", row->unit,
                       (long long)row->ms);
    }
    return room;
}

wl_err_t fault_plan_read(const json_t *object, fault_plan_t *ret, wl_fault_t *fault) {
    const char *name = json_string_value(json_object_get(object, "fault"));
    fault_plan_t plan = {.share = 1.0};
    if (name == NULL || !sim_fault_parse(name, &plan.fault)) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "fault", "must name a fault, see --help");
    }
    const json_t *share = json_object_get(object, "share");
    share = share != NULL ? share : json_object_get(object, "rate");
    if (share != NULL) {
        plan.share = json_number_value(share);
        if (!json_is_number(share) || !(plan.share >= 0.0 && plan.share <= 1.0)) {
            return wl_fault(fault, WL_ERR_BAD_REQUEST, "share", "must be a number from 0 to 1");
        }
    }
    const json_t *ms = json_object_get(object, "ms");
    plan.ms = ms != NULL ? json_integer_value(ms) : rows[plan.fault].ms;
    bool clock = plan.fault == SIM_FAULT_CLOCK_SKEW;
    int64_t max = clock ? (int64_t)MS_MAX * 1000 : MS_MAX;
    if ((ms != NULL && !json_is_integer(ms)) || plan.ms > max || plan.ms < (clock ? -max : 0)) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "ms", "must be a whole number of milliseconds");
    }
    if (plan.ms == 0 && rows[plan.fault].ms != 0 && !clock) {
        plan.ms = 1; /* a phase, a pause */
    }
    *ret = plan;
    return WL_OK;
}

sim_fault_t fault_plan_at(const fault_plan_t *self, int64_t now_ms) {
    if (self->fault != SIM_FAULT_FLAPPING) {
        return self->fault;
    }
    int64_t phase = (now_ms - self->since_ms) / self->ms;
    return phase % 2 == 0 ? SIM_FAULT_ERROR : SIM_FAULT_NONE;
}
