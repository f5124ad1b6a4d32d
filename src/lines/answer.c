/* What every answer goes through, whatever its shape: the records of users that were asked for, in
 * themselves valid, within the limits of the line, one per (user, bucket). */
#include "lines/answer_parts.h"

#include "base/alloc.h"
#include "base/check.h"
#include "domain/asset_rules.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ASSETS_MIN = 256,   /* capacity of a new reader; grows by doubling */
    ASSETS_KEPT = 8192, /* a larger table is given back before the next answer */
    ZONE_BYTES = 16384, /* of the first chunk of extras */
};

wl_answer_reader_t *wl_answer_reader_new(void) {
    wl_answer_reader_t *self = wl_alloc_zero(1, sizeof *self);
    bool ready = msgpack_zone_init(&self->zone, ZONE_BYTES);
    WL_ASSERT(ready);
    self->unpacker = wl_unpacker_new();
    self->asset_capacity = ASSETS_MIN;
    self->assets = wl_alloc(ASSETS_MIN * sizeof *self->assets);
    return self;
}

void wl_answer_reader_destroy(wl_answer_reader_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    msgpack_zone_destroy(&(*self)->zone);
    wl_unpacker_destroy(&(*self)->unpacker);
    wl_free((*self)->assets);
    wl_free(*self);
    *self = NULL;
}

void wl_answer_reader_watch(wl_answer_reader_t *self, wl_answer_watch_fn watch, void *arg) {
    self->watch = watch;
    self->watch_arg = arg;
}

/* The users that were asked for. */

static int uid_compare(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* Index into asked, or -1. */
static int asked_find(const wl_answer_reader_t *self, uint64_t uid) {
    const uint64_t *at =
        bsearch(&uid, self->asked, self->asked_count, sizeof self->asked[0], uid_compare);
    return at == NULL ? -1 : (int)(at - self->asked);
}

void wl_answer_begin(wl_answer_reader_t *self, const wl_line_t *line, wl_wall_ms_t pulled_at,
                     const wl_answer_t *answer) {
    WL_ASSERT(answer->uid_count >= 1 && answer->uid_count <= WL_PULL_UIDS_MAX);
    self->line = line;
    self->pulled_at = pulled_at.ms;
    self->made_version = answer->made_version;
    self->asked_count = answer->uid_count;
    memcpy(self->asked, answer->uids, answer->uid_count * sizeof self->asked[0]);
    qsort(self->asked, self->asked_count, sizeof self->asked[0], uid_compare);
    memset(self->refused, 0, sizeof self->refused);
    self->refusal_count = 0;
    self->stranger_count = 0;
    self->refused_total = 0;
    self->asset_count = 0;
    if (self->asset_capacity > ASSETS_KEPT) {
        self->asset_capacity = ASSETS_MIN;
        wl_free(self->assets);
        self->assets = wl_alloc(ASSETS_MIN * sizeof *self->assets);
    }
    msgpack_zone_clear(&self->zone);
}

bool wl_answer_count_allowed(const wl_answer_reader_t *self, size_t records) {
    return records <= (size_t)self->asked_count * WL_USER_ASSETS_MAX;
}

/* Records. */

/* The first refusal of each asked user has a place of its own: were it crowded out, the user would
 * look like one who owns nothing new. */
static void refusal_add(wl_answer_reader_t *self, uint64_t uid, const char *reason) {
    self->refused_total++;
    int asked = asked_find(self, uid);
    if (asked >= 0 ? self->refused[asked] : self->stranger_count == WL_ANSWER_STRANGERS_MAX) {
        return;
    }
    if (asked >= 0) {
        self->refused[asked] = true;
    } else {
        self->stranger_count++;
    }
    WL_ASSERT(self->refusal_count < WL_COUNT_OF(self->refusals));
    wl_answer_refusal_t *refusal = &self->refusals[self->refusal_count++];
    refusal->uid = uid;
    (void)snprintf(refusal->reason, sizeof refusal->reason, "%.95s", reason);
}

void wl_answer_record(wl_answer_reader_t *self, uint32_t index, wl_asset_t *ret) {
    self->index = index;
    self->fault_count = 0;
    memset(ret, 0, sizeof *ret);
    memcpy(ret->line, self->line->id, sizeof ret->line);
    memcpy(ret->unit, self->line->unit, sizeof ret->unit);
    ret->kind = (uint8_t)self->line->kind;
    ret->scale = self->line->scale;
    ret->state = WL_STATE_AVAILABLE;
}

wl_fault_t *wl_answer_fault(wl_answer_reader_t *self) {
    return self->fault_count < WL_ANSWER_FAULTS_MAX ? &self->faults[self->fault_count] : NULL;
}

void wl_answer_check(wl_answer_reader_t *self, wl_err_t err) {
    self->fault_count += err != WL_OK;
}

/* What a record that could be read is refused for. */
static wl_err_t record_judge(wl_answer_reader_t *self, const wl_asset_t *record) {
    wl_fault_t *into = wl_answer_fault(self);
    if (record->uid == 0) {
        return wl_fault(into, WL_ERR_BAD_REQUEST, "uid", "uid: is missing");
    }
    if (asked_find(self, record->uid) < 0) {
        return wl_fault(into, WL_ERR_BAD_REQUEST, "uid", "uid: not asked for");
    }
    wl_fault_t fault;
    wl_err_t err = wl_asset_valid(record, &fault);
    if (err == WL_OK) {
        err = wl_asset_sane(record, self->line, &fault);
    }
    return err == WL_OK ? WL_OK
                        : wl_fault(into, err, fault.where, "%s: %.95s", fault.where, fault.message);
}

static void record_tell(const wl_answer_reader_t *self, const wl_asset_t *asset, json_t *json,
                        const msgpack_object *map) {
    if (self->watch != NULL) {
        bool all = self->fault_count <= WL_ANSWER_FAULTS_MAX;
        wl_answer_record_t record = {self->index,  json,
                                     map,          asset,
                                     self->faults, all ? self->fault_count : WL_ANSWER_FAULTS_MAX};
        self->watch(&record, self->watch_arg);
    }
}

void wl_answer_settle(wl_answer_reader_t *self, const wl_asset_t *asset, json_t *json,
                      const msgpack_object *map) {
    wl_asset_t record = *asset;
    if (!self->line->versions) {
        record.version = self->made_version;
    }
    if (self->fault_count == 0) {
        wl_answer_check(self, record_judge(self, &record));
    }
    record_tell(self, &record, json, map);
    if (self->fault_count > 0) {
        refusal_add(self, asset->uid, self->faults[0].message);
        return;
    }
    if (self->asset_count == self->asset_capacity) {
        self->asset_capacity *= 2;
        self->assets = wl_realloc_array(self->assets, self->asset_capacity, sizeof *self->assets);
    }
    record.pulled_at = self->index; /* the place in the answer until wl_answer_finish() */
    self->assets[self->asset_count++] = record;
}

/* By user and bucket; of equal ones the highest version first, then as they came. */
static int asset_compare(const void *left, const void *right) {
    const wl_asset_t *a = left;
    const wl_asset_t *b = right;
    if (a->uid != b->uid) {
        return a->uid < b->uid ? -1 : 1;
    }
    int order = strcmp(a->bucket, b->bucket);
    if (order != 0) {
        return order;
    }
    if (a->version != b->version) {
        return a->version > b->version ? -1 : 1;
    }
    return a->pulled_at < b->pulled_at ? -1 : 1;
}

/* Refuses a record that was taken before. */
__attribute__((format(printf, 3, 4))) static void
record_take_back(wl_answer_reader_t *self, const wl_asset_t *asset, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)snprintf(self->faults[0].where, sizeof self->faults[0].where, "bucket");
    (void)vsnprintf(self->faults[0].message, sizeof self->faults[0].message, format, args);
    va_end(args);
    self->index = (uint32_t)asset->pulled_at;
    self->fault_count = 1;
    record_tell(self, NULL, NULL, NULL);
    refusal_add(self, asset->uid, self->faults[0].message);
}

/* Keeps the first of equal keys and WL_USER_ASSETS_MAX of one user. */
static void assets_thin(wl_answer_reader_t *self) {
    uint32_t kept = 0;
    uint32_t of_user = 0;
    wl_asset_t *assets = self->assets;
    WL_ASSERT(assets != NULL);
    for (uint32_t i = 0; i < self->asset_count; i++) {
        const wl_asset_t *asset = &assets[i];
        const wl_asset_t *last = kept > 0 ? &assets[kept - 1] : NULL;
        of_user = last != NULL && last->uid == asset->uid ? of_user : 0;
        if (last != NULL && wl_asset_same_key(last, asset)) {
            record_take_back(self, asset, "bucket: twice in one answer");
        } else if (of_user == WL_USER_ASSETS_MAX) {
            record_take_back(self, asset, "bucket: more than %d of one user", WL_USER_ASSETS_MAX);
        } else {
            of_user++;
            assets[kept++] = *asset;
        }
    }
    self->asset_count = kept;
}

void wl_answer_finish(wl_answer_reader_t *self, wl_answer_t *answer) {
    qsort(self->assets, self->asset_count, sizeof self->assets[0], asset_compare);
    assets_thin(self);
    for (uint32_t i = 0; i < self->asset_count; i++) {
        self->assets[i].pulled_at = self->pulled_at;
    }
    answer->assets = self->assets;
    answer->asset_count = self->asset_count;
    answer->refusals = self->refusals;
    answer->refusal_count = self->refusal_count;
    answer->refused_total = self->refused_total;
    answer->reason[0] = '\0';
}

wl_err_t wl_answer_fail(wl_answer_reader_t *self, wl_answer_t *answer, wl_err_t err,
                        const char *reason) {
    self->asset_count = 0;
    self->refusal_count = 0;
    answer->assets = NULL;
    answer->asset_count = 0;
    answer->refusals = NULL;
    answer->refusal_count = 0;
    answer->refused_total = 0;
    (void)snprintf(answer->reason, sizeof answer->reason, "%s", reason);
    return err;
}

/* Display fields. */

static int extra_write(void *data, const char *bytes, size_t count) {
    wl_extra_builder_t *self = data;
    if (count > sizeof self->bytes - self->used) {
        self->overflow = true;
        return -1;
    }
    if (count > 0) {
        memcpy(self->bytes + self->used, bytes, count);
        self->used += count;
    }
    return 0;
}

void wl_extra_begin(wl_extra_builder_t *self) {
    self->used = 0;
    self->pairs = 0;
    self->overflow = false;
    msgpack_packer_init(&self->packer, self, extra_write);
}

void wl_extra_text(wl_extra_builder_t *self, const char *text, size_t bytes) {
    (void)msgpack_pack_str(&self->packer, bytes);
    (void)msgpack_pack_str_body(&self->packer, text, bytes);
}

wl_err_t wl_extra_finish(wl_extra_builder_t *self, msgpack_zone *zone, wl_asset_t *asset) {
    size_t head = self->pairs < 16 ? 1 : 3;
    if (self->overflow || self->used + head > WL_EXTRA_BYTES_MAX) {
        return WL_ERR_TOO_BIG;
    }
    if (self->pairs == 0) {
        return WL_OK;
    }
    uint8_t *copy = msgpack_zone_malloc_no_align(zone, head + self->used);
    WL_ASSERT(copy != NULL);
    if (head == 1) {
        copy[0] = (uint8_t)(0x80 | self->pairs);
    } else {
        copy[0] = 0xde;
        copy[1] = (uint8_t)(self->pairs >> 8);
        copy[2] = (uint8_t)self->pairs;
    }
    memcpy(copy + head, self->bytes, self->used);
    asset->extra = copy;
    asset->extra_bytes = (uint16_t)(head + self->used);
    return WL_OK;
}
