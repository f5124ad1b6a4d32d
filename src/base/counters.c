#include "base/counters.h"

#include "base/check.h"

static const wl_counter_info_t counter_rows[WL_COUNTERS] = {
#define C(name, kind, unit, help) {#name, unit, help, WL_COUNTER_KIND_##kind},
#include "base/counters.def"
#undef C
};

const wl_counter_info_t *wl_counter_info(wl_counter_t counter) {
    WL_ASSERT((unsigned)counter < WL_COUNTERS);
    return &counter_rows[counter];
}
