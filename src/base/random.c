#include "base/random.h"

#include <sodium.h>

void wl_random_bytes(void *ret_bytes, size_t count) {
    randombytes_buf(ret_bytes, count);
}

uint64_t wl_random_u64(void) {
    uint64_t value = 0;
    wl_random_bytes(&value, sizeof value);
    return value;
}

uint32_t wl_random_below(uint32_t bound) {
    return bound == 0 ? 0 : randombytes_uniform(bound);
}
