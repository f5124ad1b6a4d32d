#include "actors/server_info.h"

#include "read_path.h"

static wl_bytes_t info_of(const wl_server_info_t *info, msgpack_sbuffer *into) {
    msgpack_sbuffer_clear(into);
    wl_server_info_write(info, into);
    return (wl_bytes_t){(const uint8_t *)into->data, into->size};
}

Test(server_info, says_what_the_server_is_doing) {
    wl_settings_t settings;
    wl_settings_defaults(&settings);
    wl_config_t *config = NULL;
    cr_assert_eq(wl_config_compile(test_integration, sizeof test_integration - 1, test_presentation,
                                   sizeof test_presentation - 1, &config, NULL),
                 WL_OK);
    msgpack_sbuffer into;
    msgpack_sbuffer_init(&into);
    wl_server_info_t info = {.settings = &settings, .uptime_ms = 12345};
    cr_expect(body_has(info_of(&info, &into), "state\xa8"
                                              "starting"));
    cr_expect_eq(body_number(info_of(&info, &into), "uptime_ms"), 12345);
    info.config = config;
    info.config_source = "store";
    info.config_seq = 1234;
    info.rollout = 1200;
    cr_expect(body_has(info_of(&info, &into), "state\xa5"
                                              "ready"));
    cr_expect(body_has(info_of(&info, &into), "config_version\xa3"
                                              "3.7"));
    cr_expect(body_has(info_of(&info, &into), "config_source\xa5"
                                              "store"));
    cr_expect_eq(body_number(info_of(&info, &into), "config_seq"), 1234);
    cr_expect_eq(body_number(info_of(&info, &into), "rollout"), 1200);
    cr_expect(body_has(info_of(&info, &into), "shard\x02"));
    info.draining = true;
    cr_expect(body_has(info_of(&info, &into), "state\xa8"
                                              "draining"));
    msgpack_sbuffer_clear(&into);
    wl_server_ping_write(&into);
    cr_expect_eq(into.size, 7u);
    cr_expect_eq(memcmp(into.data, "\x81\xa4pong\xc3", 7), 0);
    msgpack_sbuffer_destroy(&into);
    wl_config_destroy(&config);
}
