#include "actors/render.h"

#include "proto/walk.h"
#include "read_path.h"

Test(render, only_wallet_methods_are_rendered) {
    uint32_t count = 0;
    for (uint32_t method = 0; method < 256; method++) {
        count += wl_render_method((wl_method_t)method);
    }
    cr_expect_eq(count, 4u);
    cr_expect(wl_render_method(WL_METHOD_HOME));
    cr_expect(wl_render_method(WL_METHOD_GOLDEN));
    cr_expect(wl_render_method(WL_METHOD_ASSETS));
    cr_expect(wl_render_method(WL_METHOD_BALANCE));
}

Test(render, each_body_is_one_object_of_its_method) {
    wl_config_t *config = NULL;
    cr_assert_eq(wl_config_compile(test_integration, sizeof test_integration - 1, test_presentation,
                                   sizeof test_presentation - 1, &config, NULL),
                 WL_OK);
    wl_render_t render;
    wl_render_open(&render);
    wl_asset_t asset = test_asset(42, "cash", 5, 1);
    wl_home_view_t view = {.config = config,
                           .assets = &asset,
                           .asset_count = 1,
                           .uid = 42,
                           .now = wl_wall_now(),
                           .source = WL_SOURCE_DB};
    static const wl_method_t methods[] = {WL_METHOD_HOME, WL_METHOD_GOLDEN, WL_METHOD_ASSETS,
                                          WL_METHOD_BALANCE};
    static const char *const keys[] = {"sections", "golden", "assets\x91", "degraded\x90"};
    for (uint32_t i = 0; i < 4; i++) {
        wl_bytes_t body = wl_render_body(&render, methods[i], &view);
        wl_walk_limits_t limits = {.depth_max = 16, .objects_max = 10000};
        cr_expect_eq(wl_walk(body.at, body.count, &limits, NULL), WL_OK);
        cr_expect(body_has(body, keys[i]));
        cr_expect_eq(body_number(body, "uid"), 42);
    }
    wl_render_close(&render);
    wl_config_destroy(&config);
}

/* Nothing looks at a clock for campaigns where there are none. */
Test(render, the_moment_of_campaigns_is_asked_for_with_campaigns_only) {
    static wl_config_t config;
    wl_render_t render;
    wl_render_open(&render);
    wl_wall_ms_t wall = wl_wall_now();
    cr_expect_eq(wl_render_campaign_now(&render, &config, wall).ms, 0);
    config.campaign_count = 1;
    int64_t now = wl_render_campaign_now(&render, &config, wall).ms;
    cr_expect(now >= wall.ms && now <= wl_wall_now().ms);
    cr_expect_lt(wl_render_campaign_now(&render, &config, (wl_wall_ms_t){wall.ms + 3600000}).ms,
                 now + 3000000, "a jump is not followed at once");
    wl_render_tick(&render);
    wl_render_close(&render);
}
