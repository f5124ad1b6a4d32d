#include "proto/encoder.h"

#include "base/limits.h"
#include "random_message.h"

Test(encoder, decode_of_encode_is_equal) {
    WL_AUTO(wl_encoder) encoder = wl_encoder_new();
    WL_AUTO(wl_decoder) decoder = wl_decoder_new();
    rng.state = 11;
    for (unsigned round = 0; round < 40; round++) {
        for (size_t i = 0; i < WL_COUNT_OF(ids); i++) {
            wl_msg_t sent;
            wl_msg_t got;
            fill_message(&sent, ids[i], rng_below(&rng, round == 0 ? 1 : 9));
            wl_msg_encode(encoder, &sent);
            wl_bytes_t bytes = wl_encoder_finish(encoder);
            wl_err_t err = wl_msg_decode(decoder, bytes.at, bytes.count, &got);
            cr_assert_eq(err, WL_OK, "%s: %s", wl_msg_name(ids[i]), wl_err_name(err));
            cr_assert(same(&sent, &got), "%s", wl_msg_name(ids[i]));
            drop_all();
        }
    }
}

Test(encoder, takes_as_many_items_as_a_batch_and_one_item_of_the_largest_size) {
    WL_AUTO(wl_encoder) encoder = wl_encoder_new();
    WL_AUTO(wl_decoder) decoder = wl_decoder_new();
    uint64_t uids[4096];
    wl_msg_t got;
    memset(uids, 0xff, sizeof uids);
    wl_owners_begin(encoder, &(wl_owners_head_t){.shard = 3, .last = true});
    wl_owners_add(encoder, &(wl_owners_item_t){.uids = {uids, 4096}});
    wl_bytes_t bytes = wl_encoder_finish(encoder);
    cr_assert_eq(wl_msg_decode(decoder, bytes.at, bytes.count, &got), WL_OK);
    cr_assert_eq(got.items.owners[0].uids.count, 4096);
    wl_read_begin(encoder, &(wl_read_head_t){.frontend = 1});
    cr_assert_not(wl_encoder_full(encoder));
    for (uint32_t i = 0; i < WL_BATCH_ITEMS_MAX; i++) {
        cr_assert_not(wl_encoder_full(encoder));
        wl_read_add(encoder, &(wl_read_item_t){.ticket = i, .uid = UINT64_MAX - i});
    }
    cr_assert(wl_encoder_full(encoder));
    cr_assert_eq(wl_encoder_count(encoder), WL_BATCH_ITEMS_MAX);
    bytes = wl_encoder_finish(encoder);
    cr_assert_eq(bytes.count, wl_encoder_bytes(encoder));
    cr_assert_eq(wl_msg_decode(decoder, bytes.at, bytes.count, &got), WL_OK);
    cr_assert_eq(got.count, WL_BATCH_ITEMS_MAX);
    cr_assert_eq(got.items.read[255].uid, UINT64_MAX - 255);
}

/* The promise of wl_encoder_full(): while it says no, any item may still be added and decodes. */
Test(encoder, an_encoder_that_is_not_full_takes_one_more_of_anything) {
    WL_AUTO(wl_encoder) encoder = wl_encoder_new();
    WL_AUTO(wl_decoder) decoder = wl_decoder_new();
    rng.state = 12;
    uint8_t extra[WL_EXTRA_BYTES_MAX] = {0x81, 0xa1, 'x', 0xc5, 0x01, 0xfa};
    wl_asset_t *assets = keep(1024 * sizeof *assets);
    for (unsigned small = 0; small < 2; small++) {
        for (uint32_t i = 0; i < 1024; i++) {
            memset(&assets[i], small == 1 ? 0 : 0x7f, sizeof assets[i]);
            assets[i].line[small == 1 ? 0 : WL_LINE_ID_MAX] = '\0';
            assets[i].bucket[small == 1 ? 0 : WL_BUCKET_MAX] = '\0';
            assets[i].unit[small == 1 ? 0 : WL_UNIT_MAX] = '\0';
            assets[i].scale = 9;
            assets[i].extra = small == 1 ? NULL : extra;
            assets[i].extra_bytes = small == 1 ? 0 : sizeof extra;
        }
        wl_fetched_begin(encoder, &(wl_fetched_head_t){.shard = 1});
        while (!wl_encoder_full(encoder)) {
            wl_fetched_add(encoder, &(wl_fetched_item_t){.uid = 1, .assets = {assets, 1024}});
        }
        wl_bytes_t bytes = wl_encoder_finish(encoder);
        wl_msg_t got;
        cr_assert_eq(wl_msg_decode(decoder, bytes.at, bytes.count, &got), WL_OK);
        cr_assert_gt(got.count, 1);
        cr_assert(wl_asset_equal(&got.items.fetched[got.count - 1].assets.at[1023], &assets[7]));
    }
    uint8_t *body = keep(3145728);
    wl_reply_begin(encoder, NULL);
    while (wl_encoder_bytes(encoder) < 900000) {
        wl_reply_add(encoder, &(wl_reply_item_t){.body = {body, 10000}});
    }
    cr_assert_not(wl_encoder_full(encoder));
    wl_reply_add(encoder, &(wl_reply_item_t){.body = {body, 3145728}});
    wl_bytes_t bytes = wl_encoder_finish(encoder);
    wl_msg_t got;
    cr_assert_eq(wl_msg_decode(decoder, bytes.at, bytes.count, &got), WL_OK);
    drop_all();
}

Test(encoder, asset_blobs_come_back_as_they_were) {
    WL_AUTO(wl_encoder) encoder = wl_encoder_new();
    WL_AUTO(wl_decoder) decoder = wl_decoder_new();
    rng.state = 16;
    for (unsigned round = 0; round < 200; round++) {
        wl_asset_list_t sent;
        wl_asset_list_t got;
        wl_bytes_t bytes;
        fill_ASSETS(&sent, WL_ASSET_BLOB_MAX);
        wl_encoder_asset_blob(encoder, sent.at, sent.count, &bytes);
        cr_assert_not(wl_encoder_begun(encoder));
        cr_assert_eq(wl_decoder_asset_blob(decoder, bytes.at, bytes.count, &got), WL_OK);
        cr_assert_eq(got.count, sent.count);
        for (uint32_t i = 0; i < got.count; i++) {
            cr_assert(wl_asset_equal(&got.at[i], &sent.at[i]));
        }
        drop_all();
    }
}
