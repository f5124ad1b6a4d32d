/* Fields of one record: where each came from, how it stood there, what walletd would keep. */
#include "lines/explain_parts.h"

#include "base/settings.h"
#include "domain/asset_rules.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    RAW_MAX = 60,         /* bytes of a raw value that are shown */
    TEXT_MAX = 160,       /* of a value that is kept, or of a hint */
    UNKNOWN_KEYS_MAX = 4, /* named in hints */
};
#define SECONDS_MAX INT64_C(100000000000) /* as ms that is March 1973: seconds were meant */

/* ---- raw values ------------------------------------------------------------------------------ */

json_t *wl_explain_json(const msgpack_object *value) {
    char text[TEXT_MAX];
    json_t *json = NULL;
    switch (value->type) {
    case MSGPACK_OBJECT_BOOLEAN: return json_boolean(value->via.boolean);
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64: json = json_real(value->via.f64); break;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER: return json_integer(value->via.i64);
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        (void)snprintf(text, sizeof text, "%" PRIu64, value->via.u64);
        return value->via.u64 > INT64_MAX ? json_string(text)
                                          : json_integer((json_int_t)value->via.u64);
    case MSGPACK_OBJECT_STR: json = json_stringn(value->via.str.ptr, value->via.str.size); break;
    case MSGPACK_OBJECT_BIN: json = json_stringn(value->via.bin.ptr, value->via.bin.size); break;
    case MSGPACK_OBJECT_ARRAY:
        json = json_array();
        for (uint32_t i = 0; i < value->via.array.size; i++) {
            (void)json_array_append_new(json, wl_explain_json(&value->via.array.ptr[i]));
        }
        return json;
    case MSGPACK_OBJECT_MAP:
        json = json_object();
        for (uint32_t i = 0; i < value->via.map.size; i++) {
            const msgpack_object_kv *pair = &value->via.map.ptr[i];
            json_t *key = wl_explain_json(&pair->key);
            json_t *inner = wl_explain_json(&pair->val);
            if (json_is_string(key)) {
                (void)json_object_set(json, json_string_value(key), inner);
            }
            json_decref(key);
            json_decref(inner);
        }
        return json;
    case MSGPACK_OBJECT_NIL: return json_null();
    case MSGPACK_OBJECT_EXT: break;
    }
    return json != NULL ? json : json_string("(bytes)");
}

static const char *type_name(const json_t *value) {
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "(object)";
    case JSON_ARRAY: return "(list)";
    case JSON_STRING: return "(text)";
    case JSON_INTEGER: return "(integer)";
    case JSON_REAL: return "(real)";
    case JSON_TRUE:
    case JSON_FALSE: return "(bool)";
    case JSON_NULL: break;
    }
    return "(null)";
}

static json_t *raw_json(const wl_explained_t *self, wl_record_field_t field, const json_t *value) {
    if (value == NULL) {
        return json_null();
    }
    bool own_uid = field == WL_RECORD_UID && self->asset->uid != 0;
    if (self->hidden && !own_uid) {
        return json_string(type_name(value));
    }
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII);
    if (text == NULL) {
        return json_string(type_name(value));
    }
    if (strlen(text) > RAW_MAX) {
        memcpy(text + RAW_MAX - 3, "...", 4);
    }
    json_t *json = json_string(text);
    free(text);
    return json;
}

/* ---- kept values ----------------------------------------------------------------------------- */

static json_t *kept_money(const wl_asset_t *asset, int64_t amount) {
    char digits[32];
    wl_amount_format(amount, asset->scale, digits);
    return json_sprintf("%s%s%s", digits, asset->unit[0] == '\0' ? "" : " ", asset->unit);
}

static json_t *kept_time(int64_t ms) {
    char text[32];
    time_t seconds = (time_t)(ms / 1000);
    struct tm when;
    if (ms == 0) {
        return json_string("none");
    }
    if (ms < 0 || gmtime_r(&seconds, &when) == NULL ||
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%SZ", &when) == 0) {
        return json_sprintf("%" PRId64, ms);
    }
    return json_string(text);
}

static json_t *kept_json(const wl_explained_t *self, wl_record_field_t field, const json_t *value) {
    const wl_asset_t *asset = self->asset;
    switch (field) {
    case WL_RECORD_UID: return json_sprintf("%" PRIu64, asset->uid);
    case WL_RECORD_LINE: return json_string(asset->line);
    case WL_RECORD_BUCKET: return json_string(asset->bucket);
    case WL_RECORD_KIND: return json_string(wl_kind_name((wl_kind_t)asset->kind));
    case WL_RECORD_AMOUNT: return kept_money(asset, asset->amount);
    case WL_RECORD_UNIT: return json_string(asset->unit);
    case WL_RECORD_SCALE: return json_sprintf("%u", (unsigned)asset->scale);
    case WL_RECORD_COUNT: return json_sprintf("%" PRIu32, asset->count);
    case WL_RECORD_PENDING: return kept_money(asset, asset->pending);
    case WL_RECORD_STATE: return json_string(wl_state_name((wl_state_t)asset->state));
    case WL_RECORD_EXPIRES_AT: return kept_time(asset->expires_at);
    case WL_RECORD_VERSION: return json_sprintf("%" PRIu64, asset->version);
    case WL_RECORD_CHANGED_AT: return kept_time(asset->changed_at);
    case WL_RECORD_TITLE:
    case WL_RECORD_BADGE: return json_string(json_string_value(value));
    case WL_RECORD_EXTRA: return json_sprintf("%u bytes", (unsigned)asset->extra_bytes);
    case WL_RECORD_FIELD_COUNT: break;
    }
    return NULL;
}

/* ---- fields ---------------------------------------------------------------------------------- */

/* What an absent field is taken from; NULL: there is nothing to say about it. */
static const char *absent_source(const wl_explained_t *self, wl_record_field_t field) {
    const char *source = wl_record_source(self->record.mapping, field);
    switch (field) {
    case WL_RECORD_KIND:
    case WL_RECORD_UNIT:
    case WL_RECORD_SCALE: return "integration";
    case WL_RECORD_UID:
    case WL_RECORD_VERSION: return source;
    case WL_RECORD_AMOUNT:
    case WL_RECORD_BUCKET:
    case WL_RECORD_COUNT:
    case WL_RECORD_PENDING:
    case WL_RECORD_STATE:
    case WL_RECORD_EXPIRES_AT:
    case WL_RECORD_CHANGED_AT:
    case WL_RECORD_TITLE: /* a pointer that finds nothing deserves a look */
        return self->record.mapping != NULL && source[0] != '\0' ? source : NULL;
    case WL_RECORD_LINE:
    case WL_RECORD_BADGE:
    case WL_RECORD_EXTRA:
    case WL_RECORD_FIELD_COUNT: break;
    }
    return NULL;
}

static json_t *field_json(const wl_explained_t *self, wl_record_field_t field) {
    const char *name = wl_record_field_name(field);
    const json_t *value = wl_record_get(&self->record, field);
    const char *from =
        value != NULL ? wl_record_source(self->record.mapping, field) : absent_source(self, field);
    bool failed = wl_explain_failed(self->failed, name);
    if (field == WL_RECORD_VERSION && !self->line->versions) {
        from = "walletd"; /* whatever the record says */
    }
    if (from == NULL && failed) {
        from = wl_record_source(self->record.mapping, field);
    }
    if (from == NULL) {
        return NULL;
    }
    bool shown = value != NULL || strcmp(from, "integration") == 0 || strcmp(from, "walletd") == 0;
    json_t *kept = shown && !failed && !self->hidden ? kept_json(self, field, value) : NULL;
    json_t *json = json_object();
    (void)json_object_set_new(json, "field", json_string(name));
    (void)json_object_set_new(json, "from", json_string(from));
    (void)json_object_set_new(json, "raw", raw_json(self, field, value));
    (void)json_object_set_new(json, "kept", kept != NULL ? kept : json_null());
    return json;
}

json_t *wl_explain_fields(const wl_explained_t *self) {
    json_t *fields = json_array();
    for (wl_record_field_t field = 0; field < WL_RECORD_FIELD_COUNT; field++) {
        json_t *json = field_json(self, field);
        if (json != NULL) {
            (void)json_array_append_new(fields, json);
        }
    }
    return fields;
}

/* ---- hints ----------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void hint_add(json_t *hints, const char *format, ...) {
    char text[TEXT_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    json_t *json = json_string(text);
    if (json != NULL) { /* a cut in the middle of a character */
        (void)json_array_append_new(hints, json);
    }
}

/* Keys that the standard contract does not have: most often one that is misspelt. */
static void hint_keys(const wl_explained_t *self, json_t *hints) {
    const char *names[WL_RECORD_FIELD_COUNT];
    for (wl_record_field_t field = 0; field < WL_RECORD_FIELD_COUNT; field++) {
        names[field] = wl_record_field_name(field);
    }
    uint32_t unknown = 0;
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(self->record.json, key, value) {
        bool known = false;
        for (int i = 0; i < WL_RECORD_FIELD_COUNT; i++) {
            known = known || strcmp(names[i], key) == 0;
        }
        if (known || unknown++ >= UNKNOWN_KEYS_MAX) {
            continue;
        }
        const char *nearest = wl_nearest(key, names, WL_RECORD_FIELD_COUNT);
        hint_add(hints, "\"%.40s\" is no key of the contract and not read%s%s%s", key,
                 nearest == NULL ? "" : "; did you mean \"", nearest == NULL ? "" : nearest,
                 nearest == NULL ? "" : "\"?");
    }
}

static void hint_time(json_t *hints, const char *field, int64_t ms) {
    if (ms > 0 && ms < SECONDS_MAX) {
        hint_add(hints, "%s looks like seconds: walletd takes it as ms since 1970", field);
    }
}

/* A text with decimals where the mapping says minor units. */
static void hint_decimals(const wl_explained_t *self, json_t *hints) {
    const wl_mapping_t *mapping = self->record.mapping;
    const json_t *amount = wl_record_get(&self->record, WL_RECORD_AMOUNT);
    if (mapping != NULL && mapping->amount_rule == WL_AMOUNT_MINOR && json_is_string(amount) &&
        strchr(json_string_value(amount), '.') != NULL &&
        wl_explain_failed(self->failed, "amount")) {
        hint_add(hints, "the amount has decimals: \"amount_rule\": \"decimal\" reads such texts");
    }
}

json_t *wl_explain_hints(const wl_explained_t *self) {
    json_t *hints = json_array();
    if (self->hidden) {
        return hints;
    }
    const wl_asset_t *asset = self->asset;
    if (self->record.mapping == NULL) {
        hint_keys(self, hints);
    }
    hint_decimals(self, hints);
    hint_time(hints, "expires_at", asset->expires_at);
    hint_time(hints, "changed_at", asset->changed_at);
    if (asset->expires_at >= SECONDS_MAX && wl_asset_state_at(asset, self->now) != asset->state) {
        hint_add(hints, "expires_at is past: it is shown as expired");
    }
    return hints;
}
