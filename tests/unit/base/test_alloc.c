#include "base/alloc.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdint.h>

Test(alloc, zero_bytes_is_still_memory) {
    void *at = wl_alloc(0);
    cr_expect_not_null(at);
    wl_free(at);
    wl_free(NULL);
    cr_expect_null(wl_strdup(NULL));
}

Test(alloc, an_overflowing_array_ends_the_process, .signal = SIGABRT) {
    (void)wl_realloc_array(NULL, SIZE_MAX / 2, 4);
}

static int freed;
typedef struct {
    int unused;
} wl_thing_t;
static void wl_thing_destroy(wl_thing_t **self) {
    freed += *self != NULL;
    wl_free(*self);
    *self = NULL;
}

Test(alloc, a_scope_frees_what_it_still_owns) {
    {
        WL_AUTO(wl_thing) kept = wl_alloc(sizeof *kept);
        WL_AUTO(wl_thing) given = wl_alloc(sizeof *given);
        wl_thing_destroy(&given); /* handed over: the scope sees NULL */
        cr_expect_eq(freed, 1);
    }
    cr_expect_eq(freed, 2);
}
