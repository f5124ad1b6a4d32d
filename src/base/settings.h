/* settings.h: the bootstrap configuration of a process. Filled once by main before any thread
 * starts, read-only afterwards, so all actors may read it. */
#ifndef WL_BASE_SETTINGS_H
#define WL_BASE_SETTINGS_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define WL_SETTING_TEXT(section, key) char section##_##key[512];
#define WL_SETTING_CHOICE(section, key) char section##_##key[16];
#define WL_SETTING_NUMBER(section, key) uint64_t section##_##key;
#define WL_SETTING_BYTES(section, key) uint64_t section##_##key;
#define WL_SETTING_BOOL(section, key) bool section##_##key;

/* settings->frontend_endpoint, settings->cache_bytes_max, ... */
typedef struct {
#define S(type, section, key, value, min, max, help) WL_SETTING_##type(section, key)
#include "base/settings.def"
#undef S
} wl_settings_t;

/* Every key at its default. */
void wl_settings_defaults(wl_settings_t *ret);

/* Reads an INI file over *settings. Unknown sections and keys are errors that name the nearest
 * known one; fault->line is the line, fault->where "section.key". */
WL_MUST_USE wl_err_t wl_settings_file(wl_settings_t *settings, const char *path, wl_fault_t *fault);
/* Takes WALLET_SECTION_KEY variables over *settings. An unknown key of a known section is an error;
 * WALLET_ variables of other sections are somebody else's. */
WL_MUST_USE wl_err_t wl_settings_environment(wl_settings_t *settings, char *const *environment,
                                             wl_fault_t *fault);
/* One "section.key=value" of a flag. */
WL_MUST_USE wl_err_t wl_settings_assign(wl_settings_t *settings, const char *assignment,
                                        wl_fault_t *fault);

/* A commented INI with every key at its default. */
void wl_settings_document(FILE *out);
/* The rows of a markdown table: setting, default, bounds, meaning. */
void wl_settings_table(FILE *out);

/* Entry `index` of a comma-separated list, trimmed, into ret_item; false past the end. */
bool wl_settings_list_item(const char *list, uint32_t index, char *ret_item, size_t bytes);
uint32_t wl_settings_list_count(const char *list);

/* The nearest of `count` names to `name` by edit distance, NULL when none is close. Any thread. */
const char *wl_nearest(const char *name, const char *const *names, size_t count);

#endif
