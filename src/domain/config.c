#include "domain/config.h"

#include "base/alloc.h"
#include "base/check.h"
#include "domain/config_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static_assert((WL_LINES_MAX & (WL_LINES_MAX - 1)) == 0, "buckets are picked by a mask");
static_assert(WL_LINES_MAX < UINT8_MAX, "a bucket holds index + 1");

/* FNV-1a of a line id, folded to a bucket. Ids come from operators, so nobody aims at one bucket,
 * and the table is never more than half full. */
static uint32_t line_bucket(const char *line_id) {
    uint32_t hash = 2166136261u;
    for (const char *each = line_id; *each != '\0'; each++) {
        hash = (hash ^ (unsigned char)*each) * 16777619u;
    }
    return (hash ^ (hash >> 16)) & (WL_LINES_MAX * 2 - 1);
}

void wl_config_index_add(wl_config_t *config, uint32_t index) {
    WL_ASSERT(index < WL_LINES_MAX);
    uint32_t bucket = line_bucket(config->lines[index].id);
    while (config->buckets[bucket] != 0) {
        bucket = (bucket + 1) & (WL_LINES_MAX * 2 - 1);
    }
    config->buckets[bucket] = (uint8_t)(index + 1);
}

int wl_config_line_index(const wl_config_t *self, const char *line_id) {
    uint32_t bucket = line_bucket(line_id);
    while (self->buckets[bucket] != 0) {
        uint32_t index = (uint32_t)self->buckets[bucket] - 1;
        if (strcmp(self->lines[index].id, line_id) == 0) {
            return (int)index;
        }
        bucket = (bucket + 1) & (WL_LINES_MAX * 2 - 1);
    }
    return -1;
}

const wl_line_t *wl_config_line(const wl_config_t *self, const char *line_id) {
    int index = wl_config_line_index(self, line_id);
    return index < 0 ? NULL : &self->lines[index];
}

const char *wl_config_sample(const wl_config_t *self, const wl_line_t *line, size_t *ret_bytes) {
    *ret_bytes = line->sample_bytes;
    return line->sample_bytes == 0 ? NULL : self->samples + line->sample_at;
}

/* What reads look at before they look at lines. */
static void config_sum_up(wl_config_t *config) {
    for (uint32_t i = 0; i < config->line_count; i++) {
        const wl_line_t *line = &config->lines[i];
        config->live = config->live || line->mode == WL_MODE_LIVE;
        config->asks = config->asks || line->mode == WL_MODE_LIVE || line->must_revalidate;
        config->consents = config->consents || line->consent;
    }
    for (uint32_t i = 0; i < config->section_count; i++) {
        const wl_section_t *section = &config->sections[i];
        for (uint32_t j = 0; j < section->line_count; j++) {
            const wl_line_t *line = &config->lines[section->line_indexes[j]];
            config->live_home = config->live_home || line->mode == WL_MODE_LIVE;
        }
    }
    for (uint32_t i = 0; i < config->campaign_count; i++) { /* golden ones are of sync lines */
        const wl_line_t *line = &config->lines[config->campaigns[i].line_index];
        config->live_home = config->live_home || line->mode == WL_MODE_LIVE;
    }
}

typedef wl_err_t (*config_part_t)(wl_config_reader_t *, wl_config_t *, uint64_t *);

static wl_err_t config_read_part(config_part_t part, const char *name, const char *text,
                                 size_t bytes, wl_config_t *config, uint64_t *ret_version,
                                 wl_fault_t *fault) {
    wl_config_reader_t reader;
    wl_err_t err = wl_config_reader_open(&reader, name, text, bytes, fault);
    if (err == WL_OK) {
        err = part(&reader, config, ret_version);
    }
    wl_config_reader_close(&reader);
    return err;
}

wl_err_t wl_config_compile(const char *integration, size_t integration_bytes,
                           const char *presentation, size_t presentation_bytes, wl_config_t **ret,
                           wl_fault_t *fault) {
    WL_ASSERT(ret != NULL);
    WL_AUTO(wl_config) config = wl_alloc_zero(1, sizeof *config);
    uint64_t lines_version = 0;
    uint64_t page_version = 0;
    wl_err_t err = config_read_part(wl_config_lines_read, "integration", integration,
                                    integration_bytes, config, &lines_version, fault);
    if (err != WL_OK) {
        return err;
    }
    err = config_read_part(wl_config_presentation_read, "presentation", presentation,
                           presentation_bytes, config, &page_version, fault);
    if (err != WL_OK) {
        return err;
    }
    config_sum_up(config);
    (void)snprintf(config->version, sizeof config->version, "%" PRIu64 ".%" PRIu64, lines_version,
                   page_version);
    *ret = config;
    config = NULL;
    return WL_OK;
}

void wl_config_destroy(wl_config_t **self) {
    if (self != NULL && *self != NULL) {
        wl_free((*self)->samples);
        wl_free(*self);
        *self = NULL;
    }
}
