#include "domain/turns.h"

#include "base/slot.h"

#include <criterion/criterion.h>

static const uint32_t weights[] = {32, 16, 8, 4, 2, 1};
enum { CLASSES = 6, SUM = 63 };

static uint32_t turn(wl_turns_t *turns, uint32_t ready) {
    uint32_t class = wl_turns_next(turns, ready);
    cr_assert((ready & (1u << class)) != 0);
    wl_turns_took(turns, class);
    return class;
}

Test(turns, the_heavy_one_goes_first_and_all_get_their_share) {
    wl_turns_t turns;
    uint32_t took[CLASSES] = {0};
    wl_turns_init(&turns, weights, CLASSES);
    cr_expect_eq(wl_turns_next(&turns, (1u << CLASSES) - 1), 0u);
    for (int i = 0; i < SUM * 100; i++) {
        took[turn(&turns, (1u << CLASSES) - 1)]++;
    }
    for (uint32_t i = 0; i < CLASSES; i++) {
        cr_expect_leq(took[i], weights[i] * 100 + 2, "class %u: %u", i, took[i]);
        cr_expect_geq(took[i] + 2, weights[i] * 100);
    }
}

/* Whoever else comes and goes: a class that is ready all the time gets its share. */
Test(turns, nobody_starves) {
    for (uint64_t seed = 0; seed < 100; seed++) {
        wl_turns_t turns;
        wl_turns_init(&turns, weights, CLASSES);
        for (int i = 0; i < 500; i++) {
            (void)turn(&turns, (uint32_t)(wl_mix64(seed << 32 | (uint64_t)i) % 63) + 1);
        }
        uint32_t steady = (uint32_t)(seed % CLASSES);
        uint32_t took = 0;
        for (uint32_t i = 1; i <= 3000; i++) {
            uint64_t random = wl_mix64(seed << 40 | i);
            took += turn(&turns, (uint32_t)(random % 64) | 1u << steady) == steady;
            cr_assert_geq((took + CLASSES) * SUM, i * weights[steady], "class %u, turn %u", steady, i);
        }
    }
}

Test(turns, who_waited_for_nothing_saves_nothing_up) {
    wl_turns_t turns;
    wl_turns_init(&turns, weights, CLASSES);
    for (int i = 0; i < 1000; i++) {
        cr_assert_eq(turn(&turns, 1u << 5), 5u);
    }
    cr_expect_eq(turn(&turns, 1u << 5 | 1u), 0u, "the heavy one goes first");
    uint32_t light = 0;
    for (int i = 0; i < 33 * 10; i++) {
        light += turn(&turns, 1u << 5 | 1u) == 5;
    }
    cr_expect_geq(light, 9u);
    cr_expect_leq(light, 11u, "and is not owed the thousand turns when it was not there");
}
