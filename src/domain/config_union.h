/* config_union.h: what writers work with while a candidate is out: the lines that are live, as they
 * are, and lines that only the candidate has. Pure, any thread. */
#ifndef WL_DOMAIN_CONFIG_UNION_H
#define WL_DOMAIN_CONFIG_UNION_H

#include "base/err.h"

#include <stddef.h>

/* Of two integration documents that were accepted: base, with those lines of candidate whose id it
 * does not have. Everything else is base's, "version" too. When there is no such line it is base to
 * the byte; else samples are left out, which nobody reads there. WL_ERR_TOO_BIG: more than
 * WL_LINES_MAX lines or WL_DOCUMENT_BYTES_MAX bytes together; WL_ERR_MALFORMED: one of them is no
 * such document. Then fault->message says which bound, or which document; fault may be NULL.
 * *ret_text is NUL-terminated, wl_free()d by the caller. */
WL_MUST_USE wl_err_t wl_config_union(const char *base, size_t base_bytes, const char *candidate,
                                     size_t candidate_bytes, char **ret_text, size_t *ret_bytes,
                                     wl_fault_t *fault);

#endif
