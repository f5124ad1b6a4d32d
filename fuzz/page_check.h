/* page_check.h: what must be true of every page and of all sums that were accepted, whoever sent
 * them. Included by the targets that read them. */
#ifndef WL_FUZZ_PAGE_CHECK_H
#define WL_FUZZ_PAGE_CHECK_H

#include "base/check.h"
#include "base/text.h"
#include "lines/page.h"

#include <string.h>

static void check_item(const wl_page_item_t *item, const wl_page_item_t *before) {
    WL_ASSERT(item->time >= 0 && item->id[0] != '\0' && item->scale <= WL_SCALE_MAX);
    WL_ASSERT(wl_text_valid(item->id, sizeof item->id));
    WL_ASSERT(wl_text_valid(item->title, sizeof item->title));
    WL_ASSERT(wl_text_valid(item->unit, sizeof item->unit));
    WL_ASSERT(wl_text_valid(item->kind, sizeof item->kind));
    WL_ASSERT(before == NULL || item->time < before->time ||
              (item->time == before->time && strcmp(item->id, before->id) < 0));
}

static void check_same_item(const wl_page_item_t *a, const wl_page_item_t *b) {
    WL_ASSERT(a->time == b->time && a->amount == b->amount && a->scale == b->scale);
    WL_ASSERT(strcmp(a->id, b->id) == 0 && strcmp(a->title, b->title) == 0);
    WL_ASSERT(strcmp(a->unit, b->unit) == 0 && strcmp(a->kind, b->kind) == 0);
}

/* Sound, and the same when another actor has read it. */
static void check_page(wl_page_reader_t *reader, const wl_page_t *page) {
    static wl_page_t again;
    msgpack_sbuffer packed;
    WL_ASSERT(page->count <= WL_DETAILS_MAX && page->next_bytes <= WL_LINE_CURSOR_MAX);
    msgpack_sbuffer_init(&packed);
    wl_page_encode(page, &packed);
    WL_ASSERT(packed.size <= WL_PAGE_BYTES_MAX);
    wl_err_t err = wl_page_decode(reader, packed.data, packed.size, &again);
    WL_ASSERT(err == WL_OK);
    WL_ASSERT(again.count == page->count && again.next_bytes == page->next_bytes);
    WL_ASSERT(memcmp(again.next, page->next, page->next_bytes) == 0);
    for (uint32_t i = 0; i < page->count; i++) {
        check_item(&page->items[i], i == 0 ? NULL : &page->items[i - 1]);
        check_same_item(&page->items[i], &again.items[i]);
    }
    msgpack_sbuffer_destroy(&packed);
}

static void check_sums(wl_page_reader_t *reader, const wl_sums_t *sums) {
    wl_sums_t again;
    msgpack_sbuffer packed;
    WL_ASSERT(sums->in >= 0 && sums->out >= 0 && sums->count <= INT64_MAX);
    WL_ASSERT(sums->scale <= WL_SCALE_MAX && wl_text_valid(sums->unit, sizeof sums->unit));
    msgpack_sbuffer_init(&packed);
    wl_sums_encode(sums, &packed);
    wl_err_t err = wl_sums_decode(reader, packed.data, packed.size, &again);
    WL_ASSERT(err == WL_OK);
    WL_ASSERT(again.in == sums->in && again.out == sums->out && again.count == sums->count);
    WL_ASSERT(again.scale == sums->scale && strcmp(again.unit, sums->unit) == 0);
    msgpack_sbuffer_destroy(&packed);
}

#endif
