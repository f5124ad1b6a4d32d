/* Objects are found by their paths (config_schema.h): one whose path is that of a key, with <id> or
 * <n> behind it or not, is what the key holds. Everything that belongs to one key comes from its
 * row; rules between the keys of one object stand below as schemas. Patterns keep to what ECMA 262,
 * Python, PCRE and RE2 all read, and to texts without line ends: "$" is before one in some. */
#include "domain/config_json_schema.h"

#include "base/alloc.h"
#include "base/check.h"
#include "domain/config_read.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DIALECT "https://json-schema.org/draft/2020-12/schema"

enum {
    PATTERN_MAX = 2048,
    SAMPLE_DEPTH = 4, /* nested in three objects itself */
};

/* ---- patterns -------------------------------------------------------------------------------- */

#define HOST "([A-Za-z0-9._-]+|\\\\[[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?\\\\])"
#define PORT \
    ":([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
#define LEAP_YEAR                                                        \
    "(19(7[26]|8[048]|9[26])|[2-9][0-9](0[48]|[2468][048]|[13579][26])|" \
    "([2468][048]|[3579][26])00)"
#define DAY                                                                     \
    "((19[7-9][0-9]|[2-9][0-9]{3})-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|" \
    "(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|" LEAP_YEAR "-02-29)"
#define HOUR "([01][0-9]|2[0-3])"
#define CLOCK HOUR ":[0-5][0-9]:[0-5][0-9]([.][0-9]+)?"
#define TIME_PATTERN "^" DAY "[Tt]" CLOCK "([Zz]|[+-]" HOUR ":[0-5][0-9])$"
#define POINTER_PATTERN "^(/([^~]|~[01])*)?$"
#define ID_OR_NONE_PATTERN "^[a-z0-9_-]{0,32}$"
#define URL_PATTERN "^[!-~]*$"
#define PATH_PATTERN "^(/[!-~]*)?$"

static_assert(WL_LINE_ID_MAX == 32, "the patterns of ids say so");

/* ---- rules between the keys of an object ----------------------------------------------------- */

#define IS(key, value) "{'required': ['" key "'], 'properties': {'" key "': {'const': " value "}}}"
#define FILLED(key) "{'required': ['" key "'], 'properties': {'" key "': {'minLength': 1}}}"
#define URL_OR_NONE(kind) "{'anyOf': [{'maxLength': 0}, {'pattern': '" kind "'}]}"
#define HTTP_URL "^https?://" HOST "(" PORT ")?([/?#].*)?$"
#define ZMQ_URL "^tcp://" HOST PORT "$"

/* With ' for ". A link has no adapter, the others need a url that fits theirs: the one given, or
 * the one that the scheme of the first url tells. */
// clang-format off
static const char line_rules[] =
    "[{'if': " IS("mode", "'link'") ","
    "  'then': {'properties': {"
    "     'kind': {'const': 'link'}, 'url': " URL_OR_NONE("^[^:].*://") ","
    "     'adapter': false, 'urls': false, 'sample': false,"
    "     'details_mapping': false, 'summary_mapping': false}},"
    "  'else': {"
    "     'properties': {'kind': {'not': {'const': 'link'}}},"
    "     'anyOf': [{'required': ['urls']}, " FILLED("url") "],"
    "     'if': {'anyOf': [" IS("adapter", "'zmq'") ", {"
    "        'not': {'required': ['adapter']},"
    "        'anyOf': ["
    "           {'required': ['url'], 'properties': {'url': {'pattern': '^tcp://'}}},"
    "           {'required': ['urls'], 'properties': {'urls': {"
    "              'minItems': 1, 'prefixItems': [{'pattern': '^tcp://'}]}}}]}]},"
    "     'then': {'properties': {"
    "        'url': " URL_OR_NONE(ZMQ_URL) ", 'urls': {'items': {'pattern': '" ZMQ_URL "'}},"
    "        'details_mapping': false, 'summary_mapping': false}},"
    "     'else': {'properties': {"
    "        'url': " URL_OR_NONE(HTTP_URL) ", 'urls': {'items': {'pattern': '" HTTP_URL "'}}}}}},"
    " {'if': {'required': ['urls']},"
    "  'then': {'properties': {'url': {'maxLength': 0}, 'urls': {'minItems': 1}}}},"
    " {'if': {'properties': {'kind': {'enum': ['coupon', 'link']}}}, 'else': " FILLED("unit") "},"
    " {'if': " IS("versions", "false") ","
    "  'then': {'properties': {'sanity': {"
    "     'properties': {'version_ahead_max': {'pattern': '^-?0+$'}}}}},"
    "  'else': {'properties': {'mapping': " FILLED("version") "}}},"
    " {'if': {'required': ['details_mapping']}, 'then': " IS("details", "true") "},"
    " {'if': {'required': ['summary_mapping']}, 'then': " IS("summary", "true") "}]";
// clang-format on

static const char mapping_rules[] = "[{'anyOf': [" FILLED("amount") ", " FILLED("count") "]}]";

static json_t *rules_of(wl_config_object_t object) {
    const char *rules = object == WL_CONFIG_LINE      ? line_rules
                        : object == WL_CONFIG_MAPPING ? mapping_rules
                                                      : NULL;
    if (rules == NULL) {
        return NULL;
    }
    WL_AUTO_FREE char *text = wl_strdup(rules);
    for (char *each = text; *each != '\0'; each++) {
        *each = *each == '\'' ? '"' : *each;
    }
    json_error_t error;
    json_t *json = json_loads(text, 0, &error);
    WL_ASSERT(json != NULL);
    return json;
}

/* ---- texts ----------------------------------------------------------------------------------- */

/* Adds a definition unless it is there; takes it over. Returns {"$ref": ...}. */
static json_t *defined(json_t *defs, const char *name, json_t *definition) {
    if (json_object_get(defs, name) == NULL) {
        (void)json_object_set_new(defs, name, definition);
    } else {
        json_decref(definition);
    }
    return json_pack("{s:o}", "$ref", json_sprintf("#/$defs/%s", name));
}

/* A schema counts characters, and so do we: at most `bytes`, a wide one counts as four. For each
 * number of wide ones that is so many characters at most. */
static json_t *text_definition(size_t bytes) {
    json_t *any = json_array();
    for (size_t wide = 0; wide * WL_CONFIG_WIDE_BYTES <= bytes; wide++) {
        (void)json_array_append_new(
            any,
            json_pack("{s:I, s:o}", "maxLength",
                      (json_int_t)(bytes - wide * (WL_CONFIG_WIDE_BYTES - 1)), "pattern",
                      json_sprintf("^[\\x00-\\x7f]*([^\\x00-\\x7f][\\x00-\\x7f]*){0,%zu}$", wide)));
    }
    return json_pack("{s:s, s:{s:s}, s:o}", "type", "string", "not", "pattern",
                     "[\\x00-\\x1f\\x7f]", "anyOf", any);
}

static json_t *text_schema(json_t *defs, wl_config_type_t type, size_t bytes, bool required) {
    static const char *const patterns[WL_CONFIG_TYPE_COUNT] = {
        [WL_CONFIG_ID] = ID_OR_NONE_PATTERN, [WL_CONFIG_POINTER] = POINTER_PATTERN,
        [WL_CONFIG_URL] = URL_PATTERN,       [WL_CONFIG_PATH] = PATH_PATTERN,
        [WL_CONFIG_TIME] = TIME_PATTERN,
    };
    json_t *schema = NULL;
    if (type == WL_CONFIG_TEXT || type == WL_CONFIG_POINTER) {
        char name[32];
        (void)snprintf(name, sizeof name, "text_%zu", bytes);
        schema = defined(defs, name, text_definition(bytes));
    } else { /* ASCII: as many characters as bytes */
        schema = defined(
            defs, "plain",
            json_pack("{s:s, s:{s:s}}", "type", "string", "not", "pattern", "[\\x00-\\x1f\\x7f]"));
        if (bytes > 0) {
            (void)json_object_set_new(schema, "maxLength", json_integer((json_int_t)bytes));
        }
    }
    if (patterns[type] != NULL) {
        (void)json_object_set_new(schema, "pattern", json_string(patterns[type]));
    }
    if (required) {
        (void)json_object_set_new(schema, "minLength", json_integer(1));
    }
    return schema;
}

/* ---- numbers as text ------------------------------------------------------------------------- */

static void pattern_add(char *into, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void pattern_add(char *into, const char *format, ...) {
    size_t used = strlen(into);
    va_list args;
    va_start(args, format);
    int count = vsnprintf(into + used, PATTERN_MAX - used, format, args);
    va_end(args);
    WL_ASSERT(count >= 0 && (size_t)count < PATTERN_MAX - used);
}

/* Digits of a number that is at most this one, with zeros before them or not. */
static void pattern_add_most(char *into, uint64_t most) {
    char digits[24];
    int count = snprintf(digits, sizeof digits, "%" PRIu64, most);
    if (most == 0) {
        pattern_add(into, "0+");
        return;
    }
    pattern_add(into, "0*(%s", digits);
    for (int i = 0; i < count; i++) { /* the same digits before, a smaller one here, any behind */
        if (digits[i] != '0') {
            pattern_add(into, "|%.*s[0-%c]", i, digits, digits[i] - 1);
            if (i + 1 < count) {
                pattern_add(into, "[0-9]{%d}", count - i - 1);
            }
        }
    }
    if (count > 1) { /* fewer digits; zeros before them are digits as well */
        pattern_add(into, "|[0-9]{1,%d}", count - 1);
    }
    pattern_add(into, ")");
}

static json_t *amount_schema(json_t *defs, const wl_config_row_t *row) {
    char pattern[PATTERN_MAX] = "^(";
    WL_ASSERT(row->min <= 0 && row->max >= 0);
    pattern_add_most(pattern, (uint64_t)row->max);
    pattern_add(pattern, "|-");
    pattern_add_most(pattern, 0 - (uint64_t)row->min);
    pattern_add(pattern, ")$");
    json_t *schema = text_schema(defs, WL_CONFIG_AMOUNT, 0, false);
    (void)json_object_set_new(schema, "pattern", json_string(pattern));
    return schema;
}

/* ---- samples --------------------------------------------------------------------------------- */

/* Any JSON that nests no deeper than a document may. */
static json_t *sample_schema(json_t *defs) {
    char name[32] = "";
    json_t *schema = NULL;
    for (int depth = 0; depth <= WL_CONFIG_NESTED_MAX - (SAMPLE_DEPTH - 1); depth++) {
        json_t *one = json_pack("{s:s, s:{s:s}}", "type", "string", "not", "pattern", "[\\x00]");
        json_t *text = defined(defs, "any_text", one);
        json_t *any = json_pack("[{s:[s, s, s]}, o]", "type", "null", "boolean", "number", text);
        if (schema != NULL) {
            (void)json_array_append_new(any,
                                        json_pack("{s:s, s:O}", "type", "array", "items", schema));
            (void)json_array_append_new(any, json_pack("{s:s, s:{s:s}, s:O}", "type", "object",
                                                       "propertyNames", "$ref", "#/$defs/any_text",
                                                       "additionalProperties", schema));
        }
        json_decref(schema);
        (void)snprintf(name, sizeof name, "any_%d", depth);
        schema = defined(defs, name, json_pack("{s:o}", "anyOf", any));
    }
    return schema;
}

/* ---- rows and objects ------------------------------------------------------------------------ */

static json_t *object_schema(json_t *defs, wl_config_object_t object);

/* What stands at the path of a key, with `behind` after it; NULL when there is no such object. */
static json_t *nested_schema(json_t *defs, const wl_config_row_t *row, const char *behind) {
    char path[128];
    int count = snprintf(path, sizeof path, "%s/%s%s", wl_config_object_path(row->object), row->key,
                         behind);
    WL_ASSERT(count > 0 && (size_t)count < sizeof path);
    for (unsigned i = 0; i < WL_CONFIG_OBJECT_COUNT; i++) {
        if (strcmp(wl_config_object_path((wl_config_object_t)i), path) == 0) {
            return object_schema(defs, (wl_config_object_t)i);
        }
    }
    return NULL;
}

static json_t *choice_schema(const wl_config_row_t *row) {
    json_t *names = json_array();
    for (unsigned i = 0; i < row->max; i++) {
        (void)json_array_append_new(names, json_string(row->choice(i)));
    }
    return json_pack("{s:o}", "enum", names);
}

static json_t *map_schema(json_t *defs, const wl_config_row_t *row) {
    json_t *values = nested_schema(defs, row, "/<id>");
    if (values == NULL) {
        values = nested_schema(defs, row, "");
        WL_ASSERT(values != NULL);
        return values;
    }
    json_t *keys = text_schema(defs, WL_CONFIG_ID, WL_LINE_ID_MAX, true);
    json_t *schema = json_pack("{s:s, s:o, s:o}", "type", "object", "propertyNames", keys,
                               "additionalProperties", values);
    if (row->max > 0) {
        (void)json_object_set_new(schema, "maxProperties", json_integer(row->max));
    }
    return schema;
}

static json_t *list_schema(json_t *defs, const wl_config_row_t *row) {
    json_t *items = NULL;
    if (row->choice != NULL) {
        items = choice_schema(row);
    } else if (row->size > 0) {
        items = text_schema(defs, row->element, row->size - 1, true);
    } else {
        items = nested_schema(defs, row, "/<n>");
        WL_ASSERT(items != NULL);
    }
    if (row->nullable) {
        items = json_pack("{s:[{s:s}, o]}", "anyOf", "type", "null", items);
    }
    json_t *schema = json_pack("{s:s, s:o}", "type", "array", "items", items);
    if (row->max > 0) {
        (void)json_object_set_new(schema, "maxItems", json_integer(row->max));
    }
    if (row->choice != NULL) {
        (void)json_object_set_new(schema, "uniqueItems", json_true());
    }
    return schema;
}

static json_t *row_schema(json_t *defs, const wl_config_row_t *row) {
    switch (row->type) {
    case WL_CONFIG_NUMBER:
        return json_pack("{s:s, s:I, s:I}", "type", "integer", "minimum", (json_int_t)row->min,
                         "maximum", (json_int_t)row->max);
    case WL_CONFIG_FLAG: return json_pack("{s:s}", "type", "boolean");
    case WL_CONFIG_TEXT:
    case WL_CONFIG_ID:
    case WL_CONFIG_POINTER:
    case WL_CONFIG_URL:
    case WL_CONFIG_PATH: return text_schema(defs, row->type, row->size - 1, row->required);
    case WL_CONFIG_TIME: return text_schema(defs, row->type, 0, false);
    case WL_CONFIG_AMOUNT: return amount_schema(defs, row);
    case WL_CONFIG_CHOICE: return choice_schema(row);
    case WL_CONFIG_OBJECT: return map_schema(defs, row);
    case WL_CONFIG_LIST: return list_schema(defs, row);
    case WL_CONFIG_JSON: return sample_schema(defs);
    case WL_CONFIG_TYPE_COUNT: break;
    }
    WL_ASSERT(false);
    return NULL;
}

/* What is taken when the key is not there, if the row says it. */
static json_t *row_default(const wl_config_row_t *row) {
    if (row->required || row->fallback_text != NULL) {
        return NULL;
    }
    return row->type == WL_CONFIG_NUMBER   ? json_integer(row->fallback)
           : row->type == WL_CONFIG_FLAG   ? json_boolean(row->fallback != 0)
           : row->type == WL_CONFIG_AMOUNT ? json_sprintf("%" PRId64, row->fallback)
           : row->type == WL_CONFIG_CHOICE ? json_string(row->choice((unsigned)row->fallback))
                                           : NULL;
}

static json_t *object_schema(json_t *defs, wl_config_object_t object) {
    json_t *properties = json_object();
    json_t *required = json_array();
    const wl_config_row_t *row = wl_config_row(object, 0);
    for (size_t i = 0; row != NULL; row = wl_config_row(object, ++i)) {
        json_t *schema = row_schema(defs, row);
        json_t *fallback = row_default(row);
        (void)json_object_set_new(schema, "description", json_string(row->doc));
        if (fallback != NULL) {
            (void)json_object_set_new(schema, "default", fallback);
        }
        (void)json_object_set_new(properties, row->key, schema);
        if (row->required) {
            (void)json_array_append_new(required, json_string(row->key));
        }
    }
    json_t *schema = json_pack("{s:s, s:b, s:o, s:o}", "type", "object", "additionalProperties", 0,
                               "required", required, "properties", properties);
    json_t *rules = rules_of(object);
    if (rules != NULL) {
        (void)json_object_set_new(schema, "allOf", rules);
    }
    return schema;
}

json_t *wl_config_json_schema(wl_document_t document) {
    bool lines = document == WL_DOCUMENT_INTEGRATION;
    json_t *defs = json_object();
    json_t *object = object_schema(defs, lines ? WL_CONFIG_INTEGRATION : WL_CONFIG_PRESENTATION);
    json_t *schema = json_pack("{s:s, s:s}", "$schema", DIALECT, "title",
                               lines ? "walletd: integration" : "walletd: presentation");
    (void)json_object_update(schema, object);
    (void)json_object_set_new(schema, "$defs", defs);
    json_decref(object);
    return schema;
}
