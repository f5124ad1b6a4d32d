/* What operators ask the reconciler: runs, reports, differences. Each request gets one REPLY. */
#include "actors/reconciler_state.h"

#include "base/alloc.h"
#include "base/log.h"
#include "proto/args.h"
#include "proto/methods.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    RUNS_USUAL = 1,
    RUNS_MAX = 20,
    FOUND_USUAL = 100,
    FOUND_MAX = 1000,
    PAST_RUNS = 7, /* what changed in so many is what is usual */
    NOTE_BYTES = 200,
    BY_BYTES = 64,
    ARGS_OBJECTS_MAX = 100,
    RATE_MAX = 10000000, /* records a second, as reconcile.rate */
};

static void pack_text(msgpack_packer *packer, const char *text) {
    size_t bytes = strlen(text);
    msgpack_pack_str(packer, bytes);
    msgpack_pack_str_body(packer, text, bytes);
}

static void pack_number(msgpack_packer *packer, const char *key, uint64_t value) {
    pack_text(packer, key);
    msgpack_pack_uint64(packer, value);
}

static void pack_time(msgpack_packer *packer, const char *key, int64_t value) {
    pack_text(packer, key);
    msgpack_pack_int64(packer, value);
}

static void pack_word(msgpack_packer *packer, const char *key, const char *value) {
    pack_text(packer, key);
    pack_text(packer, value);
}

static void pack_flag(msgpack_packer *packer, const char *key, bool value) {
    pack_text(packer, key);
    value ? msgpack_pack_true(packer) : msgpack_pack_false(packer);
}

/* ---- sums of a run --------------------------------------------------------------------------- */

/* A run's parts, and what they have counted together: shards only, since the caches' side looks at
 * the same users again. */
typedef struct {
    wl_report_t report;
    wl_report_part_t parts[WL_RECONCILE_SHARDS + 1];
    uint64_t part_users[WL_RECONCILE_SHARDS + 1];
    uint64_t part_rows[WL_RECONCILE_SHARDS + 1];
    uint64_t part_ms[WL_RECONCILE_SHARDS + 1];
    uint32_t count;
    wl_compare_sums_t sums;
    wl_compare_sums_t one;
} run_view_t;

static wl_err_t view_read(wl_reconciler_t *self, const wl_report_t *report, run_view_t *view) {
    memset(view, 0, sizeof *view);
    view->report = *report;
    wl_err_t err = wl_report_db_parts(self->reports, report->run.id, view->parts,
                                      WL_RECONCILE_SHARDS + 1, &view->count);
    for (uint32_t i = 0; err == WL_OK && i < view->count; i++) {
        wl_report_part_t *part = &view->parts[i];
        if (wl_compare_sums_unpack(part->body, part->body_bytes, &view->one) != WL_OK) {
            continue; /* damaged: said when the part was begun */
        }
        view->part_users[i] = view->one.users;
        view->part_rows[i] = view->one.rows;
        view->part_ms[i] = view->one.worked_ms;
        if (part->shard + 1 < report->run.shards) {
            wl_compare_sums_add(&view->sums, &view->one);
        }
    }
    return err;
}

static void view_clear(run_view_t *view) {
    for (uint32_t i = 0; i < view->count; i++) {
        wl_report_part_destroy(&view->parts[i]);
    }
    view->count = 0;
}

/* What the lines have changed in the whole runs before this one. */
typedef struct {
    uint32_t count;
    wl_compare_sums_t sums[PAST_RUNS];
} past_t;

static wl_err_t past_read(wl_reconciler_t *self, uint64_t run, run_view_t *view, past_t *past) {
    wl_report_t list[2 * PAST_RUNS];
    uint32_t count = 0;
    past->count = 0;
    if (run <= 1) {
        return WL_OK;
    }
    wl_err_t err = wl_report_db_list(self->reports, run - 1, false, list, 2 * PAST_RUNS, &count);
    for (uint32_t i = 0; err == WL_OK && i < count && past->count < PAST_RUNS; i++) {
        if (list[i].state != WL_REPORT_DONE || list[i].run.only_shard >= 0) {
            continue;
        }
        err = view_read(self, &list[i], view);
        past->sums[past->count++] = view->sums;
        view_clear(view);
    }
    return err;
}

static bool line_silent(const past_t *past, const wl_compare_line_t *line, uint64_t *ret_usual) {
    uint64_t changed[PAST_RUNS] = {0};
    for (uint32_t i = 0; i < past->count; i++) {
        const wl_compare_sums_t *sums = &past->sums[i];
        for (uint32_t k = 0; k < sums->line_count; k++) {
            if (strcmp(sums->lines[k].line, line->line) == 0) {
                changed[i] = sums->lines[k].changed;
            }
        }
    }
    return wl_compare_silent(line->changed, changed, past->count, ret_usual);
}

void wl_reconciler_judge_lines(wl_reconciler_t *self, uint64_t run) {
    run_view_t *view = wl_alloc_zero(1, sizeof *view);
    past_t *past = wl_alloc_zero(1, sizeof *past);
    wl_report_t report = {0};
    uint64_t silent = 0;
    wl_err_t err = past_read(self, run, view, past);
    if (err == WL_OK) {
        err = wl_report_db_get(self->reports, run, &report);
    }
    if (err == WL_OK && report.state == WL_REPORT_DONE && report.run.only_shard < 0 &&
        view_read(self, &report, view) == WL_OK) {
        for (uint32_t i = 0; i < view->sums.line_count; i++) {
            uint64_t usual = 0;
            const wl_compare_line_t *line = &view->sums.lines[i];
            if (line_silent(past, line, &usual)) {
                silent++;
                wl_log(WL_LOG_WARN, self->hub.name, "line_silent",
                       "line %s changed %" PRIu64 " records in the last day, usually %" PRIu64,
                       line->line, line->changed, usual);
            }
        }
        WL_GAUGE(&self->hub.counters, reconcile_silent, silent);
    }
    view_clear(view);
    wl_free(view);
    wl_free(past);
}

uint64_t wl_reconciler_last_round(wl_reconciler_t *self) {
    run_view_t *view = wl_alloc_zero(1, sizeof *view);
    wl_report_t list[RUNS_MAX];
    uint32_t count = 0;
    uint64_t users = 0;
    wl_err_t err = wl_report_db_list(self->reports, 0, true, list, RUNS_MAX, &count);
    for (uint32_t i = 0; err == WL_OK && i < count && users == 0; i++) {
        if (list[i].state == WL_REPORT_DONE) {
            err = view_read(self, &list[i], view);
            for (uint32_t k = 0; k < view->count; k++) { /* the caches' side goes round, too */
                users += view->part_users[k];
            }
            view_clear(view);
        }
    }
    wl_free(view);
    return users;
}

/* ---- the report ------------------------------------------------------------------------------ */

static void pack_differences(msgpack_packer *packer, const wl_report_sums_t *sums) {
    pack_text(packer, "differences");
    msgpack_pack_array(packer, WL_DIFFERENCE_KINDS);
    for (unsigned i = 0; i < WL_DIFFERENCE_KINDS; i++) {
        msgpack_pack_map(packer, 4);
        pack_word(packer, "kind", wl_difference_name((wl_difference_kind_t)i));
        pack_number(packer, "found", sums->found[i]);
        pack_number(packer, "repaired", sums->repaired[i]);
        pack_number(packer, "left", sums->left[i]);
    }
}

static void pack_ages(msgpack_packer *packer, const wl_compare_sums_t *sums) {
    pack_text(packer, "ages");
    msgpack_pack_array(packer, WL_COMPARE_AGES);
    for (uint32_t i = 0; i < WL_COMPARE_AGES; i++) {
        msgpack_pack_map(packer, 2);
        pack_text(packer, "up_to_ms");
        if (i + 1 == WL_COMPARE_AGES) {
            msgpack_pack_nil(packer);
        } else {
            msgpack_pack_int64(packer, wl_compare_ages[i]);
        }
        pack_number(packer, "records", sums->ages[i]);
    }
}

static void pack_lines(msgpack_packer *packer, const wl_compare_sums_t *sums, const past_t *past) {
    pack_text(packer, "lines");
    msgpack_pack_array(packer, sums->line_count);
    for (uint32_t i = 0; i < sums->line_count; i++) {
        uint64_t usual = 0;
        bool silent = line_silent(past, &sums->lines[i], &usual);
        msgpack_pack_map(packer, 5);
        pack_word(packer, "line", sums->lines[i].line);
        pack_number(packer, "records", sums->lines[i].records);
        pack_number(packer, "changed", sums->lines[i].changed);
        pack_number(packer, "usual", usual);
        pack_flag(packer, "silent", silent);
    }
}

static void pack_parts(msgpack_packer *packer, const run_view_t *view) {
    pack_text(packer, "parts");
    msgpack_pack_array(packer, view->count);
    for (uint32_t i = 0; i < view->count; i++) {
        const wl_report_part_t *part = &view->parts[i];
        msgpack_pack_map(packer, 6);
        pack_text(packer, "shard");
        if (part->shard + 1 == view->report.run.shards) {
            pack_text(packer, "caches");
        } else {
            msgpack_pack_uint32(packer, part->shard);
        }
        pack_word(packer, "state", wl_report_state_name(part->state));
        pack_word(packer, "holder", part->holder);
        pack_number(packer, "users", view->part_users[i]);
        pack_number(packer, "rows", view->part_rows[i]);
        pack_number(packer, "worked_ms", view->part_ms[i]);
    }
}

static void pack_run(msgpack_packer *packer, const run_view_t *view, const wl_report_sums_t *found,
                     const past_t *past) {
    const wl_report_t *report = &view->report;
    const wl_compare_sums_t *sums = &view->sums;
    msgpack_pack_map(packer, 20);
    pack_number(packer, "run", report->run.id);
    pack_word(packer, "kind", report->run.rolling ? "round" : "run");
    pack_word(packer, "state", wl_report_state_name(report->state));
    pack_flag(packer, "dry_run", report->run.dry_run);
    pack_word(packer, "by", report->run.by);
    pack_word(packer, "note", report->note);
    pack_number(packer, "cap", report->run.cap_permille / 10);
    pack_number(packer, "rate", report->run.rate);
    pack_time(packer, "started_at", report->started_at);
    pack_time(packer, "ended_at", report->ended_at);
    pack_number(packer, "users", sums->users);
    pack_number(packer, "rows", sums->rows);
    pack_number(packer, "equal", sums->equal);
    pack_number(packer, "uncached", sums->uncached);
    pack_number(packer, "checked", sums->checked);
    pack_number(packer, "moving", sums->moving);
    pack_differences(packer, found);
    pack_ages(packer, sums);
    pack_lines(packer, sums, past);
    pack_parts(packer, view);
}

/* An optional number: 0 when it is absent. */
static wl_err_t read_number(const msgpack_object *args, const char *key, uint64_t max,
                            uint64_t *ret, wl_fault_t *fault) {
    *ret = 0;
    wl_err_t err = wl_args_u64(args, key, ret, fault);
    if (err == WL_OK && *ret > max) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, key, "%s: must not be above %" PRIu64, key, max);
    }
    return err == WL_ERR_NOT_FOUND ? WL_OK : err;
}

static wl_err_t report_pack(wl_reconciler_t *self, const wl_report_t *list, uint32_t count,
                            msgpack_packer *packer) {
    run_view_t *view = wl_alloc_zero(1, sizeof *view);
    past_t *past = wl_alloc_zero(1, sizeof *past);
    wl_err_t err = WL_OK;
    msgpack_pack_map(packer, 1);
    pack_text(packer, "runs");
    msgpack_pack_array(packer, count);
    for (uint32_t i = 0; err == WL_OK && i < count; i++) {
        wl_report_sums_t found = {0};
        err = past_read(self, list[i].run.id, view, past);
        if (err == WL_OK) {
            err = view_read(self, &list[i], view);
        }
        if (err == WL_OK) {
            err = wl_report_db_sums(self->reports, list[i].run.id, &found);
        }
        if (err == WL_OK) {
            pack_run(packer, view, &found, past);
        }
        view_clear(view);
    }
    wl_free(view);
    wl_free(past);
    return err;
}

static wl_err_t admin_report(wl_reconciler_t *self, const msgpack_object *args,
                             msgpack_packer *packer, wl_fault_t *fault) {
    wl_report_t list[RUNS_MAX];
    uint64_t run = 0;
    uint64_t limit = 0;
    bool rounds = false;
    uint32_t count = 1;
    wl_err_t err = read_number(args, "run", INT64_MAX, &run, fault);
    if (err == WL_OK) {
        err = read_number(args, "limit", UINT32_MAX, &limit, fault);
    }
    if (err == WL_OK) {
        err = wl_args_bool(args, "rounds", &rounds, fault);
        err = err == WL_ERR_NOT_FOUND ? WL_OK : err;
    }
    if (err != WL_OK) {
        return err;
    }
    limit = limit == 0 ? RUNS_USUAL : limit > RUNS_MAX ? RUNS_MAX : limit;
    if (run > 0) {
        err = wl_report_db_get(self->reports, run, &list[0]);
    } else {
        err = wl_report_db_list(self->reports, 0, rounds, list, (uint32_t)limit, &count);
    }
    if (err == WL_ERR_NOT_FOUND) {
        return wl_fault(fault, err, "run", "run: there is no run %" PRIu64, run);
    }
    return err == WL_OK ? report_pack(self, list, count, packer) : err;
}

static wl_err_t admin_differences(wl_reconciler_t *self, const msgpack_object *args,
                                  msgpack_packer *packer, wl_fault_t *fault) {
    uint64_t run = 0;
    uint64_t after = 0;
    uint64_t limit = 0;
    uint32_t count = 0;
    wl_report_t report;
    wl_err_t err = read_number(args, "run", INT64_MAX, &run, fault);
    err = err == WL_OK ? read_number(args, "after", INT64_MAX, &after, fault) : err;
    err = err == WL_OK ? read_number(args, "limit", UINT32_MAX, &limit, fault) : err;
    if (err == WL_OK && run == 0) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "run", "run: is required");
    }
    err = err == WL_OK ? wl_report_db_get(self->reports, run, &report) : err;
    if (err == WL_ERR_NOT_FOUND) {
        return wl_fault(fault, err, "run", "run: there is no run %" PRIu64, run);
    }
    limit = limit == 0 ? FOUND_USUAL : limit > FOUND_MAX ? FOUND_MAX : limit;
    wl_found_t *list = wl_alloc_zero(FOUND_MAX, sizeof *list);
    if (err == WL_OK) {
        err = wl_report_db_differences(self->reports, run, after, list, (uint32_t)limit, &count);
    }
    msgpack_pack_map(packer, 2);
    pack_text(packer, "differences");
    msgpack_pack_array(packer, count);
    for (uint32_t i = 0; i < count; i++) {
        const wl_difference_t *found = &list[i].difference;
        msgpack_pack_map(packer, 12);
        pack_number(packer, "id", list[i].id);
        pack_number(packer, "shard", list[i].shard);
        pack_number(packer, "uid", found->uid);
        pack_word(packer, "line", found->line);
        pack_word(packer, "bucket", found->bucket);
        pack_word(packer, "kind", wl_difference_name(found->kind));
        pack_number(packer, "in_db", found->in_db);
        pack_number(packer, "in_copy", found->in_copy);
        pack_word(packer, "repair", wl_repair_name(found->repair));
        pack_word(packer, "cause", found->cause);
        pack_word(packer, "state", wl_found_state_name(list[i].state));
        pack_time(packer, "at", list[i].at);
    }
    pack_number(packer, "next", count == limit ? list[count - 1].id : 0);
    wl_free(list);
    return err;
}

/* ---- runs ------------------------------------------------------------------------------------ */

static wl_err_t run_read(const wl_reconciler_t *self, const msgpack_object *args,
                         wl_report_run_t *run, wl_fault_t *fault) {
    uint32_t shards = wl_hub_instances(&self->hub, WL_ACTOR_SHARD);
    uint64_t cap = self->hub.settings->reconcile_cap_percent;
    uint64_t rate = self->hub.settings->reconcile_rate;
    uint64_t shard = 0;
    *run = (wl_report_run_t){.shards = shards + 1, .only_shard = -1};
    wl_err_t err = wl_args_text(args, "author", run->by, BY_BYTES, fault);
    if (err == WL_ERR_NOT_FOUND || (err == WL_OK && run->by[0] == '\0')) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "author",
                        "author: is required, it says who asks");
    }
    if (err == WL_OK) {
        err = wl_args_bool(args, "dry_run", &run->dry_run, fault);
    }
    if (err == WL_OK || err == WL_ERR_NOT_FOUND) {
        err = wl_args_u64(args, "cap", &cap, fault);
    }
    if (err == WL_OK || err == WL_ERR_NOT_FOUND) {
        err = wl_args_u64(args, "rate", &rate, fault);
    }
    if (err == WL_OK || err == WL_ERR_NOT_FOUND) {
        err = wl_args_u64(args, "shard", &shard, fault);
        run->only_shard = err == WL_OK && shard < shards ? (int64_t)shard : -1;
    }
    if (err != WL_OK && err != WL_ERR_NOT_FOUND) {
        return err;
    }
    if (err == WL_OK && shard >= shards) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "shard", "shard: must be below %u", shards);
    }
    if (cap > 100) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "cap", "cap: must be 0 to 100 percent");
    }
    if (rate > RATE_MAX) { /* as the setting; the store could not tell a larger one */
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "rate", "rate: must be at most %d", RATE_MAX);
    }
    run->cap_permille = (uint32_t)cap * 10;
    run->rate = rate;
    return WL_OK;
}

static wl_err_t admin_run(wl_reconciler_t *self, const msgpack_object *args, msgpack_packer *packer,
                          wl_fault_t *fault) {
    wl_report_run_t run;
    uint64_t id = 0;
    wl_err_t err = run_read(self, args, &run, fault);
    if (err == WL_OK && !self->reaches) {
        return wl_fault(fault, WL_ERR_UNAVAILABLE, "run",
                        "files of shards are in another process: nothing can be compared here");
    }
    if (err == WL_OK) {
        err = wl_report_db_begin(self->reports, &run, &id);
    }
    if (err == WL_ERR_CONFLICT) {
        return wl_fault(fault, err, "run", "a run is under way: wait for it, or stop it");
    }
    if (err == WL_OK) {
        self->claim_at = 0;
        msgpack_pack_map(packer, 1);
        pack_number(packer, "run", id);
    }
    return err;
}

static wl_err_t admin_stop(wl_reconciler_t *self, const msgpack_object *args,
                           msgpack_packer *packer, wl_fault_t *fault) {
    char note[NOTE_BYTES + 1] = "stopped by an operator";
    uint64_t run = 0;
    wl_err_t err = read_number(args, "run", INT64_MAX, &run, fault);
    if (err == WL_OK) {
        err = wl_args_text(args, "note", note, NOTE_BYTES, fault);
        err = err == WL_ERR_NOT_FOUND ? WL_OK : err;
    }
    if (err == WL_OK) {
        err = wl_report_db_stop(self->reports, run, note);
    }
    if (err == WL_ERR_NOT_FOUND) {
        return wl_fault(fault, err, "run", "run: there is no run %" PRIu64, run);
    }
    if (err == WL_ERR_CONFLICT) {
        return wl_fault(fault, err, "run", "run: %" PRIu64 " has ended", run);
    }
    if (err == WL_OK) {
        msgpack_pack_map(packer, 2);
        pack_number(packer, "run", run);
        pack_word(packer, "state", wl_report_state_name(WL_REPORT_STOPPED));
    }
    return err;
}

/* ---- requests -------------------------------------------------------------------------------- */

static wl_err_t admin_do(wl_reconciler_t *self, const wl_admin_item_t *request, wl_fault_t *fault) {
    static const wl_walk_limits_t limits = {WL_WALK_DEPTH_MAX, ARGS_OBJECTS_MAX};
    const msgpack_object *args = NULL;
    wl_err_t err =
        wl_unpacker_read(self->unpacker, request->args.at, request->args.count, &limits, &args);
    if (err != WL_OK) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "params", "params: too many arguments");
    }
    msgpack_packer packer;
    msgpack_sbuffer_clear(&self->body);
    msgpack_packer_init(&packer, &self->body, msgpack_sbuffer_write);
    switch ((int)request->method) {
    case WL_METHOD_RECONCILE_RUN: return admin_run(self, args, &packer, fault);
    case WL_METHOD_RECONCILE_STOP: return admin_stop(self, args, &packer, fault);
    case WL_METHOD_RECONCILE_REPORT: return admin_report(self, args, &packer, fault);
    case WL_METHOD_RECONCILE_DIFFERENCES: return admin_differences(self, args, &packer, fault);
    default: return WL_ERR_UNKNOWN_METHOD;
    }
}

void wl_reconciler_take_admin(wl_reconciler_t *self, const wl_msg_t *msg) {
    uint32_t intake = msg->head.admin.intake;
    if (intake >= wl_hub_instances(&self->hub, WL_ACTOR_INTAKE)) {
        WL_COUNT(&self->hub.counters, msg_malformed, 1);
        return;
    }
    for (uint32_t i = 0; i < msg->count; i++) {
        wl_fault_t fault = {.where = ""};
        wl_err_t err = admin_do(self, &msg->items.admin[i], &fault);
        wl_reply_item_t reply = {.ticket = msg->items.admin[i].ticket, .error = (uint32_t)err};
        if (err == WL_OK) {
            reply.body = (wl_bytes_t){(const uint8_t *)self->body.data, self->body.size};
        } else {
            (void)snprintf(reply.text, sizeof reply.text, "%.*s", WL_MESSAGE_TEXT_MAX,
                           fault.message);
        }
        wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_INTAKE, intake, WL_MSG_REPLY, 0);
        if (!wl_encoder_begun(to)) {
            wl_reply_begin(to, &(wl_reply_head_t){0});
        }
        wl_reply_add(to, &reply);
    }
}
