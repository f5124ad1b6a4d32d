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

/* ---- campaigns ------------------------------------------------------------------------------ */

/* What the place of a campaign asks of its line; faults are at "line". */
typedef wl_err_t (*campaign_check_t)(wl_config_reader_t *reader, const wl_config_t *config,
                                     uint32_t line_index, void *arg);

static wl_err_t campaign_read(wl_config_reader_t *reader, const json_t *value, wl_config_t *config,
                              wl_config_object_t object, wl_campaign_t *campaign) {
    wl_err_t err = wl_config_reader_object(reader, value, object, campaign);
    if (err == WL_OK) {
        err = line_resolve(reader, config, campaign->line, "line", &campaign->line_index);
    }
    if (err != WL_OK) {
        return err;
    }
    for (uint32_t i = 0; i < config->campaign_count; i++) {
        if (strcmp(config->campaigns[i].id, campaign->id) == 0) {
            return wl_config_reader_fault(reader, "id", "\"%s\" is another campaign's id",
                                          campaign->id);
        }
    }
    if (campaign->end <= campaign->start) {
        return wl_config_reader_fault(reader, "end", "must be after start");
    }
    const wl_line_t *line = &config->lines[campaign->line_index];
    if (line->mode == WL_MODE_LINK && (campaign->unless & 1u << WL_UNLESS_EMPTY) != 0) {
        return wl_config_reader_fault(reader, "unless",
                                      "\"%s\" is a link: nobody has anything there", line->id);
    }
    if (campaign->title[0] == '\0') {
        memcpy(campaign->title, line->title, sizeof campaign->title);
    }
    return WL_OK;
}

/* Puts the last campaign before those of a lower priority, from `first` on. */
static void campaign_rank(wl_config_t *config, uint32_t first) {
    uint32_t at = config->campaign_count - 1;
    wl_campaign_t moved;
    memcpy(&moved, &config->campaigns[at], sizeof moved);
    while (at > first && config->campaigns[at - 1].priority < moved.priority) {
        memcpy(&config->campaigns[at], &config->campaigns[at - 1], sizeof moved);
        at--;
    }
    memcpy(&config->campaigns[at], &moved, sizeof moved);
}

/* Reads the "campaigns" of a slot or section behind those that are there. */
static wl_err_t campaigns_read(wl_config_reader_t *reader, const json_t *owner, wl_config_t *config,
                               wl_config_object_t object, campaign_check_t check, void *arg) {
    uint32_t first = config->campaign_count;
    size_t at = 0;
    const json_t *value = NULL;
    wl_err_t err = WL_OK;
    wl_config_reader_enter(reader, "campaigns");
    json_array_foreach(json_object_get(owner, "campaigns"), at, value) {
        wl_campaign_t *campaign = &config->campaigns[config->campaign_count];
        wl_config_reader_enter_index(reader, at);
        err = campaign_read(reader, value, config, object, campaign);
        if (err == WL_OK) {
            err = check(reader, config, campaign->line_index, arg);
        }
        wl_config_reader_leave(reader);
        if (err != WL_OK) {
            break;
        }
        config->campaign_count++;
        campaign_rank(config, first);
    }
    wl_config_reader_leave(reader);
    return err;
}

/* ---- golden slots --------------------------------------------------------------------------- */

typedef struct {
    uint32_t position;
    uint32_t taken[WL_LINES_MAX]; /* 1 + the position that the line may fill */
} golden_t;

static wl_err_t golden_check(wl_config_reader_t *reader, const wl_config_t *config,
                             uint32_t line_index, void *arg) {
    golden_t *self = arg;
    const wl_line_t *line = &config->lines[line_index];
    if (line->mode != WL_MODE_SYNC) {
        return wl_config_reader_fault(reader, "line",
                                      "\"%s\" has mode %s: golden slots show sync lines only",
                                      line->id, wl_mode_name(line->mode));
    }
    uint32_t mine = self->position + 1;
    if (self->taken[line_index] != 0 && self->taken[line_index] != mine) {
        return wl_config_reader_fault(reader, "line", "\"%s\" already fills position %u", line->id,
                                      self->taken[line_index]);
    }
    self->taken[line_index] = mine;
    return WL_OK;
}

static wl_err_t golden_read_slot(wl_config_reader_t *reader, const json_t *value,
                                 wl_config_t *config, golden_t *golden) {
    wl_golden_slot_t *slot = &config->golden[golden->position];
    wl_err_t err = wl_config_reader_object(reader, value, WL_CONFIG_GOLDEN, slot);
    if (err != WL_OK) {
        return err;
    }
    err = line_resolve(reader, config, slot->line, "line", &slot->line_index);
    if (err != WL_OK) {
        return err;
    }
    err = golden_check(reader, config, slot->line_index, golden);
    if (err != WL_OK) {
        return err;
    }
    if (slot->title[0] == '\0') {
        memcpy(slot->title, config->lines[slot->line_index].title, sizeof slot->title);
    }
    slot->used = true;
    slot->campaign_first = config->campaign_count;
    err = campaigns_read(reader, value, config, WL_CONFIG_GOLDEN_CAMPAIGN, golden_check, golden);
    slot->campaign_count = config->campaign_count - slot->campaign_first;
    return err;
}

static wl_err_t golden_read(wl_config_reader_t *reader, wl_config_t *config) {
    const json_t *golden = json_object_get(reader->root, "golden");
    golden_t self = {0};
    size_t position = 0;
    const json_t *value = NULL;
    wl_config_reader_enter(reader, "golden");
    json_array_foreach(golden, position, value) {
        if (json_is_null(value)) {
            continue;
        }
        wl_config_reader_enter_index(reader, position);
        self.position = (uint32_t)position;
        wl_err_t err = golden_read_slot(reader, value, config, &self);
        wl_config_reader_leave(reader);
        if (err != WL_OK) {
            return err;
        }
    }
    wl_config_reader_leave(reader);
    return WL_OK;
}

/* ---- sections ------------------------------------------------------------------------------- */

/* key as in wl_config_reader_fault() */
static wl_err_t section_check_kind(wl_config_reader_t *reader, const wl_section_t *section,
                                   const wl_line_t *line, const char *key) {
    return line->kind == section->kind
               ? WL_OK
               : wl_config_reader_fault(reader, key, "\"%s\" is of kind %s, the section of kind %s",
                                        line->id, wl_kind_name(line->kind),
                                        wl_kind_name(section->kind));
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
    err = section_check_kind(reader, section, line, NULL);
    if (err != WL_OK) {
        return err;
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

typedef struct {
    uint32_t section;
    const uint32_t *taken;       /* 1 + the section that lists the line */
    uint32_t lent[WL_LINES_MAX]; /* 1 + the section with a campaign of the line */
} lent_t;

static wl_err_t section_check_campaign(wl_config_reader_t *reader, const wl_config_t *config,
                                       uint32_t line_index, void *arg) {
    lent_t *self = arg;
    const wl_line_t *line = &config->lines[line_index];
    wl_err_t err = section_check_kind(reader, &config->sections[self->section], line, "line");
    if (err != WL_OK) {
        return err;
    }
    if (self->taken[line_index] != 0) {
        return wl_config_reader_fault(reader, "line", "\"%s\" is already in section %u", line->id,
                                      self->taken[line_index] - 1);
    }
    uint32_t mine = self->section + 1;
    if (self->lent[line_index] != 0 && self->lent[line_index] != mine) {
        return wl_config_reader_fault(reader, "line",
                                      "\"%s\" is already in a campaign of section %u", line->id,
                                      self->lent[line_index] - 1);
    }
    self->lent[line_index] = mine;
    return WL_OK;
}

/* After all sections: a campaign's line is in none of them. */
static wl_err_t sections_read_campaigns(wl_config_reader_t *reader, wl_config_t *config,
                                        const uint32_t taken[WL_LINES_MAX]) {
    lent_t self = {.taken = taken};
    size_t at = 0;
    const json_t *value = NULL;
    json_array_foreach(json_object_get(reader->root, "sections"), at, value) {
        wl_section_t *section = &config->sections[at];
        self.section = (uint32_t)at;
        section->campaign_first = config->campaign_count;
        wl_config_reader_enter_index(reader, at);
        wl_err_t err = campaigns_read(reader, value, config, WL_CONFIG_SECTION_CAMPAIGN,
                                      section_check_campaign, &self);
        wl_config_reader_leave(reader);
        if (err != WL_OK) {
            return err;
        }
        section->campaign_count = config->campaign_count - section->campaign_first;
    }
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
    wl_err_t err = sections_read_campaigns(reader, config, taken);
    wl_config_reader_leave(reader);
    return err;
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
