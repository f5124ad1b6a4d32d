/* json_text.h: JSON from a stranger, made safe before and for jansson, which has no bound on what
 * it builds and refuses a whole document for one number beyond int64. Pure, any thread. */
#ifndef WL_LINES_JSON_TEXT_H
#define WL_LINES_JSON_TEXT_H

#include "base/err.h"

#include <jansson.h>
#include <stddef.h>

enum { WL_JSON_DEPTH_MAX = 32 };

/* Parses one document: UTF-8, no duplicate keys, nothing behind it, at most WL_JSON_DEPTH_MAX
 * levels and one object or array per 16 bytes (an empty one takes 2 bytes of text and 300 of
 * memory). A number that fits neither int64 nor double arrives as a JSON string with its digits.
 * The caller owns *ret. WL_ERR_MALFORMED with fault->line, column and message. */
WL_MUST_USE wl_err_t wl_json_text_parse(const char *text, size_t bytes, json_t **ret,
                                        wl_fault_t *fault);

#endif
