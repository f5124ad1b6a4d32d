/* roaring_check.h: is this a well-formed 32-bit roaring bitmap in the portable format?
 * CRoaring 0.2.66 checks lengths when it deserialises, but not order, cardinalities or offsets, and
 * crashes later on what it took in. So the whole structure is walked first. Accepts exactly what a
 * correct writer produces for a bitmap with at least one member. Pure, any thread.
 * Format: RoaringFormatSpec (github.com/RoaringBitmap/RoaringFormatSpec). */
#ifndef WL_DOMAIN_ROARING_CHECK_H
#define WL_DOMAIN_ROARING_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* true: well-formed, fills exactly `bytes`; *ret_members (may be NULL) is the cardinality. */
bool wl_roaring_check(const void *blob, size_t bytes, uint64_t *ret_members);

#endif
