/* Two documents split at the first NUL (or in the middle). Whatever compiles is whole: indexes in
 * range, texts ended, every line found again; a second compilation gives the same bytes; every
 * refusal says where. */
#include "base/alloc.h"
#include "base/check.h"
#include "domain/config.h"

#include <stddef.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void check_texts(const wl_line_t *line) {
    WL_ASSERT(wl_line_id_valid(line->id));
    WL_ASSERT(strnlen(line->title, sizeof line->title) < sizeof line->title);
    WL_ASSERT(strnlen(line->url, sizeof line->url) < sizeof line->url);
    WL_ASSERT(strnlen(line->unit, sizeof line->unit) < sizeof line->unit);
    WL_ASSERT(line->secret[0] == '\0' || wl_line_id_valid(line->secret));
}

static void check_numbers(const wl_line_t *line) {
    WL_ASSERT(line->kind < WL_KIND_COUNT && line->mode < WL_MODE_COUNT);
    WL_ASSERT((line->adapter == WL_ADAPTER_NONE) == (line->mode == WL_MODE_LINK));
    WL_ASSERT(line->scale <= WL_SCALE_MAX);
    WL_ASSERT(line->batch_max >= 1 && line->batch_max <= WL_PULL_UIDS_MAX);
    WL_ASSERT(line->concurrency >= 1 && line->burst >= 1 && line->breaker_failures >= 1);
    WL_ASSERT(line->retry_base_ms <= line->retry_max_ms);
    WL_ASSERT(line->sanity.amount_min <= line->sanity.amount_max);
    WL_ASSERT(line->sanity.jump_max >= 0);
}

/* Those of one slot or section. */
static void check_campaigns(const wl_config_t *config, uint32_t first, uint32_t count,
                            uint32_t max) {
    WL_ASSERT(count <= max && first + count <= config->campaign_count);
    for (uint32_t i = first; i < first + count; i++) {
        const wl_campaign_t *each = &config->campaigns[i];
        WL_ASSERT(wl_line_id_valid(each->id) && each->start < each->end);
        WL_ASSERT(each->line_index < config->line_count);
        WL_ASSERT(strcmp(config->lines[each->line_index].id, each->line) == 0);
        WL_ASSERT(strnlen(each->title, sizeof each->title) < sizeof each->title);
        WL_ASSERT(strnlen(each->link, sizeof each->link) < sizeof each->link);
        WL_ASSERT(each->unless < 1u << WL_UNLESS_COUNT);
        WL_ASSERT(i == first || each->priority <= config->campaigns[i - 1].priority);
    }
}

static void check_pages(const wl_config_t *config) {
    WL_ASSERT(config->section_count <= WL_SECTIONS_MAX);
    WL_ASSERT(config->campaign_count <= WL_CAMPAIGNS_MAX);
    for (uint32_t i = 0; i < WL_GOLDEN_SLOTS; i++) {
        const wl_golden_slot_t *slot = &config->golden[i];
        WL_ASSERT(!slot->used || slot->line_index < config->line_count);
        WL_ASSERT(!slot->used || strcmp(config->lines[slot->line_index].id, slot->line) == 0);
        check_campaigns(config, slot->campaign_first, slot->campaign_count,
                        WL_GOLDEN_CAMPAIGNS_MAX);
    }
    for (uint32_t i = 0; i < config->section_count; i++) {
        const wl_section_t *section = &config->sections[i];
        WL_ASSERT(section->line_count <= WL_LINES_MAX);
        check_campaigns(config, section->campaign_first, section->campaign_count,
                        WL_SECTION_CAMPAIGNS_MAX);
        for (uint32_t j = 0; j < section->line_count; j++) {
            WL_ASSERT(section->line_indexes[j] < config->line_count);
            WL_ASSERT(config->lines[section->line_indexes[j]].kind == section->kind);
        }
    }
}

static void check_whole(const wl_config_t *config) {
    WL_ASSERT(config->line_count <= WL_LINES_MAX);
    for (uint32_t i = 0; i < config->line_count; i++) {
        check_texts(&config->lines[i]);
        check_numbers(&config->lines[i]);
        WL_ASSERT(wl_config_line_index(config, config->lines[i].id) == (int)i);
    }
    check_pages(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    const uint8_t *nul = count == 0 ? NULL : memchr(bytes, '\0', count);
    size_t first_count = nul == NULL ? count / 2 : (size_t)(nul - bytes);
    size_t skipped = nul == NULL ? 0 : 1;
    const char *first = (const char *)bytes;
    const char *second = (const char *)bytes + first_count + skipped;
    size_t second_count = count - first_count - skipped;
    wl_config_t *config = NULL;
    wl_fault_t fault = {0};
    if (wl_config_compile(first, first_count, second, second_count, &config, &fault) != WL_OK) {
        WL_ASSERT(config == NULL);
        WL_ASSERT(fault.where[0] != '\0' && fault.message[0] != '\0');
        return 0;
    }
    check_whole(config);
    wl_config_t *again = NULL;
    wl_err_t err = wl_config_compile(first, first_count, second, second_count, &again, NULL);
    WL_ASSERT(err == WL_OK);
    WL_ASSERT(config->samples_bytes == again->samples_bytes);
    WL_ASSERT(config->samples_bytes == 0 ||
              memcmp(config->samples, again->samples, config->samples_bytes) == 0);
    size_t plain = offsetof(wl_config_t, samples); /* what stands before the pointer */
    WL_ASSERT(memcmp(config, again, plain) == 0);
    wl_config_destroy(&config);
    wl_config_destroy(&again);
    return 0;
}
