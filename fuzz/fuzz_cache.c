/* fuzz_cache.c: the bytes are a schedule of commits, puts, late database reads, gets and drops; the
 * naive world of cache_world.h knows what the cache must answer. */
#include "../tests/unit/store/cache_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    static world_t world;
    if (count == 0) {
        return 0;
    }
    world_open(&world, 0, bytes, count);
    while (world.at < world.count) {
        world_step(&world);
    }
    world_close(&world);
    return 0;
}
