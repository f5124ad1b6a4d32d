/* json_locate.h: where a key or an element stands in a JSON text, and how deep the text nests.
 * jansson gives no positions for values, so the validator of the configuration scans the text once
 * more, on failure only. Pure, any thread, allocates nothing, never recurses. */
#ifndef WL_DOMAIN_JSON_LOCATE_H
#define WL_DOMAIN_JSON_LOCATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *key; /* borrowed; NULL: an element of a list */
    uint32_t index;  /* of the element, 0-based, when key is NULL */
} wl_json_step_t;

typedef struct {
    unsigned line;   /* 1-based */
    unsigned column; /* 1-based, in characters of UTF-8 */
} wl_json_place_t;

/* Follows steps from the root of a text that is valid JSON and returns the place of the last step:
 * the opening quote of the key, or the first character of the element. Where a step is not found
 * (a missing key, a key written with escapes) it is the place of the last one that was. Text that
 * is not valid JSON yields some place inside it, nothing worse. */
wl_json_place_t wl_json_locate(const char *text, size_t bytes, const wl_json_step_t *steps,
                               size_t step_count);

/* True when lists and objects nest deeper than depth_max; *ret_place is where it first happens.
 * Runs before the parser, on any bytes. */
bool wl_json_deeper_than(const char *text, size_t bytes, uint32_t depth_max,
                         wl_json_place_t *ret_place);

#endif
