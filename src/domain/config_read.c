#include "domain/config_read.h"

#include "base/check.h"
#include "domain/asset_rules.h"
#include "domain/moment.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* places */

void wl_config_reader_enter(wl_config_reader_t *self, const char *key) {
    WL_ASSERT(self->depth < WL_CONFIG_DEPTH_MAX);
    WL_ASSERT(key != NULL);
    self->steps[self->depth++] = (wl_json_step_t){.key = key};
}

void wl_config_reader_enter_index(wl_config_reader_t *self, size_t index) {
    WL_ASSERT(self->depth < WL_CONFIG_DEPTH_MAX);
    self->steps[self->depth++] = (wl_json_step_t){.index = (uint32_t)index};
}

void wl_config_reader_leave(wl_config_reader_t *self) {
    WL_ASSERT(self->depth > 0);
    self->depth--;
}

/* "integration/lines/cash/rate" */
static void reader_where(const wl_config_reader_t *self, char *into, size_t max) {
    (void)snprintf(into, max, "%s", self->name);
    for (uint32_t i = 0; i < self->depth; i++) {
        char shown[WL_CONFIG_SHOWN_MAX + 1];
        size_t used = strlen(into);
        if (self->steps[i].key != NULL) {
            (void)snprintf(into + used, max - used, "/%s",
                           wl_config_shown(self->steps[i].key, shown));
        } else {
            (void)snprintf(into + used, max - used, "/%" PRIu32, self->steps[i].index);
        }
    }
}

wl_err_t wl_config_reader_fault(wl_config_reader_t *self, const char *key, const char *format,
                                ...) {
    if (self->fault == NULL) {
        return WL_ERR_SETTINGS;
    }
    if (key != NULL) {
        wl_config_reader_enter(self, key);
    }
    reader_where(self, self->fault->where, sizeof self->fault->where);
    wl_json_place_t place = wl_json_locate(self->text, self->bytes, self->steps, self->depth);
    self->fault->line = place.line;
    self->fault->column = place.column;
    if (key != NULL) {
        wl_config_reader_leave(self);
    }
    va_list args;
    va_start(args, format);
    (void)vsnprintf(self->fault->message, sizeof self->fault->message, format, args);
    va_end(args);
    return WL_ERR_SETTINGS;
}

static wl_err_t reader_fault_at(wl_config_reader_t *self, wl_err_t err, unsigned line,
                                unsigned column, const char *message) {
    if (self->fault != NULL) {
        self->fault->line = line;
        self->fault->column = column;
    }
    return wl_fault(self->fault, err, self->name, "%s", message);
}

wl_err_t wl_config_reader_open(wl_config_reader_t *self, const char *name, const char *text,
                               size_t bytes, wl_fault_t *fault) {
    *self = (wl_config_reader_t){.name = name, .text = text, .bytes = bytes, .fault = fault};
    if (bytes > WL_DOCUMENT_BYTES_MAX) {
        return reader_fault_at(self, WL_ERR_TOO_BIG, 0, 0, "the document is too long");
    }
    if (bytes == 0) {
        return reader_fault_at(self, WL_ERR_SETTINGS, 1, 1, "the document is empty");
    }
    wl_json_place_t place;
    if (wl_json_deeper_than(text, bytes, WL_CONFIG_NESTED_MAX, &place)) {
        return reader_fault_at(self, WL_ERR_SETTINGS, place.line, place.column,
                               "nested too deeply");
    }
    json_error_t error;
    self->root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    if (self->root == NULL) {
        /* The end of the text is reported as line -1 in some cases. */
        unsigned line = error.line > 0 ? (unsigned)error.line : 0;
        unsigned column = error.column > 0 ? (unsigned)error.column : 1;
        char shown[JSON_ERROR_TEXT_LENGTH];
        size_t count = strnlen(error.text, sizeof shown - 1);
        for (size_t i = 0; i < count; i++) {
            shown[i] = error.text[i] >= 0x20 && error.text[i] < 0x7f ? error.text[i] : '?';
        }
        shown[count] = '\0';
        return reader_fault_at(self, WL_ERR_SETTINGS, line, column, shown);
    }
    return WL_OK;
}

void wl_config_reader_close(wl_config_reader_t *self) {
    json_decref(self->root);
    self->root = NULL;
}

/* values by row */

/* Stores a number of any field width; the bounds of the row keep it in the field. */
static void row_store_number(const wl_config_row_t *row, void *into, int64_t number) {
    char *at = (char *)into + row->offset;
    if (row->size == sizeof(uint8_t)) {
        uint8_t narrow = (uint8_t)number;
        memcpy(at, &narrow, sizeof narrow);
    } else if (row->size == sizeof(uint32_t)) {
        uint32_t narrow = (uint32_t)number;
        memcpy(at, &narrow, sizeof narrow);
    } else {
        WL_ASSERT(row->size == sizeof(int64_t));
        memcpy(at, &number, sizeof number);
    }
}

static void row_store_flag(const wl_config_row_t *row, void *into, bool flag) {
    WL_ASSERT(row->size == sizeof flag);
    memcpy((char *)into + row->offset, &flag, sizeof flag);
}

/* A whole number, however it is written: 1.0 and 1e0 are 1, as in a JSON Schema. */
static bool number_read(const json_t *value, const wl_config_row_t *row, int64_t *ret) {
    if (json_is_integer(value)) {
        *ret = json_integer_value(value);
    } else {
        double number = json_real_value(value);
        if (!json_is_real(value) || number < (double)row->min || number > (double)row->max ||
            number != floor(number)) {
            return false;
        }
        *ret = (int64_t)number; /* exact: bounds are below 2^53 */
    }
    return *ret >= row->min && *ret <= row->max;
}

static wl_err_t row_read_number(wl_config_reader_t *reader, const wl_config_row_t *row,
                                const json_t *value, void *into) {
    int64_t number = 0;
    if (!number_read(value, row, &number)) {
        return wl_config_reader_fault(reader, row->key,
                                      "must be a whole number from %" PRId64 " to %" PRId64,
                                      row->min, row->max);
    }
    row_store_number(row, into, number);
    return WL_OK;
}

static wl_err_t row_read_amount(wl_config_reader_t *reader, const wl_config_row_t *row,
                                const json_t *value, void *into) {
    int64_t number = 0;
    bool good =
        json_is_string(value) && wl_amount_parse(json_string_value(value), 0, &number) == WL_OK;
    if (!good || number < row->min || number > row->max) {
        return wl_config_reader_fault(reader, row->key,
                                      "must be a text with a whole number from \"%" PRId64
                                      "\" to \"%" PRId64 "\"",
                                      row->min, row->max);
    }
    row_store_number(row, into, number);
    return WL_OK;
}

static wl_err_t row_read_choice(wl_config_reader_t *reader, const wl_config_row_t *row,
                                const json_t *value, void *into) {
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    char names[96] = "";
    for (unsigned i = 0; i < row->max; i++) {
        if (strcmp(text, row->choice(i)) == 0) {
            row_store_number(row, into, i);
            return WL_OK;
        }
        size_t used = strlen(names);
        (void)snprintf(names + used, sizeof names - used, i == 0 ? "%s" : ", %s", row->choice(i));
    }
    return wl_config_reader_fault(reader, row->key, "must be one of: %s", names);
}

static wl_err_t row_read_time(wl_config_reader_t *reader, const wl_config_row_t *row,
                              const json_t *value, void *into) {
    wl_wall_ms_t moment;
    if (!json_is_string(value) || !wl_moment_parse(json_string_value(value), &moment)) {
        return wl_config_reader_fault(reader, row->key,
                                      "must be a time with its zone such as "
                                      "2026-11-11T00:00:00+08:00");
    }
    row_store_number(row, into, moment.ms);
    return WL_OK;
}

/* Distinct choices, as bits. */
static wl_err_t row_read_choices(wl_config_reader_t *reader, const wl_config_row_t *row,
                                 const json_t *list, void *into) {
    wl_config_row_t each = *row;
    uint32_t bits = 0;
    size_t index = 0;
    const json_t *value = NULL;
    wl_err_t err = WL_OK;
    each.key = NULL; /* faults are those of the element */
    wl_config_reader_enter(reader, row->key);
    json_array_foreach(list, index, value) {
        uint32_t choice = 0;
        each.offset = 0;
        each.size = sizeof choice;
        wl_config_reader_enter_index(reader, index);
        err = row_read_choice(reader, &each, value, &choice);
        if (err == WL_OK && (bits & 1u << choice) != 0) {
            err =
                wl_config_reader_fault(reader, NULL, "\"%s\" is there twice", row->choice(choice));
        }
        wl_config_reader_leave(reader);
        if (err != WL_OK) {
            break;
        }
        bits |= 1u << choice;
    }
    wl_config_reader_leave(reader);
    row_store_number(row, into, bits);
    return err;
}

/* Empty, or tokens that start with '/', where '~' stands before 0 or 1 only. */
static bool pointer_valid(const char *text) {
    if (text[0] != '\0' && text[0] != '/') {
        return false;
    }
    for (const char *tilde = strchr(text, '~'); tilde != NULL; tilde = strchr(tilde + 1, '~')) {
        if (tilde[1] != '0' && tilde[1] != '1') {
            return false;
        }
    }
    return true;
}

static bool text_is_url(const char *text) {
    for (const char *each = text; *each != '\0'; each++) {
        if (*each < '!' || *each > '~') {
            return false;
        }
    }
    return true;
}

/* What a text counts: a character outside ASCII as WL_CONFIG_WIDE_BYTES. */
static size_t text_weight(const char *text, bool *ret_wide) {
    size_t weight = 0;
    *ret_wide = false;
    for (const char *each = text; *each != '\0'; each++) {
        bool wide = ((unsigned char)*each & 0x80) != 0;
        bool first = ((unsigned char)*each & 0xc0) != 0x80;
        weight += !wide ? 1 : first ? WL_CONFIG_WIDE_BYTES : 0;
        *ret_wide = *ret_wide || wide;
    }
    return weight;
}

static bool text_printable(const char *text) {
    for (const char *each = text; *each != '\0'; each++) {
        if ((unsigned char)*each < 0x20 || *each == 0x7f) {
            return false;
        }
    }
    return true;
}

/* NULL, or what is wrong with a text whose length is right. */
static const char *text_complaint(const wl_config_row_t *row, const char *text) {
    if (!text_printable(text)) {
        return "must not contain control characters";
    }
    if (row->type == WL_CONFIG_ID && text[0] != '\0' && !wl_line_id_valid(text)) {
        return "must match [a-z0-9_-]{1,32}";
    }
    if (row->type == WL_CONFIG_POINTER && !pointer_valid(text)) {
        return "must be a JSON pointer such as /data/amount";
    }
    bool url = row->type == WL_CONFIG_URL || row->type == WL_CONFIG_PATH;
    if (url && !text_is_url(text)) {
        return "must be ASCII without blanks: write others as %20 or %e4%bd%99";
    }
    if (row->type == WL_CONFIG_PATH && text[0] != '\0' && text[0] != '/') {
        return "must start with /";
    }
    return row->required && text[0] == '\0' ? "must not be empty" : NULL;
}

static wl_err_t row_check_text(wl_config_reader_t *reader, const wl_config_row_t *row,
                               const json_t *value) {
    bool wide = false;
    size_t weight = json_is_string(value) ? text_weight(json_string_value(value), &wide) : 0;
    if (!json_is_string(value) || weight >= row->size) {
        return wl_config_reader_fault(
            reader, row->key, "must be a text of at most %zu bytes%s", row->size - 1,
            wide ? ", where a character outside ASCII counts as four" : "");
    }
    const char *complaint = text_complaint(row, json_string_value(value));
    return complaint == NULL ? WL_OK : wl_config_reader_fault(reader, row->key, "%s", complaint);
}

static wl_err_t row_read_text(wl_config_reader_t *reader, const wl_config_row_t *row,
                              const json_t *value, void *into) {
    wl_err_t err = row_check_text(reader, row, value);
    if (err == WL_OK) {
        memcpy((char *)into + row->offset, json_string_value(value), json_string_length(value) + 1);
    }
    return err;
}

static wl_err_t row_check_elements(wl_config_reader_t *reader, const wl_config_row_t *row,
                                   const json_t *list) {
    wl_config_row_t each = {.type = row->element, .size = row->size, .required = true};
    size_t index = 0;
    const json_t *value = NULL;
    wl_err_t err = WL_OK;
    wl_config_reader_enter(reader, row->key);
    json_array_foreach(list, index, value) {
        wl_config_reader_enter_index(reader, index);
        err = row_check_text(reader, &each, value);
        wl_config_reader_leave(reader);
        if (err != WL_OK) {
            break;
        }
    }
    wl_config_reader_leave(reader);
    return err;
}

static wl_err_t row_read_nest(wl_config_reader_t *reader, const wl_config_row_t *row,
                              const json_t *value, void *into) {
    bool list = row->type == WL_CONFIG_LIST;
    if (list ? !json_is_array(value) : !json_is_object(value)) {
        return wl_config_reader_fault(reader, row->key, "must be %s",
                                      list ? "a list" : "an object");
    }
    size_t count = list ? json_array_size(value) : json_object_size(value);
    if (row->max > 0 && count > (size_t)row->max) {
        return wl_config_reader_fault(reader, row->key, "must have at most %" PRId64 " elements",
                                      row->max);
    }
    if (row->choice != NULL) {
        return row_read_choices(reader, row, value, into);
    }
    return row->size > 0 ? row_check_elements(reader, row, value) : WL_OK;
}

static wl_err_t row_read(wl_config_reader_t *reader, const wl_config_row_t *row,
                         const json_t *value, void *into) {
    switch (row->type) {
    case WL_CONFIG_NUMBER: return row_read_number(reader, row, value, into);
    case WL_CONFIG_AMOUNT: return row_read_amount(reader, row, value, into);
    case WL_CONFIG_CHOICE: return row_read_choice(reader, row, value, into);
    case WL_CONFIG_TEXT:
    case WL_CONFIG_ID:
    case WL_CONFIG_URL:
    case WL_CONFIG_PATH:
    case WL_CONFIG_POINTER: return row_read_text(reader, row, value, into);
    case WL_CONFIG_TIME: return row_read_time(reader, row, value, into);
    case WL_CONFIG_OBJECT:
    case WL_CONFIG_LIST: return row_read_nest(reader, row, value, into);
    case WL_CONFIG_JSON: return WL_OK;
    case WL_CONFIG_FLAG:
        if (!json_is_boolean(value)) {
            return wl_config_reader_fault(reader, row->key, "must be true or false");
        }
        row_store_flag(row, into, json_is_true(value));
        return WL_OK;
    case WL_CONFIG_TYPE_COUNT: break;
    }
    WL_ASSERT(false);
    return WL_ERR_INTERNAL;
}

static void row_default(const wl_config_row_t *row, void *into) {
    switch (row->type) {
    case WL_CONFIG_NUMBER:
    case WL_CONFIG_AMOUNT:
    case WL_CONFIG_TIME:
    case WL_CONFIG_CHOICE: row_store_number(row, into, row->fallback); break;
    case WL_CONFIG_FLAG: row_store_flag(row, into, row->fallback != 0); break;
    case WL_CONFIG_TEXT:
    case WL_CONFIG_ID:
    case WL_CONFIG_URL:
    case WL_CONFIG_PATH:
    case WL_CONFIG_POINTER: ((char *)into)[row->offset] = '\0'; break;
    case WL_CONFIG_LIST:
        if (row->choice != NULL) {
            row_store_number(row, into, 0);
        }
        break;
    case WL_CONFIG_OBJECT:
    case WL_CONFIG_JSON:
    case WL_CONFIG_TYPE_COUNT: break;
    }
}

static wl_err_t reader_refuse_unknown(wl_config_reader_t *self, wl_config_object_t object,
                                      const char *key) {
    wl_config_guess_t guess = {0};
    const wl_config_row_t *row = wl_config_row(object, 0);
    for (size_t i = 0; row != NULL; row = wl_config_row(object, ++i)) {
        wl_config_guess(&guess, key, row->key);
    }
    char shown[WL_CONFIG_SHOWN_MAX + 1];
    (void)wl_config_shown(key, shown);
    if (guess.nearest == NULL) {
        return wl_config_reader_fault(self, key, "unknown key \"%s\"", shown);
    }
    return wl_config_reader_fault(self, key, "unknown key \"%s\", did you mean \"%s\"?", shown,
                                  guess.nearest);
}

wl_err_t wl_config_reader_object(wl_config_reader_t *self, const json_t *value,
                                 wl_config_object_t object, void *into) {
    if (!json_is_object(value)) {
        return wl_config_reader_fault(self, NULL, "must be an object");
    }
    const char *key = NULL;
    json_t *ignored = NULL;
    json_object_foreach((json_t *)(uintptr_t)value, key, ignored) {
        if (wl_config_row_find(object, key) == NULL) {
            return reader_refuse_unknown(self, object, key);
        }
    }
    const wl_config_row_t *row = wl_config_row(object, 0);
    for (size_t i = 0; row != NULL; row = wl_config_row(object, ++i)) {
        const json_t *given = json_object_get(value, row->key);
        if (given == NULL && row->required) {
            return wl_config_reader_fault(self, NULL, "\"%s\" is required", row->key);
        }
        if (given == NULL) {
            row_default(row, into);
            continue;
        }
        wl_err_t err = row_read(self, row, given, into);
        if (err != WL_OK) {
            return err;
        }
    }
    return WL_OK;
}
