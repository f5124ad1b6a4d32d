#include "lines/page.h"

#include "base/alloc.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static wl_line_t line;
static wl_page_t page;
static wl_sums_t sums;
static wl_fault_t fault;
static wl_page_reader_t *reader;
static msgpack_sbuffer packed;
static msgpack_packer packer;

static void open_world(void) {
    line = (wl_line_t){.id = "cash", .unit = "CNY", .scale = 2, .kind = WL_KIND_CASH};
    memset(&page, 0x5a, sizeof page); /* what was there must not matter */
    memset(&sums, 0x5a, sizeof sums);
    reader = wl_page_reader_new();
    msgpack_sbuffer_init(&packed);
    msgpack_packer_init(&packer, &packed, msgpack_sbuffer_write);
}

static void close_world(void) {
    wl_page_reader_destroy(&reader);
    wl_page_reader_destroy(&reader);
    msgpack_sbuffer_destroy(&packed);
}

TestSuite(page, .init = open_world, .fini = close_world);

static wl_err_t read_page(const char *text) {
    return wl_page_read_json(&line, text, strlen(text), &page, &fault);
}

static wl_err_t read_items(const char *items) {
    char text[16384];
    (void)snprintf(text, sizeof text, "{\"items\":[%s]}", items);
    return read_page(text);
}

static wl_err_t read_sums(const char *text) {
    return wl_sums_read_json(&line, text, strlen(text), &sums, &fault);
}

static void page_refuses(const char *items, const char *why) {
    cr_assert_eq(read_items(items), WL_ERR_MALFORMED, "%s", items);
    cr_assert_not_null(strstr(fault.message, why), "%s: %s", items, fault.message);
}

static void sums_refuse(const char *text, const char *why) {
    cr_assert_eq(read_sums(text), WL_ERR_MALFORMED, "%s", text);
    cr_assert_not_null(strstr(fault.message, why), "%s: %s", text, fault.message);
}

/* JSON. */

Test(page, a_standard_page_is_read) {
    cr_assert_eq(
        read_page("{\"items\":[{\"id\":\"b\",\"time\":1700000000002,\"amount\":5,\"title\":\"T\","
                  "\"kind\":\"buy\",\"unit\":\"CNY\",\"scale\":2,\"more\":[1]},{\"id\":12,"
                  "\"time\":\"1700000000001\",\"amount\":\"-9223372036854775808\",\"title\":null}],"
                  "\"next\":\"p2/\\u00e9\",\"other\":{}}"),
        WL_OK, "%s", fault.message);
    cr_assert_eq(page.count, 2);
    const wl_page_item_t *item = &page.items[0];
    cr_assert_str_eq(item->id, "b");
    cr_assert_eq(item->time, 1700000000002);
    cr_assert_eq(item->amount, 5);
    cr_assert_str_eq(item->title, "T");
    cr_assert_str_eq(item->kind, "buy");
    item = &page.items[1];
    cr_assert_str_eq(item->id, "12");
    cr_assert_eq(item->time, 1700000000001);
    cr_assert_eq(item->amount, INT64_MIN);
    cr_assert_str_eq(item->title, "");
    cr_assert_str_eq(item->kind, "");
    cr_assert_str_eq(item->unit, "CNY", "the line's");
    cr_assert_eq(item->scale, 2);
    cr_assert_eq(page.next_bytes, 5);
    cr_assert_eq(memcmp(page.next, "p2/\xc3\xa9", 5), 0);
}

Test(page, the_last_page_has_no_cursor) {
    static const char *const last[] = {"{\"items\":[]}", "{\"items\":[],\"next\":null}",
                                       "{\"items\":[],\"next\":\"\"}"};
    for (size_t i = 0; i < WL_COUNT_OF(last); i++) {
        cr_assert_eq(read_page(last[i]), WL_OK, "%s", fault.message);
        cr_assert_eq(page.count, 0);
        cr_assert_eq(page.next_bytes, 0);
    }
    cr_assert_eq(read_page("{\"items\":[],\"next\":41}"), WL_OK);
    cr_assert_eq(page.next_bytes, 2, "a number is its digits, and an empty page may go on");
}

#define ITEM(more) "{\"id\":\"a\",\"time\":5,\"amount\":1" more "}"

Test(page, one_broken_item_breaks_the_page) {
    page_refuses(ITEM("") ",{\"time\":4,\"amount\":1}", "item 1: id");
    page_refuses("{\"id\":\"\",\"time\":5,\"amount\":1}", "item 0: id: is missing");
    page_refuses("{\"id\":true,\"time\":5,\"amount\":1}", "id: must be");
    page_refuses("{\"id\":1.5,\"time\":5,\"amount\":1}", "id: must be");
    page_refuses("{\"id\":\"a\\u0007\",\"time\":5,\"amount\":1}", "id: must be");
    page_refuses("{\"id\":\"12345678901234567890123456789012345678901234567890123456789012345\","
                 "\"time\":5,\"amount\":1}",
                 "id: must be a text of at most 64 bytes");
    page_refuses("{\"id\":\"a\",\"amount\":1}", "time: must be");
    page_refuses("{\"id\":\"a\",\"time\":-1,\"amount\":1}", "time: is missing or negative");
    page_refuses("{\"id\":\"a\",\"time\":5.0,\"amount\":1}", "time: must be");
    page_refuses("{\"id\":\"a\",\"time\":5}", "amount: must be");
    page_refuses("{\"id\":\"a\",\"time\":5,\"amount\":1.0}", "amount: must be");
    page_refuses("{\"id\":\"a\",\"time\":5,\"amount\":1e3}", "amount: must be");
    page_refuses("{\"id\":\"a\",\"time\":5,\"amount\":\"1.5\"}", "amount: must be");
    page_refuses("{\"id\":\"a\",\"time\":5,\"amount\":\"1e3\"}", "amount: must be");
    page_refuses("{\"id\":\"a\",\"time\":5,\"amount\":9223372036854775808}", "amount: must be");
    page_refuses(ITEM(",\"title\":7"), "title: must be text");
    page_refuses(ITEM(",\"kind\":\"12345678901234567\""), "kind: must be");
    page_refuses(ITEM(",\"kind\":false"), "kind: must be");
    page_refuses(ITEM(",\"unit\":\"USD\""), "unit: is not the line's");
    page_refuses(ITEM(",\"unit\":5"), "unit: must be");
    page_refuses(ITEM(",\"scale\":3"), "scale: is not the line's");
    page_refuses(ITEM(",\"scale\":-1"), "scale: must be");
    page_refuses("7", "item 0: id");
}

Test(page, the_page_around_is_judged_too) {
    char text[1200];
    cr_assert_eq(read_page("{}"), WL_ERR_MALFORMED);
    cr_assert_str_eq(fault.message, "the answer has no list \"items\"");
    cr_assert_eq(read_page("[]"), WL_ERR_MALFORMED);
    cr_assert_eq(read_page("{\"items\":[]"), WL_ERR_MALFORMED);
    cr_assert_eq(read_page("{\"items\":[],\"next\":false}"), WL_ERR_MALFORMED);
    cr_assert_eq(read_page("{\"items\":[],\"next\":1.5}"), WL_ERR_MALFORMED);
    cr_assert_eq(read_page("{\"items\":[],\"next\":\"a\\n\"}"), WL_ERR_MALFORMED);
    for (int bytes = 512; bytes <= 513; bytes++) {
        (void)snprintf(text, sizeof text, "{\"items\":[],\"next\":\"%0*d\"}", bytes, 7);
        cr_assert_eq(read_page(text), bytes == 512 ? WL_OK : WL_ERR_MALFORMED);
    }
}

static uint32_t many(uint32_t items, char *into, size_t max) {
    size_t used = 0;
    for (uint32_t i = 0; i < items; i++) {
        used += (size_t)snprintf(into + used, max - used,
                                 "%s{\"id\":\"i%u\",\"time\":%u,\"amount\":%u}", i == 0 ? "" : ",",
                                 i, 1000 - i, i);
    }
    return items;
}

Test(page, a_page_has_a_hundred_items_whatever_was_asked_for) {
    char text[8192];
    cr_assert_eq(read_items((many(100, text, sizeof text), text)), WL_OK, "%s", fault.message);
    cr_assert_eq(page.count, 100);
    cr_assert_eq(page.items[99].amount, 99);
    cr_assert_eq(read_items((many(101, text, sizeof text), text)), WL_ERR_TOO_BIG);
    cr_assert_str_eq(fault.message, "101 items, a page has at most 100");
}

#define AT(id, time) "{\"id\":\"" id "\",\"time\":" time ",\"amount\":1}"

Test(page, newest_come_first_and_ids_decide_between_equal_times) {
    cr_assert_eq(read_items(AT("a", "5") "," AT("b", "4")), WL_OK);
    cr_assert_eq(read_items(AT("b", "5") "," AT("a", "5")), WL_OK);
    cr_assert_eq(read_items(AT("b", "5") "," AT("B", "5")), WL_OK, "bytes are compared");
    page_refuses(AT("a", "5") "," AT("b", "6"), "item 1: out of order");
    page_refuses(AT("a", "5") "," AT("b", "5"), "item 1: out of order");
    page_refuses(AT("a", "5") "," AT("a", "5"), "item 1: out of order");
}

Test(page, titles_are_for_people_and_are_cut_at_a_character) {
    char items[256];
    char title[128] = "a";
    for (int i = 0; i < 33; i++) {
        (void)strcat(title, "\xe9\x92\xb1"); /* 100 bytes */
    }
    (void)snprintf(items, sizeof items, ITEM(",\"title\":\"%s\""), title);
    cr_assert_eq(read_items(items), WL_OK, "%s", fault.message);
    cr_assert_eq(strlen(page.items[0].title), 94);
    cr_assert_eq(strncmp(page.items[0].title, title, 94), 0);
    cr_assert_eq(read_items(ITEM(",\"title\":\"a\\n\\tb\\u007f\"")), WL_OK);
    cr_assert_str_eq(page.items[0].title, "a  b ");
}

Test(page, sums_are_read) {
    cr_assert_eq(read_sums("{\"in\":\"9223372036854775807\",\"out\":7,\"count\":\"3\"}"), WL_OK,
                 "%s", fault.message);
    cr_assert_eq(sums.in, INT64_MAX);
    cr_assert_eq(sums.out, 7);
    cr_assert_eq(sums.count, 3);
    cr_assert_str_eq(sums.unit, "CNY");
    cr_assert_eq(sums.scale, 2);
    sums_refuse("{\"in\":1,\"out\":2}", "count");
    sums_refuse("{\"in\":1,\"count\":2}", "in, out: must be");
    sums_refuse("{\"in\":1.5,\"out\":2,\"count\":2}", "in, out: must be");
    sums_refuse("{\"in\":1,\"out\":-2,\"count\":2}", "in, out: must not be negative");
    sums_refuse("{\"in\":1,\"out\":2,\"count\":-2}", "count");
    sums_refuse("{\"in\":1,\"out\":2,\"count\":2,\"unit\":\"USD\"}", "unit: is not the line's");
    sums_refuse("{\"in\":1,\"out\":2,\"count\":2,\"scale\":0}", "scale: is not the line's");
    sums_refuse("[]", "in, out");
    sums_refuse("{", "ends too early");
}

/* Foreign shapes. */

Test(page, a_foreign_page_is_read_by_its_mapping) {
    line.details_mapping = (wl_details_mapping_t){.used = true,
                                                  .list = "/data/rows",
                                                  .id = "/order/no",
                                                  .time = "/at",
                                                  .title = "/text",
                                                  .amount = "/money",
                                                  .kind = "/type",
                                                  .next = "/data/page/next",
                                                  .amount_rule = WL_AMOUNT_DECIMAL,
                                                  .time_rule = WL_TIME_S};
    cr_assert_eq(read_page("{\"data\":{\"rows\":[{\"order\":{\"no\":77},\"at\":1700000000,"
                           "\"text\":\"Tea\",\"money\":\"-12.5\",\"type\":\"buy\",\"unit\":\"USD\","
                           "\"scale\":9},{\"order\":{\"no\":\"x\"},\"at\":\"1699999999\","
                           "\"money\":3}],\"page\":{\"next\":2}}}"),
                 WL_OK, "%s", fault.message);
    cr_assert_eq(page.count, 2);
    cr_assert_str_eq(page.items[0].id, "77");
    cr_assert_eq(page.items[0].time, 1700000000000);
    cr_assert_str_eq(page.items[0].title, "Tea");
    cr_assert_eq(page.items[0].amount, -1250);
    cr_assert_str_eq(page.items[0].kind, "buy");
    cr_assert_str_eq(page.items[0].unit, "CNY", "a foreign key of that name means nothing");
    cr_assert_eq(page.items[1].amount, 300);
    cr_assert_eq(page.next_bytes, 1);
    cr_assert_eq(read_page("{\"items\":[]}"), WL_ERR_MALFORMED);
    cr_assert_str_eq(fault.message, "the answer has no list where the mapping says");
    cr_assert_eq(read_page("{\"data\":{\"rows\":[{\"order\":{\"no\":1},\"at\":9223372036854775,"
                           "\"money\":\"1.234\"}]}}"),
                 WL_ERR_MALFORMED, "never rounded");
    cr_assert_eq(read_page("{\"data\":{\"rows\":[{\"order\":{\"no\":1},\"at\":9223372036854776,"
                           "\"money\":1}]}}"),
                 WL_ERR_MALFORMED, "beyond 64 bits");
}

Test(page, what_is_not_mapped_is_not_there) {
    line.details_mapping =
        (wl_details_mapping_t){.used = true, .id = "/0", .time = "/1", .amount = "/2"};
    cr_assert_eq(read_page("[[\"b\",2,\"30\",\"title\"],[\"a\",1,40]]"), WL_OK, "%s",
                 fault.message);
    cr_assert_eq(page.count, 2, "an empty list pointer is the answer itself");
    cr_assert_eq(page.items[1].amount, 40);
    cr_assert_str_eq(page.items[0].title, "");
    cr_assert_eq(page.next_bytes, 0);
}

Test(page, foreign_sums_are_read_by_their_mapping) {
    line.summary_mapping = (wl_summary_mapping_t){.used = true,
                                                  .in = "/m/earned",
                                                  .out = "/m/spent",
                                                  .count = "/n",
                                                  .amount_rule = WL_AMOUNT_DECIMAL};
    cr_assert_eq(read_sums("{\"m\":{\"earned\":\"0.07\",\"spent\":1},\"n\":4,\"unit\":7}"), WL_OK,
                 "%s", fault.message);
    cr_assert_eq(sums.in, 7);
    cr_assert_eq(sums.out, 100);
    cr_assert_eq(sums.count, 4);
    sums_refuse("{\"in\":1,\"out\":2,\"count\":2}", "in, out");
}

/* MessagePack. */

static void text(const char *value) {
    msgpack_pack_str(&packer, strlen(value));
    msgpack_pack_str_body(&packer, value, strlen(value));
}

static void pair_text(const char *key, const char *value) {
    text(key);
    text(value);
}

static void pair_int(const char *key, int64_t value) {
    text(key);
    msgpack_pack_int64(&packer, value);
}

/* A page of one item {id, time} and `more` pairs that the caller packs. */
static void pack_begin(uint32_t more) {
    msgpack_sbuffer_clear(&packed);
    msgpack_pack_map(&packer, 1);
    text("items");
    msgpack_pack_array(&packer, 1);
    msgpack_pack_map(&packer, 2 + more);
    pair_text("id", "a");
    pair_int("time", 5);
}

static wl_err_t read_packed(void) {
    return wl_page_read_msgpack(reader, &line, packed.data, packed.size, &page, &fault);
}

Test(page, messagepack_carries_the_same_page) {
    pack_begin(3);
    pair_text("amount", "-7");
    pair_text("title", "T");
    text("kind");
    msgpack_pack_bin(&packer, 3);
    msgpack_pack_bin_body(&packer, "buy", 3);
    cr_assert_eq(read_packed(), WL_OK, "%s", fault.message);
    cr_assert_eq(page.count, 1);
    cr_assert_eq(page.items[0].amount, -7);
    cr_assert_str_eq(page.items[0].title, "T");
    cr_assert_str_eq(page.items[0].kind, "buy");
    cr_assert_str_eq(page.items[0].unit, "CNY");
    cr_assert_eq(page.items[0].scale, 2);
    cr_assert_eq(page.next_bytes, 0);
}

Test(page, messagepack_floats_are_times_but_never_money) {
    pack_begin(1);
    text("amount");
    msgpack_pack_double(&packer, 5.0);
    cr_assert_eq(read_packed(), WL_ERR_MALFORMED);
    cr_assert_not_null(strstr(fault.message, "amount"));
    msgpack_sbuffer_clear(&packed);
    msgpack_pack_map(&packer, 2);
    text("items");
    msgpack_pack_array(&packer, 1);
    msgpack_pack_map(&packer, 3);
    pair_int("id", -9);
    pair_int("amount", INT64_MIN);
    text("time");
    msgpack_pack_double(&packer, 1700000000000.0);
    pair_text("next", "more");
    cr_assert_eq(read_packed(), WL_OK, "JavaScript sends such: %s", fault.message);
    cr_assert_eq(page.items[0].time, 1700000000000);
    cr_assert_eq(page.items[0].amount, INT64_MIN);
    cr_assert_str_eq(page.items[0].id, "-9");
    cr_assert_eq(page.next_bytes, 4);
}

Test(page, messagepack_items_are_judged_like_those_in_json) {
    static const char *const keys[] = {"unit", "scale", "title", "kind"};
    for (size_t i = 0; i < WL_COUNT_OF(keys); i++) {
        pack_begin(2);
        pair_int("amount", 1);
        pair_int(keys[i], 7); /* unit, title, kind: no text; scale: not the line's */
        cr_assert_eq(read_packed(), WL_ERR_MALFORMED, "%s", keys[i]);
        cr_assert_not_null(strstr(fault.message, keys[i]), "%s", fault.message);
    }
    pack_begin(1);
    text("amount");
    msgpack_pack_uint64(&packer, (uint64_t)INT64_MAX + 1);
    cr_assert_eq(read_packed(), WL_ERR_MALFORMED);
    pack_begin(2);
    pair_int("amount", 1);
    pair_text("title", "\xff");
    cr_assert_eq(read_packed(), WL_ERR_MALFORMED, "not UTF-8");
    pack_begin(2);
    pair_int("amount", 1);
    text("kind");
    msgpack_pack_str(&packer, 3);
    msgpack_pack_str_body(&packer, "a\0b", 3);
    cr_assert_eq(read_packed(), WL_ERR_MALFORMED, "a NUL inside");
}

Test(page, messagepack_that_is_no_page_is_malformed) {
    static const struct {
        const char *bytes;
        size_t count;
    } bad[] = {{"", 0},
               {"\xc0", 1},
               {"\x80", 1},
               {"\x81\xa5items\xc0", 8},
               {"\x81\xa5items\x91\x90", 9},
               {"\x81\xa5items\xdd\xff\xff\xff\xff", 12},
               {"\x81\xa5items\x90\xc0", 9}};
    for (size_t i = 0; i < WL_COUNT_OF(bad); i++) {
        cr_assert_eq(wl_page_read_msgpack(reader, &line, bad[i].bytes, bad[i].count, &page, &fault),
                     WL_ERR_MALFORMED, "%zu", i);
    }
    msgpack_sbuffer_clear(&packed);
    msgpack_pack_map(&packer, 1);
    text("items");
    msgpack_pack_array(&packer, WL_DETAILS_MAX + 1);
    for (int i = 0; i <= WL_DETAILS_MAX; i++) {
        msgpack_pack_nil(&packer);
    }
    cr_assert_eq(read_packed(), WL_ERR_TOO_BIG);
}

/* Between actors. */

/* As large as a page can be. */
static void page_fill(wl_page_t *into) {
    memset(into, 0, sizeof *into);
    into->count = WL_DETAILS_MAX;
    into->next_bytes = WL_LINE_CURSOR_MAX;
    memset(into->next, 'n', WL_LINE_CURSOR_MAX);
    for (uint32_t i = 0; i < WL_DETAILS_MAX; i++) {
        wl_page_item_t *item = &into->items[i];
        *item = (wl_page_item_t){.time = INT64_MAX - i, .amount = INT64_MIN, .scale = WL_SCALE_MAX};
        memset(item->id, 'i', WL_PAGE_ID_MAX);
        memset(item->title, 't', WL_TITLE_MAX);
        memset(item->unit, 'u', WL_UNIT_MAX);
        memset(item->kind, 'k', WL_PAGE_KIND_MAX);
    }
}

Test(page, the_largest_page_survives_its_way_between_actors) {
    static wl_page_t full;
    page_fill(&full);
    msgpack_pack_nil(&packer); /* what was there goes */
    wl_page_encode(&full, &packed);
    cr_assert(packed.size <= WL_PAGE_BYTES_MAX, "%zu", packed.size);
    cr_assert_eq(wl_page_decode(reader, packed.data, packed.size, &page), WL_OK);
    cr_assert_eq(page.count, full.count);
    cr_assert_eq(page.next_bytes, full.next_bytes);
    cr_assert_arr_eq(page.next, full.next, WL_LINE_CURSOR_MAX);
    for (uint32_t i = 0; i < full.count; i++) {
        cr_assert_eq(memcmp(&page.items[i], &full.items[i], sizeof full.items[i]), 0, "%u", i);
    }
}

Test(page, an_empty_unit_is_one_of_a_line_that_counts_pieces) {
    line.unit[0] = '\0';
    line.scale = 0;
    cr_assert_eq(read_items(ITEM("")), WL_OK, "%s", fault.message);
    wl_page_encode(&page, &packed);
    cr_assert_eq(wl_page_decode(reader, packed.data, packed.size, &page), WL_OK);
    cr_assert_str_eq(page.items[0].unit, "");
}

Test(page, sums_survive_their_way_between_actors) {
    wl_sums_t full = {.in = INT64_MAX, .count = INT64_MAX, .scale = 9, .unit = "bean"};
    wl_sums_encode(&full, &packed);
    cr_assert_eq(wl_sums_decode(reader, packed.data, packed.size, &sums), WL_OK);
    cr_assert_eq(sums.in, INT64_MAX);
    cr_assert_eq(sums.out, 0);
    cr_assert_eq(sums.count, (uint64_t)INT64_MAX);
    cr_assert_eq(sums.scale, 9);
    cr_assert_str_eq(sums.unit, "bean");
}

Test(page, what_comes_from_another_host_is_not_trusted) {
    static char giant[WL_PAGE_BYTES_MAX + 1];
    cr_assert_eq(wl_page_decode(reader, giant, sizeof giant, &page), WL_ERR_TOO_BIG);
    cr_assert_eq(wl_sums_decode(reader, giant, sizeof giant, &sums), WL_ERR_TOO_BIG);
    cr_assert_eq(wl_page_decode(reader, NULL, 0, &page), WL_ERR_MALFORMED);
    pack_begin(1);
    pair_int("amount", 1);
    cr_assert_eq(wl_page_decode(reader, packed.data, packed.size, &page), WL_ERR_MALFORMED,
                 "nobody says the unit");
    pack_begin(3);
    pair_int("amount", 1);
    pair_text("unit", "CNY");
    pair_int("scale", 10);
    cr_assert_eq(wl_page_decode(reader, packed.data, packed.size, &page), WL_ERR_MALFORMED);
}

/* Every damaged byte and every cut of an encoded page is refused or gives another sound page. */
Test(page, damaged_bytes_never_give_a_broken_page) {
    cr_assert_eq(read_items(AT("b", "5") "," AT("a", "5")), WL_OK);
    wl_page_encode(&page, &packed);
    uint32_t refused = 0;
    for (size_t at = 0; at < packed.size; at++) {
        cr_assert_neq(wl_page_decode(reader, packed.data, at, &page), WL_OK, "%zu", at);
        for (int bit = 0; bit < 8; bit++) {
            packed.data[at] = (char)(packed.data[at] ^ (1 << bit));
            wl_err_t err = wl_page_decode(reader, packed.data, packed.size, &page);
            refused += err != WL_OK;
            cr_assert(err != WL_OK || page.count <= WL_DETAILS_MAX);
            packed.data[at] = (char)(packed.data[at] ^ (1 << bit));
        }
    }
    cr_assert(refused > 0);
    cr_assert_eq(wl_page_decode(reader, packed.data, packed.size, &page), WL_OK);
}
