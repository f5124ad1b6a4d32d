#include "proto/methods.h"

#include <criterion/criterion.h>
#include <string.h>

Test(methods, every_method_is_found_by_its_name_only) {
    for (unsigned i = 0; i < WL_METHOD_COUNT; i++) {
        const wl_method_info_t *info = wl_method_info((wl_method_t)i);
        wl_method_t found = WL_METHOD_COUNT;
        cr_assert(wl_method_find(info->name, strlen(info->name), &found));
        cr_assert_eq(found, i);
        cr_assert_not(wl_method_find(info->name, strlen(info->name) - 1, &found));
    }
    wl_method_t found = WL_METHOD_HOME;
    cr_assert_not(wl_method_find("", 0, &found));
    cr_assert_not(wl_method_find("wallet.home2", 12, &found));
    cr_assert_not(wl_method_find("WALLET.HOME", 11, &found));
    cr_assert_eq(found, WL_METHOD_HOME, "untouched");
}

Test(methods, out_of_range_has_no_info) {
    cr_assert_null(wl_method_info(WL_METHOD_COUNT));
    cr_assert_null(wl_method_info((wl_method_t)-1));
}

Test(methods, ports_have_names) {
    cr_assert_str_eq(wl_port_name(WL_PORT_READER), "reader");
    cr_assert_str_eq(wl_port_name(WL_PORT_WRITER), "writer");
    cr_assert_str_eq(wl_port_name(WL_PORT_ANY), "any");
    cr_assert_eq(wl_method_info(WL_METHOD_HOME)->port, WL_PORT_READER);
    cr_assert_eq(wl_method_info(WL_METHOD_NOTIFY_CHANGED)->port, WL_PORT_WRITER);
}
