#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void wl_check_failed(const char *file, int line, const char *text) {
    (void)fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, text);
    abort();
}
