/* fuzz_change.c: any bytes are refused, or are changes that pack to bytes which read the same. */
#include "proto/change.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static wl_change_t changes[WL_CHANGES_MAX];
static wl_change_t back[WL_CHANGES_MAX];

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    size_t got = 0;
    size_t got_back = 0;
    if (wl_changes_unpack(bytes, count, changes, &got) != WL_OK) {
        return 0;
    }
    msgpack_sbuffer packed;
    msgpack_sbuffer_init(&packed);
    wl_changes_pack(&packed, changes, got);
    if (wl_changes_unpack(packed.data, packed.size, back, &got_back) != WL_OK || got_back != got) {
        abort();
    }
    for (size_t i = 0; i < got; i++) {
        if (back[i].uid != changes[i].uid || back[i].version != changes[i].version ||
            strcmp(back[i].bucket, changes[i].bucket) != 0) {
            abort();
        }
    }
    msgpack_sbuffer_destroy(&packed);
    return 0;
}
