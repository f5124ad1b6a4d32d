/* fuzz_presence_blob.c: bytes as a presence snapshot. Loaded once as they are and once with length
 * and checksum put right, so that the checks behind the checksum are met as well. What is accepted
 * has to save as exactly the same bytes and to stand being used. */
#include "domain/presence_set.h"

#include "base/alloc.h"
#include "base/check.h"

#include <string.h>
#include <xxhash.h>

enum { LENGTH_AT = 8, CHECKSUM_AT = 32, HEAD_BYTES = 40 }; /* see domain/presence_set.c */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void use(wl_presence_set_t *set) {
    uint64_t members = wl_presence_set_members(set);
    for (uint64_t i = 0; i < 200; i++) {
        uint64_t uid = i * i * 7919 + (i % 5 << 32);
        bool known = wl_presence_set_test(set, uid);
        wl_presence_set_mark(set, uid);
        members += known ? 0 : 1;
        WL_ASSERT(wl_presence_set_members(set) == members);
        WL_ASSERT(wl_presence_set_test(set, uid));
        if (i % 3 == 0 && wl_presence_set_clear(set, uid)) {
            members--;
            WL_ASSERT(!wl_presence_set_test(set, uid));
        }
    }
    wl_presence_set_optimize(set);
    WL_ASSERT(wl_presence_set_members(set) == members);
    WL_ASSERT(wl_presence_set_bytes(set) > 0);
}

static void load(const uint8_t *blob, size_t bytes) {
    wl_presence_set_t *set = NULL;
    wl_presence_seen_t seen = {0};
    wl_fault_t fault = {0};
    if (wl_presence_set_load(blob, bytes, &set, &seen, &fault) != WL_OK) {
        WL_ASSERT(set == NULL && seen.at == NULL);
        return;
    }
    void *again = NULL;
    size_t again_bytes = 0;
    wl_presence_set_save(set, seen.at, seen.count, &again, &again_bytes);
    WL_ASSERT(again_bytes == bytes);
    WL_ASSERT(memcmp(again, blob, bytes) == 0);
    use(set);
    wl_free(again);
    wl_free(seen.at);
    wl_presence_set_destroy(&set);
}

static void store_u64(uint8_t *at, uint64_t value) {
    for (size_t i = 0; i < sizeof value; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    load(bytes, count);
    if (count >= HEAD_BYTES) {
        WL_AUTO_FREE uint8_t *fixed = wl_alloc(count);
        memcpy(fixed, bytes, count);
        memcpy(fixed, "WLPS\1", 5);
        store_u64(fixed + LENGTH_AT, count);
        store_u64(fixed + CHECKSUM_AT, XXH3_64bits_withSeed(fixed + HEAD_BYTES, count - HEAD_BYTES,
                                                            XXH3_64bits(fixed, CHECKSUM_AT)));
        load(fixed, count);
    }
    return 0;
}
