#include "base/asset.h"

#include <string.h>

static const char *const kind_names[WL_KIND_COUNT] = {
#define WL_KIND_NAME(name, text, doc) text,
    WL_KINDS(WL_KIND_NAME)
#undef WL_KIND_NAME
};

static const char *const state_names[WL_STATE_COUNT] = {
#define WL_STATE_NAME(name, text, doc) text,
    WL_STATES(WL_STATE_NAME)
#undef WL_STATE_NAME
};

const char *wl_kind_name(wl_kind_t kind) {
    return (unsigned)kind < WL_KIND_COUNT ? kind_names[kind] : "?";
}

const char *wl_state_name(wl_state_t state) {
    return (unsigned)state < WL_STATE_COUNT ? state_names[state] : "?";
}

/* The index of text in names, or count. */
static unsigned name_find(const char *const *names, unsigned count, const char *text) {
    unsigned index = 0;
    while (index < count && strcmp(names[index], text) != 0) {
        index++;
    }
    return index;
}

bool wl_kind_parse(const char *text, wl_kind_t *ret) {
    unsigned index = name_find(kind_names, WL_KIND_COUNT, text);
    if (index == WL_KIND_COUNT) {
        return false;
    }
    *ret = (wl_kind_t)index;
    return true;
}

bool wl_state_parse(const char *text, wl_state_t *ret) {
    unsigned index = name_find(state_names, WL_STATE_COUNT, text);
    if (index == WL_STATE_COUNT) {
        return false;
    }
    *ret = (wl_state_t)index;
    return true;
}

bool wl_line_id_valid(const char *text) {
    size_t bytes = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    return bytes >= 1 && bytes <= WL_LINE_ID_MAX && text[bytes] == '\0';
}

bool wl_bucket_reserved(const char *bucket) {
    return bucket[0] == '!';
}

bool wl_asset_is_consent(const wl_asset_t *asset) {
    return strcmp(asset->bucket, WL_BUCKET_CONSENT) == 0;
}
