#include "actors/intake_notes.h"

#include "base/clock.h"
#include "domain/asset_rules.h"
#include "proto/notify.h"

#include <string.h>

/* The line of a notification. Without a configuration nobody knows. */
wl_err_t wl_intake_notes_line(const wl_intake_notes_t *self, const msgpack_object *args,
                              const wl_line_t **ret_line, wl_fault_t *fault) {
    char id[WL_LINE_ID_MAX + 1];
    wl_err_t err = wl_notify_line(args, id, fault);
    if (err != WL_OK) {
        return err;
    }
    if (self->config == NULL) {
        return wl_fault(fault, WL_ERR_UNAVAILABLE, "", "no configuration yet");
    }
    const wl_line_t *line = wl_config_line(self->config, id);
    if (line == NULL) {
        return wl_fault(fault, WL_ERR_NOT_FOUND, "line", "line \"%s\" is not configured", id);
    }
    if (line->mode == WL_MODE_LINK) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "line",
                        "line \"%s\" is a link, it holds nothing", id);
    }
    *ret_line = line;
    return WL_OK;
}

wl_err_t wl_intake_notes_changed(wl_intake_notes_t *self, const msgpack_object *args,
                                 uint64_t *ret_count, wl_fault_t *fault) {
    const wl_line_t *line = NULL;
    size_t count = 0;
    wl_err_t err = wl_intake_notes_line(self, args, &line, fault);
    if (err == WL_OK) {
        err = wl_notify_changes(args, self->changes, &count, fault);
    }
    if (err == WL_OK) {
        wl_intake_batch_changes(self->batch, WL_ENTRY_CHANGES, line->id, self->changes, count);
        *ret_count = count;
    }
    return err;
}

/* A payload without a version cannot be ordered against a pull: it only says that something has
 * changed. */
static void notes_add_assets(wl_intake_notes_t *self, const wl_line_t *line, uint32_t count) {
    if (line->versions) {
        wl_intake_batch_assets(self->batch, line->id, self->assets, count);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        self->changes[i] = (wl_change_t){.uid = self->assets[i].uid};
        memcpy(self->changes[i].bucket, self->assets[i].bucket, sizeof self->changes[i].bucket);
    }
    wl_intake_batch_changes(self->batch, WL_ENTRY_CHANGES, line->id, self->changes, count);
}

wl_err_t wl_intake_notes_assets(wl_intake_notes_t *self, const msgpack_object *args,
                                msgpack_zone *zone, uint64_t *ret_count, wl_fault_t *fault) {
    const wl_line_t *line = NULL;
    uint32_t count = 0;
    wl_err_t err = wl_intake_notes_line(self, args, &line, fault);
    if (err == WL_OK) {
        err = wl_notify_assets(args, line->id, zone, self->assets, &count, fault);
    }
    int64_t now = wl_wall_now().ms;
    for (uint32_t i = 0; err == WL_OK && i < count; i++) {
        wl_fault_t inner = {.where = ""};
        self->assets[i].pulled_at = now;
        if (line->versions && wl_asset_valid(&self->assets[i], &inner) != WL_OK) {
            return wl_fault(fault, WL_ERR_BAD_REQUEST, "assets", "assets/%u/%s: %s", i, inner.where,
                            inner.message);
        }
    }
    if (err == WL_OK) {
        notes_add_assets(self, line, count);
        *ret_count = count;
    }
    return err;
}

wl_err_t wl_intake_notes_refresh(wl_intake_notes_t *self, const msgpack_object *args,
                                 uint64_t *ret_count, wl_fault_t *fault) {
    char lines[WL_LINES_MAX][WL_LINE_ID_MAX + 1];
    uint32_t count = 0;
    wl_change_t change = {.version = 0};
    const wl_config_t *config = self->config;
    wl_err_t err = wl_args_uid(args, "uid", &change.uid, fault);
    if (err == WL_OK) {
        err = wl_notify_lines(args, lines, &count, fault);
    }
    if (err == WL_OK && config == NULL) {
        return wl_fault(fault, WL_ERR_UNAVAILABLE, "", "no configuration yet");
    }
    for (uint32_t i = 0; err == WL_OK && i < count; i++) {
        const wl_line_t *line = wl_config_line(config, lines[i]);
        if (line == NULL) {
            return wl_fault(fault, WL_ERR_NOT_FOUND, "lines", "line \"%s\" is not configured",
                            lines[i]);
        }
        if (line->mode == WL_MODE_LINK) {
            return wl_fault(fault, WL_ERR_BAD_REQUEST, "lines",
                            "lines/%u: \"%s\" is a link, it holds nothing", i, lines[i]);
        }
    }
    for (uint32_t i = 0; err == WL_OK && count == 0 && i < config->line_count; i++) {
        if (config->lines[i].mode == WL_MODE_SYNC) {
            wl_intake_batch_changes(self->batch, WL_ENTRY_REFRESH, config->lines[i].id, &change, 1);
            *ret_count += 1;
        }
    }
    for (uint32_t i = 0; err == WL_OK && i < count; i++) {
        wl_intake_batch_changes(self->batch, WL_ENTRY_REFRESH, lines[i], &change, 1);
        *ret_count += 1;
    }
    return err;
}
