/* config_json_schema.h: the rows of config_schema.c as a JSON Schema (2020-12), for editors, forms
 * and checks before a change is sent. Pure, any thread.
 *
 * What it cannot say, and wl_config_compile() checks beside it:
 * - of the text: no key twice, no number beyond 64 bits, at most WL_DOCUMENT_BYTES_MAX long;
 * - of two values: retry_max_ms and retry_base_ms, amount_min and amount_max, start and end of a
 *   campaign, how long a sample is;
 * - of two places: ids and lines that are there twice, lines that a page names and that are not
 *   there, or are of another kind or mode. */
#ifndef WL_DOMAIN_CONFIG_JSON_SCHEMA_H
#define WL_DOMAIN_CONFIG_JSON_SCHEMA_H

#include "domain/config_state.h"

/* The schema of a document. The caller owns it. */
json_t *wl_config_json_schema(wl_document_t document);

/* Checks one document without the other: its text, and all that the schema says, with the same
 * verdict. WL_ERR_SETTINGS, WL_ERR_TOO_BIG; fault as of wl_config_compile(), may be NULL. */
WL_MUST_USE wl_err_t wl_config_check_schema(wl_document_t document, const char *text, size_t bytes,
                                            wl_fault_t *fault);

#endif
