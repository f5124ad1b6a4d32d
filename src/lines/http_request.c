#include "lines/http_request.h"

#include "base/alloc.h"
#include "base/check.h"

#include <stdio.h>
#include <string.h>

enum { URL_BYTES = WL_URL_MAX + WL_LINK_MAX + 16 };

#ifndef WL_VERSION
#define WL_VERSION "0"
#endif

/* The base of the line and the path, put together and taken apart again by curl, so that what is
 * signed is what is sent. */
static wl_err_t url_open(const wl_line_t *line, CURLU *url) {
    char text[URL_BYTES];
    size_t base = strlen(line->url);
    while (base > 0 && line->url[base - 1] == '/') {
        base--;
    }
    const char *path =
        line->mapping.used && line->mapping.path[0] != '\0' ? line->mapping.path : "/assets";
    if (base == 0 || line->url[base - 1] == ':' || strpbrk(line->url, "?#") != NULL ||
        path[0] != '/') {
        return WL_ERR_SETTINGS; /* curl would make a host of the path */
    }
    (void)snprintf(text, sizeof text, "%.*s%s", (int)base, line->url, path);
    return curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK ? WL_OK : WL_ERR_SETTINGS;
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
    wl_call_seal(key, "POST", path, query, self->body, self->body_bytes, &seal);
    add_header(self, "X-Wallet-Line", call->line.id);
    add_header(self, "X-Wallet-Time", seal.time);
    add_header(self, "X-Wallet-Nonce", seal.nonce);
    add_header(self, "X-Wallet-Signature", seal.signature);
}

wl_err_t wl_http_request_open(wl_http_request_t *self, const wl_call_t *call, wl_call_key_t key) {
    *self = (wl_http_request_t){.url = NULL};
    CURLU *url = curl_url();
    WL_ASSERT(url != NULL);
    wl_err_t err = url_open(&call->line, url);
    if (err == WL_OK) {
        self->url = url_part(url, CURLUPART_URL);
        self->body = wl_call_uids_text(call, "{\"uids\":[\"", "\",\"", "\"]}", &self->body_bytes);
        add_header(self, "Content-Type", "application/json");
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
