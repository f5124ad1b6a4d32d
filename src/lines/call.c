#include "lines/call.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/random.h"
#include "lines/sign.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum { UID_DIGITS_MAX = 20, NONCE_BYTES = 16 };

wl_call_t *wl_call_new(const wl_line_t *line, const uint64_t *uids, uint32_t uid_count) {
    WL_ASSERT(uid_count >= 1 && uid_count <= WL_PULL_UIDS_MAX);
    wl_call_t *self = wl_alloc_zero(1, sizeof *self + uid_count * sizeof self->uids[0]);
    self->line = *line;
    self->uid_count = uid_count;
    memcpy(self->uids, uids, uid_count * sizeof self->uids[0]);
    return self;
}

void wl_call_destroy(wl_call_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_free(*self);
    *self = NULL;
}

const char *wl_call_url(const wl_call_t *self) {
    const wl_line_t *line = &self->line;
    if (self->url_index == 0) {
        return line->url;
    }
    return self->url_index < line->url_count ? line->urls[self->url_index] : NULL;
}

const char *wl_call_method(const wl_call_t *self) {
    static const char *const names[] = {
        [WL_CALL_ASSETS] = "assets", [WL_CALL_DETAILS] = "details", [WL_CALL_SUMMARY] = "summary"};
    return names[self->kind];
}

void wl_call_seal(wl_call_key_t key, const char *method, const char *path, const char *query,
                  const void *body, size_t body_bytes, wl_call_seal_t *ret) {
    WL_ASSERT(key.at != NULL);
    uint8_t nonce[NONCE_BYTES];
    wl_random_bytes(nonce, sizeof nonce);
    (void)sodium_bin2hex(ret->nonce, sizeof ret->nonce, nonce, sizeof nonce);
    (void)snprintf(ret->time, sizeof ret->time, "%" PRId64, wl_wall_now().ms);
    wl_sign_request_t request = {.method = method,
                                 .path = path,
                                 .query = query,
                                 .time = ret->time,
                                 .nonce = ret->nonce,
                                 .body = body,
                                 .body_bytes = body_bytes};
    wl_sign(key.at, key.bytes, &request, ret->signature);
}

char *wl_call_page_text(const wl_call_t *self, size_t *ret_bytes) {
    WL_ASSERT(self->kind != WL_CALL_ASSETS);
    size_t most = 2 * UID_DIGITS_MAX + sizeof self->month + self->cursor_bytes + 4;
    char *text = wl_alloc(most);
    size_t used = (size_t)snprintf(text, most, "%" PRIu64 "\n%s", self->uids[0], self->month);
    if (self->kind == WL_CALL_DETAILS) {
        text[used++] = '\n';
        memcpy(text + used, self->cursor, self->cursor_bytes);
        used += self->cursor_bytes;
        used += (size_t)snprintf(text + used, most - used, "\n%" PRIu32, self->limit);
    }
    WL_ASSERT(used < most);
    *ret_bytes = used;
    return text;
}

char *wl_call_uids_text(const wl_call_t *self, const char *before, const char *between,
                        const char *behind, size_t *ret_bytes) {
    size_t most =
        strlen(before) + strlen(behind) + 1 + self->uid_count * (UID_DIGITS_MAX + strlen(between));
    char *text = wl_alloc(most);
    size_t used = (size_t)snprintf(text, most, "%s", before);
    for (uint32_t i = 0; i < self->uid_count; i++) {
        used += (size_t)snprintf(text + used, most - used, "%s%" PRIu64, i == 0 ? "" : between,
                                 self->uids[i]);
    }
    used += (size_t)snprintf(text + used, most - used, "%s", behind);
    WL_ASSERT(used < most);
    *ret_bytes = used;
    return text;
}
