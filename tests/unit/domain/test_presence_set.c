#include "domain/presence_set.h"

#include "base/alloc.h"
#include "base/slot.h"
#include "domain/roaring_check.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* A seeded stream of numbers: the same run on every machine. */
static uint64_t draw(uint64_t *state) {
    *state += UINT64_C(0x9e3779b97f4a7c15);
    return wl_mix64(*state);
}

/* ---- the naive model: a sorted array -------------------------------------------------------- */

typedef struct {
    uint64_t *at;
    size_t count;
    size_t capacity;
} model_t;

static size_t model_place(const model_t *model, uint64_t value) {
    size_t low = 0;
    size_t high = model->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (model->at[middle] < value) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool model_has(const model_t *model, uint64_t value) {
    size_t place = model_place(model, value);
    return place < model->count && model->at[place] == value;
}

static void model_add(model_t *model, uint64_t value) {
    if (model_has(model, value)) {
        return;
    }
    if (model->count == model->capacity) {
        model->capacity = model->capacity * 2 + 16;
        model->at = wl_realloc_array(model->at, model->capacity, sizeof *model->at);
    }
    size_t place = model_place(model, value);
    memmove(model->at + place + 1, model->at + place, (model->count - place) * sizeof *model->at);
    model->at[place] = value;
    model->count++;
}

static bool model_remove(model_t *model, uint64_t value) {
    size_t place = model_place(model, value);
    if (place == model->count || model->at[place] != value) {
        return false;
    }
    model->count--;
    memmove(model->at + place, model->at + place + 1, (model->count - place) * sizeof *model->at);
    return true;
}

typedef enum { DENSE, CLUSTERED, SPARSE, EDGES, SHAPES } shape_t;

static uint64_t draw_uid(uint64_t *state, shape_t shape) {
    uint64_t random = draw(state);
    switch (shape) {
    case DENSE: return random % 20000; /* crosses from array to bitset container and back */
    case CLUSTERED: return (random % 3 << 32 | 0xfffff000u) + (random >> 40) % 10000;
    case SPARSE: return random;
    case EDGES: {
        const uint64_t edges[] = {
            0,       1,          UINT32_MAX,     UINT64_C(1) << 32,      UINT16_MAX,
            1 << 16, UINT64_MAX, UINT64_MAX - 1, UINT64_MAX - UINT32_MAX};
        return edges[random % WL_COUNT_OF(edges)];
    }
    case SHAPES: break;
    }
    return 0;
}

static uint64_t model_code(const wl_presence_set_t *set, uint64_t uid) {
    return wl_presence_set_mode(set) == WL_PRESENCE_EXACT
               ? uid
               : wl_mix64(uid) & ((UINT64_C(1) << wl_presence_set_hash_bits(set)) - 1);
}

/* Saves, loads and puts the copy in the place of the set. */
static void reload(wl_presence_set_t **set, uint64_t number) {
    void *blob = NULL;
    size_t bytes = 0;
    uint64_t seen[3] = {number, 0, UINT64_MAX};
    wl_presence_set_save(*set, seen, (uint32_t)(number % 4), &blob, &bytes);
    wl_presence_set_t *copy = NULL;
    wl_presence_seen_t back = {0};
    wl_fault_t fault = {0};
    cr_assert_eq(wl_presence_set_load(blob, bytes, &copy, &back, &fault), WL_OK, "%s: %s",
                 fault.where, fault.message);
    cr_assert_eq(back.count, number % 4);
    cr_assert_eq(memcmp(back.at, seen, back.count * sizeof *seen), 0);
    cr_assert_eq(wl_presence_set_members(copy), wl_presence_set_members(*set));
    cr_assert_eq(wl_presence_set_mode(copy), wl_presence_set_mode(*set));
    cr_assert_eq(wl_presence_set_hash_bits(copy), wl_presence_set_hash_bits(*set));
    void *again = NULL;
    size_t again_bytes = 0;
    wl_presence_set_save(copy, seen, (uint32_t)(number % 4), &again, &again_bytes);
    cr_assert_eq(again_bytes, bytes);
    cr_assert_eq(memcmp(again, blob, bytes), 0, "a saved copy is the same bytes");
    wl_free(again);
    wl_free(blob);
    wl_free(back.at);
    wl_presence_set_destroy(set);
    *set = copy;
}

static void step(wl_presence_set_t **set, model_t *model, uint64_t *state, shape_t shape) {
    uint64_t choice = draw(state) % 1000;
    uint64_t uid = draw_uid(state, shape);
    if (choice < 400) {
        wl_presence_set_mark(*set, uid);
        model_add(model, model_code(*set, uid));
    } else if (choice < 800) {
        cr_assert_eq(wl_presence_set_test(*set, uid), model_has(model, model_code(*set, uid)));
    } else if (choice < 970) {
        bool removed = wl_presence_set_clear(*set, uid);
        bool expected = wl_presence_set_mode(*set) == WL_PRESENCE_EXACT && model_remove(model, uid);
        cr_assert_eq(removed, expected);
    } else if (choice < 990) {
        uint64_t many[600];
        size_t count = draw(state) % WL_COUNT_OF(many);
        for (size_t i = 0; i < count; i++) {
            /* runs of neighbours, so that optimize has something to pack */
            many[i] = i % 3 == 0 ? draw_uid(state, shape) : many[i - 1] + 1;
            model_add(model, model_code(*set, many[i]));
        }
        wl_presence_set_mark_many(*set, many, count);
    } else if (choice < 994) {
        wl_presence_set_optimize(*set);
    } else if (choice < 998) {
        reload(set, draw(state));
    } else if (wl_presence_set_mode(*set) == WL_PRESENCE_EXACT) {
        while (model->count > 0 && draw(state) % 5000 != 0) { /* nearly everybody leaves */
            uint64_t leaving = model->at[draw(state) % model->count];
            cr_assert(wl_presence_set_clear(*set, leaving));
            cr_assert(model_remove(model, leaving));
        }
    }
    cr_assert_eq(wl_presence_set_members(*set), model->count);
}

static void compare_with_model(wl_presence_mode_t mode, uint8_t hash_bits, uint64_t seed) {
    uint64_t state = seed;
    WL_AUTO(wl_presence_set) set = wl_presence_set_new(mode, hash_bits);
    model_t model = {0};
    for (int i = 0; i < 3000; i++) {
        step(&set, &model, &state, (shape_t)(seed % SHAPES));
    }
    if (mode == WL_PRESENCE_EXACT) {
        for (size_t i = 0; i < model.count; i++) {
            cr_assert(wl_presence_set_test(set, model.at[i]), "a false negative");
        }
    }
    wl_free(model.at);
}

Test(presence_set, exact_mode_equals_a_sorted_array) {
    for (uint64_t seed = 0; seed < 24; seed++) {
        compare_with_model(WL_PRESENCE_EXACT, 0, seed);
    }
}

Test(presence_set, hashed_mode_equals_a_sorted_array_of_hashes) {
    for (uint64_t seed = 0; seed < 24; seed++) {
        compare_with_model(WL_PRESENCE_HASHED, (uint8_t)(32 + seed % 9), seed);
    }
}

Test(presence_set, hashed_mode_never_forgets_and_errs_as_often_as_it_says) {
    enum { USERS = 200000, STRANGERS = 2000000 };
    WL_AUTO(wl_presence_set) set = wl_presence_set_new(WL_PRESENCE_HASHED, 32);
    uint64_t *uids = wl_alloc(USERS * sizeof *uids);
    uint64_t state = 7;
    for (size_t i = 0; i < USERS; i++) {
        uids[i] = draw(&state);
    }
    wl_presence_set_mark_many(set, uids, USERS);
    cr_assert_geq(wl_presence_set_members(set), USERS - 100);
    for (size_t i = 0; i < USERS; i++) {
        cr_assert_not(wl_presence_set_clear(set, uids[i]), "a shared bit is never cleared");
    }
    wl_presence_set_optimize(set);
    for (size_t i = 0; i < USERS; i++) {
        cr_assert(wl_presence_set_test(set, uids[i]));
    }
    size_t wrong = 0;
    for (size_t i = 0; i < STRANGERS; i++) {
        wrong += wl_presence_set_test(set, draw(&state)) ? 1 : 0;
    }
    double expected = wl_presence_set_expected_fp(set) * STRANGERS; /* about 93 */
    cr_assert_gt((double)wrong, expected * 0.5);
    cr_assert_lt((double)wrong, expected * 1.6);
    wl_free(uids);
}

Test(presence_set, stays_small_for_dense_and_for_random_users) {
    enum { USERS = 1000000 };
    WL_AUTO(wl_presence_set) dense = wl_presence_set_new(WL_PRESENCE_EXACT, 0);
    WL_AUTO(wl_presence_set) hashed = wl_presence_set_new(WL_PRESENCE_HASHED, 32);
    uint64_t *uids = wl_alloc(USERS * sizeof *uids);
    for (size_t i = 0; i < USERS; i++) {
        uids[i] = 1000000000 + i;
    }
    wl_presence_set_mark_many(dense, uids, USERS);
    wl_presence_set_mark_many(hashed, uids, USERS);
    cr_assert_lt(wl_presence_set_bytes(dense), USERS / 4);
    wl_presence_set_optimize(dense);
    cr_assert_lt(wl_presence_set_bytes(dense), 10000, "runs");
    wl_presence_set_optimize(hashed);
    cr_assert_lt(wl_presence_set_bytes(hashed), 7 * USERS, "15 members a container");
    wl_free(uids);
}

Test(presence_set, gives_back_the_memory_of_users_who_left) {
    WL_AUTO(wl_presence_set) set = wl_presence_set_new(WL_PRESENCE_EXACT, 0);
    uint64_t empty = wl_presence_set_bytes(set);
    uint64_t state = 1;
    for (int i = 0; i < 10000; i++) {
        uint64_t uid = draw(&state);
        wl_presence_set_mark(set, uid);
        cr_assert(wl_presence_set_clear(set, uid));
    }
    cr_assert_eq(wl_presence_set_bytes(set), empty);
    cr_assert_eq(wl_presence_set_members(set), 0);
}

/* ---- damage --------------------------------------------------------------------------------- */

enum { CHECKSUM_AT = 32, HEAD_BYTES = 40 };

static void fix_checksum(uint8_t *blob, size_t bytes) {
    uint64_t sum =
        XXH3_64bits_withSeed(blob + HEAD_BYTES, bytes - HEAD_BYTES, XXH3_64bits(blob, CHECKSUM_AT));
    for (size_t i = 0; i < 8; i++) {
        blob[CHECKSUM_AT + i] = (uint8_t)(sum >> (8 * i));
    }
}

static wl_err_t try_load(const void *blob, size_t bytes) {
    wl_presence_set_t *set = NULL;
    wl_presence_seen_t seen = {0};
    wl_fault_t fault = {0};
    wl_err_t err = wl_presence_set_load(blob, bytes, &set, &seen, &fault);
    if (err == WL_OK) {
        wl_free(seen.at);
        wl_presence_set_destroy(&set);
    } else {
        cr_assert_null(set);
        cr_assert_null(seen.at);
        cr_assert_neq(fault.message[0], '\0');
    }
    return err;
}

/* A blob with array, bitset and run containers in two parts. */
static uint8_t *sample(wl_presence_mode_t mode, size_t *ret_bytes) {
    WL_AUTO(wl_presence_set) set = wl_presence_set_new(mode, 34);
    uint64_t state = 3;
    for (uint64_t i = 0; i < 300; i++) {
        wl_presence_set_mark(set, draw(&state) % 1000000);
        wl_presence_set_mark(set, (UINT64_C(1) << 32) + 500 + i);
    }
    for (uint64_t i = 0; mode == WL_PRESENCE_EXACT && i < 5000; i++) {
        wl_presence_set_mark(set, (UINT64_C(2) << 32) + i * 7);
    }
    wl_presence_set_optimize(set);
    const uint64_t seen[2] = {5, 6};
    void *blob = NULL;
    wl_presence_set_save(set, seen, 2, &blob, ret_bytes);
    return blob;
}

Test(presence_set, refuses_every_flipped_byte_and_every_truncation) {
    for (int mode = WL_PRESENCE_EXACT; mode <= WL_PRESENCE_HASHED; mode++) {
        size_t bytes = 0;
        WL_AUTO_FREE uint8_t *blob = sample((wl_presence_mode_t)mode, &bytes);
        cr_assert_eq(try_load(blob, bytes), WL_OK);
        for (size_t i = 0; i < bytes; i++) {
            blob[i] ^= (uint8_t)(1 + i % 255);
            cr_assert_eq(try_load(blob, bytes), WL_ERR_DAMAGED, "byte %zu", i);
            blob[i] ^= (uint8_t)(1 + i % 255);
        }
        for (size_t i = 0; i < bytes; i++) {
            uint8_t *cut = wl_alloc(i); /* exactly as large, so that ASan sees a read behind it */
            memcpy(cut, blob, i);
            cr_assert_eq(try_load(cut, i), WL_ERR_DAMAGED, "cut to %zu", i);
            wl_free(cut);
        }
    }
    cr_assert_eq(try_load(NULL, 0), WL_ERR_DAMAGED);
}

/* Damage with a checksum that holds, as a forger or a wrong writer would make it: whatever is
 * accepted has to be a sound set, which the second save shows. */
Test(presence_set, survives_damage_behind_a_valid_checksum) {
    size_t accepted = 0;
    for (int mode = WL_PRESENCE_EXACT; mode <= WL_PRESENCE_HASHED; mode++) {
        size_t bytes = 0;
        WL_AUTO_FREE uint8_t *blob = sample((wl_presence_mode_t)mode, &bytes);
        for (size_t i = 0; i < bytes; i++) {
            uint8_t good = blob[i];
            blob[i] ^= (uint8_t)(1u << (i % 8));
            fix_checksum(blob, bytes);
            wl_presence_set_t *set = NULL;
            wl_presence_seen_t seen = {0};
            if (wl_presence_set_load(blob, bytes, &set, &seen, NULL) == WL_OK) {
                accepted++;
                void *again = NULL;
                size_t again_bytes = 0;
                wl_presence_set_save(set, seen.at, seen.count, &again, &again_bytes);
                cr_assert_eq(again_bytes, bytes);
                cr_assert_eq(memcmp(again, blob, bytes), 0);
                wl_free(again);
                wl_free(seen.at);
                wl_presence_set_destroy(&set);
            }
            blob[i] = good;
        }
    }
    cr_assert_gt(accepted, 0, "a changed mark number or member is well formed");
}

Test(presence_set, refuses_a_future_format_and_counts_beyond_the_bytes) {
    size_t bytes = 0;
    WL_AUTO_FREE uint8_t *blob = sample(WL_PRESENCE_HASHED, &bytes);
    const struct {
        size_t at;
        uint8_t value;
    } wrong[] = {{4, 2},    {5, 2},  {6, 31}, {6, 41},   {7, 1},    {16, 255},
                 {19, 255}, {20, 9}, {20, 0}, {23, 255}, {24, 0xff}};
    for (size_t i = 0; i < WL_COUNT_OF(wrong); i++) {
        uint8_t good = blob[wrong[i].at];
        blob[wrong[i].at] = wrong[i].value;
        fix_checksum(blob, bytes);
        cr_assert_eq(try_load(blob, bytes), WL_ERR_DAMAGED, "case %zu", i);
        blob[wrong[i].at] = good;
    }
    fix_checksum(blob, bytes);
    cr_assert_eq(try_load(blob, bytes), WL_OK);
}

Test(presence_set, saves_and_loads_an_empty_set) {
    WL_AUTO(wl_presence_set) set = wl_presence_set_new(WL_PRESENCE_HASHED, 40);
    reload(&set, 4);
    cr_assert_eq(wl_presence_set_members(set), 0);
    cr_assert_not(wl_presence_set_test(set, 0));
    wl_presence_set_optimize(set);
    wl_presence_set_destroy(&set);
    wl_presence_set_destroy(&set);
}
