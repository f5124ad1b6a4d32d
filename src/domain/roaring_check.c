#include "domain/roaring_check.h"

#include <string.h>

enum {
    COOKIE_NO_RUNS = 12346,
    COOKIE_RUNS = 12347, /* low half; the high half is the number of containers - 1 */
    CONTAINERS_MAX = 65536,
    OFFSETS_FROM = 4, /* with runs: an offset table only from so many containers on */
    ARRAY_MAX = 4096, /* members of an array container; more are a bitset */
    BITSET_BYTES = 8192,
};

/* The bytes that are left. A read past the end yields zero and sets `broken`. */
typedef struct {
    const uint8_t *at;
    size_t left;
    bool broken;
} cursor_t;

static const uint8_t *cursor_take(cursor_t *cursor, size_t bytes) {
    if (bytes > cursor->left) {
        cursor->broken = true;
        return NULL;
    }
    const uint8_t *at = cursor->at;
    cursor->at += bytes;
    cursor->left -= bytes;
    return at;
}

static uint32_t load_u16(const uint8_t *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8;
}

static uint32_t load_u32(const uint8_t *at) {
    return load_u16(at) | load_u16(at + 2) << 16;
}

static bool check_array(cursor_t *cursor, uint32_t members) {
    const uint8_t *at = cursor_take(cursor, (size_t)members * 2);
    if (at == NULL) {
        return false;
    }
    for (uint32_t i = 1; i < members; i++) {
        if (load_u16(at + 2 * (size_t)i) <= load_u16(at + 2 * (size_t)i - 2)) {
            return false;
        }
    }
    return true;
}

static bool check_bitset(cursor_t *cursor, uint32_t members) {
    const uint8_t *at = cursor_take(cursor, BITSET_BYTES);
    if (at == NULL) {
        return false;
    }
    uint32_t found = 0;
    for (size_t i = 0; i < BITSET_BYTES; i += sizeof(uint64_t)) {
        uint64_t word = 0;
        memcpy(&word, at + i, sizeof word); /* counting bits does not mind the byte order */
        found += (uint32_t)__builtin_popcountll(word);
    }
    return found == members;
}

static bool check_runs(cursor_t *cursor, uint32_t members) {
    const uint8_t *head = cursor_take(cursor, 2);
    const uint8_t *at = head == NULL ? NULL : cursor_take(cursor, (size_t)load_u16(head) * 4);
    if (at == NULL) {
        return false;
    }
    uint32_t runs = load_u16(head);
    uint32_t found = 0;
    uint32_t next = 0; /* the least value that the next run may start with */
    for (uint32_t i = 0; i < runs; i++, at += 4) {
        uint32_t first = load_u16(at);
        uint32_t last = first + load_u16(at + 2);
        if (first < next || last > UINT16_MAX) {
            return false;
        }
        found += last - first + 1;
        next = last + 2; /* runs that touch would have been one */
    }
    return runs > 0 && found == members;
}

static bool check_containers(cursor_t *cursor, uint32_t containers, const uint8_t *run_flags,
                             uint64_t *ret_members) {
    const uint8_t *start = cursor->at;
    const uint8_t *heads = cursor_take(cursor, (size_t)containers * 4);
    bool has_offsets = run_flags == NULL || containers >= OFFSETS_FROM;
    const uint8_t *offsets = has_offsets ? cursor_take(cursor, (size_t)containers * 4) : NULL;
    if (cursor->broken) {
        return false;
    }
    /* Offsets count from the first byte of the blob: cookie and count, or cookie and run flags. */
    size_t before = run_flags == NULL ? 8 : 4 + ((size_t)containers + 7) / 8;
    *ret_members = 0;
    for (uint32_t i = 0; i < containers; i++) {
        const uint8_t *head = heads + 4 * (size_t)i;
        uint32_t members = load_u16(head + 2) + 1;
        if (i > 0 && load_u16(head) <= load_u16(head - 4)) {
            return false;
        }
        size_t offset = before + (size_t)(cursor->at - start);
        if (offsets != NULL && load_u32(offsets + 4 * (size_t)i) != offset) {
            return false;
        }
        bool is_run = run_flags != NULL && (run_flags[i / 8] >> (i % 8) & 1) != 0;
        bool sound = is_run                ? check_runs(cursor, members)
                     : members > ARRAY_MAX ? check_bitset(cursor, members)
                                           : check_array(cursor, members);
        if (!sound) {
            return false;
        }
        *ret_members += members;
    }
    return cursor->left == 0;
}

/* Says which containers are runs: at least one, or the other cookie were there, and none past the
 * last container. */
static bool check_run_flags(const uint8_t *flags, uint32_t containers) {
    uint32_t found = 0;
    for (uint32_t i = 0; i < (containers + 7) / 8 * 8; i++) {
        bool is_run = (flags[i / 8] >> (i % 8) & 1) != 0;
        if (is_run && i >= containers) {
            return false;
        }
        found += is_run ? 1 : 0;
    }
    return found > 0;
}

bool wl_roaring_check(const void *blob, size_t bytes, uint64_t *ret_members) {
    cursor_t cursor = {.at = blob, .left = bytes};
    const uint8_t *head = cursor_take(&cursor, 4);
    if (head == NULL) {
        return false;
    }
    uint32_t cookie = load_u32(head);
    uint32_t containers = 0;
    const uint8_t *run_flags = NULL;
    if ((cookie & UINT16_MAX) == COOKIE_RUNS) {
        containers = (cookie >> 16) + 1;
        run_flags = cursor_take(&cursor, ((size_t)containers + 7) / 8);
    } else if (cookie == COOKIE_NO_RUNS) {
        const uint8_t *count = cursor_take(&cursor, 4);
        containers = count == NULL ? 0 : load_u32(count);
    }
    if (cursor.broken || containers == 0 || containers > CONTAINERS_MAX) {
        return false;
    }
    if (run_flags != NULL && !check_run_flags(run_flags, containers)) {
        return false;
    }
    uint64_t members = 0;
    if (!check_containers(&cursor, containers, run_flags, &members)) {
        return false;
    }
    if (ret_members != NULL) {
        *ret_members = members;
    }
    return true;
}
