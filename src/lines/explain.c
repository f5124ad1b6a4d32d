#include "lines/explain.h"

#include "base/alloc.h"
#include "base/check.h"
#include "domain/asset_rules.h"
#include "lines/answer.h"
#include "lines/explain_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { NUMBER_TEXT = 24 };

typedef struct {
    const wl_line_t *line;           /* borrowed */
    const uint64_t *uids;            /* borrowed; who was asked for */
    uint32_t uid_count;              /* of uids */
    wl_wall_ms_t now;                /* start of the pull */
    bool answered[WL_PULL_UIDS_MAX]; /* per uid: there is a record */
    json_t *records;                 /* owned until it is handed over */
} explain_t;

/* Users of an answer in the order of their records. */
typedef struct {
    uint64_t at[WL_PULL_UIDS_MAX];
    uint32_t count;
} users_t;

static json_t *number_json(uint64_t number) {
    char text[NUMBER_TEXT];
    (void)snprintf(text, sizeof text, "%" PRIu64, number);
    return json_string(text);
}

/* ---- which rules a record breaks ------------------------------------------------------------- */

bool wl_explain_failed(const json_t *failed, const char *field) {
    size_t index = 0;
    const json_t *one = NULL;
    json_array_foreach(failed, index, one) {
        if (strcmp(json_string_value(json_object_get(one, "field")), field) == 0) {
            return true;
        }
    }
    return false;
}

static void failed_add(json_t *failed, const char *field, const char *reason) {
    (void)json_array_append_new(failed, json_pack("{s:s, s:s}", "field", field, "reason", reason));
}

/* Gives a field a value that breaks no rule, so that the rules behind it are reached. */
static void field_mend(const char *field, const wl_line_t *line, wl_asset_t *asset) {
    if (strcmp(field, "uid") == 0) {
        asset->uid = 1;
    } else if (strcmp(field, "line") == 0) {
        memcpy(asset->line, line->id, sizeof asset->line);
    } else if (strcmp(field, "bucket") == 0) {
        asset->bucket[0] = '\0';
    } else if (strcmp(field, "unit") == 0) {
        memcpy(asset->unit, line->unit, sizeof asset->unit);
    } else if (strcmp(field, "version") == 0) {
        asset->version = 1;
    } else if (strcmp(field, "kind") == 0) {
        asset->kind = (uint8_t)line->kind;
    } else if (strcmp(field, "state") == 0) {
        asset->state = WL_STATE_AVAILABLE;
    } else if (strcmp(field, "scale") == 0) {
        asset->scale = line->scale;
    } else if (strcmp(field, "expires_at") == 0) {
        asset->expires_at = 0;
    } else if (strcmp(field, "extra") == 0) {
        asset->extra = NULL;
        asset->extra_bytes = 0;
    } else if (strcmp(field, "amount") == 0) {
        asset->amount = line->sanity.amount_min;
    } else if (strcmp(field, "pending") == 0) {
        asset->pending = 0;
    }
}

/* The rules stop at the first that is broken: each time the field is mended and they go on. */
static void failed_fill(json_t *failed, const wl_line_t *line, const wl_asset_t *asset) {
    wl_asset_t copy = *asset;
    size_t index = 0;
    const json_t *one = NULL;
    json_array_foreach(failed, index, one) {
        field_mend(json_string_value(json_object_get(one, "field")), line, &copy);
    }
    for (int i = 0; i < WL_RECORD_FIELD_COUNT; i++) {
        wl_fault_t fault = {0};
        if (wl_asset_valid(&copy, &fault) == WL_OK && wl_asset_sane(&copy, line, &fault) == WL_OK) {
            return;
        }
        if (!wl_explain_failed(failed, fault.where)) {
            char reason[sizeof fault.where + sizeof fault.message + 2];
            (void)snprintf(reason, sizeof reason, "%s: %s", fault.where, fault.message);
            failed_add(failed, fault.where, reason);
        }
        field_mend(fault.where, line, &copy);
    }
}

/* ---- one record ------------------------------------------------------------------------------ */

/* Index into uids, or -1. */
static int asked_find(const explain_t *self, uint64_t uid) {
    for (uint32_t i = 0; i < self->uid_count; i++) {
        if (self->uids[i] == uid) {
            return (int)i;
        }
    }
    return -1;
}

static json_t *record_explain(const explain_t *self, const wl_answer_record_t *record, bool asked) {
    json_t *failed = json_array();
    for (uint32_t i = 0; i < record->fault_count; i++) {
        failed_add(failed, record->faults[i].where, record->faults[i].message);
    }
    if (record->fault_count > 0) {
        if (!asked && !wl_explain_failed(failed, "uid")) {
            failed_add(failed, "uid", "uid: not asked for");
        }
        failed_fill(failed, self->line, record->asset);
    }
    json_t *made = record->map == NULL ? NULL : wl_explain_json(record->map);
    wl_explained_t explained = {
        .line = self->line,
        .record = {made != NULL ? made : record->json,
                   self->line->mapping.used ? &self->line->mapping : NULL},
        .asset = record->asset,
        .failed = failed,
        .now = self->now,
        .hidden = !asked,
    };
    json_t *json = json_object();
    (void)json_object_set_new(json, "index", json_integer(record->index));
    (void)json_object_set_new(
        json, "uid", record->asset->uid == 0 ? json_null() : number_json(record->asset->uid));
    (void)json_object_set_new(json, "taken", json_boolean(record->fault_count == 0));
    (void)json_object_set_new(json, "fields", wl_explain_fields(&explained));
    (void)json_object_set_new(json, "hints", wl_explain_hints(&explained));
    (void)json_object_set_new(json, "failed", failed);
    json_decref(made);
    return json;
}

/* A record that was taken and lost its place to another one. */
static void record_refuse(const explain_t *self, const wl_answer_record_t *record) {
    json_t *json = json_array_get(self->records, record->index);
    if (json != NULL) {
        (void)json_object_set_new(json, "taken", json_false());
        failed_add(json_object_get(json, "failed"), record->faults[0].where,
                   record->faults[0].message);
    }
}

static void on_record(const wl_answer_record_t *record, void *arg) {
    explain_t *self = arg;
    if (record->asset == NULL) {
        record_refuse(self, record);
        return;
    }
    int asked = asked_find(self, record->asset->uid);
    if (asked >= 0) {
        self->answered[asked] = true;
    }
    if (record->index < WL_EXPLAIN_RECORDS_MAX) {
        WL_ASSERT(record->index == json_array_size(self->records));
        (void)json_array_append_new(self->records, record_explain(self, record, asked >= 0));
    }
}

/* ---- the answer ------------------------------------------------------------------------------ */

static wl_err_t answer_read(wl_answer_reader_t *reader, const wl_line_t *line, wl_wall_ms_t now,
                            const void *bytes, size_t count, wl_answer_t *answer) {
    return line->adapter == WL_ADAPTER_ZMQ
               ? wl_answer_read_msgpack(reader, line, now, bytes, count, answer)
               : wl_answer_read_json(reader, line, now, bytes, count, answer);
}

static void on_user(const wl_answer_record_t *record, void *arg) {
    users_t *users = arg;
    uint64_t uid = record->asset == NULL ? 0 : record->asset->uid;
    bool known = uid == 0 || users->count == WL_PULL_UIDS_MAX;
    for (uint32_t i = 0; !known && i < users->count; i++) {
        known = users->at[i] == uid;
    }
    if (!known) {
        users->at[users->count++] = uid;
    }
}

/* Who is in the answer. Read as if as many as possible had been asked for, whoever they are. */
static void users_find(wl_answer_reader_t *reader, const wl_line_t *line, wl_wall_ms_t now,
                       const void *bytes, size_t count, users_t *ret) {
    uint64_t anybody[WL_PULL_UIDS_MAX];
    for (uint32_t i = 0; i < WL_PULL_UIDS_MAX; i++) {
        anybody[i] = i + 1;
    }
    wl_answer_t answer = {.uids = anybody, .uid_count = WL_PULL_UIDS_MAX};
    ret->count = 0;
    wl_answer_reader_watch(reader, on_user, ret);
    (void)!answer_read(reader, line, now, bytes, count, &answer); /* the next read says why */
}

/* As the puller judges (puller_answer.c): one refused record of a user, or no record while others
 * cannot be told to anybody, and nothing of this user is stored. */
static bool user_held(const explain_t *self, uint32_t user, const wl_answer_t *answer) {
    bool unknown = answer->refused_total > answer->refusal_count;
    for (uint32_t i = 0; i < answer->refusal_count; i++) {
        if (answer->refusals[i].uid == self->uids[user]) {
            return true;
        }
        unknown = unknown || answer->refusals[i].uid == 0;
    }
    return unknown && !self->answered[user];
}

static json_t *result_json(const explain_t *self, wl_err_t err, const wl_answer_t *answer) {
    json_t *users = json_array();
    json_t *missing = json_array();
    json_t *held = json_array();
    for (uint32_t i = 0; i < self->uid_count; i++) {
        (void)json_array_append_new(users, number_json(self->uids[i]));
        if (err == WL_OK && !self->answered[i]) {
            (void)json_array_append_new(missing, number_json(self->uids[i]));
        }
        if (err == WL_OK && user_held(self, i, answer)) {
            (void)json_array_append_new(held, number_json(self->uids[i]));
        }
    }
    json_t *json = json_object();
    (void)json_object_set_new(json, "reason", json_string(err == WL_OK ? "" : answer->reason));
    (void)json_object_set_new(json, "users", users);
    (void)json_object_set_new(json, "missing", missing);
    (void)json_object_set_new(json, "held", held);
    (void)json_object_set_new(json, "taken", json_integer(answer->asset_count));
    (void)json_object_set_new(json, "refused", json_integer(answer->refused_total));
    (void)json_object_set_new(json, "records", self->records);
    return json;
}

json_t *wl_explain(const wl_line_t *line, const uint64_t *uids, uint32_t uid_count,
                   wl_wall_ms_t now, const void *bytes, size_t count) {
    WL_ASSERT(uid_count <= WL_PULL_UIDS_MAX);
    static const uint64_t nobody = UINT64_MAX;
    users_t found = {.count = 0};
    wl_answer_reader_t *reader = wl_answer_reader_new();
    if (uid_count == 0) {
        users_find(reader, line, now, bytes, count, &found);
    }
    explain_t self = {.line = line,
                      .uids = uid_count == 0 ? found.at : uids,
                      .uid_count = uid_count == 0 ? found.count : uid_count,
                      .now = now,
                      .records = json_array()};
    wl_answer_t answer = {.uids = self.uid_count == 0 ? &nobody : self.uids,
                          .uid_count = self.uid_count == 0 ? 1 : self.uid_count,
                          .made_version = (uint64_t)now.ms * 1000};
    wl_answer_reader_watch(reader, on_record, &self);
    wl_err_t err = answer_read(reader, line, now, bytes, count, &answer);
    json_t *json = result_json(&self, err, &answer);
    wl_answer_reader_destroy(&reader);
    return json;
}
