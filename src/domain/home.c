#include "domain/home.h"

#include "base/alloc.h"
#include "base/check.h"
#include "domain/asset_rules.h"
#include "domain/home_pack.h"

#include <string.h>

/* One pass over the assets sorts them by line; everything after it walks short chains.
 *
 *     first[line] -> live[i] -> live[next[i]] -> NONE       in the order of view->assets
 */
enum { NONE = -1 };

typedef struct {
    const wl_home_view_t *view;
    msgpack_sbuffer *into;
    uint32_t live_count;
    const wl_asset_t *live[WL_USER_ASSETS_MAX]; /* no tombstones, known lines only */
    int16_t next[WL_USER_ASSETS_MAX];           /* the next one of the same line */
    int16_t first[WL_LINES_MAX];                /* per line */
    uint8_t marks[WL_LINES_MAX];                /* wl_mark_state_t per line */
    bool shown[WL_LINES_MAX];                   /* the line is on the page */
} home_t;

static_assert(WL_USER_ASSETS_MAX <= INT16_MAX, "chains are linked by int16");

static bool home_sick(const wl_home_view_t *view, uint32_t line) {
    return view->sick != NULL && view->sick[line];
}

static wl_mark_state_t home_mark(const wl_home_view_t *view, const char *line_id) {
    return view->marks_bytes == 0 ? WL_MARK_NONE
                                  : wl_marks_text_get(view->marks, view->marks_bytes, line_id);
}

/* Sorts the assets by line. The store keeps a user within WL_USER_ASSETS_MAX; a copy that breaks
 * the bound all the same is cut, and its line is marked as failing: labelled, never passed for the
 * truth. */
static void home_open(home_t *self, const wl_home_view_t *view, msgpack_sbuffer *into) {
    const wl_config_t *config = view->config;
    self->view = view;
    self->into = into;
    self->live_count = 0;
    for (uint32_t i = 0; i < config->line_count; i++) {
        self->first[i] = NONE;
        self->marks[i] = (uint8_t)home_mark(view, config->lines[i].id);
        self->shown[i] = false;
    }
    int line = -1;
    for (uint32_t i = view->asset_count; i-- > 0;) { /* backwards: each goes to the head */
        const wl_asset_t *asset = &view->assets[i];
        if (asset->state == WL_STATE_GONE) {
            continue;
        }
        if (line < 0 || strcmp(config->lines[line].id, asset->line) != 0) {
            line = wl_config_line_index(config, asset->line);
        }
        if (line < 0) {
            continue;
        }
        if (self->live_count == WL_USER_ASSETS_MAX) {
            self->marks[line] = WL_MARK_FAILING;
            continue;
        }
        int16_t index = (int16_t)self->live_count++;
        self->live[index] = asset;
        self->next[index] = self->first[line];
        self->first[line] = index;
    }
}

/* A copy without a plausible time counts as old. */
static bool pulled_long_ago(const wl_line_t *line, int64_t pulled_at, wl_wall_ms_t now) {
    int64_t age = 0;
    if (line->mode != WL_MODE_SYNC || line->fresh_ms == 0) {
        return false;
    }
    return __builtin_sub_overflow(now.ms, pulled_at, &age) ||
           (age > 0 && (uint64_t)age > line->fresh_ms);
}

static wl_freshness_t home_freshness(const home_t *self, uint32_t line, int64_t pulled_at) {
    const wl_home_view_t *view = self->view;
    if (home_sick(view, line) || self->marks[line] == WL_MARK_FAILING) {
        return WL_FRESHNESS_STALE;
    }
    bool coming = self->marks[line] == WL_MARK_PENDING ||
                  pulled_long_ago(&view->config->lines[line], pulled_at, view->now);
    return coming ? WL_FRESHNESS_REFRESHING : WL_FRESHNESS_FRESH;
}

static wl_freshness_t home_freshness_of_nothing(const home_t *self, uint32_t line) {
    return self->marks[line] == WL_MARK_PENDING ? WL_FRESHNESS_REFRESHING : WL_FRESHNESS_MISSING;
}

bool wl_home_has_assets(const wl_home_view_t *view) {
    for (uint32_t i = 0; i < view->asset_count; i++) {
        const wl_asset_t *asset = &view->assets[i];
        if (asset->amount == 0 && asset->pending == 0 && asset->count == 0) {
            continue;
        }
        wl_state_t state = wl_asset_state_at(asset, view->now);
        if (state != WL_STATE_GONE && state != WL_STATE_EXPIRED) {
            return true;
        }
    }
    return false;
}

/* golden slots */

/* Adds up the available buckets of a line. Only equal units add: a record from before a change of
 * the line's unit or scale makes the sum unknown, as an overflow does. */
static void golden_sum(const home_t *self, uint32_t line_index, wl_pack_golden_t *slot) {
    const wl_line_t *line = &self->view->config->lines[line_index];
    bool exact = true;
    slot->as_of = INT64_MAX;
    for (int at = self->first[line_index]; at != NONE; at = self->next[at]) {
        const wl_asset_t *asset = self->live[at];
        slot->version = asset->version > slot->version ? asset->version : slot->version;
        slot->as_of = asset->pulled_at < slot->as_of ? asset->pulled_at : slot->as_of;
        if (wl_asset_state_at(asset, self->view->now) != WL_STATE_AVAILABLE) {
            continue;
        }
        slot->count += asset->count;
        exact = exact && asset->scale == line->scale && strcmp(asset->unit, line->unit) == 0 &&
                wl_amount_add(&slot->amount, asset->amount) == WL_OK &&
                wl_amount_add(&slot->pending, asset->pending) == WL_OK;
    }
    slot->known = exact;
}

static void golden_pack_slot(home_t *self, uint32_t position) {
    const wl_golden_slot_t *given = &self->view->config->golden[position];
    wl_pack_golden_t slot = {
        .position = position + 1,
        .line = "",
        .title = "",
        .link = "",
        .kind = "",
        .unit = "",
        .freshness = WL_FRESHNESS_MISSING,
    };
    if (given->used) {
        const wl_line_t *line = &self->view->config->lines[given->line_index];
        self->shown[given->line_index] = true;
        slot.line = line->id;
        slot.title = given->title;
        slot.link = given->link;
        slot.kind = wl_kind_name(line->kind);
        slot.unit = line->unit;
        slot.scale = line->scale;
        slot.there = self->first[given->line_index] != NONE;
        if (slot.there) {
            golden_sum(self, given->line_index, &slot);
            slot.freshness = home_freshness(self, given->line_index, slot.as_of);
        } else {
            slot.freshness = home_freshness_of_nothing(self, given->line_index);
        }
    }
    wl_pack_golden(self->into, &slot, self->view->source);
}

static void home_pack_golden(home_t *self) {
    WL_PACK_KEY(self->into, "golden");
    wl_pack_array(self->into, WL_GOLDEN_SLOTS);
    for (uint32_t i = 0; i < WL_GOLDEN_SLOTS; i++) {
        golden_pack_slot(self, i);
    }
}

static void home_pack_user(home_t *self) {
    WL_PACK_KEY(self->into, "uid");
    wl_pack_u64(self->into, self->view->uid);
    WL_PACK_KEY(self->into, "has_assets");
    wl_pack_bool(self->into, wl_home_has_assets(self->view));
}

void wl_golden_write(const wl_home_view_t *view, msgpack_sbuffer *into) {
    home_t self;
    home_open(&self, view, into);
    wl_pack_map(into, 3);
    home_pack_user(&self);
    home_pack_golden(&self);
}

/* sections */

static void section_pack_items(home_t *self, const wl_section_t *section) {
    const wl_home_view_t *view = self->view;
    uint32_t count = 0;
    for (uint32_t i = 0; i < section->line_count; i++) {
        int at = self->first[section->line_indexes[i]];
        count += at == NONE; /* one that says so */
        for (; at != NONE; at = self->next[at]) {
            count++;
        }
    }
    WL_PACK_KEY(self->into, "items");
    wl_pack_array(self->into, count);
    for (uint32_t i = 0; i < section->line_count; i++) {
        uint32_t index = section->line_indexes[i];
        const wl_line_t *line = &view->config->lines[index];
        self->shown[index] = true;
        if (line->mode == WL_MODE_LINK) {
            wl_pack_link(self->into, line, view->source);
            continue;
        }
        if (self->first[index] == NONE) {
            wl_pack_nothing(self->into, line, view->source, home_freshness_of_nothing(self, index));
        }
        for (int at = self->first[index]; at != NONE; at = self->next[at]) {
            const wl_asset_t *asset = self->live[at];
            wl_pack_asset(self->into, asset, wl_asset_state_at(asset, view->now), view->source,
                          home_freshness(self, index, asset->pulled_at));
        }
    }
}

/* Adds an asset to the total of its unit and scale, starting one when it is the first. */
static uint32_t totals_add(wl_pack_total_t *totals, uint32_t count, const wl_asset_t *asset) {
    uint32_t at = 0;
    while (at < count &&
           (totals[at].scale != asset->scale || strcmp(totals[at].unit, asset->unit) != 0)) {
        at++;
    }
    wl_pack_total_t *total = &totals[at];
    if (at == count) {
        *total = (wl_pack_total_t){.unit = asset->unit, .scale = asset->scale};
        count++;
    }
    total->count += asset->count;
    total->overflow = total->overflow || wl_amount_add(&total->amount, asset->amount) != WL_OK ||
                      wl_amount_add(&total->pending, asset->pending) != WL_OK;
    return count;
}

static void section_pack_totals(home_t *self, const wl_section_t *section) {
    wl_pack_total_t totals[WL_USER_ASSETS_MAX]; /* every asset may have a unit of its own */
    uint32_t count = 0;
    for (uint32_t i = 0; i < section->line_count; i++) {
        for (int at = self->first[section->line_indexes[i]]; at != NONE; at = self->next[at]) {
            if (wl_asset_state_at(self->live[at], self->view->now) == WL_STATE_AVAILABLE) {
                count = totals_add(totals, count, self->live[at]);
            }
        }
    }
    WL_PACK_KEY(self->into, "totals");
    wl_pack_array(self->into, count);
    for (uint32_t i = 0; i < count; i++) {
        wl_pack_total(self->into, &totals[i]);
    }
}

static void home_pack_sections(home_t *self) {
    const wl_config_t *config = self->view->config;
    WL_PACK_KEY(self->into, "sections");
    wl_pack_array(self->into, config->section_count);
    for (uint32_t i = 0; i < config->section_count; i++) {
        const wl_section_t *section = &config->sections[i];
        wl_pack_map(self->into, 4);
        WL_PACK_KEY(self->into, "kind");
        wl_pack_text(self->into, wl_kind_name(section->kind));
        WL_PACK_KEY(self->into, "title");
        wl_pack_text(self->into, section->title);
        section_pack_items(self, section);
        section_pack_totals(self, section);
    }
}

/* Lines on the page whose copies cannot be trusted to be the newest, whatever they show. */
static void home_pack_degraded(home_t *self) {
    const wl_config_t *config = self->view->config;
    uint32_t degraded[WL_LINES_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < config->line_count; i++) {
        bool bad = home_sick(self->view, i) || self->marks[i] == WL_MARK_FAILING;
        if (self->shown[i] && bad && config->lines[i].mode != WL_MODE_LINK) {
            degraded[count++] = i;
        }
    }
    WL_PACK_KEY(self->into, "degraded");
    wl_pack_array(self->into, count);
    for (uint32_t i = 0; i < count; i++) {
        wl_pack_text(self->into, config->lines[degraded[i]].id);
    }
}

void wl_home_write(const wl_home_view_t *view, msgpack_sbuffer *into) {
    home_t self;
    home_open(&self, view, into);
    wl_pack_map(into, 6);
    home_pack_user(&self);
    home_pack_golden(&self);
    home_pack_sections(&self);
    home_pack_degraded(&self);
    WL_PACK_KEY(into, "config_version");
    wl_pack_text(into, view->config->version);
}

/* all assets */

/* Is the line among the ids of "cash,coin,"? */
static bool filter_has(const wl_home_view_t *view, const char *line_id) {
    if (view->filter == NULL || view->filter_bytes == 0) {
        return true;
    }
    size_t id_bytes = strlen(line_id);
    const char *at = view->filter;
    const char *end = view->filter + view->filter_bytes;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma == NULL ? end : comma;
        if ((size_t)(stop - at) == id_bytes && memcmp(at, line_id, id_bytes) == 0) {
            return true;
        }
        at = stop + 1;
    }
    return false;
}

static bool asset_listed(const wl_home_view_t *view, const wl_asset_t *asset) {
    return asset->state != WL_STATE_GONE && filter_has(view, asset->line);
}

/* Not bounded by WL_USER_ASSETS_MAX, so it needs no chains. */
void wl_assets_write(const wl_home_view_t *view, msgpack_sbuffer *into) {
    home_t self;
    wl_home_view_t bare = *view;
    bare.asset_count = 0;
    home_open(&self, &bare, into);
    uint32_t count = 0;
    for (uint32_t i = 0; i < view->asset_count; i++) {
        count += asset_listed(view, &view->assets[i]);
    }
    wl_pack_map(into, 2);
    WL_PACK_KEY(into, "uid");
    wl_pack_u64(into, view->uid);
    WL_PACK_KEY(into, "assets");
    wl_pack_array(into, count);
    for (uint32_t i = 0; i < view->asset_count; i++) {
        const wl_asset_t *asset = &view->assets[i];
        if (!asset_listed(view, asset)) {
            continue;
        }
        int line = wl_config_line_index(view->config, asset->line);
        wl_freshness_t freshness =
            line < 0 ? WL_FRESHNESS_STALE /* nobody keeps a forgotten line fresh */
                     : home_freshness(&self, (uint32_t)line, asset->pulled_at);
        wl_pack_asset(into, asset, wl_asset_state_at(asset, view->now), view->source, freshness);
    }
}

/* pull on entry */

void wl_home_each_old(const wl_home_view_t *view, void (*tell)(const wl_line_t *line, void *arg),
                      void *arg) {
    const wl_config_t *config = view->config;
    bool told[WL_LINES_MAX] = {false};
    for (uint32_t i = 0; i < view->asset_count; i++) {
        const wl_asset_t *asset = &view->assets[i];
        if (asset->state == WL_STATE_GONE) {
            continue;
        }
        int line = wl_config_line_index(config, asset->line);
        if (line < 0 || told[line] ||
            !pulled_long_ago(&config->lines[line], asset->pulled_at, view->now) ||
            home_sick(view, (uint32_t)line) ||
            home_mark(view, config->lines[line].id) == WL_MARK_FAILING) {
            continue;
        }
        told[line] = true;
        tell(&config->lines[line], arg);
    }
}
