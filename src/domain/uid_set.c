#include "domain/uid_set.h"

#include "base/alloc.h"
#include "base/check.h"
#include "domain/presence_set.h"

#include <string.h>

enum { BLOCK = 64, WIDTH_BITS = 7, WORD_BITS = 64 };

struct wl_uid_set {
    size_t count;
    size_t block_count;
    size_t word_count;
    uint64_t *firsts; /* owned; of each block */
    uint64_t *gaps;   /* owned; of each block: bit at which they begin << WIDTH_BITS | bits each */
    uint64_t *words;  /* owned; the gaps, each less 1: members differ */
};

/* ---- bits ------------------------------------------------------------------------------------ */

static unsigned width_of(uint64_t value) {
    return value == 0 ? 0 : WORD_BITS - (unsigned)__builtin_clzll(value);
}

static void bits_put(uint64_t *words, uint64_t bit, unsigned width, uint64_t value) {
    unsigned shift = (unsigned)(bit % WORD_BITS);
    if (width == 0) {
        return;
    }
    words[bit / WORD_BITS] |= value << shift;
    if (shift + width > WORD_BITS) {
        words[bit / WORD_BITS + 1] |= value >> (WORD_BITS - shift);
    }
}

static uint64_t bits_get(const uint64_t *words, uint64_t bit, unsigned width) {
    unsigned shift = (unsigned)(bit % WORD_BITS);
    if (width == 0) {
        return 0;
    }
    uint64_t value = words[bit / WORD_BITS] >> shift;
    if (shift + width > WORD_BITS) {
        value |= words[bit / WORD_BITS + 1] << (WORD_BITS - shift);
    }
    return width == WORD_BITS ? value : value & ((UINT64_C(1) << width) - 1);
}

/* ---- making ---------------------------------------------------------------------------------- */

static size_t block_members(size_t count, size_t block) {
    size_t left = count - block * BLOCK;
    return left < BLOCK ? left : BLOCK;
}

/* Bits of the widest gap. */
static unsigned block_width(const uint64_t *uids, size_t members) {
    uint64_t all = 0;
    for (size_t i = 1; i < members; i++) {
        WL_ASSERT(uids[i] > uids[i - 1]);
        all |= uids[i] - uids[i - 1] - 1;
    }
    return width_of(all);
}

wl_uid_set_t *wl_uid_set_new(const uint64_t *uids, size_t count) {
    wl_uid_set_t *self = wl_alloc_zero(1, sizeof *self);
    uint64_t bit = 0;
    self->count = count;
    self->block_count = (count + BLOCK - 1) / BLOCK;
    self->firsts = wl_alloc_zero(self->block_count + 1, sizeof *self->firsts);
    self->gaps = wl_alloc_zero(self->block_count + 1, sizeof *self->gaps);
    for (size_t b = 0; b < self->block_count; b++) {
        const uint64_t *block = uids + b * BLOCK;
        size_t members = block_members(count, b);
        unsigned width = block_width(block, members);
        WL_ASSERT(b == 0 || block[0] > block[-1]);
        self->firsts[b] = block[0];
        self->gaps[b] = bit << WIDTH_BITS | width;
        bit += (members - 1) * width;
    }
    self->word_count = (size_t)(bit / WORD_BITS) + 1;
    self->words = wl_alloc_zero(self->word_count, sizeof *self->words);
    for (size_t b = 0; b < self->block_count; b++) {
        const uint64_t *block = uids + b * BLOCK;
        unsigned width = self->gaps[b] & ((1u << WIDTH_BITS) - 1);
        bit = self->gaps[b] >> WIDTH_BITS;
        for (size_t i = 1; i < block_members(count, b); i++, bit += width) {
            bits_put(self->words, bit, width, block[i] - block[i - 1] - 1);
        }
    }
    return self;
}

wl_err_t wl_uid_set_load(const void *blob, size_t bytes, wl_uid_set_t **ret, wl_fault_t *fault) {
    wl_presence_set_t *set = NULL;
    wl_presence_seen_t seen = {.at = NULL};
    wl_err_t err = wl_presence_set_load(blob, bytes, &set, &seen, fault);
    wl_free(seen.at);
    if (err != WL_OK) {
        return err;
    }
    if (wl_presence_set_mode(set) != WL_PRESENCE_EXACT) {
        wl_presence_set_destroy(&set);
        return wl_fault(fault, WL_ERR_DAMAGED, "mode", "the set of users is not exact");
    }
    size_t count = (size_t)wl_presence_set_members(set);
    uint64_t *uids = wl_alloc((count + 1) * sizeof *uids);
    wl_presence_set_list(set, uids);
    wl_presence_set_destroy(&set);
    *ret = wl_uid_set_new(uids, count);
    wl_free(uids);
    return WL_OK;
}

void wl_uid_set_destroy(wl_uid_set_t **self) {
    if (self != NULL && *self != NULL) {
        wl_free((*self)->firsts);
        wl_free((*self)->gaps);
        wl_free((*self)->words);
        wl_free(*self);
        *self = NULL;
    }
}

/* ---- asking ---------------------------------------------------------------------------------- */

bool wl_uid_set_test(const wl_uid_set_t *self, uint64_t uid) {
    size_t low = 0; /* the blocks before it begin at or below the uid, those from high on above */
    size_t high = self->block_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->firsts[middle] <= uid) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0) {
        return false;
    }
    size_t block = low - 1;
    unsigned width = self->gaps[block] & ((1u << WIDTH_BITS) - 1);
    uint64_t bit = self->gaps[block] >> WIDTH_BITS;
    uint64_t member = self->firsts[block];
    size_t left = block_members(self->count, block) - 1;
    for (; member < uid && left > 0; left--, bit += width) {
        member += bits_get(self->words, bit, width) + 1;
    }
    return member == uid;
}

uint64_t wl_uid_set_count(const wl_uid_set_t *self) {
    return self->count;
}

size_t wl_uid_set_bytes(const wl_uid_set_t *self) {
    return sizeof *self + (2 * (self->block_count + 1) + self->word_count) * sizeof(uint64_t);
}
