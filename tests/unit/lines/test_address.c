#include "lines/address.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <string.h>
#include <sys/un.h>

static bool allowed(const char *text) {
    struct sockaddr_storage storage;
    memset(&storage, 0, sizeof storage);
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        memcpy(&storage, &v4, sizeof v4);
    } else {
        cr_assert_eq(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
        memcpy(&storage, &v6, sizeof v6);
    }
    return wl_address_allowed((const struct sockaddr *)&storage);
}

Test(address, lets_lines_live_on_private_and_public_hosts) {
    static const char *const good[] = {"127.0.0.1",   "10.1.2.3",    "192.168.0.1",
                                       "8.8.8.8",     "169.253.1.1", "::1",
                                       "2001:db8::1", "fd00::1",     "::ffff:10.0.0.1"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        cr_assert(allowed(good[i]), "%s", good[i]);
    }
}

Test(address, refuses_metadata_unspecified_and_multicast) {
    static const char *const bad[] = {"169.254.169.254",
                                      "0.0.0.0",
                                      "0.1.2.3",
                                      "224.0.0.1",
                                      "239.255.255.255",
                                      "255.255.255.255",
                                      "::",
                                      "fe80::1",
                                      "febf::1",
                                      "ff02::1",
                                      "::ffff:169.254.169.254",
                                      "64:ff9b::169.254.169.254"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_not(allowed(bad[i]), "%s", bad[i]);
    }
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    cr_assert_not(wl_address_allowed((const struct sockaddr *)&local));
}

Test(address, judges_endpoints_by_their_literal_address) {
    cr_assert(wl_address_endpoint_allowed("tcp://127.0.0.1:8104"));
    cr_assert(wl_address_endpoint_allowed("tcp://[::1]:8104"));
    cr_assert(wl_address_endpoint_allowed("tcp://coin.internal:8104"));
    cr_assert_not(wl_address_endpoint_allowed("tcp://169.254.169.254:80"));
    cr_assert_not(wl_address_endpoint_allowed("tcp://0xa9fea9fe:80"));
    cr_assert_not(wl_address_endpoint_allowed("tcp://2852039166:80"));
    cr_assert_not(wl_address_endpoint_allowed("tcp://[fe80::1%eth0]:80"));
    cr_assert_not(wl_address_endpoint_allowed("tcp://0.0.0.0:80"));
    cr_assert_not(wl_address_endpoint_allowed("ipc:///tmp/x"));
    cr_assert_not(wl_address_endpoint_allowed("tcp://"));
    cr_assert_not(wl_address_endpoint_allowed(""));
}
