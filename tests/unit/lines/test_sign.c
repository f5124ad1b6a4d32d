#include "lines/sign.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <string.h>

static wl_sign_request_t request_with(const char *body) {
    return (wl_sign_request_t){.method = "POST",
                               .path = "/assets",
                               .query = "",
                               .time = "1700000000000",
                               .nonce = "000102030405060708090a0b0c0d0e0f",
                               .body = body,
                               .body_bytes = strlen(body)};
}

/* A second implementation: HMAC by hand over the text as the header documents it. */
static void hmac_by_hand(const unsigned char *key, size_t key_bytes, const char *text,
                         char hex[65]) {
    unsigned char block[64] = {0};
    unsigned char inner[32];
    unsigned char outer[32];
    crypto_hash_sha256_state state;
    if (key_bytes > sizeof block) {
        crypto_hash_sha256(block, key, key_bytes);
    } else {
        memcpy(block, key, key_bytes);
    }
    for (size_t i = 0; i < sizeof block; i++) {
        block[i] ^= 0x36;
    }
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, block, sizeof block);
    crypto_hash_sha256_update(&state, (const unsigned char *)text, strlen(text));
    crypto_hash_sha256_final(&state, inner);
    for (size_t i = 0; i < sizeof block; i++) {
        block[i] ^= 0x36 ^ 0x5c;
    }
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, block, sizeof block);
    crypto_hash_sha256_update(&state, inner, sizeof inner);
    crypto_hash_sha256_final(&state, outer);
    (void)sodium_bin2hex(hex, 65, outer, sizeof outer);
}

/* RFC 4231 test cases 2 and 7 prove the second implementation, which then judges ours. */
Test(sign, second_implementation_meets_rfc_4231) {
    char hex[65];
    unsigned char long_key[131];
    memset(long_key, 0xaa, sizeof long_key);
    hmac_by_hand((const unsigned char *)"Jefe", 4, "what do ya want for nothing?", hex);
    cr_assert_str_eq(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    hmac_by_hand(long_key, sizeof long_key,
                 "This is a test using a larger than block-size key and a larger than block-size "
                 "data. The key needs to be hashed before being used by the HMAC algorithm.",
                 hex);
    cr_assert_str_eq(hex, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

Test(sign, signs_the_documented_text) {
    static const char *const bodies[] = {"", "{\"uids\":[\"1\",\"2\"]}", "\n\n"};
    for (size_t i = 0; i < 3; i++) {
        char ours[65];
        char expected[65];
        char text[256];
        wl_sign_request_t request = request_with(bodies[i]);
        request.query = i == 2 ? "month=2026-07" : "";
        (void)snprintf(text, sizeof text, "POST\n/assets\n%s\n%s\n%s\n%s", request.query,
                       request.time, request.nonce, bodies[i]);
        wl_sign("secret", 6, &request, ours);
        hmac_by_hand((const unsigned char *)"secret", 6, text, expected);
        cr_assert_str_eq(ours, expected);
    }
}

/* The vector that PROTOCOL.md gives to line authors: it must never change. */
Test(sign, keeps_the_published_vector) {
    char hex[65];
    wl_sign_request_t request = request_with("{\"uids\":[\"1\",\"2\"]}");
    wl_sign("0123456789abcdef", 16, &request, hex);
    cr_assert_str_eq(hex, "ab79c582b5fbbe40e5e61aecc16be2ba4d741743e198b7bed0e2fe6358d8588c");
    request.method = "ZMQ";
    request.path = "assets";
    request.body = "1,2";
    request.body_bytes = 3;
    wl_sign("0123456789abcdef", 16, &request, hex);
    cr_assert_str_eq(hex, "7c46cec51ac0b0e66d3f62228dadb98bd142b1dd36e75effd0e58374be446f6d");
}

Test(sign, any_part_changes_the_signature) {
    char base[65];
    char other[65];
    wl_sign_request_t request = request_with("{}");
    wl_sign("key", 3, &request, base);
    const char **parts[] = {&request.method, &request.path, &request.query, &request.time,
                            &request.nonce};
    for (size_t i = 0; i < 5; i++) {
        const char *kept = *parts[i];
        *parts[i] = "x";
        wl_sign("key", 3, &request, other);
        cr_assert_str_neq(base, other);
        *parts[i] = kept;
    }
    wl_sign("kez", 3, &request, other);
    cr_assert_str_neq(base, other);
    request.body_bytes = 1;
    wl_sign("key", 3, &request, other);
    cr_assert_str_neq(base, other);
}
