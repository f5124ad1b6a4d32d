#include "actors/reconciler.h"

#include "actors/reconciler_state.h"
#include "actors/store_options.h"
#include "actors/trail_teller.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "domain/compare_pace.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    TICK_MS = 5,            /* while a part is worked at */
    CLAIM_MS = 1000,        /* between looks for work */
    PLAN_MS = 5000,         /* between looks at the clock */
    HOLD_RUN_MS = 15000,    /* a writer that is silent for so long has lost its part */
    HOLD_ROUND_MS = 180000, /* steps of a round may be a minute apart */
    FAIL_MS_MIN = 500,      /* before a step is begun again; doubled each time */
    FAIL_MS_MAX = 30000,
    LIST_MAX = 16,
};

uint32_t wl_reconciler_hold_ms(const wl_reconciler_t *self) {
    return self->run.rolling ? HOLD_ROUND_MS : HOLD_RUN_MS;
}

bool wl_reconciler_from_cache(const wl_reconciler_t *self) {
    return self->part.shard + 1 == self->run.shards;
}

wl_asset_db_t *wl_reconciler_db(wl_reconciler_t *self, uint32_t shard) {
    if (shard >= wl_hub_instances(&self->hub, WL_ACTOR_SHARD)) {
        return NULL; /* a run of a time with more shards */
    }
    if (self->dbs[shard] == NULL) {
        wl_store_text_t text;
        wl_fault_t fault = {0};
        wl_asset_db_options_t options =
            wl_store_options_assets(self->hub.settings, shard, true, &text);
        if (wl_asset_db_open(&options, &self->dbs[shard], &fault) != WL_OK) {
            wl_log(WL_LOG_WARN, self->hub.name, "reconcile_no_shard", "shard %u: %s", shard,
                   fault.message);
            self->dbs[shard] = NULL;
        }
    }
    return self->dbs[shard];
}

/* ---- what becomes of a part ------------------------------------------------------------------ */

static void part_forget(wl_reconciler_t *self) {
    wl_report_part_destroy(&self->part);
    wl_reconciler_ask_forget(self);
    self->state = WL_STEP_NONE;
    self->claim_at = 0;
    WL_GAUGE(&self->hub.counters, reconcile_running, 0);
}

void wl_reconciler_lose(wl_reconciler_t *self) {
    wl_log(WL_LOG_INFO, self->hub.name, "reconcile_lost",
           "run %" PRIu64 ", part %u: stopped, or another writer goes on with it", self->run.id,
           self->part.shard);
    part_forget(self);
}

void wl_reconciler_fail(wl_reconciler_t *self, const char *what, wl_err_t err) {
    int64_t pause = FAIL_MS_MIN;
    for (uint32_t i = 0; i < self->failures && pause < FAIL_MS_MAX; i++) {
        pause *= 2;
    }
    wl_log(WL_LOG_WARN, self->hub.name, "reconcile_failed",
           "run %" PRIu64 ", part %u: %s (%s), the step is begun again", self->run.id,
           self->part.shard, what, wl_err_text(err));
    WL_COUNT(&self->hub.counters, reconcile_failed, 1);
    self->failures++;
    wl_reconciler_ask_forget(self);
    self->state = WL_STEP_PAUSE;
    self->not_before = wl_mono_now().ms + (pause < FAIL_MS_MAX ? pause : FAIL_MS_MAX);
}

/* Who is read is remembered for the run's last part, as long as all of it is done here. */
static void read_begin(wl_reconciler_t *self) {
    bool another = self->read_run != self->run.id;
    if (another || (self->part.after != 0 && !wl_reconciler_from_cache(self))) {
        wl_presence_set_destroy(&self->read);
        self->read_parts = 0;
    }
    if (another && !self->run.rolling && self->part.after == 0) {
        self->read = wl_presence_set_new(WL_PRESENCE_EXACT, 0);
    }
    self->read_run = self->run.id;
}

/* The part of a shard has come to its end here. */
static void read_ended(wl_reconciler_t *self) {
    self->read_parts++;
    bool last = wl_reconciler_from_cache(self) || self->part.state != WL_REPORT_DONE;
    if (self->read != NULL &&
        (last || wl_presence_set_members(self->read) > WL_RECONCILE_READ_MAX)) {
        wl_presence_set_destroy(&self->read);
    }
}

void wl_reconciler_ended(wl_reconciler_t *self) {
    uint64_t run = self->run.id;
    bool rolling = self->run.rolling;
    wl_report_t report = {0};
    WL_COUNT(&self->hub.counters, reconcile_runs, 1);
    read_ended(self);
    part_forget(self);
    if (wl_report_db_get(self->reports, run, &report) == WL_OK && report.ended_at != 0) {
        wl_log(WL_LOG_INFO, self->hub.name, "reconcile_ended",
               "%s %" PRIu64 ": %s after %" PRId64 " ms", rolling ? "round" : "run", run,
               wl_report_state_name(report.state), report.ended_at - report.started_at);
        if (!rolling) {
            wl_reconciler_judge_lines(self, run);
        }
    }
}

/* ---- finding work ---------------------------------------------------------------------------- */

/* A store that is away is said once, and once that it is back. */
static bool answered(wl_reconciler_t *self, wl_err_t err) {
    bool away = err != WL_OK && err != WL_ERR_NOT_FOUND && err != WL_ERR_CONFLICT;
    if (away != self->away) {
        wl_log(away ? WL_LOG_WARN : WL_LOG_INFO, self->hub.name,
               away ? "reports_away" : "reports_back", "the store of reports: %s %s",
               wl_err_text(err), away ? wl_report_db_problem(self->reports) : "");
    }
    self->away = away;
    return err == WL_OK;
}

static void part_begin(wl_reconciler_t *self) {
    read_begin(self);
    if (wl_compare_sums_unpack(self->part.body, self->part.body_bytes, &self->saved) != WL_OK) {
        wl_log(WL_LOG_WARN, self->hub.name, "reconcile_sums_damaged",
               "run %" PRIu64 ", part %u: its sums are counted from here on", self->run.id,
               self->part.shard);
    }
    self->failures = 0;
    self->written_at = 0; /* the claim is short until the first step is written down */
    self->not_before = 0;
    self->round_users = 0;
    if (self->run.rolling) {
        self->round_users = wl_reconciler_last_round(self);
    }
    WL_GAUGE(&self->hub.counters, reconcile_running, 1);
    wl_reconciler_step_begin(self);
}

static void claim(wl_reconciler_t *self, int64_t now) {
    self->claim_at = now + CLAIM_MS;
    wl_report_part_destroy(&self->part);
    if (answered(self, wl_report_db_claim(self->reports, HOLD_RUN_MS, &self->run, &self->part))) {
        part_begin(self);
    }
}

/* Is there a run while we go round? Then that is worked at, and the round later. */
static void round_yield(wl_reconciler_t *self, int64_t now) {
    wl_report_t newest;
    uint32_t count = 0;
    if (now < self->claim_at) {
        return;
    }
    self->claim_at = now + CLAIM_MS;
    if (answered(self, wl_report_db_list(self->reports, 0, false, &newest, 1, &count)) &&
        count == 1 && newest.state == WL_REPORT_OPEN &&
        wl_report_db_release(self->reports, self->run.id, self->part.shard) == WL_OK) {
        part_forget(self);
    }
}

/* ---- the clock ------------------------------------------------------------------------------- */

static wl_report_run_t run_usual(const wl_reconciler_t *self, bool rolling) {
    const wl_settings_t *settings = self->hub.settings;
    wl_report_run_t run = {.rolling = rolling,
                           .cap_permille = (uint32_t)settings->reconcile_cap_percent * 10,
                           .rate = rolling ? 0 : settings->reconcile_rate,
                           .shards = wl_hub_instances(&self->hub, WL_ACTOR_SHARD) + 1,
                           .only_shard = -1};
    (void)snprintf(run.by, sizeof run.by, "schedule");
    return run;
}

static int32_t local_minute(int64_t wall_ms) {
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm local = {0};
    (void)localtime_r(&seconds, &local);
    return local.tm_hour * 60 + local.tm_min;
}

/* When the newest run by the clock, or round, was begun; 0 = never, -1 = not known now. */
static int64_t begun_last(wl_reconciler_t *self, bool rounds) {
    wl_report_t list[LIST_MAX];
    uint32_t count = 0;
    if (!answered(self, wl_report_db_list(self->reports, 0, rounds, list, LIST_MAX, &count))) {
        return -1;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (rounds || strcmp(list[i].run.by, "schedule") == 0) {
            return list[i].started_at;
        }
    }
    return 0;
}

static void plan(wl_reconciler_t *self, int64_t now) {
    const wl_settings_t *settings = self->hub.settings;
    int32_t minute = -1;
    uint64_t run = 0;
    int64_t wall = wl_wall_now().ms;
    self->plan_at = now + PLAN_MS;
    if (settings->reconcile_rolling_s > 0 && settings->reconcile_rolling_s * 1000 < PLAN_MS * 4) {
        self->plan_at = now + (int64_t)settings->reconcile_rolling_s * 250;
    }
    (void)wl_compare_at_parse(settings->reconcile_at, &minute);
    if (wl_compare_due(minute, local_minute(wall), 0, wall)) {
        int64_t last = begun_last(self, false);
        if (last >= 0 && wl_compare_due(minute, local_minute(wall), last, wall)) {
            wl_report_run_t usual = run_usual(self, false);
            (void)answered(self, wl_report_db_begin(self->reports, &usual, &run));
        }
    }
    int64_t round_ms = (int64_t)settings->reconcile_rolling_s * 1000;
    int64_t last = round_ms == 0 ? -1 : begun_last(self, true);
    if (last >= 0 && (last == 0 || wall - last >= round_ms || last > wall + round_ms)) {
        wl_report_run_t usual = run_usual(self, true);
        (void)answered(self, wl_report_db_begin(self->reports, &usual, &run));
    }
}

/* ---- driving --------------------------------------------------------------------------------- */

/* When the next step may begin. */
static int64_t step_pause(const wl_reconciler_t *self) {
    uint64_t rows = self->sums.rows - self->step_rows;
    int64_t worked = wl_mono_now().ms - self->step_begun;
    if (self->run.rolling) {
        const wl_settings_t *settings = self->hub.settings;
        return self->step_begun + wl_compare_round_ms(self->round_users, self->step_users, worked,
                                                      settings->reconcile_rolling_s,
                                                      (uint32_t)settings->reconcile_load_percent);
    }
    return self->step_begun + wl_compare_run_ms(rows, self->run.rate);
}

static void drive(wl_reconciler_t *self) {
    int64_t now = wl_mono_now().ms;
    if (self->hub.draining || self->hub.config == NULL || !self->reaches) {
        return;
    }
    if (now >= self->plan_at) {
        plan(self, now);
    }
    if (self->state == WL_STEP_NONE && now >= self->claim_at) {
        claim(self, now);
    }
    wl_step_state_t before = self->state;
    wl_reconciler_go(self);
    if (self->state == WL_STEP_PAUSE && before != WL_STEP_PAUSE && self->failures == 0) {
        self->not_before = step_pause(self);
    }
    if (self->state == WL_STEP_PAUSE && self->run.rolling) {
        round_yield(self, now);
    }
    if (self->state == WL_STEP_PAUSE && wl_mono_now().ms >= self->not_before) {
        wl_reconciler_step_begin(self);
        wl_reconciler_go(self); /* not with the next tick: a step takes a few times as long */
    }
}

static void on_message(void *arg, const wl_msg_t *msg) {
    wl_reconciler_t *self = arg;
    switch ((int)msg->id) {
    case WL_MSG_ADMIN: wl_reconciler_take_admin(self, msg); break;
    case WL_MSG_LINE:
    case WL_MSG_LEASE: break;
    default: wl_reconciler_take(self, msg);
    }
}

static void on_turn_end(void *arg) {
    drive(arg);
    wl_trail_teller_turn(((wl_reconciler_t *)arg)->trail);
}

static void on_tick(void *arg) {
    on_turn_end(arg);
}

static bool tick_hurried(void *arg) {
    const wl_reconciler_t *self = arg;
    bool pauses = self->state == WL_STEP_PAUSE && self->not_before - wl_mono_now().ms > 1000;
    bool busy = self->state == WL_STEP_NONE ? self->claim_at == 0 : !pauses;
    return busy || wl_trail_teller_waits(self->trail);
}

/* ---- life ------------------------------------------------------------------------------------ */

/* A file of reports that is damaged is put aside: reports are no reason not to start. */
static wl_err_t reports_open(wl_reconciler_t *self, wl_fault_t *fault) {
    wl_store_text_t text;
    wl_report_db_options_t options = wl_store_options_reports(self->hub.settings, &text);
    wl_err_t err = wl_report_db_open(&options, &self->reports, fault);
    if (err != WL_ERR_DAMAGED || options.path == NULL) {
        return err;
    }
    static const char *const parts[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char from[sizeof text.path + 8];
        char to[sizeof text.path + 24];
        (void)snprintf(from, sizeof from, "%s%s", options.path, parts[i]);
        (void)snprintf(to, sizeof to, "%s.damaged%s", options.path, parts[i]);
        if (rename(from, to) != 0 && i == 0) {
            return err;
        }
    }
    wl_log(WL_LOG_ERROR, self->hub.name, "reports_damaged", "%s: %s: kept as %s.damaged",
           options.path, fault->message, options.path);
    WL_COUNT(&self->hub.counters, store_damaged, 1);
    return wl_report_db_open(&options, &self->reports, fault);
}

/* A file belongs to the process of its shard: another one would make an empty one of that name, and
 * take all copies for orphans. */
static bool shards_reached(const wl_hub_t *hub) {
    for (uint32_t i = 0; i < wl_hub_instances(hub, WL_ACTOR_SHARD); i++) {
        if (!wl_topology_here(hub->settings, WL_ACTOR_SHARD, i)) {
            return wl_store_shared(hub->settings);
        }
    }
    return true;
}

static wl_err_t reconciler_open(void *arg, zsock_t *pipe, wl_boot_t *boot) {
    wl_reconciler_t *self = arg;
    const wl_hub_handlers_t handlers = {.take = on_message,
                                        .flush = on_turn_end,
                                        .tick = on_tick,
                                        .hurried = tick_hurried,
                                        .tick_ms = TICK_MS};
    wl_err_t err = wl_hub_open(&self->hub, pipe, boot, &handlers, self, &boot->fault);
    if (err != WL_OK) {
        return err;
    }
    self->copies = wl_alloc_zero(WL_RECONCILE_INSTANCES, sizeof *self->copies);
    self->bits = wl_alloc_zero(WL_RECONCILE_INSTANCES, sizeof *self->bits);
    self->suspects = wl_alloc_zero(2 * WL_RECONCILE_RUN_USERS, sizeof *self->suspects);
    self->found = wl_alloc_zero(WL_REPORT_STEP_DIFFERENCES, sizeof *self->found);
    self->given = wl_alloc_zero(WL_REPORT_STEP_DIFFERENCES, sizeof *self->given);
    self->seen = wl_alloc_zero(WL_RECONCILE_USER_DIFFERENCES, sizeof *self->seen);
    self->batch = wl_intake_batch_new((uint32_t)self->hub.settings->queue_partitions);
    self->unpacker = wl_unpacker_new();
    msgpack_sbuffer_init(&self->body);
    self->trail = wl_alloc_zero(1, sizeof *self->trail);
    wl_trail_teller_open(self->trail, &self->hub);
    self->reaches = shards_reached(&self->hub);
    if (!self->reaches) {
        wl_log(WL_LOG_INFO, self->hub.name, "reconcile_off",
               "nothing is compared here: files of shards are in another process");
    }
    return reports_open(self, &boot->fault);
}

static void reconciler_close(void *arg) {
    wl_reconciler_t *self = arg;
    if (self->reports != NULL && self->state != WL_STEP_NONE &&
        wl_report_db_release(self->reports, self->run.id, self->part.shard) != WL_OK) {
        wl_log(WL_LOG_INFO, self->hub.name, "reconcile_kept", "part %u is free in %u ms",
               self->part.shard, wl_reconciler_hold_ms(self));
    }
    wl_report_part_destroy(&self->part);
    wl_report_db_close(&self->reports);
    wl_queue_close(&self->queue);
    for (uint32_t i = 0; i < WL_RECONCILE_SHARDS; i++) {
        wl_asset_db_close(&self->dbs[i]);
    }
    wl_mysql_thread_end();
    wl_intake_batch_destroy(&self->batch);
    wl_unpacker_destroy(&self->unpacker);
    wl_asset_rows_destroy(&self->rows);
    wl_asset_rows_destroy(&self->restores);
    wl_presence_set_destroy(&self->read);
    msgpack_sbuffer_destroy(&self->body);
    wl_free(self->copies);
    wl_free(self->bits);
    wl_free(self->suspects);
    wl_free(self->found);
    wl_free(self->given);
    wl_free(self->seen);
    wl_free(self->trail);
    wl_hub_close(&self->hub);
}

void wl_reconciler_run(zsock_t *pipe, void *boot) {
    wl_reconciler_t *self = wl_alloc_zero(1, sizeof *self);
    wl_hub_live(&self->hub, pipe, boot, reconciler_open, reconciler_close, self);
    wl_free(self);
}
