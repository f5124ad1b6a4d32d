/* Pages and sums as lines send them: JSON of the standard contract, JSON by a mapping, MessagePack;
 * the first byte says which. Invariants: what is accepted is in order, of the line's unit and
 * scale, within its bounds, and the same on its way between actors. */
#include "page_check.h"

enum {
    SHAPE_PAGE,
    SHAPE_FOREIGN_PAGE,
    SHAPE_PACKED_PAGE,
    SHAPE_SUMS,
    SHAPE_FOREIGN_SUMS,
    SHAPE_PACKED_SUMS,
    SHAPES
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static const wl_line_t standard = {.id = "cash", .unit = "CNY", .scale = 2, .kind = WL_KIND_CASH};
static const wl_line_t foreign = {.id = "cash",
                                  .unit = "CNY",
                                  .scale = 2,
                                  .kind = WL_KIND_CASH,
                                  .details_mapping = {.used = true,
                                                      .list = "/data/list",
                                                      .id = "/no",
                                                      .time = "/at/0",
                                                      .title = "/te~1xt",
                                                      .amount = "/money",
                                                      .kind = "/type",
                                                      .next = "/data/next",
                                                      .amount_rule = WL_AMOUNT_DECIMAL,
                                                      .time_rule = WL_TIME_S},
                                  .summary_mapping = {.used = true,
                                                      .in = "/sum/0",
                                                      .out = "/sum/1",
                                                      .count = "/n",
                                                      .amount_rule = WL_AMOUNT_DECIMAL}};

static void run_page(wl_page_reader_t *reader, unsigned shape, const uint8_t *bytes, size_t count) {
    static wl_page_t page;
    wl_fault_t fault = {.line = 0};
    const wl_line_t *line = shape == SHAPE_FOREIGN_PAGE ? &foreign : &standard;
    wl_err_t err = shape == SHAPE_PACKED_PAGE
                       ? wl_page_read_msgpack(reader, line, bytes, count, &page, &fault)
                       : wl_page_read_json(line, bytes, count, &page, &fault);
    WL_ASSERT((err == WL_OK) == (fault.message[0] == '\0'));
    for (uint32_t i = 0; err == WL_OK && i < page.count; i++) {
        WL_ASSERT(strcmp(page.items[i].unit, "CNY") == 0 && page.items[i].scale == 2);
    }
    if (err == WL_OK) {
        check_page(reader, &page);
    }
}

static void run_sums(wl_page_reader_t *reader, unsigned shape, const uint8_t *bytes, size_t count) {
    wl_sums_t sums;
    wl_fault_t fault = {.line = 0};
    const wl_line_t *line = shape == SHAPE_FOREIGN_SUMS ? &foreign : &standard;
    wl_err_t err = shape == SHAPE_PACKED_SUMS
                       ? wl_sums_read_msgpack(reader, line, bytes, count, &sums, &fault)
                       : wl_sums_read_json(line, bytes, count, &sums, &fault);
    WL_ASSERT((err == WL_OK) == (fault.message[0] == '\0'));
    if (err == WL_OK) {
        WL_ASSERT(strcmp(sums.unit, "CNY") == 0 && sums.scale == 2);
        check_sums(reader, &sums);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    static wl_page_reader_t *reader;
    if (reader == NULL) {
        reader = wl_page_reader_new();
    }
    if (count < 1) {
        return 0;
    }
    unsigned shape = bytes[0] % SHAPES;
    if (shape < SHAPE_SUMS) {
        run_page(reader, shape, bytes + 1, count - 1);
    } else {
        run_sums(reader, shape, bytes + 1, count - 1);
    }
    return 0;
}
