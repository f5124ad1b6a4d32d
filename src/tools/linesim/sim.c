#include "sim.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/slot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIE_UID = 1000000, JUMP_AMOUNT = 77777777, SIGNATURE_MS = 300000 };

static const uint64_t JUMP_VERSIONS = 1000000000000;

void sim_init(sim_t *self) {
    memset(self, 0, sizeof *self);
    (void)pthread_mutex_init(&self->lock, NULL);
    self->users = 1000;
    self->first_uid = 1;
    self->seed = 1;
    self->details_each = 40;
    self->details_end_ms = 1782864000000; /* 2026-07-01 UTC */
}

sim_line_t *sim_line_find(sim_t *self, const char *id) {
    for (uint32_t i = 0; i < self->line_count; i++) {
        if (strcmp(self->lines[i].id, id) == 0) {
            return &self->lines[i];
        }
    }
    return NULL;
}

sim_line_t *sim_line_draw(sim_t *self) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < self->line_count; i++) {
        count += self->lines[i].told;
    }
    uint64_t left = count == 0 ? 0 : sim_random(self) % count;
    for (uint32_t i = 0; i < self->line_count; i++) {
        if (self->lines[i].told && left-- == 0) {
            return &self->lines[self->lines[i].truth];
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

static bool flag_read(const char *text, bool *ret) {
    *ret = strcmp(text, "yes") == 0;
    return *ret || strcmp(text, "no") == 0;
}

/* A number of a description, false: `key` is another one, or the number is none. */
static bool line_set_number(sim_line_t *line, const char *key, const char *value) {
    unsigned long number = 0;
    if (strcmp(key, "scale") == 0 && number_read(value, WL_SCALE_MAX, &number) == WL_OK) {
        line->scale = (uint8_t)number;
    } else if (strcmp(key, "http") == 0 && number_read(value, 65535, &number) == WL_OK) {
        line->http_port = (uint16_t)number;
    } else if (strcmp(key, "zmq") == 0 && number_read(value, 65535, &number) == WL_OK) {
        line->zmq_port = (uint16_t)number;
    } else if (strcmp(key, "give_up") == 0 && number_read(value, 3600000, &number) == WL_OK) {
        line->give_up_ms = (int64_t)number;
    } else {
        return false;
    }
    return true;
}

/* fault=, share= and ms= of a description, as POST /fault takes them. */
static bool line_set_fault(json_t *plan, const char *key, const char *value) {
    if (strcmp(key, "fault") == 0) {
        (void)json_object_set_new(plan, key, json_string(value));
        return true;
    }
    if (strcmp(key, "share") != 0 && strcmp(key, "ms") != 0) {
        return false;
    }
    json_t *number = json_loads(value, JSON_DECODE_ANY, NULL);
    return number != NULL && json_object_set_new(plan, key, number) == 0;
}

/* One "key=value" of a description. */
static wl_err_t line_set(sim_t *self, sim_line_t *line, const char *key, const char *value,
                         wl_fault_t *fault) {
    if (line_set_number(line, key, value)) {
        return WL_OK;
    }
    if (strcmp(key, "kind") == 0 && wl_kind_parse(value, &line->kind)) {
        return WL_OK;
    }
    if (strcmp(key, "unit") == 0 && strlen(value) <= WL_UNIT_MAX) {
        (void)snprintf(line->unit, sizeof line->unit, "%s", value);
        return WL_OK;
    }
    if (strcmp(key, "shape") == 0 &&
        (strcmp(value, "foreign") == 0 || strcmp(value, "standard") == 0)) {
        line->foreign = value[0] == 'f';
        return WL_OK;
    }
    if ((strcmp(key, "details") == 0 && flag_read(value, &line->details)) ||
        (strcmp(key, "summary") == 0 && flag_read(value, &line->summary)) ||
        (strcmp(key, "told") == 0 && flag_read(value, &line->told))) {
        return WL_OK;
    }
    const sim_line_t *other = strcmp(key, "as") == 0 ? sim_line_find(self, value) : NULL;
    if (other != NULL) {
        line->truth = other->truth;
        return WL_OK;
    }
    return wl_fault(fault, WL_ERR_BAD_REQUEST, "--line", "\"%s=%s\" is not understood", key, value);
}

/* All words behind the id. */
static wl_err_t line_read(sim_t *self, sim_line_t *line, char *rest, wl_fault_t *fault) {
    wl_err_t err = WL_OK;
    json_t *plan = json_object();
    for (char *word = NULL; err == WL_OK && (word = strsep(&rest, ",")) != NULL;) {
        char *value = word;
        const char *key = strsep(&value, "=");
        value = value == NULL ? word + strlen(word) : value;
        if (!line_set_fault(plan, key, value)) {
            err = line_set(self, line, key, value, fault);
        }
    }
    if (err == WL_OK && json_object_size(plan) > 0) {
        err = fault_plan_read(plan, &line->plan, fault);
        line->plan.since_ms = wl_mono_now().ms;
    }
    json_decref(plan);
    if (err == WL_OK && (line->http_port == 0) == (line->zmq_port == 0)) {
        err = wl_fault(fault, WL_ERR_BAD_REQUEST, "--line", "%s needs http=PORT or zmq=PORT",
                       line->id);
    }
    return err;
}

wl_err_t sim_line_add(sim_t *self, const char *description, wl_fault_t *fault) {
    if (self->line_count == SIM_LINES_MAX) {
        return wl_fault(fault, WL_ERR_FULL, "--line", "more than %d lines", SIM_LINES_MAX);
    }
    sim_line_t *line = &self->lines[self->line_count];
    memset(line, 0, sizeof *line);
    line->kind = WL_KIND_CASH;
    line->truth = self->line_count;
    line->details = true;
    line->summary = true;
    line->told = true;
    char *copy = wl_strdup(description);
    char *rest = copy;
    const char *id = strsep(&rest, ",");
    wl_err_t err = WL_OK;
    if (!wl_line_id_valid(id) || sim_line_find(self, id) != NULL) {
        err = wl_fault(fault, WL_ERR_BAD_REQUEST, "--line", "\"%s\" is no new line id", id);
    } else {
        memcpy(line->id, id, strlen(id) + 1);
        err = line_read(self, line, rest, fault);
    }
    self->line_count += err == WL_OK;
    wl_free(copy);
    return err;
}

bool sim_plan_set(sim_t *self, const char *id, const fault_plan_t *plan) {
    bool found = false;
    (void)pthread_mutex_lock(&self->lock);
    for (uint32_t i = 0; i < self->line_count; i++) {
        sim_line_t *line = &self->lines[i];
        if (id[0] == '\0' || strcmp(line->id, id) == 0) {
            line->plan = *plan;
            line->plan.since_ms = wl_mono_now().ms;
            line->plan_number++;
            found = true;
        }
    }
    (void)pthread_mutex_unlock(&self->lock);
    return found;
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
        sim_line_t *line = &self->lines[i];
        line->failed = wl_alloc_zero(self->users, sizeof *line->failed);
        if (line->truth != i) {
            continue;
        }
        line->versions = wl_alloc_zero(self->users, sizeof(uint64_t));
        for (uint64_t user = 0; user < self->users; user++) {
            line->versions[user] = sim_random_share(self) < owners;
        }
        line->bookings = details_new(&(details_options_t){
            .seed = wl_mix64(self->seed ^ wl_mix64(i + 1)),
            .each = self->details_each,
            .end_ms = self->details_end_ms,
        });
    }
}

void sim_close(sim_t *self) {
    for (uint32_t i = 0; i < self->line_count; i++) {
        wl_free(self->lines[i].versions);
        wl_free(self->lines[i].failed);
        details_destroy(&self->lines[i].bookings);
    }
    (void)pthread_mutex_destroy(&self->lock);
}

uint64_t sim_change(sim_t *self, sim_line_t *line, uint64_t uid) {
    uint64_t user = uid - self->first_uid;
    return user < self->users ? ++self->lines[line->truth].versions[user] : 0;
}

bool sim_asset(const sim_t *self, const sim_line_t *line, uint64_t uid, wl_asset_t *ret) {
    uint64_t user = uid - self->first_uid;
    uint64_t version = user < self->users ? self->lines[line->truth].versions[user] : 0;
    if (version == 0) {
        return false;
    }
    uint64_t number = line->truth;
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

bool sim_fault_of_wire(sim_fault_t fault) {
    return fault == SIM_FAULT_DRIP || fault == SIM_FAULT_HALF_OPEN || fault == SIM_FAULT_RST;
}

/* How many of the users were asked for in vain the last time? From now on this call is the last. */
static uint64_t users_repeat(const sim_t *self, sim_line_t *line, const sim_asked_t *asked,
                             bool failing) {
    uint64_t repeated = 0;
    for (size_t i = 0; i < asked->uid_count; i++) {
        uint64_t user = asked->uids[i] - self->first_uid;
        if (user < self->users) {
            repeated += line->failed[user];
            line->failed[user] = failing;
        }
    }
    return repeated;
}

sim_call_t sim_call_begin(sim_t *self, sim_line_t *line, const sim_asked_t *asked) {
    (void)pthread_mutex_lock(&self->lock);
    int64_t now_ms = wl_mono_now().ms;
    calls_arrival_t arrival = {.what = asked->what,
                               .users = asked->uid_count,
                               .fd = asked->fd,
                               .give_up_ms = line->give_up_ms};
    sim_call_t call = {.line = line, .plan_number = line->plan_number};
    call.place = calls_begin(&line->calls, &arrival, now_ms);
    sim_fault_t fault = fault_plan_at(&line->plan, now_ms);
    if (line->zmq_port != 0 && sim_fault_of_wire(fault)) {
        fault = SIM_FAULT_NONE;
    }
    if (fault != SIM_FAULT_NONE && sim_random_share(self) < line->plan.share) {
        call.fault = fault;
        call.ms = line->plan.ms;
    } else if (sim_random_share(self) < self->error_rate) {
        call.fault = SIM_FAULT_ERROR;
    }
    if (call.fault == SIM_FAULT_BUSY) {
        call.ms = line->http_port != 0 ? (call.ms + 999) / 1000 * 1000 : call.ms;
        calls_wait(&line->calls, now_ms + self->latency_ms, call.ms);
    }
    line->calls.faults += call.fault != SIM_FAULT_NONE;
    if (asked->what == SIM_ASSETS) {
        line->calls.repeated += users_repeat(self, line, asked, call.fault != SIM_FAULT_NONE);
    }
    (void)pthread_mutex_unlock(&self->lock);
    return call;
}

void sim_call_end(sim_t *self, const sim_call_t *call) {
    (void)pthread_mutex_lock(&self->lock);
    calls_end(&call->line->calls, call->place);
    (void)pthread_mutex_unlock(&self->lock);
}

void sim_call_twist(const sim_call_t *call, wl_asset_t *asset) {
    if (call->fault == SIM_FAULT_LIE_USER) {
        asset->uid += LIE_UID;
    } else if (call->fault == SIM_FAULT_VERSION_JUMP) {
        asset->version += JUMP_VERSIONS;
        asset->amount += JUMP_AMOUNT;
    } else if (call->fault == SIM_FAULT_CLOCK_SKEW) {
        asset->changed_at += call->ms;
    }
}

bool sim_call_in_time(sim_t *self, const sim_line_t *line, const char *time) {
    int64_t clock_ms = wl_wall_now().ms;
    (void)pthread_mutex_lock(&self->lock);
    if (line->plan.fault == SIM_FAULT_CLOCK_SKEW) {
        clock_ms += line->plan.ms;
    }
    (void)pthread_mutex_unlock(&self->lock);
    int64_t off_ms = clock_ms - strtoll(time, NULL, 10);
    return off_ms >= -SIGNATURE_MS && off_ms <= SIGNATURE_MS;
}
