#include "sim.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/slot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const fault_names[SIM_FAULT_COUNT] = {
#define SIM_FAULT_NAME(name, text, doc) text,
    SIM_FAULTS(SIM_FAULT_NAME)
#undef SIM_FAULT_NAME
};

void sim_init(sim_t *self) {
    memset(self, 0, sizeof *self);
    (void)pthread_mutex_init(&self->lock, NULL);
    (void)pthread_cond_init(&self->changed, NULL);
    self->users = 1000;
    self->first_uid = 1;
    self->seed = 1;
}

const char *sim_fault_name(sim_fault_t fault) {
    return (unsigned)fault < SIM_FAULT_COUNT ? fault_names[fault] : "?";
}

bool sim_fault_parse(const char *text, sim_fault_t *ret) {
    for (unsigned i = 0; i < SIM_FAULT_COUNT; i++) {
        if (strcmp(fault_names[i], text) == 0) {
            *ret = (sim_fault_t)i;
            return true;
        }
    }
    return false;
}

sim_line_t *sim_line_find(sim_t *self, const char *id) {
    for (uint32_t i = 0; i < self->line_count; i++) {
        if (strcmp(self->lines[i].id, id) == 0) {
            return &self->lines[i];
        }
    }
    return NULL;
}

static wl_err_t number_read(const char *text, unsigned long max, unsigned long *ret) {
    char *end = NULL;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || value > max) {
        return WL_ERR_BAD_REQUEST;
    }
    *ret = value;
    return WL_OK;
}

/* One "key=value" of a description. */
static wl_err_t line_set(sim_line_t *line, const char *key, const char *value, wl_fault_t *fault) {
    unsigned long number = 0;
    if (strcmp(key, "kind") == 0 && wl_kind_parse(value, &line->kind)) {
        return WL_OK;
    }
    if (strcmp(key, "unit") == 0 && strlen(value) <= WL_UNIT_MAX) {
        (void)snprintf(line->unit, sizeof line->unit, "%s", value);
        return WL_OK;
    }
    if (strcmp(key, "scale") == 0 && number_read(value, WL_SCALE_MAX, &number) == WL_OK) {
        line->scale = (uint8_t)number;
        return WL_OK;
    }
    if (strcmp(key, "http") == 0 && number_read(value, 65535, &number) == WL_OK) {
        line->http_port = (uint16_t)number;
        return WL_OK;
    }
    if (strcmp(key, "zmq") == 0 && number_read(value, 65535, &number) == WL_OK) {
        line->zmq_port = (uint16_t)number;
        return WL_OK;
    }
    if (strcmp(key, "shape") == 0 &&
        (strcmp(value, "foreign") == 0 || strcmp(value, "standard") == 0)) {
        line->foreign = value[0] == 'f';
        return WL_OK;
    }
    if (strcmp(key, "fault") == 0 && sim_fault_parse(value, &line->fault)) {
        line->fault_rate = 1.0;
        return WL_OK;
    }
    return wl_fault(fault, WL_ERR_BAD_REQUEST, "--line", "\"%s=%s\" is not understood", key, value);
}

wl_err_t sim_line_add(sim_t *self, const char *description, wl_fault_t *fault) {
    if (self->line_count == SIM_LINES_MAX) {
        return wl_fault(fault, WL_ERR_FULL, "--line", "more than %d lines", SIM_LINES_MAX);
    }
    sim_line_t line = {.kind = WL_KIND_CASH, .fault_rate = 0.0};
    char *copy = wl_strdup(description);
    char *rest = copy;
    const char *id = strsep(&rest, ",");
    wl_err_t err = WL_OK;
    if (!wl_line_id_valid(id) || sim_line_find(self, id) != NULL) {
        err = wl_fault(fault, WL_ERR_BAD_REQUEST, "--line", "\"%s\" is no new line id", id);
    } else {
        memcpy(line.id, id, strlen(id) + 1);
    }
    for (char *word = NULL; err == WL_OK && (word = strsep(&rest, ",")) != NULL;) {
        char *value = word;
        const char *key = strsep(&value, "=");
        err = line_set(&line, key, value == NULL ? "" : value, fault);
    }
    if (err == WL_OK && (line.http_port == 0) == (line.zmq_port == 0)) {
        err = wl_fault(fault, WL_ERR_BAD_REQUEST, "--line", "%s needs http=PORT or zmq=PORT", id);
    }
    if (err == WL_OK) {
        self->lines[self->line_count++] = line;
    }
    wl_free(copy);
    return err;
}

uint64_t sim_random(sim_t *self) {
    self->random += 0x9e3779b97f4a7c15u; /* splitmix64 */
    return wl_mix64(self->random);
}

double sim_random_share(sim_t *self) {
    return (double)(sim_random(self) >> 11) / 9007199254740992.0;
}

void sim_users_open(sim_t *self, double owners) {
    self->random = self->seed;
    for (uint32_t i = 0; i < self->line_count; i++) {
        self->lines[i].versions = wl_alloc_zero(self->users, sizeof(uint64_t));
        for (uint64_t user = 0; user < self->users; user++) {
            self->lines[i].versions[user] = sim_random_share(self) < owners;
        }
    }
}

void sim_close(sim_t *self) {
    for (uint32_t i = 0; i < self->line_count; i++) {
        wl_free(self->lines[i].versions);
    }
    (void)pthread_cond_destroy(&self->changed);
    (void)pthread_mutex_destroy(&self->lock);
}

bool sim_asset(const sim_t *self, const sim_line_t *line, uint64_t uid, wl_asset_t *ret) {
    uint64_t user = uid - self->first_uid;
    uint64_t version = user < self->users ? line->versions[user] : 0;
    if (version == 0) {
        return false;
    }
    uint64_t number = (uint64_t)(line - self->lines);
    uint64_t hash = wl_mix64(self->seed ^ wl_mix64(uid) ^ wl_mix64(version * 64 + number));
    bool coupon = line->kind == WL_KIND_COUPON;
    *ret = (wl_asset_t){
        .uid = uid,
        .version = version,
        .amount = coupon ? 0 : (int64_t)(hash % 10000000),
        .pending = !coupon && hash % 7 == 0 ? (int64_t)(hash >> 32) % 5000 : 0,
        .count = coupon ? (uint32_t)(1 + hash % 5) : 0,
        .kind = (uint8_t)line->kind,
        /* one change of fifty takes the asset away */
        .state =
            !line->foreign && !self->keep && hash % 50 == 1 ? WL_STATE_GONE : WL_STATE_AVAILABLE,
        .scale = line->scale,
        .changed_at = 1700000000000 + (int64_t)(version * 1000),
        .expires_at = coupon ? 4102444800000 : 0, /* 2100-01-01 */
    };
    memcpy(ret->line, line->id, sizeof ret->line);
    memcpy(ret->unit, line->unit, sizeof ret->unit);
    return true;
}

sim_fault_t sim_call_begin(sim_t *self, sim_line_t *line, uint64_t users) {
    (void)pthread_mutex_lock(&self->lock);
    line->calls++;
    line->users_asked += users;
    line->concurrent++;
    line->concurrent_max =
        line->concurrent > line->concurrent_max ? line->concurrent : line->concurrent_max;
    sim_fault_t fault = SIM_FAULT_NONE;
    if (line->fault != SIM_FAULT_NONE && sim_random_share(self) < line->fault_rate) {
        fault = line->fault;
    } else if (sim_random_share(self) < self->error_rate) {
        fault = SIM_FAULT_ERROR;
    }
    line->faults_injected += fault != SIM_FAULT_NONE;
    (void)pthread_mutex_unlock(&self->lock);
    return fault;
}

void sim_call_end(sim_t *self, sim_line_t *line) {
    (void)pthread_mutex_lock(&self->lock);
    line->concurrent--;
    (void)pthread_mutex_unlock(&self->lock);
}

void sim_hold(sim_t *self, sim_line_t *line, uint32_t ms) {
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    (void)pthread_mutex_lock(&self->lock);
    while (!self->ending && (ms > 0 || line->fault == SIM_FAULT_HANG)) {
        int woken = ms > 0 ? pthread_cond_timedwait(&self->changed, &self->lock, &until)
                           : pthread_cond_wait(&self->changed, &self->lock);
        if (woken != 0) {
            break;
        }
    }
    (void)pthread_mutex_unlock(&self->lock);
}
