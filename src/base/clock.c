#include "base/clock.h"

#include <time.h>

static int64_t clock_ms(clockid_t id) {
    struct timespec now;
    (void)clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

wl_mono_ms_t wl_mono_now(void) {
    return (wl_mono_ms_t){clock_ms(CLOCK_MONOTONIC)};
}

wl_wall_ms_t wl_wall_now(void) {
    return (wl_wall_ms_t){clock_ms(CLOCK_REALTIME)};
}

uint64_t wl_mono_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
