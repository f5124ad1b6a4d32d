#include "lines/sign.h"

#include "base/check.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

static_assert(crypto_auth_hmacsha256_BYTES * 2 + 1 == 65, "the hex of a signature fits ret_hex");

/* One part of the text that is signed, with its new line. */
static void sign_part(crypto_auth_hmacsha256_state *state, const char *text) {
    (void)crypto_auth_hmacsha256_update(state, (const unsigned char *)text, strlen(text));
    (void)crypto_auth_hmacsha256_update(state, (const unsigned char *)"\n", 1);
}

void wl_sign(const void *key, size_t key_bytes, const wl_sign_request_t *request,
             char ret_hex[65]) {
    WL_ASSERT(key != NULL);
    WL_ASSERT(request->body_bytes == 0 || request->body != NULL);
    crypto_auth_hmacsha256_state state;
    unsigned char mac[crypto_auth_hmacsha256_BYTES];
    (void)crypto_auth_hmacsha256_init(&state, key, key_bytes);
    sign_part(&state, request->method);
    sign_part(&state, request->path);
    sign_part(&state, request->query);
    sign_part(&state, request->time);
    sign_part(&state, request->nonce);
    if (request->body_bytes > 0) {
        (void)crypto_auth_hmacsha256_update(&state, request->body, request->body_bytes);
    }
    (void)crypto_auth_hmacsha256_final(&state, mac);
    (void)sodium_bin2hex(ret_hex, 65, mac, sizeof mac);
    sodium_memzero(&state, sizeof state);
}
