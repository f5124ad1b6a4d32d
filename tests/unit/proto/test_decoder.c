#include "proto/decoder.h"

#include "base/limits.h"
#include "random_message.h"

Test(decoder, refuses_every_truncation) {
    WL_AUTO(wl_encoder) encoder = wl_encoder_new();
    WL_AUTO(wl_decoder) decoder = wl_decoder_new();
    rng.state = 13;
    for (size_t i = 0; i < WL_COUNT_OF(ids); i++) {
        wl_msg_t sent;
        wl_msg_t got = {.count = 77};
        fill_message(&sent, ids[i], 3);
        wl_msg_encode(encoder, &sent);
        wl_bytes_t bytes = wl_encoder_finish(encoder);
        size_t step = 1 + bytes.count / 300;
        for (size_t cut = 0; cut < bytes.count; cut += step) {
            uint8_t *exact = wl_alloc(cut); /* so that ASan sees one byte too many */
            memcpy(exact, bytes.at, cut);
            cr_assert_eq(wl_msg_decode(decoder, exact, cut, &got), WL_ERR_MALFORMED);
            wl_free(exact);
        }
        cr_assert_eq(got.count, 77, "untouched on failure");
        drop_all();
    }
}

/* Flipped bytes are refused, or give a message that encodes and decodes to itself again. */
Test(decoder, survives_damage_at_any_byte) {
    WL_AUTO(wl_encoder) encoder = wl_encoder_new();
    WL_AUTO(wl_decoder) decoder = wl_decoder_new();
    WL_AUTO(wl_decoder) again = wl_decoder_new();
    rng.state = 14;
    for (unsigned round = 0; round < 6000; round++) {
        wl_msg_t msg;
        wl_msg_t back;
        fill_message(&msg, ids[round % WL_COUNT_OF(ids)], 1 + round % 3);
        wl_msg_encode(encoder, &msg);
        wl_bytes_t bytes = wl_encoder_finish(encoder);
        uint8_t *damaged = keep(bytes.count);
        memcpy(damaged, bytes.at, bytes.count);
        for (unsigned hit = 0; hit < 1 + round % 4; hit++) {
            size_t window = bytes.count < 60 || round % 2 == 0 ? bytes.count : 60;
            damaged[rng_below(&rng, (uint32_t)window)] = (uint8_t)rng_u64(&rng);
        }
        if (wl_msg_decode(decoder, damaged, bytes.count, &msg) == WL_OK) {
            wl_msg_encode(encoder, &msg);
            bytes = wl_encoder_finish(encoder);
            cr_assert_eq(wl_msg_decode(again, bytes.at, bytes.count, &back), WL_OK);
            cr_assert(same(&msg, &back));
        }
        drop_all();
    }
}

static wl_err_t decode_text(wl_decoder_t *decoder, const char *bytes, size_t count, wl_msg_t *got) {
    return wl_msg_decode(decoder, bytes, count, got);
}

#define DECODE(text) decode_text(decoder, (text), sizeof(text) - 1, &got)

Test(decoder, absent_fields_are_zero_and_extra_ones_skipped) {
    WL_AUTO(wl_decoder) decoder = wl_decoder_new();
    wl_msg_t got;
    cr_assert_eq(DECODE("\x91\x01"), WL_OK); /* [READ] */
    cr_assert_eq(got.count, 0);
    cr_assert_eq(got.head.read.frontend, 0);
    cr_assert_eq(DECODE("\x93\x01\x91\x05\x91\x92\x07\x08"), WL_OK);
    cr_assert_eq(got.head.read.frontend, 5);
    cr_assert_eq(got.items.read[0].ticket, 7);
    cr_assert_eq(got.items.read[0].uid, 8);
    cr_assert_eq(got.items.read[0].method, 0);
    cr_assert_eq(got.items.read[0].filter.count, 0);
    cr_assert_eq(DECODE("\x95\x17\x92\xa1x\x01\x91\x92\x09\x81\x01\x02\xc0\xc3"), WL_OK);
    cr_assert_eq(got.id, WL_MSG_REFRESH);
    cr_assert_str_eq(got.head.refresh.line, "x");
    cr_assert_eq(got.items.refresh[0].uid, 9);
}

Test(decoder, accepts_what_other_languages_send_for_a_number) {
    WL_AUTO(wl_decoder) decoder = wl_decoder_new();
    wl_msg_t got;
    /* uid as float64 8589934592.0, ticket as uint64 of a small number, bin for a text */
    cr_assert_eq(DECODE("\x93\x01\x90\x91\x92\xcf\0\0\0\0\0\0\0\x07\xcb\x42\x00\0\0\0\0\0\0"),
                 WL_OK);
    cr_assert_eq(got.items.read[0].ticket, 7);
    cr_assert_eq(got.items.read[0].uid, 8589934592u);
    cr_assert_eq(DECODE("\x93\x17\x91\xc4\x01x\x90"), WL_OK);
    cr_assert_str_eq(got.head.refresh.line, "x");
}

Test(decoder, refuses_values_that_do_not_fit_their_field) {
    WL_AUTO(wl_decoder) decoder = wl_decoder_new();
    wl_msg_t got;
    cr_assert_eq(DECODE("\x93\x01\x91\xcf\0\0\0\x01\0\0\0\0\x90"), WL_ERR_MALFORMED, "u32");
    cr_assert_eq(DECODE("\x93\x01\x91\xff\x90"), WL_ERR_MALFORMED, "negative");
    cr_assert_eq(DECODE("\x93\x01\x91\xa1x\x90"), WL_ERR_MALFORMED, "text for a number");
    cr_assert_eq(DECODE("\x93\x01\x91\xcb\x3f\xf8\0\0\0\0\0\0\x90"), WL_ERR_MALFORMED, "1.5");
    cr_assert_eq(DECODE("\x93\x01\x91\xcb\x7f\xf8\0\0\0\0\0\0\x90"), WL_ERR_MALFORMED, "NaN");
    cr_assert_eq(DECODE("\x93\x17\x91\xa2x\0\x90"), WL_ERR_MALFORMED, "NUL in a text");
    cr_assert_eq(DECODE("\x93\x17\x91\xd9\x21"
                        "123456789012345678901234567890123\x90"),
                 WL_ERR_MALFORMED, "text of 33");
    cr_assert_eq(DECODE("\x93\x18\x93\x01\x02\x01\x90"), WL_ERR_MALFORMED, "1 for true");
    cr_assert_eq(DECODE("\x93\x10\x90\x91\x91\xcd\x01\x00"), WL_ERR_MALFORMED, "u8");
}

Test(decoder, refuses_other_shapes_and_unknown_ids) {
    WL_AUTO(wl_decoder) decoder = wl_decoder_new();
    wl_msg_t got;
    cr_assert_eq(DECODE(""), WL_ERR_MALFORMED);
    cr_assert_eq(DECODE("\x90"), WL_ERR_MALFORMED);
    cr_assert_eq(DECODE("\x01"), WL_ERR_MALFORMED);
    cr_assert_eq(DECODE("\x80"), WL_ERR_MALFORMED);
    cr_assert_eq(DECODE("\x93\x00\x90\x90"), WL_ERR_MALFORMED, "id 0");
    cr_assert_eq(DECODE("\x93\x7f\x90\x90"), WL_ERR_MALFORMED, "id 127");
    cr_assert_eq(DECODE("\x93\xcd\x01\x01\x90\x90"), WL_ERR_MALFORMED, "id 257 is not id 1");
    cr_assert_eq(DECODE("\x93\xcf\0\0\0\x01\0\0\0\x01\x90\x90"), WL_ERR_MALFORMED, "2^32 + 1");
    cr_assert_eq(DECODE("\x93\x01\x80\x90"), WL_ERR_MALFORMED, "head is a map");
    cr_assert_eq(DECODE("\x93\x01\x90\x05"), WL_ERR_MALFORMED, "items is a number");
    cr_assert_eq(DECODE("\x93\x01\x90\x91\x05"), WL_ERR_MALFORMED, "an item is a number");
}

Test(decoder, refuses_what_is_over_a_bound) {
    WL_AUTO(wl_decoder) decoder = wl_decoder_new();
    wl_msg_t got;
    static uint8_t bytes[400000];
    memcpy(bytes, "\x93\x01\x90\xdc\x01\x01", 6); /* 257 items */
    memset(bytes + 6, 0x90, 257);
    cr_assert_eq(wl_msg_decode(decoder, bytes, 6 + 257, &got), WL_ERR_TOO_BIG);
    bytes[5] = 0;
    cr_assert_eq(wl_msg_decode(decoder, bytes, 6 + 256, &got), WL_OK);
    memcpy(bytes, "\x93\x18\x90\x91\x91\xdc\x10\x01", 8); /* OWNERS with 4,097 uids */
    memset(bytes + 8, 1, 4097);
    cr_assert_eq(wl_msg_decode(decoder, bytes, 8 + 4097, &got), WL_ERR_TOO_BIG);
    memcpy(bytes, "\x94\x01\x90\x90\xdd\x00\x05\xff\xff", 9); /* 393,215 objects behind it */
    memset(bytes + 9, 0xc0, 0x5ffff);
    cr_assert_eq(wl_msg_decode(decoder, bytes, 9 + 0x5ffff, &got), WL_ERR_TOO_BIG);
    memcpy(bytes, "\x93\x04\x90\x91\x97\0\0\0\xc2\0\xa0\xc6\0\x30\0\x01", 16);
    uint8_t *large = wl_alloc_zero(1, 16 + 3145729); /* a body one byte too large */
    memcpy(large, bytes, 16);
    cr_assert_eq(wl_msg_decode(decoder, large, 16 + 3145729, &got), WL_ERR_TOO_BIG);
    wl_free(large);
    cr_assert_eq(wl_msg_decode(decoder, bytes, WL_MESSAGE_BYTES_MAX + 1, &got), WL_ERR_TOO_BIG);
}

Test(decoder, refuses_assets_that_replies_could_not_carry) {
    WL_AUTO(wl_decoder) decoder = wl_decoder_new();
    wl_asset_list_t list;
#define BLOB(text) wl_decoder_asset_blob(decoder, (text), sizeof(text) - 1, &list)
#define ASSET                       \
    "\x9f\x01\xa1x\xa0\x00\x05\xa3" \
    "CNY\x02\x00\x00\x00\x00\x01\x00\x00"
    cr_assert_eq(BLOB("\x91" ASSET "\xc4\x01\x80"), WL_OK);
    cr_assert_eq(list.at[0].extra_bytes, 1);
    cr_assert_eq(list.at[0].amount, 5);
    cr_assert_str_eq(list.at[0].unit, "CNY");
    cr_assert_eq(BLOB("\x91" ASSET "\xc4\x00"), WL_OK);
    cr_assert_null(list.at[0].extra);
    cr_assert_eq(BLOB("\x91" ASSET "\xc4\x01\x81"), WL_ERR_MALFORMED, "extra is cut");
    cr_assert_eq(BLOB("\x91" ASSET "\xc4\x01\x90"), WL_ERR_MALFORMED, "extra is no map");
    cr_assert_eq(BLOB("\x91\x91\x01"), WL_ERR_MALFORMED);
    cr_assert_eq(BLOB("\x91\x01"), WL_ERR_MALFORMED);
    cr_assert_eq(BLOB("\x80"), WL_ERR_MALFORMED);
    cr_assert_eq(BLOB(""), WL_ERR_MALFORMED);
}
