/* Backfills as operators see them: what they want is written into every partition, and what stands
 * there about all of them is added up. */
#include "actors/dispatcher_backfill.h"
#include "actors/dispatcher_state.h"
#include "actors/line_flow.h"
#include "base/alloc.h"
#include "base/random.h"
#include "proto/args.h"

#include <stdio.h>
#include <string.h>

enum { ACTION_MAX = 16, WANT_BYTES = sizeof WL_BACKFILL_WANT - 1 };

static_assert(sizeof WL_BACKFILL_WANT == sizeof WL_BACKFILL_FILL, "both names end at one place");

bool wl_backfill_active(wl_backfill_phase_t phase) {
    return phase <= WL_BACKFILL_RUNNING;
}

void wl_backfill_on_job(const char *name, const void *body, size_t bytes, void *arg) {
    wl_backfill_jobs_t *self = arg;
    wl_backfill_want_t want = {.id = 0};
    wl_backfill_record_t record = {.id = 0};
    const char *line = name + WANT_BYTES;
    bool wants = strncmp(name, WL_BACKFILL_WANT, WANT_BYTES) == 0 &&
                 wl_backfill_want_parse(body, bytes, &want);
    bool fills = strncmp(name, WL_BACKFILL_FILL, WANT_BYTES) == 0 &&
                 wl_backfill_record_parse(body, bytes, &record);
    if ((!wants && !fills) || !wl_line_id_valid(line) ||
        (self->line != NULL && strcmp(self->line, line) != 0)) {
        return;
    }
    uint32_t at = 0;
    while (at < self->count && strcmp(self->lines[at], line) != 0) {
        at++;
    }
    if (at == WL_COUNT_OF(self->lines)) {
        return;
    }
    if (at == self->count) {
        memcpy(self->lines[self->count++], line, strlen(line) + 1);
    }
    self->wants[at] = wants ? want : self->wants[at];
    self->records[at] = fills ? record : self->records[at];
}

/* Over all partitions. */
typedef struct {
    wl_backfill_want_t want;     /* id 0: there never was one */
    wl_backfill_record_t record; /* sums; phase of all together */
} status_t;

/* The phase of all together: what is still to come counts before what is done. */
static wl_backfill_phase_t phase_join(wl_backfill_phase_t a, wl_backfill_phase_t b) {
    static const uint8_t weight[WL_BACKFILL_PHASE_COUNT] = {
        [WL_BACKFILL_DONE] = 0,    [WL_BACKFILL_STOPPED] = 1,  [WL_BACKFILL_RUNNING] = 2,
        [WL_BACKFILL_WAITING] = 3, [WL_BACKFILL_COUNTING] = 4,
    };
    return weight[a] >= weight[b] ? a : b;
}

static wl_err_t status_read(wl_dispatcher_t *self, const char *line, status_t *ret) {
    *ret = (status_t){.record = {.phase = WL_BACKFILL_DONE}};
    for (uint32_t p = 0; p < wl_hub_instances(&self->hub, WL_ACTOR_DISPATCHER); p++) {
        wl_backfill_jobs_t jobs = {.line = line};
        wl_err_t err = wl_queue_jobs(self->queue, p, wl_backfill_on_job, &jobs);
        if (err != WL_OK) {
            return err;
        }
        if (jobs.count == 0 || jobs.wants[0].id == 0) {
            continue;
        }
        wl_backfill_record_t record = jobs.records[0];
        if (record.id != jobs.wants[0].id) {
            record = (wl_backfill_record_t){.phase = WL_BACKFILL_WAITING};
        }
        ret->want = jobs.wants[0];
        ret->record.total += record.total;
        ret->record.done += record.done;
        ret->record.failed += record.failed;
        ret->record.phase = phase_join(ret->record.phase, record.phase);
        ret->record.ended_at =
            record.ended_at > ret->record.ended_at ? record.ended_at : ret->record.ended_at;
    }
    return WL_OK;
}

static wl_err_t want_write(wl_dispatcher_t *self, const char *line,
                           const wl_backfill_want_t *want) {
    char name[WL_JOB_NAME_MAX + 1];
    char text[WL_BACKFILL_TEXT_MAX];
    wl_err_t err = WL_OK;
    (void)snprintf(name, sizeof name, WL_BACKFILL_WANT "%s", line);
    size_t bytes = wl_backfill_want_format(want, text);
    for (uint32_t p = 0; err == WL_OK && p < wl_hub_instances(&self->hub, WL_ACTOR_DISPATCHER);
         p++) {
        err = wl_queue_job_set(self->queue, p, name, text, bytes);
    }
    wl_backfills_look_soon(self->backfills);
    return err;
}

static wl_err_t backfill_start(wl_dispatcher_t *self, const char *line, const msgpack_object *args,
                               const status_t *status, wl_fault_t *fault) {
    uint64_t rate = 0;
    bool all = false;
    const wl_line_t *config =
        self->hub.config == NULL ? NULL : wl_config_line(self->hub.config, line);
    wl_err_t err = wl_args_u64(args, "rate", &rate, fault);
    if (err == WL_OK || err == WL_ERR_NOT_FOUND) {
        err = wl_args_bool(args, "all", &all, fault);
    }
    if (err != WL_OK && err != WL_ERR_NOT_FOUND) {
        return err;
    }
    if (rate > UINT32_MAX) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "rate", "rate: too large");
    }
    if (!wl_line_asked(config)) {
        return wl_fault(fault, WL_ERR_NOT_FOUND, "line", "line: there is no line \"%s\" to ask",
                        line);
    }
    if (status->want.id != 0 && wl_backfill_active(status->record.phase)) {
        return wl_fault(fault, WL_ERR_CONFLICT, "line",
                        "a backfill of line \"%s\" is under way: stop it first", line);
    }
    wl_backfill_want_t want = {.id = (wl_random_u64() >> 1) + 1,
                               .wanted_at = wl_wall_now().ms,
                               .rate = (uint32_t)rate,
                               .all = all};
    return want_write(self, line, &want);
}

static void status_pack(const char *line, const status_t *status, msgpack_packer *packer) {
    const struct {
        const char *key;
        uint64_t value;
    } numbers[] = {{"total", status->record.total},
                   {"done", status->record.done},
                   {"failed", status->record.failed},
                   {"rate", status->want.rate},
                   {"started_at", (uint64_t)status->want.wanted_at},
                   {"ended_at", (uint64_t)status->record.ended_at}};
    bool active = status->want.id != 0 && wl_backfill_active(status->record.phase);
    const char *state =
        status->want.id == 0 ? "none" : wl_backfill_phase_name(status->record.phase);
    msgpack_pack_map(packer, 3 + WL_COUNT_OF(numbers));
    msgpack_pack_str_with_body(packer, "line", 4);
    msgpack_pack_str_with_body(packer, line, strlen(line));
    msgpack_pack_str_with_body(packer, "state", 5);
    msgpack_pack_str_with_body(packer, state, strlen(state));
    msgpack_pack_str_with_body(packer, "all", 3);
    status->want.all ? msgpack_pack_true(packer) : msgpack_pack_false(packer);
    for (size_t i = 0; i < WL_COUNT_OF(numbers); i++) {
        bool ended = strcmp(numbers[i].key, "ended_at") == 0;
        msgpack_pack_str_with_body(packer, numbers[i].key, strlen(numbers[i].key));
        msgpack_pack_uint64(packer, ended && active ? 0 : numbers[i].value);
    }
}

wl_err_t wl_dispatcher_backfill_admin(wl_dispatcher_t *self, const msgpack_object *args,
                                      msgpack_packer *packer, wl_fault_t *fault) {
    char line[WL_LINE_ID_MAX + 1] = "";
    char action[ACTION_MAX + 1] = "status";
    status_t status;
    wl_err_t err = wl_args_text(args, "line", line, WL_LINE_ID_MAX, fault);
    if (err == WL_ERR_NOT_FOUND || (err == WL_OK && !wl_line_id_valid(line))) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "line", "line: is required");
    }
    if (err == WL_OK) {
        err = wl_args_text(args, "action", action, ACTION_MAX, fault);
        err = err == WL_ERR_NOT_FOUND ? WL_OK : err;
    }
    if (err == WL_OK) {
        err = status_read(self, line, &status);
    }
    if (err == WL_OK && strcmp(action, "start") == 0) {
        err = backfill_start(self, line, args, &status, fault);
    } else if (err == WL_OK && strcmp(action, "stop") == 0) {
        if (status.want.id == 0 || !wl_backfill_active(status.record.phase)) {
            return wl_fault(fault, WL_ERR_NOT_FOUND, "line",
                            "no backfill of line \"%s\" is under way", line);
        }
        status.want.stop = true;
        err = want_write(self, line, &status.want);
    } else if (err == WL_OK && strcmp(action, "status") != 0) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "action", "action: start, stop or status");
    }
    if (err == WL_OK) {
        err = status_read(self, line, &status);
    }
    if (err == WL_OK) {
        status_pack(line, &status, packer);
    }
    return err;
}
