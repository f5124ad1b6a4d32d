#include "base/text.h"

#include <criterion/criterion.h>
#include <string.h>

static bool valid(const char *text) {
    return wl_text_valid(text, strlen(text) + 1);
}

Test(text, printable_utf8_of_every_length_is_accepted) {
    cr_assert(valid(""));
    cr_assert(valid("plain ~"));
    cr_assert(valid("\xc2\x80 \xdf\xbf"));
    cr_assert(valid("\xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf"));
    cr_assert(valid("\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf"));
    cr_assert_eq(wl_utf8_bytes((const unsigned char *)"a"), 1);
    cr_assert_eq(wl_utf8_bytes((const unsigned char *)"\xf0\x9f\x92\xb0"), 4);
}

Test(text, everything_else_is_not) {
    static const char *const bad[] = {"\x01",         "a\n",          "\x7f",
                                      "\x80",         "\xc0\x80",     "\xc1\xbf",
                                      "\xe0\x80\x80", "\xe2\x82",     "\xed\xa0\x80",
                                      "\xed\xbf\xbf", "\xf0\x8f\xbf", "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80", "\xff",         "\xe2\x28\xa1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_not(valid(bad[i]), "%zu", i);
    }
    cr_assert_not(wl_text_valid("ab", 2), "no NUL within its size");
}
