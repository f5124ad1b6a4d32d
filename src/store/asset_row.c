#include "store/asset_row.h"

#include "base/alloc.h"
#include "base/check.h"

#include <string.h>

enum {
    ROWS_FIRST = 16, /* records of a typical user */
    POOL_FIRST = 1024,
};

static bool text_fits(const char *text, size_t bytes) {
    return memchr(text, '\0', bytes) != NULL;
}

wl_err_t wl_asset_row_check(const wl_asset_t *asset) {
    if (asset->version > WL_VERSION_MAX) {
        return WL_ERR_OVERFLOW;
    }
    if (asset->extra_bytes > WL_EXTRA_BYTES_MAX) {
        return WL_ERR_TOO_BIG;
    }
    bool sound = asset->kind < WL_KIND_COUNT && asset->state < WL_STATE_COUNT &&
                 asset->scale <= WL_SCALE_MAX && text_fits(asset->line, sizeof asset->line) &&
                 text_fits(asset->bucket, sizeof asset->bucket) &&
                 text_fits(asset->unit, sizeof asset->unit) && asset->line[0] != '\0' &&
                 (asset->extra_bytes == 0 || asset->extra != NULL);
    return sound ? WL_OK : WL_ERR_MALFORMED;
}

/* Makes room for more extra bytes; the records that point into the pool follow it. */
static void pool_reserve(wl_asset_rows_t *self, size_t more) {
    if (self->pool_capacity - self->pool_used >= more) {
        return;
    }
    size_t capacity = self->pool_capacity == 0 ? POOL_FIRST : self->pool_capacity * 2;
    while (capacity - self->pool_used < more) {
        capacity *= 2;
    }
    uint8_t *pool = wl_alloc(capacity);
    if (self->pool_used > 0) {
        memcpy(pool, self->pool, self->pool_used);
    }
    for (uint32_t i = 0; i < self->count; i++) {
        if (self->at[i].extra != NULL) {
            self->at[i].extra = pool + (self->at[i].extra - self->pool);
        }
    }
    wl_free(self->pool);
    self->pool = pool;
    self->pool_capacity = capacity;
}

/* Record `into` becomes a copy whose extra lies in the pool. */
static void rows_copy(wl_asset_rows_t *self, const wl_asset_t *asset, uint32_t into) {
    wl_asset_t copy = *asset;
    copy.extra = NULL;
    self->at[into].extra = NULL; /* what it pointed to need not follow the pool */
    if (asset->extra_bytes > 0) {
        pool_reserve(self, asset->extra_bytes);
        uint8_t *extra = self->pool + self->pool_used;
        memcpy(extra, asset->extra, asset->extra_bytes);
        self->pool_used += asset->extra_bytes;
        copy.extra = extra;
    }
    self->at[into] = copy;
}

void wl_asset_rows_add(wl_asset_rows_t *self, const wl_asset_t *asset) {
    if (self->count == self->capacity) {
        WL_ASSERT(self->capacity <= UINT32_MAX / 2);
        self->capacity = self->capacity == 0 ? ROWS_FIRST : self->capacity * 2;
        self->at = wl_realloc_array(self->at, self->capacity, sizeof *self->at);
    }
    self->at[self->count].extra = NULL;
    self->count++;
    rows_copy(self, asset, self->count - 1);
}

void wl_asset_rows_set(wl_asset_rows_t *self, uint32_t index, const wl_asset_t *asset) {
    WL_ASSERT(index < self->count);
    rows_copy(self, asset, index);
}

void wl_asset_rows_clear(wl_asset_rows_t *self) {
    self->count = 0;
    self->pool_used = 0;
}

void wl_asset_rows_destroy(wl_asset_rows_t *self) {
    wl_free(self->at);
    wl_free(self->pool);
    *self = (wl_asset_rows_t){0};
}
