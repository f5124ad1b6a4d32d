/* What every page goes through, whatever its shape: texts within their bounds, the line's unit and
 * scale, items in order. */
#include "lines/page_parts.h"

#include "base/check.h"
#include "base/text.h"

#include <string.h>

enum {
    KEYS_BYTES = 64,    /* of all keys of an item or of the page around, packed */
    NUMBERS_BYTES = 19, /* two 64-bit numbers and one byte, packed */
    TEXT_HEAD = 3,      /* bytes before a packed text, at most */
};
#define ITEM_BYTES_MAX                                                                          \
    (KEYS_BYTES + NUMBERS_BYTES + 4 * TEXT_HEAD + WL_PAGE_ID_MAX + WL_TITLE_MAX + WL_UNIT_MAX + \
     WL_PAGE_KIND_MAX)
static_assert(WL_DETAILS_MAX * ITEM_BYTES_MAX + KEYS_BYTES + WL_LINE_CURSOR_MAX <=
                  WL_PAGE_BYTES_MAX,
              "a full page can be encoded");

/* Texts. */

static bool text_copy(const char *text, size_t bytes, char *ret, size_t max) {
    if (bytes > max || memchr(text, '\0', bytes) != NULL) {
        return false;
    }
    memcpy(ret, text, bytes);
    ret[bytes] = '\0';
    return wl_text_valid(ret, max + 1);
}

bool wl_page_text(const char *text, size_t bytes, char *ret, size_t max) {
    if (bytes == 0) {
        ret[0] = '\0'; /* text may be NULL */
        return true;
    }
    return text_copy(text, bytes, ret, max);
}

/* Bytes of the longest start of whole characters that fits. */
static size_t title_cut(const char *text, size_t bytes) {
    if (bytes <= WL_TITLE_MAX) {
        return bytes;
    }
    size_t kept = WL_TITLE_MAX;
    while (kept > 0 && ((unsigned char)text[kept] & 0xc0) == 0x80) {
        kept--;
    }
    return kept;
}

bool wl_page_title(const char *text, size_t bytes, char ret[WL_TITLE_MAX + 1]) {
    size_t kept = title_cut(text, bytes);
    for (size_t i = 0; i < kept; i++) {
        bool control = (unsigned char)text[i] < 0x20 || text[i] == 0x7f;
        ret[i] = control ? ' ' : text[i];
    }
    ret[kept] = '\0';
    return wl_text_valid(ret, WL_TITLE_MAX + 1);
}

bool wl_page_next(const char *text, size_t bytes, wl_page_t *ret) {
    char copy[WL_LINE_CURSOR_MAX + 1];
    if (!wl_page_text(text, bytes, copy, WL_LINE_CURSOR_MAX)) {
        return false;
    }
    memcpy(ret->next, copy, bytes);
    ret->next_bytes = (uint32_t)bytes;
    return true;
}

/* Items and sums. */

void wl_page_item_blank(const wl_line_t *line, wl_page_item_t *ret) {
    memset(ret, 0, sizeof *ret);
    ret->time = -1;
    if (line != NULL) {
        memcpy(ret->unit, line->unit, sizeof ret->unit);
        ret->scale = line->scale;
    }
}

/* Newer first: by time, then by id. */
static bool item_follows(const wl_page_item_t *item, const wl_page_item_t *before) {
    return item->time < before->time ||
           (item->time == before->time && strcmp(item->id, before->id) < 0);
}

wl_page_wrong_t wl_page_item_add(wl_page_t *page, const wl_line_t *line) {
    WL_ASSERT(page->count < WL_DETAILS_MAX);
    const wl_page_item_t *item = &page->items[page->count];
    if (item->id[0] == '\0') {
        return "id: is missing";
    }
    if (item->time < 0) {
        return "time: is missing or negative";
    }
    if (line != NULL && strcmp(item->unit, line->unit) != 0) {
        return "unit: is not the line's";
    }
    if (line != NULL ? item->scale != line->scale : item->scale > WL_SCALE_MAX) {
        return "scale: is not the line's";
    }
    if (page->count > 0 && !item_follows(item, item - 1)) {
        return "out of order: newest first by time, then id";
    }
    page->count++;
    return NULL;
}

wl_page_wrong_t wl_sums_check(const wl_sums_t *sums, const wl_line_t *line) {
    if (sums->in < 0 || sums->out < 0) {
        return "in, out: must not be negative";
    }
    if (line != NULL && strcmp(sums->unit, line->unit) != 0) {
        return "unit: is not the line's";
    }
    if (line != NULL ? sums->scale != line->scale : sums->scale > WL_SCALE_MAX) {
        return "scale: is not the line's";
    }
    return sums->count > INT64_MAX ? "count: is out of range" : NULL;
}

wl_err_t wl_page_item_fault(wl_fault_t *fault, uint32_t index, wl_page_wrong_t wrong) {
    return wl_fault(fault, WL_ERR_MALFORMED, "items", "item %u: %s", (unsigned)index, wrong);
}

wl_err_t wl_page_fault(wl_fault_t *fault, wl_page_wrong_t wrong) {
    return wl_fault(fault, WL_ERR_MALFORMED, "", "%s", wrong);
}

wl_err_t wl_page_fault_count(wl_fault_t *fault, size_t items) {
    return wl_fault(fault, WL_ERR_TOO_BIG, "items", "%zu items, a page has at most %d", items,
                    WL_DETAILS_MAX);
}
