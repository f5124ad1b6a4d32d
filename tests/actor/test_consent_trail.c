#include "actors/consent_trail.h"

#include "actors/consent_way.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static wl_asset_t record(uint64_t uid, wl_state_t state) {
    wl_asset_t asset = {.uid = uid, .state = (uint8_t)state, .line = "cash"};
    (void)snprintf(asset.bucket, sizeof asset.bucket, "%s", WL_BUCKET_CONSENT);
    return asset;
}

/* A STORED of one user each; which of them withdraw. */
static wl_msg_t stored_of(wl_stored_item_t *items, wl_asset_t *assets, uint32_t count,
                          uint64_t first_uid, wl_state_t state) {
    for (uint32_t i = 0; i < count; i++) {
        assets[i] = record(first_uid + i, state);
        items[i] = (wl_stored_item_t){
            .uid = first_uid + i, .seq = 100 + first_uid + i, .assets = {&assets[i], 1}};
    }
    return (wl_msg_t){.id = WL_MSG_STORED,
                      .count = count,
                      .head.stored = {.line = "cash"},
                      .items.stored = items};
}

Test(consent_trail, says_how_far_all_is_in_effect) {
    wl_stored_item_t items[3];
    wl_asset_t assets[3];
    wl_consent_trail_t *trail = wl_consent_trail_new();
    cr_expect_eq(wl_consent_trail_seq(trail, 50), 50u);
    cr_expect_eq(wl_consent_trail_since(trail), INT64_MAX);
    wl_msg_t granted = stored_of(items, assets, 3, 1, WL_STATE_AVAILABLE);
    cr_expect(wl_consent_told(&granted));
    cr_expect_eq(wl_consent_trail_note(trail, 10, &granted, 1000), WL_OK);
    cr_expect_eq(wl_consent_trail_seq(trail, 50), 50u, "what is given needs no way");
    wl_msg_t withdrawn = stored_of(items, assets, 3, 1, WL_STATE_GONE);
    cr_expect_eq(wl_consent_trail_note(trail, 11, &withdrawn, 1000), WL_OK);
    withdrawn = stored_of(items, assets, 1, 9, WL_STATE_GONE);
    cr_expect_eq(wl_consent_trail_note(trail, 14, &withdrawn, 1007), WL_OK);
    cr_expect_eq(wl_consent_trail_seq(trail, 50), 11u);
    cr_expect_not(wl_consent_trail_end(trail, "cash", 2, 103), "another number");
    cr_expect_not(wl_consent_trail_end(trail, "coin", 2, 102), "another line");
    cr_expect(wl_consent_trail_end(trail, "cash", 2, 102));
    cr_expect_not(wl_consent_trail_end(trail, "cash", 2, 102), "a duplicate");
    cr_expect(wl_consent_trail_end(trail, "cash", 9, 109));
    cr_expect(wl_consent_trail_end(trail, "cash", 1, 101));
    cr_expect_eq(wl_consent_trail_seq(trail, 50), 11u, "user 3 is still on its way");
    cr_expect_eq(wl_consent_trail_since(trail), 1000);
    cr_expect(wl_consent_trail_end(trail, "cash", 3, 103));
    cr_expect_eq(wl_consent_trail_seq(trail, 50), 50u);
    wl_consent_trail_destroy(&trail);
    cr_expect_null(trail);
}

Test(consent_trail, is_bounded) {
    wl_stored_item_t items[WL_BATCH_ITEMS_MAX];
    wl_asset_t assets[WL_BATCH_ITEMS_MAX];
    wl_consent_trail_t *trail = wl_consent_trail_new();
    for (uint32_t i = 0; i < WL_CONSENT_TRAIL_MAX / WL_BATCH_ITEMS_MAX; i++) {
        wl_msg_t msg =
            stored_of(items, assets, WL_BATCH_ITEMS_MAX, 1 + i * WL_BATCH_ITEMS_MAX, WL_STATE_GONE);
        cr_assert_eq(wl_consent_trail_note(trail, i, &msg, 5), WL_OK);
    }
    wl_msg_t one = stored_of(items, assets, 1, 1u << 30, WL_STATE_GONE);
    cr_expect_eq(wl_consent_trail_note(trail, 99999, &one, 5), WL_ERR_FULL);
    wl_consent_trail_clear(trail);
    cr_expect_eq(wl_consent_trail_note(trail, 99999, &one, 5), WL_OK);
    cr_expect_eq(wl_consent_trail_seq(trail, 0), 99999u);
    wl_consent_trail_destroy(&trail);
}
