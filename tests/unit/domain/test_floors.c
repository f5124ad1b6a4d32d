#include "domain/floors.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t get(const char *text, const char *line) {
    return wl_floors_get(text, strlen(text), line);
}

Test(floors, what_was_added_is_found_and_nothing_else) {
    char text[WL_FLOORS_BYTES_MAX];
    size_t bytes = wl_floors_add(text, 0, "cash", 12);
    bytes = wl_floors_add(text, bytes, "cas", UINT64_MAX);
    bytes = wl_floors_add(text, bytes, "cash2", 1);
    cr_expect_eq(wl_floors_get(text, bytes, "cash"), 12u);
    cr_expect_eq(wl_floors_get(text, bytes, "cas"), UINT64_MAX);
    cr_expect_eq(wl_floors_get(text, bytes, "cash2"), 1u);
    cr_expect_eq(wl_floors_get(text, bytes, "ca"), 0u);
    cr_expect_eq(wl_floors_get(text, bytes, "ash"), 0u);
    cr_expect_eq(wl_floors_get(NULL, 0, "cash"), 0u);
}

Test(floors, the_most_there_can_be_fits) {
    char text[WL_FLOORS_BYTES_MAX];
    size_t bytes = 0;
    char line[WL_LINE_ID_MAX + 1];
    for (unsigned i = 0; i < WL_LINES_MAX; i++) {
        (void)snprintf(line, sizeof line, "%032u", i);
        bytes = wl_floors_add(text, bytes, line, UINT64_MAX - i);
    }
    cr_expect_eq(bytes, (size_t)WL_FLOORS_BYTES_MAX);
    for (unsigned i = 0; i < WL_LINES_MAX; i++) {
        (void)snprintf(line, sizeof line, "%032u", i);
        cr_expect_eq(wl_floors_get(text, bytes, line), UINT64_MAX - i);
    }
}

Test(floors, the_largest_of_several_counts) {
    cr_expect_eq(get("cash:3,cash:7,cash:5,", "cash"), 7u);
}

Test(floors, unknown_shapes_are_passed_over) {
    static const char *const odd[] = {"cash:,",   "cash:1x,", "cash,",
                                      "cash:-1,", "cash: 1,", "cash:18446744073709551616,",
                                      "cash:12",  ",,,:,",    "cash:1:2,"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        cr_expect_eq(get(odd[i], "cash"), 0u, "%s", odd[i]);
        char text[64];
        (void)snprintf(text, sizeof text, "%s,cash:4,", odd[i]);
        cr_expect(i == 6 || get(text, "cash") == 4, "%s", text);
    }
}

/* Whatever the bytes are, nothing is read beyond them. */
Test(floors, random_bytes_are_survived) {
    static const char letters[] = "cash:,019x";
    srand(7);
    for (int round = 0; round < 20000; round++) {
        size_t bytes = (size_t)(rand() % 24);
        char *text = malloc(bytes + 1); /* exact, so that a sanitizer sees the byte behind */
        char *exact = realloc(text, bytes == 0 ? 1 : bytes);
        for (size_t i = 0; i < bytes; i++) {
            exact[i] = letters[(unsigned)rand() % (sizeof letters - 1)];
        }
        (void)wl_floors_get(exact, bytes, "cash");
        free(exact);
    }
}
