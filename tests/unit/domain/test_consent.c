#include "domain/consent.h"

#include <criterion/criterion.h>
#include <stdio.h>

static wl_asset_t record_make(wl_state_t state, int64_t expires_at) {
    wl_asset_t record = {.uid = 7,
                         .version = 5,
                         .state = (uint8_t)state,
                         .expires_at = expires_at,
                         .line = "cash",
                         .bucket = WL_BUCKET_CONSENT};
    return record;
}

Test(consent, stands_while_it_is_given_and_not_over) {
    const struct {
        wl_state_t state;
        int64_t expires_at;
        bool valid;
    } cases[] = {
        {WL_STATE_AVAILABLE, 0, true},     {WL_STATE_AVAILABLE, 1001, true},
        {WL_STATE_AVAILABLE, 1000, false}, {WL_STATE_AVAILABLE, 1, false},
        {WL_STATE_GONE, 0, false},         {WL_STATE_GONE, 1001, false},
        {WL_STATE_FROZEN, 0, false},       {WL_STATE_EXPIRED, 0, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wl_asset_t record = record_make(cases[i].state, cases[i].expires_at);
        cr_expect_eq(wl_consent_valid(&record, (wl_wall_ms_t){1000}), cases[i].valid, "case %zu",
                     i);
    }
}

Test(consent, is_never_an_asset_or_nothing) {
    wl_asset_t asset = record_make(WL_STATE_AVAILABLE, 0);
    (void)snprintf(asset.bucket, sizeof asset.bucket, "consent");
    cr_expect_not(wl_consent_valid(&asset, (wl_wall_ms_t){1000}));
    cr_expect_not(wl_consent_valid(NULL, (wl_wall_ms_t){1000}));
}
