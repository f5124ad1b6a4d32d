#include "lines/record.h"

#include "domain/asset_rules.h"
#include "lines/json_pointer.h"

#include <stddef.h>
#include <string.h>

static const char *const field_names[WL_RECORD_FIELD_COUNT] = {
#define RECORD_NAME(name, key) key,
    WL_RECORD_FIELDS(RECORD_NAME)
#undef RECORD_NAME
};

/* Where the pointer of a field stands in a mapping; a field without one is not in such answers. */
static const size_t field_pointers[WL_RECORD_FIELD_COUNT] = {
    [WL_RECORD_UID] = offsetof(wl_mapping_t, uid),
    [WL_RECORD_BUCKET] = offsetof(wl_mapping_t, bucket),
    [WL_RECORD_AMOUNT] = offsetof(wl_mapping_t, amount),
    [WL_RECORD_COUNT] = offsetof(wl_mapping_t, count),
    [WL_RECORD_PENDING] = offsetof(wl_mapping_t, pending),
    [WL_RECORD_STATE] = offsetof(wl_mapping_t, state),
    [WL_RECORD_EXPIRES_AT] = offsetof(wl_mapping_t, expires_at),
    [WL_RECORD_VERSION] = offsetof(wl_mapping_t, version),
    [WL_RECORD_CHANGED_AT] = offsetof(wl_mapping_t, changed_at),
    [WL_RECORD_TITLE] = offsetof(wl_mapping_t, title),
};

const char *wl_record_field_name(wl_record_field_t field) {
    return (unsigned)field < WL_RECORD_FIELD_COUNT ? field_names[field] : "?";
}

const char *wl_record_source(const wl_mapping_t *mapping, wl_record_field_t field) {
    if (mapping == NULL) {
        return field_names[field];
    }
    return field_pointers[field] == 0 ? "" : (const char *)mapping + field_pointers[field];
}

json_t *wl_record_get(const wl_record_t *self, wl_record_field_t field) {
    const char *source = wl_record_source(self->mapping, field);
    json_t *value = NULL;
    if (self->mapping == NULL) {
        value = json_object_get(self->json, source);
    } else if (source[0] != '\0') {
        value = wl_json_pointer_find(self->json, source);
    }
    return json_is_null(value) ? NULL : value;
}

static wl_err_t record_fault(wl_fault_t *fault, wl_record_field_t field, const char *text) {
    return wl_fault(fault, WL_ERR_BAD_REQUEST, field_names[field], "%s: %s", field_names[field],
                    text);
}

/* What a value that is neither integer nor text gets told. */
static wl_err_t fault_type(wl_fault_t *fault, wl_record_field_t field, const json_t *value) {
    bool money = field == WL_RECORD_AMOUNT || field == WL_RECORD_PENDING;
    if (json_is_real(value)) {
        return record_fault(fault, field,
                            money ? "a JSON real cannot carry money, send a string"
                                  : "must be an integer, not a real");
    }
    return record_fault(fault, field, "must be an integer, as number or text");
}

/* Digits only, no sign and no leading zero: "007" would be another name of 7. */
static wl_err_t text_u64(const char *text, uint64_t *ret) {
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || text[digits] != '\0' || (digits > 1 && text[0] == '0')) {
        return WL_ERR_BAD_REQUEST;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < digits; i++) {
        if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value)) {
            return WL_ERR_OVERFLOW;
        }
    }
    *ret = value;
    return WL_OK;
}

wl_err_t wl_record_u64(const wl_record_t *self, wl_record_field_t field, uint64_t max,
                       uint64_t *ret, wl_fault_t *fault) {
    const json_t *value = wl_record_get(self, field);
    uint64_t number = 0;
    wl_err_t err = WL_OK;
    if (value == NULL) {
        return WL_OK;
    }
    if (json_is_integer(value)) {
        number = (uint64_t)json_integer_value(value);
        err = json_integer_value(value) < 0 ? WL_ERR_OVERFLOW : WL_OK;
    } else if (json_is_string(value)) {
        err = text_u64(json_string_value(value), &number);
    } else {
        return fault_type(fault, field, value);
    }
    if (err == WL_ERR_BAD_REQUEST) {
        return record_fault(fault, field, "must be digits without sign or leading zeros");
    }
    if (err != WL_OK || number > max) {
        return record_fault(fault, field, "is out of range");
    }
    *ret = number;
    return WL_OK;
}

/* Text with up to `scale` decimals, or an integer of the unit that has them. */
static wl_err_t record_decimal(const wl_record_t *self, wl_record_field_t field, uint8_t scale,
                               int64_t *ret, wl_fault_t *fault) {
    const json_t *value = wl_record_get(self, field);
    int64_t number = 0;
    wl_err_t err = WL_OK;
    if (value == NULL) {
        return WL_OK;
    }
    if (json_is_integer(value)) {
        number = json_integer_value(value);
        for (uint8_t i = 0; i < scale && err == WL_OK; i++) {
            err = __builtin_mul_overflow(number, (int64_t)10, &number) ? WL_ERR_OVERFLOW : WL_OK;
        }
    } else if (json_is_string(value)) {
        err = wl_amount_parse(json_string_value(value), scale, &number);
    } else {
        return fault_type(fault, field, value);
    }
    if (err == WL_ERR_OVERFLOW) {
        return record_fault(fault, field, "does not fit in 64 bits");
    }
    if (err != WL_OK) {
        return record_fault(fault, field,
                            scale == 0 ? "must be a whole number as text or integer"
                                       : "must be a decimal text with no more digits than scale");
    }
    *ret = number;
    return WL_OK;
}

wl_err_t wl_record_i64(const wl_record_t *self, wl_record_field_t field, int64_t *ret,
                       wl_fault_t *fault) {
    return record_decimal(self, field, 0, ret, fault);
}

wl_err_t wl_record_money(const wl_record_t *self, wl_record_field_t field, uint8_t scale,
                         int64_t *ret, wl_fault_t *fault) {
    bool decimal = self->mapping != NULL && self->mapping->amount_rule == WL_AMOUNT_DECIMAL;
    return record_decimal(self, field, decimal ? scale : 0, ret, fault);
}

wl_err_t wl_record_text(const wl_record_t *self, wl_record_field_t field, char *ret, size_t max,
                        wl_fault_t *fault) {
    const json_t *value = wl_record_get(self, field);
    if (value == NULL) {
        return WL_OK;
    }
    if (!json_is_string(value)) {
        return record_fault(fault, field, "must be text");
    }
    size_t bytes = json_string_length(value);
    if (bytes > max) {
        return record_fault(fault, field, "is too long");
    }
    memcpy(ret, json_string_value(value), bytes);
    ret[bytes] = '\0';
    return WL_OK;
}
