/* fuzz_message.c: any bytes are refused, or are a message that encodes to bytes which decode to the
 * same message and encode to the same bytes. */
#include "proto/messages.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static wl_decoder_t *decoder;
static wl_decoder_t *again;
static wl_encoder_t *encoder;
static wl_encoder_t *second;

static void check_message(const wl_msg_t *msg) {
    wl_msg_t back;
    wl_msg_encode(encoder, msg);
    wl_bytes_t bytes = wl_encoder_finish(encoder);
    if (wl_msg_decode(again, bytes.at, bytes.count, &back) != WL_OK || !wl_msg_equal(msg, &back)) {
        abort();
    }
    wl_msg_encode(second, &back);
    wl_bytes_t twice = wl_encoder_finish(second);
    if (twice.count != bytes.count || memcmp(twice.at, bytes.at, bytes.count) != 0) {
        abort();
    }
}

static void check_assets(const wl_asset_list_t *assets) {
    wl_bytes_t bytes;
    wl_asset_list_t back;
    wl_encoder_asset_blob(encoder, assets->at, assets->count, &bytes);
    if (wl_decoder_asset_blob(again, bytes.at, bytes.count, &back) != WL_OK ||
        back.count != assets->count) {
        abort();
    }
    for (uint32_t i = 0; i < back.count; i++) {
        if (!wl_asset_equal(&back.at[i], &assets->at[i])) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    if (decoder == NULL) {
        decoder = wl_decoder_new();
        again = wl_decoder_new();
        encoder = wl_encoder_new();
        second = wl_encoder_new();
    }
    wl_msg_t msg;
    wl_asset_list_t assets;
    if (wl_msg_decode(decoder, bytes, count, &msg) == WL_OK) {
        check_message(&msg);
    }
    if (wl_decoder_asset_blob(decoder, bytes, count, &assets) == WL_OK) {
        check_assets(&assets);
    }
    return 0;
}
