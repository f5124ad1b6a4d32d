/* config_parts.h: the two halves of wl_config_compile(), one per document. Private to config*.c. */
#ifndef WL_DOMAIN_CONFIG_PARTS_H
#define WL_DOMAIN_CONFIG_PARTS_H

#include "domain/config_read.h"

/* Fills lines, line_count and buckets of a cleared config. *ret_version = the document's. */
WL_MUST_USE wl_err_t wl_config_lines_read(wl_config_reader_t *reader, wl_config_t *config,
                                          uint64_t *ret_version);

/* Fills golden, sections and section_count; the lines must be there. */
WL_MUST_USE wl_err_t wl_config_presentation_read(wl_config_reader_t *reader, wl_config_t *config,
                                                 uint64_t *ret_version);

/* Adds lines[index] to the search table. */
void wl_config_index_add(wl_config_t *config, uint32_t index);

#endif
