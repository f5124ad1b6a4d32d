/* A member is a code of up to 64 bits: the uid itself (exact) or the low hash_bits of mix64(uid)
 * (hashed). Its high 32 bits pick a part, its low 32 are a member of that part's RoaringBitmap.
 * The low bits of mix64 are taken because the high ones are the slot: an instance that owns a range
 * of slots still spreads over the whole space.
 *
 * Memory, 10 M random uids, 34 bits: 4 parts x 65,536 array containers of 38 members. A container
 * costs 11 bytes in its part, 32 for its struct and 2 per member, rounded up by malloc: 3.5 bytes a
 * user when packed. Growing one by one doubles capacities and leaves holes: 5.9. Shrinking in place
 * does not close the holes, so wl_presence_set_optimize() writes everything out and reads it back.
 *
 * Blob, little-endian:
 *      0 "WLPS"   4 version u8, mode u8, hash_bits u8, zero u8   8 bytes of the whole u64
 *     16 seen_count u32   20 part_count u32   24 members u64   32 checksum u64
 *     40 seen_count x u64, then per part, ascending: key u64, bytes u64, portable bitmap, zeroes up
 *        to a multiple of 8
 * The checksum is XXH3-64 of [40, end) seeded with XXH3-64 of [0, 32). */
#include "domain/presence_set.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/slot.h"
#include "base/table.h"
#include "domain/roaring_check.h"

#include <malloc.h>
#include <roaring/roaring.h>
#include <string.h>
#include <xxhash.h>

enum {
    HASH_BITS_MIN = 32,
    HASH_BITS_MAX = 40,
    HASHED_PARTS_MAX = 1 << (HASH_BITS_MAX - 32),
    BATCH_MAX = 1 << 20, /* codes sorted at once: 16 MB of scratch */
    BATCH_MIN = 256,     /* fewer are not worth the scratch */
    TRIM_FROM = 1 << 16, /* scratch for more is given back to the system at once */
    DIGIT_BITS = 11,
    CONTAINER_BITS = 16, /* a container holds codes that are equal above these */
    BLOB_VERSION = 1,
    BLOB_CHECKED_HEAD = 32,
    BLOB_HEAD = 40,
    PART_HEAD = 16,
};

typedef struct {
    uint64_t key;             /* high 32 bits of its codes */
    roaring_bitmap_t *bitmap; /* owned, never empty between calls in exact mode */
    UT_hash_handle hh;
} part_t;

struct wl_presence_set {
    wl_presence_mode_t mode;
    uint8_t hash_bits;                /* 0 in exact mode */
    uint64_t mask;                    /* of the hash, hashed mode */
    uint64_t members;                 /* distinct codes */
    part_t *hashed[HASHED_PARTS_MAX]; /* by key, owned, NULL = empty; hashed mode */
    part_t *exact;                    /* uthash by key; exact mode */
};

wl_presence_set_t *wl_presence_set_new(wl_presence_mode_t mode, uint8_t hash_bits) {
    wl_presence_set_t *self = wl_alloc_zero(1, sizeof *self);
    self->mode = mode;
    if (mode == WL_PRESENCE_HASHED) {
        WL_ASSERT(hash_bits >= HASH_BITS_MIN && hash_bits <= HASH_BITS_MAX);
        self->hash_bits = hash_bits;
        self->mask = (UINT64_C(1) << hash_bits) - 1;
    }
    return self;
}

wl_presence_mode_t wl_presence_set_mode(const wl_presence_set_t *self) {
    return self->mode;
}

uint8_t wl_presence_set_hash_bits(const wl_presence_set_t *self) {
    return self->hash_bits;
}

static uint64_t presence_code(const wl_presence_set_t *self, uint64_t uid) {
    return self->mode == WL_PRESENCE_EXACT ? uid : wl_mix64(uid) & self->mask;
}

static part_t *presence_part(const wl_presence_set_t *self, uint64_t key) {
    if (self->mode == WL_PRESENCE_HASHED) {
        WL_ASSERT(key < HASHED_PARTS_MAX);
        return self->hashed[key];
    }
    part_t *part = NULL;
    HASH_FIND(hh, self->exact, &key, sizeof key, part);
    return part;
}

/* Takes over the bitmap. */
static part_t *presence_part_add(wl_presence_set_t *self, uint64_t key, roaring_bitmap_t *bitmap) {
    WL_ASSERT(bitmap != NULL);
    part_t *part = wl_alloc_zero(1, sizeof *part);
    part->key = key;
    part->bitmap = bitmap;
    if (self->mode == WL_PRESENCE_HASHED) {
        WL_ASSERT(key < HASHED_PARTS_MAX);
        self->hashed[key] = part;
    } else {
        HASH_ADD(hh, self->exact, key, sizeof part->key, part);
    }
    return part;
}

static void presence_part_remove(wl_presence_set_t *self, part_t *part) {
    if (self->mode == WL_PRESENCE_HASHED) {
        self->hashed[part->key] = NULL;
    } else {
        HASH_DEL(self->exact, part);
    }
    if (part->bitmap != NULL) {
        roaring_bitmap_free(part->bitmap);
    }
    wl_free(part);
}

static void presence_mark_code(wl_presence_set_t *self, uint64_t code, part_t **hint) {
    uint64_t key = code >> 32;
    if (*hint == NULL || (*hint)->key != key) {
        *hint = presence_part(self, key);
        if (*hint == NULL) {
            *hint = presence_part_add(self, key, roaring_bitmap_create());
        }
    }
    self->members += roaring_bitmap_add_checked((*hint)->bitmap, (uint32_t)code) ? 1 : 0;
}

void wl_presence_set_mark(wl_presence_set_t *self, uint64_t uid) {
    WL_ASSERT(self != NULL);
    part_t *hint = NULL;
    presence_mark_code(self, presence_code(self, uid), &hint);
}

/* Groups codes by container: a stable radix sort of all bits above CONTAINER_BITS. Digits in which
 * all codes agree, most of them for dense ids, cost one look. Returns where the result lies. */
static uint64_t *codes_sort(uint64_t *codes, uint64_t *scratch, size_t count) {
    for (unsigned shift = CONTAINER_BITS; shift < 64; shift += DIGIT_BITS) {
        size_t starts[(1 << DIGIT_BITS) + 1] = {0};
        for (size_t i = 0; i < count; i++) {
            starts[(codes[i] >> shift & ((1 << DIGIT_BITS) - 1)) + 1]++;
        }
        if (starts[(codes[0] >> shift & ((1 << DIGIT_BITS) - 1)) + 1] == count) {
            continue;
        }
        for (size_t i = 1; i <= 1 << DIGIT_BITS; i++) {
            starts[i] += starts[i - 1];
        }
        for (size_t i = 0; i < count; i++) {
            scratch[starts[codes[i] >> shift & ((1 << DIGIT_BITS) - 1)]++] = codes[i];
        }
        uint64_t *sorted = scratch;
        scratch = codes;
        codes = sorted;
    }
    return codes;
}

void wl_presence_set_mark_many(wl_presence_set_t *self, const uint64_t *uids, size_t count) {
    WL_ASSERT(self != NULL && (uids != NULL || count == 0));
    part_t *hint = NULL;
    if (count < BATCH_MIN) {
        for (size_t i = 0; i < count; i++) {
            presence_mark_code(self, presence_code(self, uids[i]), &hint);
        }
        return;
    }
    size_t batch_max = count < BATCH_MAX ? count : BATCH_MAX;
    WL_AUTO_FREE uint64_t *codes = wl_alloc(2 * batch_max * sizeof *codes);
    while (count > 0) {
        size_t batch = count < batch_max ? count : batch_max;
        for (size_t i = 0; i < batch; i++) {
            codes[i] = presence_code(self, uids[i]);
        }
        const uint64_t *sorted = codes_sort(codes, codes + batch_max, batch);
        for (size_t i = 0; i < batch; i++) {
            presence_mark_code(self, sorted[i], &hint);
        }
        uids += batch;
        count -= batch;
    }
    if (batch_max >= TRIM_FROM) {
        wl_free(codes); /* else malloc keeps it resident: 1.6 bytes a user of 10 M */
        codes = NULL;
        (void)malloc_trim(0);
    }
}

bool wl_presence_set_clear(wl_presence_set_t *self, uint64_t uid) {
    WL_ASSERT(self != NULL);
    if (self->mode == WL_PRESENCE_HASHED) {
        return false;
    }
    part_t *part = presence_part(self, uid >> 32);
    if (part == NULL || !roaring_bitmap_remove_checked(part->bitmap, (uint32_t)uid)) {
        return false;
    }
    self->members--;
    if (roaring_bitmap_is_empty(part->bitmap)) {
        presence_part_remove(self, part); /* or sparse ids that come and go would pile up */
    }
    return true;
}

bool wl_presence_set_test(const wl_presence_set_t *self, uint64_t uid) {
    WL_ASSERT(self != NULL);
    uint64_t code = presence_code(self, uid);
    const part_t *part = presence_part(self, code >> 32);
    return part != NULL && roaring_bitmap_contains(part->bitmap, (uint32_t)code);
}

uint64_t wl_presence_set_members(const wl_presence_set_t *self) {
    return self->members;
}

double wl_presence_set_expected_fp(const wl_presence_set_t *self) {
    return self->mode == WL_PRESENCE_EXACT ? 0 : (double)self->members / ((double)self->mask + 1);
}

/* ---- all parts ------------------------------------------------------------------------------ */

static int part_compare(const void *left, const void *right) {
    const part_t *const *a = left;
    const part_t *const *b = right;
    return ((*a)->key > (*b)->key) - ((*a)->key < (*b)->key);
}

/* All parts by ascending key, wl_free()d by the caller; the parts stay the set's. */
static part_t **presence_parts(const wl_presence_set_t *self, size_t *ret_count) {
    size_t count = 0;
    part_t **parts = NULL;
    if (self->mode == WL_PRESENCE_HASHED) {
        parts = wl_alloc(HASHED_PARTS_MAX * sizeof(part_t *));
        for (size_t i = 0; i < HASHED_PARTS_MAX; i++) {
            if (self->hashed[i] != NULL) {
                parts[count++] = self->hashed[i];
            }
        }
    } else {
        parts = wl_alloc(HASH_COUNT(self->exact) * sizeof(part_t *));
        for (part_t *part = self->exact; part != NULL; part = part->hh.next) {
            parts[count++] = part;
        }
        qsort(parts, count, sizeof(part_t *), part_compare);
    }
    *ret_count = count;
    return parts;
}

static bool list_take(uint64_t uid, void *arg) {
    uint64_t **at = arg;
    *(*at)++ = uid;
    return true;
}

void wl_presence_set_list(const wl_presence_set_t *self, uint64_t *into) {
    size_t count = 0;
    WL_AUTO_FREE part_t **parts = presence_parts(self, &count);
    WL_ASSERT(self->mode == WL_PRESENCE_EXACT);
    for (size_t i = 0; i < count; i++) {
        (void)roaring_iterate64(parts[i]->bitmap, list_take, parts[i]->key << 32, &into);
    }
}

/* What glibc takes for an allocation: 8 bytes of its own, multiples of 16, at least 32. */
static uint64_t malloc_bytes(size_t bytes) {
    size_t whole = (bytes + 8 + 15) & ~(size_t)15;
    return whole < 32 ? 32 : whole;
}

static uint64_t container_bytes(const void *container, uint8_t type) {
    switch (type) {
    case BITSET_CONTAINER_TYPE_CODE:
        return malloc_bytes(sizeof(bitset_container_t)) +
               malloc_bytes(BITSET_CONTAINER_SIZE_IN_WORDS * sizeof(uint64_t));
    case ARRAY_CONTAINER_TYPE_CODE:
        return malloc_bytes(sizeof(array_container_t)) +
               malloc_bytes((size_t)((const array_container_t *)container)->capacity *
                            sizeof(uint16_t));
    case RUN_CONTAINER_TYPE_CODE:
        return malloc_bytes(sizeof(run_container_t)) +
               malloc_bytes((size_t)((const run_container_t *)container)->capacity *
                            sizeof(rle16_t));
    default: return 0; /* shared containers: we never copy on write */
    }
}

uint64_t wl_presence_set_bytes(const wl_presence_set_t *self) {
    size_t count = 0;
    WL_AUTO_FREE part_t **parts = presence_parts(self, &count);
    uint64_t bytes = malloc_bytes(sizeof *self);
    for (size_t i = 0; i < count; i++) {
        const roaring_array_t *array = &parts[i]->bitmap->high_low_container;
        bytes += malloc_bytes(sizeof(part_t)) + malloc_bytes(sizeof(roaring_bitmap_t));
        bytes += malloc_bytes((size_t)array->allocation_size *
                              (sizeof(void *) + sizeof(uint16_t) + sizeof(uint8_t)));
        for (int32_t j = 0; j < array->size; j++) {
            bytes += container_bytes(array->containers[j], array->typecodes[j]);
        }
    }
    return bytes;
}

void wl_presence_set_optimize(wl_presence_set_t *self) {
    WL_ASSERT(self != NULL);
    size_t count = 0;
    WL_AUTO_FREE part_t **parts = presence_parts(self, &count);
    WL_AUTO_FREE char **packed = wl_alloc_zero(count, sizeof *packed);
    WL_AUTO_FREE size_t *bytes = wl_alloc_zero(count, sizeof *bytes);
    for (size_t i = 0; i < count; i++) {
        (void)roaring_bitmap_run_optimize(parts[i]->bitmap);
        bytes[i] = roaring_bitmap_portable_size_in_bytes(parts[i]->bitmap);
        packed[i] = wl_alloc(bytes[i]);
        (void)roaring_bitmap_portable_serialize(parts[i]->bitmap, packed[i]);
    }
    for (size_t i = 0; i < count; i++) {
        roaring_bitmap_free(parts[i]->bitmap);
    }
    (void)malloc_trim(0); /* all of them are free now: whole pages go back */
    for (size_t i = 0; i < count; i++) {
        parts[i]->bitmap = roaring_bitmap_portable_deserialize_safe(packed[i], bytes[i]);
        WL_ASSERT(parts[i]->bitmap != NULL);
        wl_free(packed[i]);
    }
    (void)malloc_trim(0); /* and those of the packed copies */
}

/* ---- snapshot blobs ------------------------------------------------------------------------- */

static void store_le(uint8_t *at, uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t load_le(const uint8_t *at, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        value |= (uint64_t)at[i] << (8 * i);
    }
    return value;
}

static uint64_t blob_checksum(const uint8_t *blob, size_t bytes) {
    return XXH3_64bits_withSeed(blob + BLOB_HEAD, bytes - BLOB_HEAD,
                                XXH3_64bits(blob, BLOB_CHECKED_HEAD));
}

static size_t padded(size_t bytes) {
    return (bytes + 7) & ~(size_t)7;
}

void wl_presence_set_save(wl_presence_set_t *self, const uint64_t *seen, uint32_t seen_count,
                          void **ret_blob, size_t *ret_bytes) {
    WL_ASSERT(self != NULL && ret_blob != NULL && ret_bytes != NULL);
    WL_ASSERT(seen != NULL || seen_count == 0);
    size_t count = 0;
    WL_AUTO_FREE part_t **parts = presence_parts(self, &count);
    size_t bytes = BLOB_HEAD + (size_t)seen_count * sizeof *seen;
    for (size_t i = 0; i < count; i++) {
        bytes += PART_HEAD + padded(roaring_bitmap_portable_size_in_bytes(parts[i]->bitmap));
    }
    uint8_t *blob = wl_alloc(bytes);
    memcpy(blob, "WLPS", 4);
    store_le(blob + 4, BLOB_VERSION, 1);
    store_le(blob + 5, (uint64_t)self->mode, 1);
    store_le(blob + 6, self->hash_bits, 1);
    store_le(blob + 7, 0, 1);
    store_le(blob + 8, bytes, 8);
    store_le(blob + 16, seen_count, 4);
    store_le(blob + 20, count, 4);
    store_le(blob + 24, self->members, 8);
    uint8_t *at = blob + BLOB_HEAD;
    for (uint32_t i = 0; i < seen_count; i++, at += sizeof *seen) {
        store_le(at, seen[i], sizeof *seen);
    }
    for (size_t i = 0; i < count; i++) {
        size_t used = roaring_bitmap_portable_size_in_bytes(parts[i]->bitmap);
        store_le(at, parts[i]->key, 8);
        store_le(at + 8, used, 8);
        (void)roaring_bitmap_portable_serialize(parts[i]->bitmap, (char *)at + PART_HEAD);
        memset(at + PART_HEAD + used, 0, padded(used) - used);
        at += PART_HEAD + padded(used);
    }
    WL_ASSERT(at == blob + bytes);
    store_le(blob + BLOB_CHECKED_HEAD, blob_checksum(blob, bytes), 8);
    *ret_blob = blob;
    *ret_bytes = bytes;
}

/* Everything about the head: afterwards the bytes are as some program saved them, or forged. */
static wl_err_t blob_check_head(const uint8_t *blob, size_t bytes, wl_fault_t *fault) {
    if (bytes < BLOB_HEAD || memcmp(blob, "WLPS", 4) != 0) {
        return wl_fault(fault, WL_ERR_DAMAGED, "magic", "not a presence snapshot");
    }
    if (blob[4] != BLOB_VERSION) {
        return wl_fault(fault, WL_ERR_DAMAGED, "version", "format version %u is not known",
                        (unsigned)blob[4]);
    }
    if (load_le(blob + 8, 8) != bytes) {
        return wl_fault(fault, WL_ERR_DAMAGED, "length", "%zu bytes are there, not %llu", bytes,
                        (unsigned long long)load_le(blob + 8, 8));
    }
    if (load_le(blob + BLOB_CHECKED_HEAD, 8) != blob_checksum(blob, bytes)) {
        return wl_fault(fault, WL_ERR_DAMAGED, "checksum", "the checksum does not hold");
    }
    bool hashed = blob[5] == WL_PRESENCE_HASHED;
    bool bits_fit = hashed ? blob[6] >= HASH_BITS_MIN && blob[6] <= HASH_BITS_MAX : blob[6] == 0;
    if ((!hashed && blob[5] != WL_PRESENCE_EXACT) || !bits_fit || blob[7] != 0) {
        return wl_fault(fault, WL_ERR_DAMAGED, "mode", "mode %u with %u hash bits is not known",
                        (unsigned)blob[5], (unsigned)blob[6]);
    }
    if (load_le(blob + 16, 4) > (bytes - BLOB_HEAD) / sizeof(uint64_t)) {
        return wl_fault(fault, WL_ERR_DAMAGED, "seen", "more numbers than bytes");
    }
    return WL_OK;
}

/* One part at blob + *offset, moved behind it. least_key: smaller ones are out of order. */
static bool blob_load_part(wl_presence_set_t *self, const uint8_t *blob, size_t bytes,
                           size_t *offset, uint64_t least_key, uint64_t *ret_key) {
    if (bytes - *offset < PART_HEAD) {
        return false;
    }
    uint64_t key = load_le(blob + *offset, 8);
    uint64_t used = load_le(blob + *offset + 8, 8);
    uint64_t key_max = self->mode == WL_PRESENCE_EXACT ? UINT32_MAX : self->mask >> 32;
    *offset += PART_HEAD;
    if (key < least_key || key > key_max || used > bytes - *offset ||
        padded((size_t)used) > bytes - *offset) {
        return false;
    }
    const uint8_t *at = blob + *offset;
    uint64_t members = 0;
    if (!wl_roaring_check(at, (size_t)used, &members)) {
        return false;
    }
    for (size_t i = (size_t)used; i < padded((size_t)used); i++) {
        if (at[i] != 0) {
            return false;
        }
    }
    roaring_bitmap_t *bitmap =
        roaring_bitmap_portable_deserialize_safe((const char *)at, (size_t)used);
    if (bitmap == NULL) {
        return false;
    }
    (void)presence_part_add(self, key, bitmap);
    self->members += members;
    *offset += padded((size_t)used);
    *ret_key = key;
    return true;
}

wl_err_t wl_presence_set_load(const void *blob, size_t bytes, wl_presence_set_t **ret_set,
                              wl_presence_seen_t *ret_seen, wl_fault_t *fault) {
    WL_ASSERT((blob != NULL || bytes == 0) && ret_set != NULL && ret_seen != NULL);
    const uint8_t *head = blob;
    wl_err_t err = blob_check_head(head, bytes, fault);
    if (err != WL_OK) {
        return err;
    }
    WL_AUTO(wl_presence_set) self = wl_presence_set_new((wl_presence_mode_t)head[5], head[6]);
    uint32_t seen_count = (uint32_t)load_le(head + 16, 4);
    uint32_t part_count = (uint32_t)load_le(head + 20, 4);
    size_t offset = BLOB_HEAD + (size_t)seen_count * sizeof(uint64_t);
    uint64_t least_key = 0;
    for (uint32_t i = 0; i < part_count; i++) {
        uint64_t key = 0;
        if (!blob_load_part(self, head, bytes, &offset, least_key, &key)) {
            return wl_fault(fault, WL_ERR_DAMAGED, "bitmap", "bitmap %u of %u is not well formed",
                            (unsigned)i, (unsigned)part_count);
        }
        least_key = key + 1;
    }
    if (offset != bytes || self->members != load_le(head + 24, 8)) {
        return wl_fault(fault, WL_ERR_DAMAGED, "members", "the counts do not add up");
    }
    ret_seen->count = seen_count;
    ret_seen->at = wl_alloc((size_t)seen_count * sizeof(uint64_t));
    for (uint32_t i = 0; i < seen_count; i++) {
        ret_seen->at[i] = load_le(head + BLOB_HEAD + (size_t)i * sizeof(uint64_t), 8);
    }
    *ret_set = self;
    self = NULL;
    return WL_OK;
}

void wl_presence_set_destroy(wl_presence_set_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    size_t count = 0;
    WL_AUTO_FREE part_t **parts = presence_parts(*self, &count);
    for (size_t i = 0; i < count; i++) {
        presence_part_remove(*self, parts[i]);
    }
    wl_free(*self);
    *self = NULL;
}
