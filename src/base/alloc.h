/* alloc.h: memory that is there or the process ends, and scope-bound ownership.
 * Any thread. Bounded tables refuse long before memory is the problem, so half-handled
 * out-of-memory paths would buy nothing. */
#ifndef WL_BASE_ALLOC_H
#define WL_BASE_ALLOC_H

#include <stddef.h>

void *wl_alloc(size_t bytes);                                /* not cleared, never NULL */
void *wl_alloc_zero(size_t count, size_t each);              /* cleared, overflow checked */
void *wl_realloc(void *at, size_t bytes);                    /* NULL is accepted */
void *wl_realloc_array(void *at, size_t count, size_t each); /* overflow checked */
char *wl_strdup(const char *text);                           /* NULL gives NULL */
void wl_free(void *at);                                      /* NULL is accepted */

/* WL_AUTO(wl_foo) foo = NULL; calls wl_foo_destroy(&foo) at the end of the scope. */
#define WL_AUTO(T) __attribute__((cleanup(T##_destroy))) T##_t *

/* WL_AUTO_FREE char *text = ...; frees at the end of the scope. */
static inline void wl_auto_free(void *pointer_to_pointer) {
    void **at = pointer_to_pointer;
    wl_free(*at);
}
#define WL_AUTO_FREE __attribute__((cleanup(wl_auto_free)))

#define WL_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
