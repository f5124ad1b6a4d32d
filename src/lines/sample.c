#include "lines/sample.h"

#include "base/check.h"
#include "lines/explain.h"
#include "lines/json_text.h"

#include <inttypes.h>
#include <msgpack.h>
#include <stdio.h>
#include <string.h>

/* ---- JSON as MessagePack --------------------------------------------------------------------- */

static void value_pack(msgpack_packer *into, const json_t *value);

static void object_pack(msgpack_packer *into, const json_t *object) {
    const char *key = NULL;
    json_t *value = NULL;
    msgpack_pack_map(into, json_object_size(object));
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        msgpack_pack_str_with_body(into, key, strlen(key));
        value_pack(into, value);
    }
}

static void list_pack(msgpack_packer *into, const json_t *list) {
    size_t index = 0;
    json_t *value = NULL;
    msgpack_pack_array(into, json_array_size(list));
    json_array_foreach(list, index, value) {
        value_pack(into, value);
    }
}

/* Nested no deeper than wl_json_text_parse() takes. */
static void value_pack(msgpack_packer *into, const json_t *value) {
    switch (json_typeof(value)) {
    case JSON_OBJECT: object_pack(into, value); break;
    case JSON_ARRAY: list_pack(into, value); break;
    case JSON_STRING:
        msgpack_pack_str_with_body(into, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER: msgpack_pack_int64(into, json_integer_value(value)); break;
    case JSON_REAL: msgpack_pack_double(into, json_real_value(value)); break;
    case JSON_TRUE: msgpack_pack_true(into); break;
    case JSON_FALSE: msgpack_pack_false(into); break;
    case JSON_NULL: msgpack_pack_nil(into); break;
    }
}

/* As the line would send it; text that is no JSON goes through as it is, and is refused. */
static json_t *explain(const wl_line_t *line, const char *json, size_t bytes, wl_wall_ms_t now) {
    json_t *root = NULL;
    if (line->adapter != WL_ADAPTER_ZMQ || wl_json_text_parse(json, bytes, &root, NULL) != WL_OK) {
        return wl_explain(line, NULL, 0, now, json, bytes);
    }
    msgpack_sbuffer packed;
    msgpack_packer packer;
    msgpack_sbuffer_init(&packed);
    msgpack_packer_init(&packer, &packed, msgpack_sbuffer_write);
    value_pack(&packer, root);
    json_t *report = wl_explain(line, NULL, 0, now, packed.data, packed.size);
    msgpack_sbuffer_destroy(&packed);
    json_decref(root);
    return report;
}

/* ---- the verdict ----------------------------------------------------------------------------- */

/* Reasons of the first record that is refused. */
static const char *refusal_of(const json_t *report, json_int_t *ret_index) {
    size_t index = 0;
    const json_t *record = NULL;
    json_array_foreach(json_object_get(report, "records"), index, record) {
        const json_t *failed = json_array_get(json_object_get(record, "failed"), 0);
        if (!json_is_true(json_object_get(record, "taken")) && failed != NULL) {
            *ret_index = (json_int_t)index;
            return json_string_value(json_object_get(failed, "reason"));
        }
    }
    *ret_index = WL_EXPLAIN_RECORDS_MAX; /* behind those that are shown */
    return "refused";
}

static wl_err_t judge(const wl_line_t *line, const json_t *report, wl_fault_t *fault) {
    char where[WL_LINE_ID_MAX + 32];
    (void)snprintf(where, sizeof where, "integration/lines/%s/sample", line->id);
    const char *reason = json_string_value(json_object_get(report, "reason"));
    json_int_t refused = json_integer_value(json_object_get(report, "refused"));
    if (reason[0] != '\0') {
        return wl_fault(fault, WL_ERR_SETTINGS, where, "%s", reason);
    }
    if (refused > 0) {
        json_int_t index = 0;
        const char *why = refusal_of(report, &index);
        char more[48] = "";
        if (refused > 1) {
            (void)snprintf(more, sizeof more, "; %" JSON_INTEGER_FORMAT " records are refused",
                           refused);
        }
        return wl_fault(fault, WL_ERR_SETTINGS, where, "record %" JSON_INTEGER_FORMAT ": %.110s%s",
                        index, why, more);
    }
    return json_integer_value(json_object_get(report, "taken")) > 0
               ? WL_OK
               : wl_fault(fault, WL_ERR_SETTINGS, where,
                          "there is no record in it: it shows nothing");
}

wl_err_t wl_sample_check(const wl_line_t *line, const char *json, size_t bytes, wl_wall_ms_t now,
                         json_t **ret_report, wl_fault_t *fault) {
    json_t *report = explain(line, json, bytes, now);
    wl_err_t err = judge(line, report, fault);
    if (ret_report != NULL) {
        *ret_report = report;
    } else {
        json_decref(report);
    }
    return err;
}

wl_err_t wl_samples_check(const wl_config_t *config, wl_wall_ms_t now, wl_fault_t *fault) {
    wl_err_t err = WL_OK;
    for (uint32_t i = 0; err == WL_OK && i < config->line_count; i++) {
        size_t bytes = 0;
        const char *text = wl_config_sample(config, &config->lines[i], &bytes);
        if (text != NULL) {
            err = wl_sample_check(&config->lines[i], text, bytes, now, NULL, fault);
        }
    }
    return err;
}
