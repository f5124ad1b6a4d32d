/* The body of a LIVED, which may come from another host: any bytes are refused as a page and as
 * sums, or give one that is sound and packs to bytes which read the same. */
#include "page_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    static wl_page_reader_t *reader;
    static wl_page_t page;
    wl_sums_t sums;
    if (reader == NULL) {
        reader = wl_page_reader_new();
    }
    if (wl_page_decode(reader, bytes, count, &page) == WL_OK) {
        check_page(reader, &page);
    }
    if (wl_sums_decode(reader, bytes, count, &sums) == WL_OK) {
        check_sums(reader, &sums);
    }
    return 0;
}
