/* JSON answers: the standard contract and, by a mapping, any other shape with a list of records. */
#include "base/alloc.h"
#include "lines/answer_parts.h"
#include "lines/json_pointer.h"
#include "lines/json_text.h"
#include "lines/record.h"

#include <string.h>

enum { NAME_MAX_BYTES = 16 }; /* longest kind or state name, with room */

/* Every field is read, whatever the one before was like: all that is wrong is told at once. */

static wl_err_t read_kind(const wl_record_t *record, wl_asset_t *asset, wl_fault_t *fault) {
    char text[NAME_MAX_BYTES + 1] = "";
    wl_kind_t kind = (wl_kind_t)asset->kind;
    wl_err_t err = wl_record_text(record, WL_RECORD_KIND, text, NAME_MAX_BYTES, fault);
    if (err == WL_OK && text[0] != '\0' && !wl_kind_parse(text, &kind)) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "kind", "kind: is none that is known");
    }
    asset->kind = (uint8_t)kind;
    return err;
}

static wl_err_t read_state(const wl_record_t *record, wl_asset_t *asset, wl_fault_t *fault) {
    char text[NAME_MAX_BYTES + 1] = "";
    wl_state_t state = WL_STATE_AVAILABLE;
    wl_err_t err = wl_record_text(record, WL_RECORD_STATE, text, NAME_MAX_BYTES, fault);
    if (err == WL_OK && text[0] != '\0' && !wl_state_parse(text, &state)) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "state", "state: is none that is known");
    }
    asset->state = (uint8_t)state;
    return err;
}

static void read_text(wl_answer_reader_t *self, const wl_record_t *record, wl_record_field_t field,
                      char *ret, size_t max) {
    wl_answer_check(self, wl_record_text(record, field, ret, max, wl_answer_fault(self)));
}

static void read_texts(wl_answer_reader_t *self, const wl_record_t *record, wl_asset_t *asset) {
    read_text(self, record, WL_RECORD_LINE, asset->line, WL_LINE_ID_MAX);
    read_text(self, record, WL_RECORD_BUCKET, asset->bucket, WL_BUCKET_MAX);
    read_text(self, record, WL_RECORD_UNIT, asset->unit, WL_UNIT_MAX);
    wl_answer_check(self, read_kind(record, asset, wl_answer_fault(self)));
    wl_answer_check(self, read_state(record, asset, wl_answer_fault(self)));
}

static void read_u64(wl_answer_reader_t *self, const wl_record_t *record, wl_record_field_t field,
                     uint64_t max, uint64_t *ret) {
    wl_answer_check(self, wl_record_u64(record, field, max, ret, wl_answer_fault(self)));
}

static void read_numbers(wl_answer_reader_t *self, const wl_record_t *record, wl_asset_t *asset) {
    uint64_t scale = asset->scale;
    uint64_t count = 0;
    read_u64(self, record, WL_RECORD_SCALE, WL_SCALE_MAX, &scale);
    read_u64(self, record, WL_RECORD_COUNT, UINT32_MAX, &count);
    read_u64(self, record, WL_RECORD_VERSION, WL_VERSION_MAX, &asset->version);
    asset->scale = (uint8_t)scale;
    asset->count = (uint32_t)count;
    wl_answer_check(self, wl_record_money(record, WL_RECORD_AMOUNT, asset->scale, &asset->amount,
                                          wl_answer_fault(self)));
    wl_answer_check(self, wl_record_money(record, WL_RECORD_PENDING, asset->scale, &asset->pending,
                                          wl_answer_fault(self)));
    wl_answer_check(self, wl_record_i64(record, WL_RECORD_EXPIRES_AT, &asset->expires_at,
                                        wl_answer_fault(self)));
    wl_answer_check(self, wl_record_i64(record, WL_RECORD_CHANGED_AT, &asset->changed_at,
                                        wl_answer_fault(self)));
}

/* A record that forgot its amount must not become a zero. */
static wl_err_t check_value(const wl_record_t *record, const wl_asset_t *asset, wl_fault_t *fault) {
    bool pieces = asset->kind == WL_KIND_COUPON ||
                  (record->mapping != NULL && record->mapping->amount[0] == '\0');
    bool has_value = wl_record_get(record, WL_RECORD_AMOUNT) != NULL ||
                     (pieces && wl_record_get(record, WL_RECORD_COUNT) != NULL);
    if (has_value || asset->state == WL_STATE_GONE) {
        return WL_OK;
    }
    return wl_fault(fault, WL_ERR_BAD_REQUEST, "amount",
                    pieces ? "amount: neither amount nor count is there" : "amount: is missing");
}

/* Packs one display field; false: not text, integer or bool. */
static bool extra_pair(wl_extra_builder_t *builder, const char *key, const json_t *value) {
    wl_extra_text(builder, key, strlen(key));
    builder->pairs++;
    if (json_is_string(value)) {
        wl_extra_text(builder, json_string_value(value), json_string_length(value));
    } else if (json_is_integer(value)) {
        (void)msgpack_pack_int64(&builder->packer, json_integer_value(value));
    } else if (json_is_true(value)) {
        (void)msgpack_pack_true(&builder->packer);
    } else if (json_is_false(value)) {
        (void)msgpack_pack_false(&builder->packer);
    } else {
        return false;
    }
    return true;
}

/* title and badge beside extra end up in it and win over keys of the same name inside. */
static wl_err_t read_extra(const wl_record_t *record, msgpack_zone *zone, wl_asset_t *asset,
                           wl_fault_t *fault) {
    static const wl_record_field_t beside[] = {WL_RECORD_TITLE, WL_RECORD_BADGE};
    wl_extra_builder_t builder;
    wl_extra_begin(&builder);
    bool good = true;
    for (size_t i = 0; i < WL_COUNT_OF(beside); i++) {
        const json_t *value = wl_record_get(record, beside[i]);
        if (value != NULL) {
            good = json_is_string(value) &&
                   extra_pair(&builder, wl_record_field_name(beside[i]), value) && good;
        }
    }
    json_t *extra = wl_record_get(record, WL_RECORD_EXTRA);
    good = good && (extra == NULL || json_is_object(extra));
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(extra, key, value) {
        bool again = (strcmp(key, "title") == 0 && wl_record_get(record, WL_RECORD_TITLE)) ||
                     (strcmp(key, "badge") == 0 && wl_record_get(record, WL_RECORD_BADGE));
        if (good && !builder.overflow && !again && !json_is_null(value)) {
            good = extra_pair(&builder, key, value);
        }
    }
    if (!good) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "extra",
                        "extra: must be an object of texts and integers");
    }
    if (wl_extra_finish(&builder, zone, asset) != WL_OK) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "extra", "extra: more than %d bytes packed",
                        WL_EXTRA_BYTES_MAX);
    }
    return WL_OK;
}

static void read_record(wl_answer_reader_t *self, uint32_t index, const wl_record_t *record) {
    wl_asset_t asset;
    wl_answer_record(self, index, &asset);
    read_u64(self, record, WL_RECORD_UID, UINT64_MAX, &asset.uid);
    if (asset.uid == 0 && self->fault_count == 0) { /* before all else that may be wrong */
        wl_answer_check(
            self, wl_fault(wl_answer_fault(self), WL_ERR_BAD_REQUEST, "uid", "uid: is missing"));
    }
    read_texts(self, record, &asset);
    read_numbers(self, record, &asset);
    wl_answer_check(self, check_value(record, &asset, wl_answer_fault(self)));
    wl_answer_check(self, read_extra(record, &self->zone, &asset, wl_answer_fault(self)));
    wl_answer_settle(self, &asset, record->json, NULL);
}

wl_err_t wl_answer_read_json(wl_answer_reader_t *self, const wl_line_t *line,
                             wl_wall_ms_t pulled_at, const void *bytes, size_t count,
                             wl_answer_t *answer) {
    wl_answer_begin(self, line, pulled_at, answer);
    json_t *root = NULL;
    wl_fault_t fault;
    wl_err_t err = wl_json_text_parse(bytes, count, &root, &fault);
    if (err != WL_OK) {
        return wl_answer_fail(self, answer, err, fault.message);
    }
    const wl_mapping_t *mapping = line->mapping.used ? &line->mapping : NULL;
    const json_t *list = mapping == NULL ? json_object_get(root, "assets")
                                         : wl_json_pointer_find(root, mapping->list);
    if (!json_is_array(list)) {
        json_decref(root);
        return wl_answer_fail(self, answer, WL_ERR_MALFORMED,
                              mapping == NULL ? "the answer has no list \"assets\""
                                              : "the answer has no list where the mapping says");
    }
    size_t records = json_array_size(list);
    if (!wl_answer_count_allowed(self, records)) {
        json_decref(root);
        return wl_answer_fail(self, answer, WL_ERR_TOO_BIG, "more records than users can have");
    }
    for (uint32_t i = 0; i < records; i++) {
        wl_record_t record = {json_array_get(list, i), mapping};
        read_record(self, i, &record);
    }
    json_decref(root);
    wl_answer_finish(self, answer);
    return WL_OK;
}
