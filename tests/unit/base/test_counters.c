#include "base/counters.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <string.h>

Test(counters, each_row_has_a_plain_name_a_unit_and_help) {
    for (unsigned i = 0; i < WL_COUNTERS; i++) {
        const wl_counter_info_t *row = wl_counter_info((wl_counter_t)i);
        cr_expect_eq(strspn(row->name, "abcdefghijklmnopqrstuvwxyz_"), strlen(row->name));
        cr_expect_gt(strlen(row->unit), 0u);
        cr_expect(isupper((unsigned char)row->help[0]) || row->help[0] == '(' ||
                      isdigit((unsigned char)row->help[0]),
                  "%s", row->help);
    }
}

Test(counters, count_adds_and_gauge_sets) {
    wl_counters_t block = {0};
    WL_COUNT(&block, rpc_requests, 2);
    WL_COUNT(&block, rpc_requests, 3);
    WL_GAUGE(&block, rpc_in_flight, 7);
    WL_GAUGE(&block, rpc_in_flight, 4);
    cr_expect_eq(block.at[WL_COUNTER_rpc_requests], 5u);
    cr_expect_eq(block.at[WL_COUNTER_rpc_in_flight], 4u);
}
