/* fuzz_walk.c: what the walk accepts, msgpack-c unpacks whole, in memory bounded by the bytes. */
#include "proto/walk.h"

#include <msgpack.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    static const wl_walk_limits_t limits = {16, 100000};
    uint32_t objects = 0;
    if (wl_walk(bytes, count, &limits, &objects) != WL_OK) {
        return 0;
    }
    msgpack_zone zone;
    msgpack_object object;
    size_t used = 0;
    if (objects > count || !msgpack_zone_init(&zone, 8192) ||
        msgpack_unpack((const char *)bytes, count, &used, &zone, &object) !=
            MSGPACK_UNPACK_SUCCESS ||
        used != count) {
        abort();
    }
    msgpack_zone_destroy(&zone);
    return 0;
}
