#include "domain/compare.h"

#include "domain/asset_rules.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

/* ---- digest ---------------------------------------------------------------------------------- */

/* What a reader may see of a record, without gaps between its fields. */
typedef struct {
    uint64_t version;
    int64_t amount;
    int64_t pending;
    int64_t expires_at;
    int64_t changed_at;
    uint64_t extra;
    uint32_t count;
    uint8_t kind;
    uint8_t state;
    uint8_t scale;
    uint8_t none;
    char line[WL_LINE_ID_MAX];
    char bucket[WL_BUCKET_MAX];
    char unit[WL_UNIT_MAX];
    char end[4];
} seen_t;

static void text_put(char *into, const char *text, size_t bytes) {
    size_t count = strnlen(text, bytes);
    memcpy(into, text, count);
}

/* A sum of these does not depend on the order of records. */
static uint64_t record_digest(const wl_asset_t *asset) {
    seen_t seen = {.version = asset->version,
                   .amount = asset->amount,
                   .pending = asset->pending,
                   .expires_at = asset->expires_at,
                   .changed_at = asset->changed_at,
                   .count = asset->count,
                   .kind = asset->kind,
                   .state = asset->state,
                   .scale = asset->scale};
    text_put(seen.line, asset->line, sizeof seen.line);
    text_put(seen.bucket, asset->bucket, sizeof seen.bucket);
    text_put(seen.unit, asset->unit, sizeof seen.unit);
    seen.extra = asset->extra_bytes == 0 ? 0 : XXH3_64bits(asset->extra, asset->extra_bytes);
    return XXH3_64bits(&seen, sizeof seen);
}

uint64_t wl_compare_digest(const wl_asset_t *assets, uint32_t count) {
    uint64_t sum = 1;
    for (uint32_t i = 0; i < count; i++) {
        if (assets[i].state != WL_STATE_GONE) {
            sum += record_digest(&assets[i]);
        }
    }
    return sum == 0 ? 1 : sum;
}

/* ---- rules ----------------------------------------------------------------------------------- */

static const wl_asset_t *find(const wl_asset_t *in, uint32_t count, const wl_asset_t *key) {
    for (uint32_t i = 0; i < count; i++) {
        if (wl_asset_same_key(&in[i], key)) {
            return &in[i];
        }
    }
    return NULL;
}

static wl_difference_t difference(wl_difference_kind_t kind, const wl_asset_t *db,
                                  const wl_asset_t *copy, const char *cause) {
    const wl_asset_t *key = db != NULL ? db : copy;
    wl_difference_t made = {.uid = key->uid,
                            .kind = kind,
                            .repair = WL_REPAIR_DROP,
                            .in_db = db == NULL ? 0 : db->version,
                            .in_copy = copy == NULL ? 0 : copy->version};
    memcpy(made.line, key->line, sizeof made.line);
    memcpy(made.bucket, key->bucket, sizeof made.bucket);
    (void)snprintf(made.cause, sizeof made.cause, "%s", cause);
    return made;
}

/* Has the user taken back the consent to this line? Then nothing of it may come back. */
static bool withdrawn(const wl_asset_t *db, uint32_t count, const char *line) {
    for (uint32_t i = 0; i < count; i++) {
        if (wl_asset_is_consent(&db[i]) && db[i].state == WL_STATE_GONE &&
            strcmp(db[i].line, line) == 0) {
            return true;
        }
    }
    return false;
}

/* The copy has what the database has not: may it go there? made->cause says why not. */
static void judge_newer(const wl_config_t *config, const wl_asset_t *db_all, uint32_t db_count,
                        const wl_asset_t *stored, const wl_asset_t *copy, wl_difference_t *made) {
    wl_fault_t fault = {0};
    const wl_line_t *line = config == NULL ? NULL : wl_config_line(config, copy->line);
    if (wl_asset_is_consent(copy)) {
        (void)snprintf(made->cause, sizeof made->cause, "a consent is never restored from a copy");
    } else if (withdrawn(db_all, db_count, copy->line)) {
        (void)snprintf(made->cause, sizeof made->cause, "the consent was withdrawn");
    } else if (line == NULL) {
        (void)snprintf(made->cause, sizeof made->cause, "no such line is configured");
    } else if (wl_asset_valid(copy, &fault) != WL_OK ||
               wl_asset_sane(copy, line, &fault) != WL_OK ||
               wl_asset_step_sane(copy, stored, line, &fault) != WL_OK) {
        (void)snprintf(made->cause, sizeof made->cause, "quarantined: %.40s", fault.where);
    } else {
        made->repair = WL_REPAIR_RESTORE;
    }
}

/* One record that the database has. false: nothing differs. */
static bool judge_stored(const wl_config_t *config, const wl_asset_t *db_all, uint32_t db_count,
                         const wl_asset_t *stored, const wl_asset_t *copy, wl_difference_t *ret) {
    bool gone = stored->state == WL_STATE_GONE;
    if (copy == NULL) {
        *ret = difference(WL_DIFFERENCE_MISSING, stored, NULL, "not in the copy");
        return !gone;
    }
    if (copy->version > stored->version) {
        *ret = difference(WL_DIFFERENCE_AHEAD, stored, copy, "the copy is newer");
        judge_newer(config, db_all, db_count, stored, copy, ret);
        return true;
    }
    if (copy->version < stored->version) {
        *ret = difference(WL_DIFFERENCE_STALE, stored, copy,
                          gone ? "deleted in the database" : "the database is newer");
        return true;
    }
    *ret = difference(WL_DIFFERENCE_ALTERED, stored, copy, "one version, two contents");
    return record_digest(stored) != record_digest(copy);
}

uint32_t wl_compare(const wl_config_t *config, const wl_asset_t *db, uint32_t db_count,
                    const wl_asset_t *copy, uint32_t copy_count, wl_difference_t *ret,
                    uint32_t max) {
    uint32_t count = 0;
    wl_difference_t found;
    for (uint32_t i = 0; i < db_count; i++) {
        const wl_asset_t *other = find(copy, copy_count, &db[i]);
        bool gone = other != NULL && other->state == WL_STATE_GONE;
        if (gone && (db[i].state == WL_STATE_GONE || other->version <= db[i].version)) {
            other = NULL; /* a newer deletion wins like any newer record */
        }
        if (judge_stored(config, db, db_count, &db[i], other, &found)) {
            if (count < max) {
                ret[count] = found;
            }
            count++;
        }
    }
    for (uint32_t i = 0; i < copy_count; i++) {
        if (copy[i].state == WL_STATE_GONE || find(db, db_count, &copy[i]) != NULL) {
            continue;
        }
        found = difference(WL_DIFFERENCE_ORPHAN, NULL, &copy[i], "the database has no record");
        judge_newer(config, db, db_count, NULL, &copy[i], &found);
        if (count < max) {
            ret[count] = found;
        }
        count++;
    }
    return count;
}
