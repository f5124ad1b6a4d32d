/* json_pointer.h: JSON pointers (RFC 6901) into answers of foreign shape. Pure, any thread. */
#ifndef WL_LINES_JSON_POINTER_H
#define WL_LINES_JSON_POINTER_H

#include <jansson.h>

/* The value that the pointer names, borrowed; NULL when there is none or the pointer is not well
 * formed. "" is the root itself. "~0" is "~" and "~1" is "/" in a key; array indexes are decimal
 * without leading zeros. Keys of 63 bytes at most, as long as a pointer of a configuration. */
json_t *wl_json_pointer_find(json_t *root, const char *pointer);

#endif
