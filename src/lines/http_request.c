#include "lines/http_request.h"

#include "base/alloc.h"
#include "base/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A byte of a cursor or of a name takes up to three. */
enum { URL_BYTES = WL_URL_MAX + WL_LINK_MAX + 3 * (WL_LINE_CURSOR_MAX + 4 * WL_LINE_ID_MAX) + 64 };

#ifndef WL_VERSION
#define WL_VERSION "0"
#endif

/* A URL that grows; what does not fit is noted. */
typedef struct {
    char at[URL_BYTES];
    size_t used;
    bool overflow;
} text_t;

static void text_add(text_t *self, const char *text, size_t bytes) {
    if (bytes >= sizeof self->at - self->used) {
        self->overflow = true;
        return;
    }
    memcpy(self->at + self->used, text, bytes);
    self->used += bytes;
    self->at[self->used] = '\0';
}

/* Percent-encoded, but for the unreserved characters of RFC 3986. */
static void text_add_encoded(text_t *self, const void *value, size_t bytes) {
    const unsigned char *at = value;
    for (size_t i = 0; i < bytes; i++) {
        char code[4];
        bool plain = (at[i] >= 'a' && at[i] <= 'z') || (at[i] >= 'A' && at[i] <= 'Z') ||
                     (at[i] >= '0' && at[i] <= '9') || (at[i] != 0 && strchr("-._~", at[i]));
        (void)snprintf(code, sizeof code, plain ? "%c" : "%%%02X", at[i]);
        text_add(self, code, strlen(code));
    }
}

/* name=value behind the path; nothing when there is no value. */
static void text_add_parameter(text_t *self, const char *name, const void *value, size_t bytes) {
    if (bytes == 0) {
        return;
    }
    text_add(self, strchr(self->at, '?') == NULL ? "?" : "&", 1);
    text_add_encoded(self, name, strlen(name));
    text_add(self, "=", 1);
    text_add_encoded(self, value, bytes);
}

static const char *or_else(const char *given, const char *otherwise) {
    return given[0] != '\0' ? given : otherwise;
}

static const char *call_path(const wl_call_t *call) {
    const wl_line_t *line = &call->line;
    switch (call->kind) {
    case WL_CALL_ASSETS: return or_else(line->mapping.used ? line->mapping.path : "", "/assets");
    case WL_CALL_DETAILS: return or_else(line->details_mapping.path, "/details");
    case WL_CALL_SUMMARY: return or_else(line->summary_mapping.path, "/summary");
    }
    return "";
}

static void add_parameters(text_t *text, const wl_call_t *call) {
    const wl_details_mapping_t *details = &call->line.details_mapping;
    const wl_summary_mapping_t *summary = &call->line.summary_mapping;
    bool page = call->kind == WL_CALL_DETAILS;
    char uid[24];
    char limit[16];
    int uid_bytes = snprintf(uid, sizeof uid, "%" PRIu64, call->uids[0]);
    int limit_bytes = snprintf(limit, sizeof limit, "%" PRIu32, call->limit);
    text_add_parameter(text, or_else(page ? details->query_uid : summary->query_uid, "uid"), uid,
                       (size_t)uid_bytes);
    text_add_parameter(text, or_else(page ? details->query_month : summary->query_month, "month"),
                       call->month, strlen(call->month));
    if (page) {
        text_add_parameter(text, or_else(details->query_cursor, "cursor"), call->cursor,
                           call->cursor_bytes);
        text_add_parameter(text, or_else(details->query_limit, "limit"), limit,
                           (size_t)limit_bytes);
    }
}

/* The base of the line and the path, put together and taken apart again by curl, so that what is
 * signed is what is sent. */
static wl_err_t url_open(const wl_call_t *call, CURLU *url) {
    const char *base = wl_call_url(call);
    const char *path = call_path(call);
    text_t text = {.used = 0};
    size_t bytes = strlen(base);
    while (bytes > 0 && base[bytes - 1] == '/') {
        bytes--;
    }
    if (bytes == 0 || base[bytes - 1] == ':' || strpbrk(base, "?#") != NULL || path[0] != '/' ||
        strchr(path, '#') != NULL) {
        return WL_ERR_SETTINGS; /* curl would make a host of the path, or drop the query */
    }
    text_add(&text, base, bytes);
    text_add(&text, path, strlen(path));
    if (call->kind != WL_CALL_ASSETS) {
        add_parameters(&text, call);
    }
    bool usable = !text.overflow && curl_url_set(url, CURLUPART_URL, text.at, 0) == CURLUE_OK;
    return usable ? WL_OK : WL_ERR_SETTINGS;
}

/* "" when the URL has no such part. The caller frees it with wl_free(). */
static char *url_part(CURLU *url, CURLUPart part) {
    char *text = NULL;
    bool there = curl_url_get(url, part, &text, 0) == CURLUE_OK;
    char *copy = wl_strdup(there ? text : "");
    curl_free(text);
    return copy;
}

static void add_header(wl_http_request_t *self, const char *name, const char *value) {
    char text[160];
    (void)snprintf(text, sizeof text, "%s: %s", name, value);
    struct curl_slist *longer = curl_slist_append(self->headers, text);
    WL_ASSERT(longer != NULL);
    self->headers = longer;
}

static void add_seal(wl_http_request_t *self, const wl_call_t *call, wl_call_key_t key,
                     CURLU *url) {
    wl_call_seal_t seal;
    WL_AUTO_FREE char *path = url_part(url, CURLUPART_PATH);
    WL_AUTO_FREE char *query = url_part(url, CURLUPART_QUERY);
    wl_call_seal(key, self->body != NULL ? "POST" : "GET", path, query, self->body,
                 self->body_bytes, &seal);
    add_header(self, "X-Wallet-Line", call->line.id);
    add_header(self, "X-Wallet-Time", seal.time);
    add_header(self, "X-Wallet-Nonce", seal.nonce);
    add_header(self, "X-Wallet-Signature", seal.signature);
}

wl_err_t wl_http_request_open(wl_http_request_t *self, const wl_call_t *call, wl_call_key_t key) {
    *self = (wl_http_request_t){.url = NULL};
    CURLU *url = curl_url();
    WL_ASSERT(url != NULL);
    wl_err_t err = url_open(call, url);
    if (err == WL_OK) {
        self->url = url_part(url, CURLUPART_URL);
        if (call->kind == WL_CALL_ASSETS) {
            self->body =
                wl_call_uids_text(call, "{\"uids\":[\"", "\",\"", "\"]}", &self->body_bytes);
            add_header(self, "Content-Type", "application/json");
        }
        add_header(self, "Accept", "application/json");
        add_header(self, "User-Agent", "walletd/" WL_VERSION);
        struct curl_slist *longer = curl_slist_append(self->headers, "Expect:");
        WL_ASSERT(longer != NULL); /* no name behind the colon: curl leaves the header out */
        self->headers = longer;
        if (key.at != NULL) {
            add_seal(self, call, key, url);
        }
    }
    curl_url_cleanup(url);
    return err;
}

void wl_http_request_close(wl_http_request_t *self) {
    wl_free(self->url);
    wl_free(self->body);
    curl_slist_free_all(self->headers);
    *self = (wl_http_request_t){.url = NULL};
}
