#include "store/redis_address.h"

#include "base/alloc.h"

#include <criterion/criterion.h>
#include <string.h>

static wl_err_t read_text(const char *text, wl_redis_address_t *ret) {
    return wl_redis_address_read(text, strlen(text), ret);
}

Test(redis_address, reads_names_and_numbers) {
    wl_redis_address_t at;
    cr_assert_eq(read_text("127.0.0.1:6379", &at), WL_OK);
    cr_assert(strcmp(at.ip, "127.0.0.1") == 0 && at.port == 6379);
    cr_assert_eq(read_text("[::1]:65535", &at), WL_OK);
    cr_assert(strcmp(at.ip, "::1") == 0 && at.port == 65535);
    cr_assert_eq(read_text("cache.example:1", &at), WL_OK);
    cr_assert(strcmp(at.host, "cache.example") == 0 && at.ip[0] == '\0');
    static const char *const bad[] = {
        "",     ":1",      "a",    "a:",     "a:0",
        "a:x",  "a:65536", "a: 1", "a:-1",   "[]:1",
        "a:1 ", "a:1,b:2", "a:+1", "a:0x10", "a:184467440737095516160"};
    for (size_t i = 0; i < WL_COUNT_OF(bad); i++) {
        wl_err_t err = read_text(bad[i], &at);
        cr_assert_eq(err, WL_ERR_SETTINGS, "%s", bad[i]);
    }
    char name[WL_REDIS_HOST_MAX + 4];
    memset(name, 'n', sizeof name);
    memcpy(name + WL_REDIS_HOST_MAX, ":1", 3);
    cr_assert_eq(read_text(name, &at), WL_OK);
    memcpy(name + WL_REDIS_HOST_MAX, "n:1", 4);
    cr_assert_eq(read_text(name, &at), WL_ERR_SETTINGS, "one byte longer");
}

Test(redis_address, looks_up_names_and_compares) {
    wl_redis_address_t name;
    wl_redis_address_t number;
    wl_redis_address_t other;
    cr_assert_eq(read_text("localhost:7", &name), WL_OK);
    cr_assert_eq(wl_redis_address_resolve(&name), WL_OK);
    cr_assert(strcmp(name.ip, "127.0.0.1") == 0 || strcmp(name.ip, "::1") == 0);
    cr_assert_eq(wl_redis_address_set(&number, name.ip, strlen(name.ip), 7), WL_OK);
    cr_assert(wl_redis_address_equal(&name, &number));
    cr_assert_eq(wl_redis_address_set(&other, name.ip, strlen(name.ip), 8), WL_OK);
    cr_assert(!wl_redis_address_equal(&name, &other));
    cr_assert_eq(read_text("no.such.host.invalid:7", &other), WL_OK);
    cr_assert_eq(wl_redis_address_resolve(&other), WL_ERR_UNAVAILABLE);
    cr_assert(!wl_redis_address_equal(&name, &other));
}
