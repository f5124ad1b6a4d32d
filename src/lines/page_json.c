/* Pages in JSON: the standard contract is a mapping like any other, with unit and scale beside. */
#include "lines/page_parts.h"

#include "domain/asset_rules.h"
#include "lines/json_pointer.h"
#include "lines/json_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { INTEGER_TEXT = 24 };

static const wl_details_mapping_t standard_details = {.list = "/items",
                                                      .id = "/id",
                                                      .time = "/time",
                                                      .title = "/title",
                                                      .amount = "/amount",
                                                      .kind = "/kind",
                                                      .next = "/next"};
static const wl_summary_mapping_t standard_summary = {
    .in = "/in", .out = "/out", .count = "/count"};

/* NULL: absent, null or not mapped. */
static const json_t *find(json_t *in, const char *pointer) {
    const json_t *value = pointer[0] == '\0' ? NULL : wl_json_pointer_find(in, pointer);
    return json_is_null(value) ? NULL : value;
}

/* An integer, or a text with up to `scale` decimals, times 10^scale. */
static bool read_number(const json_t *value, uint8_t scale, int64_t *ret) {
    if (json_is_string(value)) {
        return wl_amount_parse(json_string_value(value), scale, ret) == WL_OK;
    }
    int64_t number = json_is_integer(value) ? json_integer_value(value) : 0;
    for (uint8_t i = 0; i < scale; i++) {
        if (__builtin_mul_overflow(number, (int64_t)10, &number)) {
            return false;
        }
    }
    *ret = number;
    return json_is_integer(value);
}

/* A text; an integer as its digits. */
static const char *read_word(const json_t *value, char digits[INTEGER_TEXT], size_t *ret_bytes) {
    if (json_is_integer(value)) {
        *ret_bytes =
            (size_t)snprintf(digits, INTEGER_TEXT, "%" PRId64, (int64_t)json_integer_value(value));
        return digits;
    }
    *ret_bytes = json_string_length(value);
    return json_string_value(value);
}

static bool read_text(const json_t *value, char *ret, size_t max) {
    return value == NULL ||
           (json_is_string(value) &&
            wl_page_text(json_string_value(value), json_string_length(value), ret, max));
}

static wl_page_wrong_t read_texts(json_t *json, const wl_details_mapping_t *mapping,
                                  wl_page_item_t *item) {
    char digits[INTEGER_TEXT];
    size_t bytes = 0;
    const char *id = read_word(find(json, mapping->id), digits, &bytes);
    if (id == NULL || !wl_page_text(id, bytes, item->id, WL_PAGE_ID_MAX)) {
        return "id: must be a text of at most 64 bytes";
    }
    const json_t *title = find(json, mapping->title);
    if (title != NULL &&
        (!json_is_string(title) ||
         !wl_page_title(json_string_value(title), json_string_length(title), item->title))) {
        return "title: must be text";
    }
    return read_text(find(json, mapping->kind), item->kind, WL_PAGE_KIND_MAX)
               ? NULL
               : "kind: must be a text of at most 16 bytes";
}

/* unit and scale of the standard contract. */
static wl_page_wrong_t read_unit(json_t *json, char unit[WL_UNIT_MAX + 1], uint8_t *scale) {
    int64_t number = *scale;
    const json_t *given = find(json, "/scale");
    if (!read_text(find(json, "/unit"), unit, WL_UNIT_MAX)) {
        return "unit: must be a text of at most 12 bytes";
    }
    if (given != NULL && (!read_number(given, 0, &number) || number < 0 || number > WL_SCALE_MAX)) {
        return "scale: must be from 0 to 9";
    }
    *scale = (uint8_t)number;
    return NULL;
}

static wl_page_wrong_t read_item(json_t *json, const wl_details_mapping_t *mapping,
                                 wl_page_item_t *item) {
    wl_page_wrong_t wrong = read_texts(json, mapping, item);
    if (wrong == NULL && mapping == &standard_details) {
        wrong = read_unit(json, item->unit, &item->scale);
    }
    if (wrong != NULL) {
        return wrong;
    }
    bool decimal = mapping->amount_rule == WL_AMOUNT_DECIMAL;
    if (!read_number(find(json, mapping->amount), decimal ? item->scale : 0, &item->amount)) {
        return "amount: must be an integer or a text of digits, never a float";
    }
    if (!read_number(find(json, mapping->time), 0, &item->time) ||
        (mapping->time_rule == WL_TIME_S &&
         __builtin_mul_overflow(item->time, (int64_t)1000, &item->time))) {
        return "time: must be an integer or a text of digits";
    }
    return NULL;
}

static wl_err_t read_page(json_t *root, const wl_line_t *line, wl_page_t *ret, wl_fault_t *fault) {
    const wl_details_mapping_t *mapping =
        line->details_mapping.used ? &line->details_mapping : &standard_details;
    const json_t *list = wl_json_pointer_find(root, mapping->list);
    if (!json_is_array(list)) {
        return wl_page_fault(fault, line->details_mapping.used
                                        ? "the answer has no list where the mapping says"
                                        : "the answer has no list \"items\"");
    }
    if (json_array_size(list) > WL_DETAILS_MAX) {
        return wl_page_fault_count(fault, json_array_size(list));
    }
    for (uint32_t i = 0; i < json_array_size(list); i++) {
        wl_page_item_blank(line, &ret->items[i]);
        wl_page_wrong_t wrong = read_item(json_array_get(list, i), mapping, &ret->items[i]);
        wrong = wrong == NULL ? wl_page_item_add(ret, line) : wrong;
        if (wrong != NULL) {
            return wl_page_item_fault(fault, i, wrong);
        }
    }
    char digits[INTEGER_TEXT];
    size_t bytes = 0;
    const json_t *next = find(root, mapping->next);
    const char *text = read_word(next, digits, &bytes);
    if (next != NULL && (text == NULL || !wl_page_next(text, bytes, ret))) {
        return wl_page_fault(fault, "next: must be a text of at most 512 bytes");
    }
    return WL_OK;
}

wl_err_t wl_page_read_json(const wl_line_t *line, const void *bytes, size_t count, wl_page_t *ret,
                           wl_fault_t *fault) {
    json_t *root = NULL;
    ret->count = 0;
    ret->next_bytes = 0;
    wl_err_t err = wl_json_text_parse(bytes, count, &root, fault);
    if (err == WL_OK) {
        err = read_page(root, line, ret, fault);
        json_decref(root);
    }
    return err;
}

static wl_page_wrong_t read_sums(json_t *root, const wl_line_t *line, wl_sums_t *ret) {
    const wl_summary_mapping_t *mapping =
        line->summary_mapping.used ? &line->summary_mapping : &standard_summary;
    wl_page_wrong_t wrong =
        mapping == &standard_summary ? read_unit(root, ret->unit, &ret->scale) : NULL;
    if (wrong != NULL) {
        return wrong;
    }
    uint8_t scale = mapping->amount_rule == WL_AMOUNT_DECIMAL ? ret->scale : 0;
    int64_t count = 0;
    if (!read_number(find(root, mapping->in), scale, &ret->in) ||
        !read_number(find(root, mapping->out), scale, &ret->out)) {
        return "in, out: must be an integer or a text of digits, never a float";
    }
    if (!read_number(find(root, mapping->count), 0, &count) || count < 0) {
        return "count: must be a whole number";
    }
    ret->count = (uint64_t)count;
    return wl_sums_check(ret, line);
}

wl_err_t wl_sums_read_json(const wl_line_t *line, const void *bytes, size_t count, wl_sums_t *ret,
                           wl_fault_t *fault) {
    json_t *root = NULL;
    memset(ret, 0, sizeof *ret);
    memcpy(ret->unit, line->unit, sizeof ret->unit);
    ret->scale = line->scale;
    wl_err_t err = wl_json_text_parse(bytes, count, &root, fault);
    if (err == WL_OK) {
        wl_page_wrong_t wrong = read_sums(root, line, ret);
        err = wrong == NULL ? WL_OK : wl_page_fault(fault, wrong);
        json_decref(root);
    }
    return err;
}
