#include "lines/page.h"

#include <criterion/criterion.h>
#include <string.h>

static const wl_line_t line = {.id = "cash", .unit = "CNY", .scale = 2, .kind = WL_KIND_CASH};

Test(page, a_standard_page_is_read) {
    static wl_page_t page;
    wl_fault_t fault;
    const char *text = "{\"items\":[{\"id\":\"b\",\"time\":2,\"amount\":5,\"title\":\"T\","
                       "\"kind\":\"buy\"},{\"id\":\"a\",\"time\":\"2\",\"amount\":\"-7\"}]}";
    cr_assert_eq(wl_page_read_json(&line, text, strlen(text), &page, &fault), WL_OK, "%s",
                 fault.message);
    cr_assert_eq(page.count, 2);
    cr_assert_eq(page.next_bytes, 0);
    cr_assert_str_eq(page.items[0].title, "T");
    cr_assert_str_eq(page.items[0].kind, "buy");
    cr_assert_eq(page.items[1].amount, -7);
}
