#include "domain/json_locate.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define AT(text, line_, column_, ...)                                                             \
    do {                                                                                          \
        wl_json_step_t steps_[] = {{0}, __VA_ARGS__};                                             \
        wl_json_place_t place_ =                                                                  \
            wl_json_locate(text, strlen(text), steps_ + 1, sizeof steps_ / sizeof steps_[0] - 1); \
        cr_expect(place_.line == (line_) && place_.column == (column_), "%u:%u", place_.line,     \
                  place_.column);                                                                 \
    } while (0)
#define KEY(name) \
    { .key = (name) }
#define INDEX(number) \
    { .index = (number) }

Test(json_locate, finds_keys_and_elements_behind_every_shape_of_value) {
    const char *text = "{\"a\": [1, {\"x\": \"]},\\\"\"}, [[]], null],\n"
                       "  \"b\": {\"a\": -1.5e3,\n    \"c\": [true, \"z\"]}}";
    AT(text, 1, 1, {0});
    AT(text, 1, 2, KEY("a"));
    AT(text, 1, 8, KEY("a"), INDEX(0));
    AT(text, 1, 11, KEY("a"), INDEX(1));
    AT(text, 1, 12, KEY("a"), INDEX(1), KEY("x"));
    AT(text, 1, 27, KEY("a"), INDEX(2));
    AT(text, 2, 3, KEY("b"));
    AT(text, 2, 9, KEY("b"), KEY("a"));
    AT(text, 3, 17, KEY("b"), KEY("c"), INDEX(1));
}

Test(json_locate, stops_at_the_last_step_that_is_there) {
    const char *text = "{\"a\": {\"b\": 1}, \"l\": [1]}";
    AT(text, 1, 2, KEY("a"), KEY("none"));
    AT(text, 1, 1, KEY("none"), KEY("b"));
    AT(text, 1, 8, KEY("a"), KEY("b"), KEY("c"));
    AT(text, 1, 17, KEY("l"), INDEX(1));
    AT(text, 1, 17, KEY("l"), KEY("a"));
}

Test(json_locate, counts_columns_in_characters) {
    AT("{\"\xe7\x8e\xb0\xe9\x87\x91\": 1, \"b\": 2}", 1, 11, KEY("b"));
}

/* Cut anywhere, the place stays inside the text and nothing is read past it. */
Test(json_locate, survives_text_that_is_cut_anywhere) {
    const char *text = "{\"a\": [1, {\"x\": \"\\\\\"}, [[]], null],\n \"b\": {\"a\": 1}}";
    wl_json_step_t steps[] = {KEY("b"), KEY("a")};
    for (size_t bytes = 0; bytes < strlen(text); bytes++) {
        char *copy = malloc(bytes == 0 ? 1 : bytes); /* exact, so that the sanitizer sees it */
        memcpy(copy, text, bytes);
        wl_json_place_t place = wl_json_locate(copy, bytes, steps, 2);
        cr_expect(place.line <= 2 && place.column <= 40);
        (void)wl_json_deeper_than(copy, bytes, 1, &place);
        free(copy);
    }
}

Test(json_locate, measures_depth_outside_of_texts) {
    wl_json_place_t place = {0};
    const char *text = "{\"[[[[\": [\n[1], \"{{{\\\"{\"]}";
    cr_expect_not(wl_json_deeper_than(text, strlen(text), 3, &place));
    cr_expect(wl_json_deeper_than(text, strlen(text), 2, &place));
    cr_expect_eq(place.line, 2);
    cr_expect_eq(place.column, 1);
    cr_expect_not(wl_json_deeper_than("]]]]", 4, 1, &place), "unbalanced is the parser's to say");
}
