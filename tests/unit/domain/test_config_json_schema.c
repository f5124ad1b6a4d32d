/* That a public validator gives the same verdict is shown by tests/system/test_config_schema.py. */
#include "base/alloc.h"
#include "domain/config_json_schema.h"
#include "domain/config_schema.h"

#include <criterion/criterion.h>
#include <string.h>

static json_t *line_schema(json_t *schema) {
    json_t *lines = json_object_get(json_object_get(schema, "properties"), "lines");
    return json_object_get(lines, "additionalProperties");
}

static void expect_rows(json_t *schema, wl_config_object_t object) {
    json_t *properties = json_object_get(schema, "properties");
    json_t *required = json_object_get(schema, "required");
    size_t count = 0;
    size_t needed = 0;
    const wl_config_row_t *row = NULL;
    for (; (row = wl_config_row(object, count)) != NULL; count++) {
        json_t *one = json_object_get(properties, row->key);
        cr_assert_not_null(one, "%s", row->key);
        cr_expect_str_eq(json_string_value(json_object_get(one, "description")), row->doc);
        needed += row->required ? 1 : 0;
    }
    cr_expect(json_object_size(properties) == count && json_array_size(required) == needed);
    cr_expect(json_is_false(json_object_get(schema, "additionalProperties")));
}

Test(config_json_schema, has_every_row) {
    json_t *integration = wl_config_json_schema(WL_DOCUMENT_INTEGRATION);
    json_t *presentation = wl_config_json_schema(WL_DOCUMENT_PRESENTATION);
    expect_rows(integration, WL_CONFIG_INTEGRATION);
    expect_rows(presentation, WL_CONFIG_PRESENTATION);
    json_t *line = line_schema(integration);
    expect_rows(line, WL_CONFIG_LINE);
    json_t *properties = json_object_get(line, "properties");
    expect_rows(json_object_get(properties, "sanity"), WL_CONFIG_SANITY);
    expect_rows(json_object_get(properties, "details_mapping"), WL_CONFIG_DETAILS_MAPPING);
    cr_expect_str_eq(json_string_value(json_object_get(integration, "$schema")),
                     "https://json-schema.org/draft/2020-12/schema");
    json_t *rate = json_object_get(properties, "rate");
    cr_expect_eq(json_integer_value(json_object_get(rate, "maximum")), 1000000);
    cr_expect(json_is_integer(json_object_get(rate, "default")));
    json_decref(integration);
    json_decref(presentation);
}

/* Every {"$ref": "#/$defs/x"} leads to a definition. */
static void expect_refs(const json_t *value, const json_t *defs) {
    const char *key = NULL;
    json_t *each = NULL;
    size_t index = 0;
    json_object_foreach((json_t *)(uintptr_t)value, key, each) {
        if (strcmp(key, "$ref") == 0) {
            const char *name = json_string_value(each) + strlen("#/$defs/");
            cr_expect_not_null(json_object_get(defs, name), "%s", name);
        }
        expect_refs(each, defs);
    }
    json_array_foreach(value, index, each) {
        expect_refs(each, defs);
    }
}

Test(config_json_schema, refers_to_what_is_there) {
    for (int i = 0; i < WL_DOCUMENT_COUNT; i++) {
        json_t *schema = wl_config_json_schema((wl_document_t)i);
        expect_refs(schema, json_object_get(schema, "$defs"));
        json_decref(schema);
    }
}

typedef struct {
    wl_document_t document;
    const char *text;
    const char *where; /* "" = nothing is wrong */
} verdict_t;

Test(config_json_schema, a_document_is_checked_by_itself) {
    static const verdict_t rows[] = {
        {WL_DOCUMENT_INTEGRATION, "{\"version\":1,\"lines\":{}}", ""},
        {WL_DOCUMENT_INTEGRATION, "{\"version\":1,\"lines\":[]}", "integration/lines"},
        {WL_DOCUMENT_INTEGRATION,
         "{\"version\":1,\"lines\":{\"a\":{\"kind\":\"coupon\",\"url\":\"http://h\","
         "\"retry_base_ms\":9,\"retry_max_ms\":8,"
         "\"sanity\":{\"amount_min\":\"2\",\"amount_max\":\"1\"}}}}",
         ""},
        {WL_DOCUMENT_INTEGRATION,
         "{\"version\":1,\"lines\":{\"a\":{\"kind\":\"coupon\",\"url\":\"http://h\","
         "\"retry_base_ms\":9,\"retry_max_ms\":8,\"mapping\":{\"uid\":\"/u\"}}}}",
         "integration/lines/a/mapping"},
        {WL_DOCUMENT_PRESENTATION, "{\"version\":1,\"golden\":[{\"line\":\"nobody\"}]}", ""},
        {WL_DOCUMENT_PRESENTATION, "{\"version\":1,\"golden\":[null,{\"line\":\"No\"}]}",
         "presentation/golden/1/line"},
        {WL_DOCUMENT_PRESENTATION, "{\"version\":1,\"sections\":[null]}",
         "presentation/sections/0"},
        {WL_DOCUMENT_PRESENTATION,
         "{\"version\":1,\"sections\":[{\"kind\":\"cash\",\"lines\":[\"x\",\"x\"],\"campaigns\":["
         "{\"id\":\"c\",\"line\":\"x\"},{\"id\":\"c\",\"line\":\"x\",\"priority\":-1}]}]}",
         "presentation/sections/0/campaigns/1/priority"},
        {WL_DOCUMENT_PRESENTATION, "{\"version\":1,\"version\":1}", "presentation"},
    };
    for (size_t i = 0; i < WL_COUNT_OF(rows); i++) {
        wl_fault_t fault = {0};
        wl_err_t err =
            wl_config_check_schema(rows[i].document, rows[i].text, strlen(rows[i].text), &fault);
        cr_expect_str_eq(fault.where, rows[i].where, "%zu: %s %s", i, fault.where, fault.message);
        cr_expect_eq(err, rows[i].where[0] == '\0' ? WL_OK : WL_ERR_SETTINGS);
        err = wl_config_check_schema(rows[i].document, rows[i].text, strlen(rows[i].text), NULL);
        cr_expect_eq(err, rows[i].where[0] == '\0' ? WL_OK : WL_ERR_SETTINGS);
    }
}
