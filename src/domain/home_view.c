#include "domain/home_view.h"

#include "domain/asset_rules.h"
#include "domain/floors.h"

#include <string.h>

wl_asked_t wl_home_asked(const wl_home_view_t *view, uint32_t line) {
    return view->asked == NULL ? WL_ASKED_NOT : (wl_asked_t)view->asked[line];
}

bool wl_home_sick(const wl_home_view_t *view, uint32_t line) {
    return view->sick != NULL && view->sick[line];
}

bool wl_home_listed(const wl_home_view_t *view, const char *line_id) {
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

bool wl_home_consented(const wl_home_view_t *view, uint32_t line) {
    const wl_line_t *given = &view->config->lines[line];
    if (!given->consent) {
        return true;
    }
    for (uint32_t i = 0; i < view->asset_count; i++) {
        const wl_asset_t *asset = &view->assets[i];
        if (wl_home_consent(asset) && strcmp(asset->line, given->id) == 0) {
            return wl_asset_state_at(asset, view->now) == WL_STATE_AVAILABLE;
        }
    }
    return false;
}

/* ---- facts ---------------------------------------------------------------------------------- */

/* The newest version of a line that the assets have, tombstones included. */
static uint64_t view_version(const wl_home_view_t *view, const char *line_id) {
    uint64_t newest = 0;
    for (uint32_t i = 0; i < view->asset_count; i++) {
        const wl_asset_t *asset = &view->assets[i];
        if (asset->version > newest && strcmp(asset->line, line_id) == 0 &&
            !wl_home_consent(asset)) {
            newest = asset->version;
        }
    }
    return newest;
}

static void facts_of_line(wl_home_facts_t *self, uint32_t index) {
    const wl_home_view_t *view = self->view;
    const char *id = view->config->lines[index].id;
    if (view->marks_bytes > 0) {
        self->marks[index] = (uint8_t)wl_marks_text_get(view->marks, view->marks_bytes, id);
    }
    self->barred[index] =
        view->config->consents &&
        (wl_home_asked(view, index) == WL_ASKED_BARRED || !wl_home_consented(view, index));
    if (view->floors_bytes > 0) {
        uint64_t floor = wl_floors_get(view->floors, view->floors_bytes, id);
        self->below[index] = floor > 0 && view_version(view, id) < floor;
    }
    self->plain[index] = self->marks[index] == WL_MARK_NONE && !self->barred[index] &&
                         !self->below[index] && !wl_home_sick(view, index) &&
                         wl_home_asked(view, index) == WL_ASKED_NOT;
}

void wl_home_facts(wl_home_facts_t *self, const wl_home_view_t *view) {
    const wl_config_t *config = view->config;
    size_t count = config->line_count;
    static_assert(WL_MARK_NONE == 0, "cleared marks are none");
    self->view = view;
    memset(self->marks, 0, count);
    memset(self->below, 0, count);
    memset(self->barred, 0, count);
    for (uint32_t i = 0; i < count; i++) {
        self->plain[i] = !wl_home_sick(view, i);
    }
    if (view->marks_bytes == 0 && view->floors_bytes == 0 && view->asked == NULL &&
        !config->consents) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        facts_of_line(self, i);
    }
}

/* ---- what is shown -------------------------------------------------------------------------- */

/* What is known of the record that line `line` said for this answer, or that has to do without. */
static wl_freshness_t facts_freshness(const wl_home_facts_t *self, uint32_t line, int64_t pulled_at,
                                      bool answered) {
    const wl_home_view_t *view = self->view;
    if (answered) {
        return self->below[line] ? WL_FRESHNESS_REFRESHING : WL_FRESHNESS_FRESH;
    }
    wl_asked_t asked = wl_home_asked(view, line);
    if (asked != WL_ASKED_NOT || wl_home_sick(view, line) || self->marks[line] == WL_MARK_FAILING) {
        return WL_FRESHNESS_STALE;
    }
    bool coming = self->marks[line] == WL_MARK_PENDING || self->below[line] ||
                  wl_home_older(&view->config->lines[line], pulled_at, 0, view->now);
    return coming ? WL_FRESHNESS_REFRESHING : WL_FRESHNESS_FRESH;
}

wl_home_shown_t wl_home_shown(const wl_home_facts_t *self, uint32_t line, int64_t pulled_at,
                              bool answered) {
    const wl_home_view_t *view = self->view;
    const wl_line_t *given = &view->config->lines[line];
    wl_home_shown_t shown = {.source = answered ? WL_SOURCE_LINE : view->source, .known = true};
    if (self->barred[line]) {
        return (wl_home_shown_t){.freshness = WL_FRESHNESS_UNAUTHORIZED, .source = view->source};
    }
    shown.freshness = facts_freshness(self, line, pulled_at, answered);
    bool stale = shown.freshness == WL_FRESHNESS_STALE;
    if (stale && (given->mode == WL_MODE_LIVE || given->must_revalidate ||
                  wl_home_asked(view, line) != WL_ASKED_NOT)) {
        shown.source = WL_SOURCE_LAST_GOOD;
    }
    if (stale && given->sie_ms > 0 && wl_home_older(given, pulled_at, given->sie_ms, view->now)) {
        shown.freshness = WL_FRESHNESS_MISSING;
        shown.known = false;
    } else if (given->must_revalidate && shown.freshness != WL_FRESHNESS_FRESH) {
        shown.freshness = WL_FRESHNESS_STALE;
        shown.known = false;
        shown.last_good = true;
    }
    return shown;
}

wl_home_shown_t wl_home_shown_nothing(const wl_home_facts_t *self, uint32_t line) {
    wl_asked_t asked = wl_home_asked(self->view, line);
    wl_home_shown_t shown = {.freshness = WL_FRESHNESS_MISSING, .source = self->view->source};
    if (self->barred[line]) {
        shown.freshness = WL_FRESHNESS_UNAUTHORIZED;
    } else if (asked == WL_ASKED_OK || asked == WL_ASKED_NOTHING) {
        shown.source = WL_SOURCE_LINE;
        shown.freshness = self->below[line] ? WL_FRESHNESS_REFRESHING : WL_FRESHNESS_MISSING;
    } else if (asked == WL_ASKED_NOT &&
               (self->marks[line] == WL_MARK_PENDING || self->below[line])) {
        shown.freshness = WL_FRESHNESS_REFRESHING;
    }
    return shown;
}

bool wl_home_degraded(const wl_home_facts_t *self, uint32_t line) {
    const wl_home_view_t *view = self->view;
    wl_asked_t asked = wl_home_asked(view, line);
    if (view->config->lines[line].mode == WL_MODE_LINK || self->barred[line]) {
        return false;
    }
    if (asked == WL_ASKED_OK || asked == WL_ASKED_NOTHING) {
        return self->below[line];
    }
    return asked == WL_ASKED_FAILED || self->below[line] || wl_home_sick(view, line) ||
           self->marks[line] == WL_MARK_FAILING;
}
