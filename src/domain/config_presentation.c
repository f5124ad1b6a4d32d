#include "domain/config_parts.h"

#include <string.h>

/* Finds a line that the presentation names; key as in wl_config_reader_fault(). */
static wl_err_t line_resolve(wl_config_reader_t *reader, const wl_config_t *config,
                             const char *line_id, const char *key, uint32_t *ret_index) {
    int index = wl_config_line_index(config, line_id);
    if (index >= 0) {
        *ret_index = (uint32_t)index;
        return WL_OK;
    }
    wl_config_guess_t guess = {0};
    for (uint32_t i = 0; i < config->line_count; i++) {
        wl_config_guess(&guess, line_id, config->lines[i].id);
    }
    char shown[WL_CONFIG_SHOWN_MAX + 1];
    (void)wl_config_shown(line_id, shown);
    if (guess.nearest == NULL) {
        return wl_config_reader_fault(reader, key, "there is no line \"%s\"", shown);
    }
    return wl_config_reader_fault(reader, key, "there is no line \"%s\", did you mean \"%s\"?",
                                  shown, guess.nearest);
}

static wl_err_t golden_read_slot(wl_config_reader_t *reader, const json_t *value,
                                 wl_config_t *config, size_t position) {
    wl_golden_slot_t *slot = &config->golden[position];
    wl_err_t err = wl_config_reader_object(reader, value, WL_CONFIG_GOLDEN, slot);
    if (err != WL_OK) {
        return err;
    }
    err = line_resolve(reader, config, slot->line, "line", &slot->line_index);
    if (err != WL_OK) {
        return err;
    }
    const wl_line_t *line = &config->lines[slot->line_index];
    if (line->mode != WL_MODE_SYNC) {
        return wl_config_reader_fault(reader, "line",
                                      "\"%s\" has mode %s: golden slots show sync lines only",
                                      line->id, wl_mode_name(line->mode));
    }
    for (size_t i = 0; i < position; i++) {
        if (config->golden[i].used && config->golden[i].line_index == slot->line_index) {
            return wl_config_reader_fault(reader, "line", "\"%s\" already fills position %zu",
                                          line->id, i + 1);
        }
    }
    if (slot->title[0] == '\0') {
        memcpy(slot->title, line->title, sizeof slot->title);
    }
    slot->used = true;
    return WL_OK;
}

static wl_err_t golden_read(wl_config_reader_t *reader, wl_config_t *config) {
    const json_t *golden = json_object_get(reader->root, "golden");
    size_t position = 0;
    const json_t *value = NULL;
    wl_config_reader_enter(reader, "golden");
    json_array_foreach(golden, position, value) {
        if (json_is_null(value)) {
            continue;
        }
        wl_config_reader_enter_index(reader, position);
        wl_err_t err = golden_read_slot(reader, value, config, position);
        wl_config_reader_leave(reader);
        if (err != WL_OK) {
            return err;
        }
    }
    wl_config_reader_leave(reader);
    return WL_OK;
}

/* One line id of a section. taken[line] = 1 + the section that already lists the line. */
static wl_err_t section_add(wl_config_reader_t *reader, const json_t *value, wl_config_t *config,
                            uint32_t section_index, uint32_t taken[WL_LINES_MAX]) {
    wl_section_t *section = &config->sections[section_index];
    if (!json_is_string(value)) {
        return wl_config_reader_fault(reader, NULL, "must be a line id");
    }
    uint32_t index = 0;
    wl_err_t err = line_resolve(reader, config, json_string_value(value), NULL, &index);
    if (err != WL_OK) {
        return err;
    }
    const wl_line_t *line = &config->lines[index];
    if (line->kind != section->kind) {
        return wl_config_reader_fault(reader, NULL, "\"%s\" is of kind %s, the section of kind %s",
                                      line->id, wl_kind_name(line->kind),
                                      wl_kind_name(section->kind));
    }
    if (taken[index] != 0) {
        return wl_config_reader_fault(reader, NULL, "\"%s\" is already in section %u", line->id,
                                      taken[index] - 1);
    }
    taken[index] = section_index + 1;
    section->line_indexes[section->line_count++] = index;
    return WL_OK;
}

static wl_err_t section_read(wl_config_reader_t *reader, const json_t *value, wl_config_t *config,
                             uint32_t section_index, uint32_t taken[WL_LINES_MAX]) {
    wl_err_t err =
        wl_config_reader_object(reader, value, WL_CONFIG_SECTION, &config->sections[section_index]);
    if (err != WL_OK) {
        return err;
    }
    size_t at = 0;
    const json_t *line = NULL;
    wl_config_reader_enter(reader, "lines");
    json_array_foreach(json_object_get(value, "lines"), at, line) {
        wl_config_reader_enter_index(reader, at);
        err = section_add(reader, line, config, section_index, taken);
        wl_config_reader_leave(reader);
        if (err != WL_OK) {
            return err;
        }
    }
    wl_config_reader_leave(reader);
    return WL_OK;
}

static wl_err_t sections_read(wl_config_reader_t *reader, wl_config_t *config) {
    uint32_t taken[WL_LINES_MAX] = {0};
    size_t at = 0;
    const json_t *value = NULL;
    wl_config_reader_enter(reader, "sections");
    json_array_foreach(json_object_get(reader->root, "sections"), at, value) {
        wl_config_reader_enter_index(reader, at);
        wl_err_t err = section_read(reader, value, config, (uint32_t)at, taken);
        wl_config_reader_leave(reader);
        if (err != WL_OK) {
            return err;
        }
        config->section_count++;
    }
    wl_config_reader_leave(reader);
    return WL_OK;
}

wl_err_t wl_config_presentation_read(wl_config_reader_t *reader, wl_config_t *config,
                                     uint64_t *ret_version) {
    wl_config_top_t top = {0};
    wl_err_t err = wl_config_reader_object(reader, reader->root, WL_CONFIG_PRESENTATION, &top);
    if (err == WL_OK) {
        err = golden_read(reader, config);
    }
    if (err == WL_OK) {
        err = sections_read(reader, config);
    }
    if (err == WL_OK) {
        *ret_version = top.version;
    }
    return err;
}
