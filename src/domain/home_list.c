#include "domain/asset_rules.h"
#include "domain/home.h"
#include "domain/home_pack.h"

#include <string.h>

/* wallet.assets and wallet.balance: records in the order in which they are stored, not bounded by
 * WL_USER_ASSETS_MAX. Written twice over the same walk: once to count, once to write. */
typedef struct {
    const wl_home_view_t *view;
    msgpack_sbuffer *into; /* NULL: only count */
    uint32_t count;
    wl_home_facts_t facts;
    bool listed[WL_LINES_MAX];   /* by the filter */
    bool there[WL_LINES_MAX];    /* it has a record */
    bool doubtful[WL_LINES_MAX]; /* something of it was shown as stale, or not as an amount */
} list_t;

static void list_open(list_t *self, const wl_home_view_t *view) {
    self->view = view;
    self->into = NULL;
    wl_home_facts(&self->facts, view);
    for (uint32_t i = 0; i < view->config->line_count; i++) {
        self->listed[i] = wl_home_listed(view, view->config->lines[i].id);
        self->there[i] = false;
        self->doubtful[i] = false;
    }
}

static void list_asset(list_t *self, uint32_t at) {
    const wl_home_view_t *view = self->view;
    const wl_asset_t *asset = &view->assets[at];
    if (asset->state == WL_STATE_GONE || wl_home_consent(asset)) {
        return;
    }
    int line = wl_config_line_index(view->config, asset->line);
    bool listed = line < 0 ? wl_home_listed(view, asset->line)
                           : self->listed[line] && !self->facts.barred[line];
    if (!listed || (line < 0 && wl_home_unseen(view, asset))) {
        return;
    }
    self->count++;
    if (line >= 0) {
        self->there[line] = true;
    }
    if (self->into == NULL) {
        return;
    }
    /* nobody keeps a forgotten line fresh */
    wl_home_shown_t shown = {WL_FRESHNESS_STALE, view->source, true, false};
    if (line >= 0) {
        shown = wl_home_shown(&self->facts, (uint32_t)line, asset->pulled_at,
                              view->answered != NULL && view->answered[at]);
        self->doubtful[line] =
            self->doubtful[line] || !shown.known || shown.freshness == WL_FRESHNESS_STALE;
    }
    wl_pack_asset(self->into, asset, wl_asset_state_at(asset, view->now), &shown);
}

/* A line without a record of which there is something to say all the same. */
static void list_nothing(list_t *self, uint32_t line) {
    const wl_home_view_t *view = self->view;
    const wl_line_t *given = &view->config->lines[line];
    bool said = view->shows == WL_SHOWS_BALANCE || self->facts.barred[line] ||
                self->facts.below[line] || wl_home_asked(view, line) == WL_ASKED_FAILED ||
                (given->mode != WL_MODE_LINK && self->facts.marks[line] != WL_MARK_NONE) ||
                (given->mode == WL_MODE_LIVE && wl_home_sick(view, line));
    if (!self->listed[line] || self->there[line] || !said) {
        return;
    }
    self->count++;
    if (self->into != NULL && given->mode == WL_MODE_LINK) {
        wl_pack_link(self->into, given, view->source);
    } else if (self->into != NULL) {
        wl_home_shown_t shown = wl_home_shown_nothing(&self->facts, line);
        wl_pack_nothing(self->into, given, &shown);
    }
}

static void list_walk(list_t *self) {
    self->count = 0;
    for (uint32_t i = 0; i < self->view->asset_count; i++) {
        list_asset(self, i);
    }
    for (uint32_t i = 0; i < self->view->config->line_count; i++) {
        list_nothing(self, i);
    }
}

static void list_pack(list_t *self, msgpack_sbuffer *into) {
    list_walk(self);
    WL_PACK_KEY(into, "uid");
    wl_pack_u64(into, self->view->uid);
    WL_PACK_KEY(into, "assets");
    wl_pack_array(into, self->count);
    self->into = into;
    list_walk(self);
}

void wl_assets_write(const wl_home_view_t *view, msgpack_sbuffer *into) {
    list_t self;
    list_open(&self, view);
    wl_pack_map(into, 2 + wl_pack_variant_keys(view->candidate));
    list_pack(&self, into);
    wl_pack_variant(into, view->candidate);
}

void wl_balance_write(const wl_home_view_t *view, msgpack_sbuffer *into) {
    const wl_config_t *config = view->config;
    list_t self;
    list_open(&self, view);
    wl_pack_map(into, 3 + wl_pack_variant_keys(view->candidate));
    list_pack(&self, into);
    uint32_t count = 0;
    uint32_t degraded[WL_LINES_MAX];
    for (uint32_t i = 0; i < config->line_count; i++) {
        if (self.listed[i] && (self.doubtful[i] || wl_home_degraded(&self.facts, i))) {
            degraded[count++] = i;
        }
    }
    WL_PACK_KEY(into, "degraded");
    wl_pack_array(into, count);
    for (uint32_t i = 0; i < count; i++) {
        wl_pack_text(into, config->lines[degraded[i]].id);
    }
    wl_pack_variant(into, view->candidate);
}
