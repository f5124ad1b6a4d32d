/* check.h: assertions for our own bugs, on in every build.
 * Never for bytes from a socket, a file, a store or a line: those get an error and a counter. */
#ifndef WL_BASE_CHECK_H
#define WL_BASE_CHECK_H

/* Prints the place to stderr and aborts. */
_Noreturn void wl_check_failed(const char *file, int line, const char *text);

#define WL_ASSERT(condition)                                 \
    do {                                                     \
        if (__builtin_expect(!(condition), 0)) {             \
            wl_check_failed(__FILE__, __LINE__, #condition); \
        }                                                    \
    } while (0)

#endif
