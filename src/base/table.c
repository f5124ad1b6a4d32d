#include "base/table.h"

#include "base/random.h"

#include <pthread.h>
#include <xxhash.h>

static pthread_once_t seed_once = PTHREAD_ONCE_INIT;
static uint64_t seed;

static void seed_draw(void) {
    seed = wl_random_u64();
}

uint32_t wl_table_hash(const void *key, size_t bytes) {
    (void)pthread_once(&seed_once, seed_draw);
    return (uint32_t)XXH3_64bits_withSeed(key, bytes, seed);
}
