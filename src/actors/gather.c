#include "actors/gather.h"

#include "base/alloc.h"
#include "base/check.h"
#include "domain/asset_rules.h"

#include <string.h>

struct wl_gathers {
    wl_gather_t *all; /* owned, by number */
    uint32_t count_max;
    size_t bytes_max;
    size_t bytes;    /* of all */
    uint64_t opened; /* so far */
};

/* ---- one ------------------------------------------------------------------------------------ */

/* Replaces *into, which owned its extra if it had one. */
static size_t asset_copy(wl_asset_t *into, const wl_asset_t *from) {
    wl_free((void *)into->extra);
    *into = *from;
    into->extra = NULL;
    if (from->extra_bytes > 0 && from->extra != NULL) {
        uint8_t *extra = wl_alloc(from->extra_bytes);
        memcpy(extra, from->extra, from->extra_bytes);
        into->extra = extra;
    }
    return into->extra == NULL ? 0 : from->extra_bytes;
}

static void gather_copy_text(wl_gather_t *self, const wl_read_item_t *read) {
    const wl_bytes_t *from[] = {&read->filter, &read->marks, &read->floors};
    wl_bytes_t *to[] = {&self->read.filter, &self->read.marks, &self->read.floors};
    uint8_t *at = self->text;
    for (size_t i = 0; i < WL_COUNT_OF(from); i++) {
        if (from[i]->count > 0) {
            memcpy(at, from[i]->at, from[i]->count);
        }
        *to[i] = (wl_bytes_t){at, from[i]->count};
        at += from[i]->count;
    }
}

static void gather_free(wl_gather_t *self) {
    for (uint32_t i = 0; i < self->asset_count; i++) {
        wl_free((void *)self->assets[i].extra);
    }
    wl_free(self->assets);
    wl_free(self->answered);
    wl_free(self->lines);
    wl_free(self->text);
    wl_free(self);
}

static void gather_grow(wl_gather_t *self) {
    uint32_t room = self->asset_room < 8 ? 8 : self->asset_room * 2;
    self->assets = wl_realloc(self->assets, room * sizeof *self->assets);
    self->answered = wl_realloc(self->answered, room * sizeof *self->answered);
    self->bytes += (room - self->asset_room) * (sizeof *self->assets + sizeof *self->answered);
    self->asset_room = room;
}

wl_gather_line_t *wl_gather_add_line(wl_gather_t *gather, const char *line_id) {
    wl_gather_line_t *line = &gather->lines[gather->line_count++];
    memset(line, 0, sizeof *line);
    memcpy(line->id, line_id, strlen(line_id) + 1);
    return line;
}

wl_gather_line_t *wl_gather_line(wl_gather_t *gather, const char *line_id) {
    for (uint32_t i = 0; i < gather->line_count; i++) {
        if (strcmp(gather->lines[i].id, line_id) == 0) {
            return &gather->lines[i];
        }
    }
    return NULL;
}

void wl_gather_await(wl_gather_t *gather, wl_gather_line_t *line, bool awaited) {
    if (line->awaited != awaited) {
        line->awaited = awaited;
        gather->awaited = awaited ? gather->awaited + 1 : gather->awaited - 1;
    }
}

uint64_t wl_gather_version(const wl_gather_t *gather, const char *line_id) {
    uint64_t newest = 0;
    for (uint32_t i = 0; i < gather->asset_count; i++) {
        const wl_asset_t *asset = &gather->assets[i];
        if (asset->version > newest && strcmp(asset->line, line_id) == 0 &&
            !wl_asset_is_consent(asset)) {
            newest = asset->version;
        }
    }
    return newest;
}

void wl_gather_bar(wl_gather_t *gather, const char *line_id) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < gather->asset_count; i++) {
        if (strcmp(gather->assets[i].line, line_id) == 0) {
            wl_free((void *)gather->assets[i].extra);
            continue;
        }
        gather->assets[kept] = gather->assets[i];
        gather->answered[kept++] = gather->answered[i];
    }
    gather->asset_count = kept;
    wl_gather_line_t *line = wl_gather_line(gather, line_id);
    if (line != NULL) {
        line->asked = WL_ASKED_BARRED;
        wl_gather_await(gather, line, false);
    }
}

/* ---- all ------------------------------------------------------------------------------------ */

wl_gathers_t *wl_gathers_new(uint32_t count_max, size_t bytes_max) {
    WL_ASSERT(count_max > 0 && bytes_max > 0);
    wl_gathers_t *self = wl_alloc_zero(1, sizeof *self);
    self->count_max = count_max;
    self->bytes_max = bytes_max;
    return self;
}

void wl_gathers_destroy(wl_gathers_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_gather_t *gather = NULL;
    wl_gather_t *next = NULL;
    HASH_ITER(hh, (*self)->all, gather, next) {
        wl_gathers_close(*self, &gather);
    }
    wl_free(*self);
    *self = NULL;
}

wl_gather_t *wl_gathers_open(wl_gathers_t *self, uint32_t frontend, const wl_read_item_t *read,
                             wl_asset_list_t assets, wl_source_t source, uint32_t lines) {
    size_t text = read->filter.count + read->marks.count + read->floors.count;
    size_t bytes = sizeof(wl_gather_t) + text + lines * sizeof(wl_gather_line_t) +
                   assets.count * (sizeof(wl_asset_t) + sizeof(bool));
    for (uint32_t i = 0; i < assets.count; i++) {
        bytes += assets.at[i].extra_bytes;
    }
    if (HASH_COUNT(self->all) >= self->count_max || self->bytes + bytes > self->bytes_max) {
        return NULL;
    }
    wl_gather_t *gather = wl_alloc_zero(1, sizeof *gather);
    gather->number = ++self->opened;
    gather->frontend = frontend;
    gather->read = *read;
    gather->source = source;
    gather->bytes = bytes;
    gather->lines = wl_alloc_zero(lines > 0 ? lines : 1, sizeof *gather->lines);
    gather->text = wl_alloc(text + 1);
    gather_copy_text(gather, read);
    gather->asset_room = assets.count;
    gather->asset_count = assets.count;
    gather->assets = wl_alloc_zero(assets.count + 1, sizeof *gather->assets);
    gather->answered = wl_alloc_zero(assets.count + 1, sizeof *gather->answered);
    for (uint32_t i = 0; i < assets.count; i++) {
        (void)asset_copy(&gather->assets[i], &assets.at[i]);
    }
    self->bytes += bytes;
    HASH_ADD(hh, self->all, number, sizeof gather->number, gather);
    return gather;
}

void wl_gathers_close(wl_gathers_t *self, wl_gather_t **gather) {
    HASH_DEL(self->all, *gather);
    WL_ASSERT(self->bytes >= (*gather)->bytes);
    self->bytes -= (*gather)->bytes;
    gather_free(*gather);
    *gather = NULL;
}

wl_gather_t *wl_gathers_find(wl_gathers_t *self, uint64_t number) {
    wl_gather_t *gather = NULL;
    HASH_FIND(hh, self->all, &number, sizeof number, gather);
    return gather;
}

uint32_t wl_gathers_count(const wl_gathers_t *self) {
    return HASH_COUNT(self->all);
}

void wl_gathers_each(wl_gathers_t *self, void (*visit)(wl_gather_t *gather, void *arg), void *arg) {
    wl_gather_t *gather = NULL;
    wl_gather_t *next = NULL;
    HASH_ITER(hh, self->all, gather, next) {
        visit(gather, arg);
    }
}

/* The copy in the same bucket; asset_count: there is none. */
static uint32_t gather_find(const wl_gather_t *gather, const wl_asset_t *said) {
    uint32_t at = 0;
    while (at < gather->asset_count && (strcmp(gather->assets[at].line, said->line) != 0 ||
                                        strcmp(gather->assets[at].bucket, said->bucket) != 0)) {
        at++;
    }
    return at;
}

bool wl_gather_sane(const wl_gather_t *gather, const wl_line_t *line, wl_asset_list_t said) {
    for (uint32_t i = 0; i < said.count; i++) {
        const wl_asset_t *asset = &said.at[i];
        uint32_t at = gather_find(gather, asset);
        if (asset->uid == gather->read.uid && strcmp(asset->line, line->id) == 0 &&
            at < gather->asset_count && wl_asset_newer(asset, &gather->assets[at]) &&
            wl_asset_step_sane(asset, &gather->assets[at], line, NULL) != WL_OK) {
            return false;
        }
    }
    return true;
}

static void gather_put(wl_gather_t *gather, const wl_asset_t *said) {
    uint32_t at = gather_find(gather, said);
    if (at == gather->asset_count) {
        if (at == gather->asset_room) {
            gather_grow(gather);
        }
        memset(&gather->assets[at], 0, sizeof gather->assets[at]);
        gather->asset_count++;
    } else if (gather->assets[at].version > said->version) {
        return; /* never back to an older version */
    } else {
        gather->bytes -= gather->assets[at].extra == NULL ? 0 : gather->assets[at].extra_bytes;
    }
    gather->bytes += asset_copy(&gather->assets[at], said);
    gather->answered[at] = true;
}

uint32_t wl_gathers_merge(wl_gathers_t *self, wl_gather_t *gather, const char *line_id,
                          wl_asset_list_t said) {
    uint32_t taken = 0;
    self->bytes -= gather->bytes;
    for (uint32_t i = 0; i < said.count; i++) {
        const wl_asset_t *asset = &said.at[i];
        if (asset->uid == gather->read.uid && strcmp(asset->line, line_id) == 0 &&
            !wl_asset_is_consent(asset)) {
            gather_put(gather, asset);
            taken++;
        }
    }
    self->bytes += gather->bytes;
    return taken;
}
