/* Pages in MessagePack: of lines over ZeroMQ, and the form between actors, which is the same with
 * every key there. */
#include "lines/page_parts.h"

#include "base/alloc.h"
#include "base/check.h"
#include "domain/asset_rules.h"
#include "proto/args.h"
#include "proto/unpacker.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    OBJECTS_MAX = 65536, /* a page of WL_DETAILS_MAX items needs 1,600; lines may say more */
    INTEGER_TEXT = 24,
};

struct wl_page_reader {
    wl_unpacker_t *unpacker; /* owned */
};

wl_page_reader_t *wl_page_reader_new(void) {
    wl_page_reader_t *self = wl_alloc_zero(1, sizeof *self);
    self->unpacker = wl_unpacker_new();
    return self;
}

void wl_page_reader_destroy(wl_page_reader_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_unpacker_destroy(&(*self)->unpacker);
    wl_free(*self);
    *self = NULL;
}

/* Values. */

/* NULL: absent or nil. */
static const msgpack_object *find(const msgpack_object *map, const char *key) {
    const msgpack_object *value = NULL;
    return wl_args_find(map, key, &value) == WL_OK ? value : NULL;
}

/* Bytes of a str or bin; NULL: neither. An integer as its digits. */
static const char *read_word(const msgpack_object *value, char digits[INTEGER_TEXT],
                             size_t *ret_bytes) {
    int written = 0;
    switch ((int)value->type) {
    case MSGPACK_OBJECT_STR:
    case MSGPACK_OBJECT_BIN:
        *ret_bytes = value->via.str.size; /* bin has the same shape */
        return value->via.str.size == 0 ? "" : value->via.str.ptr;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        written = snprintf(digits, INTEGER_TEXT, "%" PRIu64, value->via.u64);
        break;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        written = snprintf(digits, INTEGER_TEXT, "%" PRId64, value->via.i64);
        break;
    default: return NULL;
    }
    *ret_bytes = (size_t)written;
    return digits;
}

/* A whole number as integer or text of digits; a float only where it is no money. */
static bool read_number(const msgpack_object *value, bool money, int64_t *ret) {
    char digits[INTEGER_TEXT];
    size_t bytes = 0;
    if (value == NULL) {
        return false;
    }
    const char *word = read_word(value, digits, &bytes);
    if (word == NULL) {
        return !money && wl_value_i64(value, ret) == WL_OK;
    }
    char text[INTEGER_TEXT];
    if (bytes >= sizeof text || memchr(word, '\0', bytes) != NULL) {
        return false;
    }
    memcpy(text, word, bytes);
    text[bytes] = '\0';
    return wl_amount_parse(text, 0, ret) == WL_OK;
}

static bool read_text(const msgpack_object *value, char *ret, size_t max) {
    char digits[INTEGER_TEXT];
    size_t bytes = 0;
    const char *text = value == NULL ? "" : read_word(value, digits, &bytes);
    return text != NULL && text != digits && wl_page_text(text, bytes, ret, max);
}

/* What is absent stays as it is, where there is a line that says it. */
static wl_page_wrong_t read_unit(const msgpack_object *map, bool required,
                                 char unit[WL_UNIT_MAX + 1], uint8_t *scale) {
    const msgpack_object *given_unit = find(map, "unit");
    const msgpack_object *given_scale = find(map, "scale");
    int64_t number = *scale;
    if (required && (given_unit == NULL || given_scale == NULL)) {
        return "unit, scale: are missing";
    }
    if (given_unit != NULL && !read_text(given_unit, unit, WL_UNIT_MAX)) {
        return "unit: must be a text of at most 12 bytes";
    }
    if (given_scale != NULL &&
        (!read_number(given_scale, false, &number) || number < 0 || number > WL_SCALE_MAX)) {
        return "scale: must be from 0 to 9";
    }
    *scale = (uint8_t)number;
    return NULL;
}

/* Pages. */

static wl_page_wrong_t read_item(const msgpack_object *map, bool required, wl_page_item_t *item) {
    char digits[INTEGER_TEXT];
    size_t bytes = 0;
    const msgpack_object *given = find(map, "id");
    const char *id = given == NULL ? NULL : read_word(given, digits, &bytes);
    if (id == NULL || !wl_page_text(id, bytes, item->id, WL_PAGE_ID_MAX)) {
        return "id: must be a text of at most 64 bytes";
    }
    given = find(map, "title");
    const char *title = given == NULL ? NULL : read_word(given, digits, &bytes);
    if (given != NULL &&
        (title == NULL || title == digits || !wl_page_title(title, bytes, item->title))) {
        return "title: must be text";
    }
    if (!read_text(find(map, "kind"), item->kind, WL_PAGE_KIND_MAX)) {
        return "kind: must be a text of at most 16 bytes";
    }
    if (!read_number(find(map, "amount"), true, &item->amount)) {
        return "amount: must be an integer or a text of digits, never a float";
    }
    if (!read_number(find(map, "time"), false, &item->time)) {
        return "time: must be an integer or a text of digits";
    }
    return read_unit(map, required, item->unit, &item->scale);
}

static wl_err_t unpack(wl_page_reader_t *self, const void *bytes, size_t count,
                       const msgpack_object **ret, wl_fault_t *fault) {
    const wl_walk_limits_t limits = {WL_WALK_DEPTH_MAX, OBJECTS_MAX};
    if (count > UINT32_MAX ||
        wl_unpacker_read(self->unpacker, bytes, count, &limits, ret) != WL_OK) {
        return wl_page_fault(fault, "not one sound MessagePack object");
    }
    return WL_OK;
}

wl_err_t wl_page_read_msgpack(wl_page_reader_t *self, const wl_line_t *line, const void *bytes,
                              size_t count, wl_page_t *ret, wl_fault_t *fault) {
    const msgpack_object *root = NULL;
    ret->count = 0;
    ret->next_bytes = 0;
    wl_err_t err = unpack(self, bytes, count, &root, fault);
    if (err != WL_OK) {
        return err;
    }
    const msgpack_object *list = find(root, "items");
    if (list == NULL || list->type != MSGPACK_OBJECT_ARRAY) {
        return wl_page_fault(fault, "the answer has no list \"items\"");
    }
    if (list->via.array.size > WL_DETAILS_MAX) {
        return wl_page_fault_count(fault, list->via.array.size);
    }
    for (uint32_t i = 0; i < list->via.array.size; i++) {
        wl_page_item_blank(line, &ret->items[i]);
        wl_page_wrong_t wrong = read_item(&list->via.array.ptr[i], line == NULL, &ret->items[i]);
        wrong = wrong == NULL ? wl_page_item_add(ret, line) : wrong;
        if (wrong != NULL) {
            return wl_page_item_fault(fault, i, wrong);
        }
    }
    char digits[INTEGER_TEXT];
    size_t next_bytes = 0;
    const msgpack_object *next = find(root, "next");
    const char *text = next == NULL ? NULL : read_word(next, digits, &next_bytes);
    if (next != NULL && (text == NULL || !wl_page_next(text, next_bytes, ret))) {
        return wl_page_fault(fault, "next: must be a text of at most 512 bytes");
    }
    return WL_OK;
}

static wl_page_wrong_t read_sums(const msgpack_object *map, const wl_line_t *line, wl_sums_t *ret) {
    int64_t count = 0;
    if (!read_number(find(map, "in"), true, &ret->in) ||
        !read_number(find(map, "out"), true, &ret->out)) {
        return "in, out: must be an integer or a text of digits, never a float";
    }
    if (!read_number(find(map, "count"), false, &count) || count < 0) {
        return "count: must be a whole number";
    }
    ret->count = (uint64_t)count;
    wl_page_wrong_t wrong = read_unit(map, line == NULL, ret->unit, &ret->scale);
    return wrong == NULL ? wl_sums_check(ret, line) : wrong;
}

wl_err_t wl_sums_read_msgpack(wl_page_reader_t *self, const wl_line_t *line, const void *bytes,
                              size_t count, wl_sums_t *ret, wl_fault_t *fault) {
    const msgpack_object *root = NULL;
    memset(ret, 0, sizeof *ret);
    if (line != NULL) {
        memcpy(ret->unit, line->unit, sizeof ret->unit);
        ret->scale = line->scale;
    }
    wl_err_t err = unpack(self, bytes, count, &root, fault);
    if (err != WL_OK) {
        return err;
    }
    wl_page_wrong_t wrong = read_sums(root, line, ret);
    return wrong == NULL ? WL_OK : wl_page_fault(fault, wrong);
}

wl_err_t wl_page_decode(wl_page_reader_t *self, const void *bytes, size_t count, wl_page_t *ret) {
    return count > WL_PAGE_BYTES_MAX ? WL_ERR_TOO_BIG
                                     : wl_page_read_msgpack(self, NULL, bytes, count, ret, NULL);
}

wl_err_t wl_sums_decode(wl_page_reader_t *self, const void *bytes, size_t count, wl_sums_t *ret) {
    return count > WL_PAGE_BYTES_MAX ? WL_ERR_TOO_BIG
                                     : wl_sums_read_msgpack(self, NULL, bytes, count, ret, NULL);
}

/* Encoding. */

static void pack_bytes(msgpack_packer *packer, const void *text, size_t bytes) {
    msgpack_pack_str(packer, bytes);
    msgpack_pack_str_body(packer, text, bytes);
}

static void pack_text(msgpack_packer *packer, const char *key, const char *text) {
    pack_bytes(packer, key, strlen(key));
    pack_bytes(packer, text, strlen(text));
}

static void pack_number(msgpack_packer *packer, const char *key, int64_t number) {
    pack_bytes(packer, key, strlen(key));
    msgpack_pack_int64(packer, number);
}

static void pack_item(msgpack_packer *packer, const wl_page_item_t *item) {
    msgpack_pack_map(packer, 7);
    pack_text(packer, "id", item->id);
    pack_number(packer, "time", item->time);
    pack_text(packer, "title", item->title);
    pack_number(packer, "amount", item->amount);
    pack_text(packer, "unit", item->unit);
    pack_number(packer, "scale", item->scale);
    pack_text(packer, "kind", item->kind);
}

void wl_page_encode(const wl_page_t *self, msgpack_sbuffer *into) {
    WL_ASSERT(self->count <= WL_DETAILS_MAX && self->next_bytes <= WL_LINE_CURSOR_MAX);
    msgpack_packer packer;
    msgpack_sbuffer_clear(into);
    msgpack_packer_init(&packer, into, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 2);
    pack_bytes(&packer, "items", strlen("items"));
    msgpack_pack_array(&packer, self->count);
    for (uint32_t i = 0; i < self->count; i++) {
        pack_item(&packer, &self->items[i]);
    }
    pack_bytes(&packer, "next", strlen("next"));
    pack_bytes(&packer, self->next, self->next_bytes);
    WL_ASSERT(into->size <= WL_PAGE_BYTES_MAX);
}

void wl_sums_encode(const wl_sums_t *self, msgpack_sbuffer *into) {
    msgpack_packer packer;
    msgpack_sbuffer_clear(into);
    msgpack_packer_init(&packer, into, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 5);
    pack_number(&packer, "in", self->in);
    pack_number(&packer, "out", self->out);
    pack_number(&packer, "count", (int64_t)self->count);
    pack_text(&packer, "unit", self->unit);
    pack_number(&packer, "scale", self->scale);
}
