#include "store/store_address.h"

#include <criterion/criterion.h>
#include <string.h>

Test(store_address, this_host_is_loopback) {
    static const char *const own[] = {
        "127.0.0.1:6379",
        "127.200.3.4:6379",
        "[::1]:6379",
        "[::ffff:127.0.0.1]:6379",
        "localhost:3306/wallet",
        "LOCALHOST:3306/wallet",
        "127.0.0.1:3306/wallet_0, [::1]:3307/wallet_1,localhost:1",
        "",
    };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        cr_expect_eq(wl_store_address_check("cache.redis", own[i], NULL), WL_OK, "%s", own[i]);
    }
}

Test(store_address, whatever_may_be_another_host_is_not) {
    static const char *const other[] = {
        "10.0.0.1:6379",
        "0.0.0.0:6379",
        "128.0.0.1:6379",
        "[::]:6379",
        "[2001:db8::1]:6379",
        "[::ffff:10.0.0.1]:6379",
        "127.0.0.1.example:6379",
        "127.example:6379",
        "localhost.example:6379",
        "example:3306/127.0.0.1:3306",
        "10.0.0.1:3306/localhost",
        "127.0.0.1",
        "127.0.0.1/x:6379",
        ":6379",
        "[]:6379",
        "[127.0.0.1:6379",
    };
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        cr_expect_eq(wl_store_address_check("cache.redis", other[i], NULL), WL_ERR_SETTINGS, "%s",
                     other[i]);
    }
}

Test(store_address, the_fault_names_the_one_that_is_elsewhere) {
    wl_fault_t fault = {0};
    cr_assert_eq(wl_store_address_check("shard.at", "127.0.0.1:1/a, 10.0.0.7:2/b", &fault),
                 WL_ERR_SETTINGS);
    cr_expect_str_eq(fault.where, "shard.at");
    cr_expect_not_null(strstr(fault.message, "10.0.0.7:2/b"), "%s", fault.message);
    cr_expect_not_null(strstr(fault.message, "allow_plaintext_stores"), "%s", fault.message);
}
