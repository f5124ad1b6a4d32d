#include "base/alloc.h"
#include "domain/config.h"
#include "domain/config_union.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define COUPON(keys) "{\"kind\":\"coupon\",\"url\":\"http://h\"" keys "}"
#define PAGE "{\"version\":1}"

static wl_err_t join(const char *base, const char *candidate, char **ret, wl_fault_t *fault) {
    size_t bytes = 0;
    wl_err_t err =
        wl_config_union(base, strlen(base), candidate, strlen(candidate), ret, &bytes, fault);
    cr_expect(err != WL_OK || strlen(*ret) == bytes);
    return err;
}

Test(config_union, has_the_lines_of_both_and_calls_those_of_the_base_as_the_base_says) {
    wl_fault_t fault = {0};
    WL_AUTO_FREE char *text = NULL;
    cr_assert_eq(join("{\"version\":3,\"lines\":{\"a\":" COUPON(",\"rate\":1,\"sample\":[1]") "}}",
                      "{\"version\":4,\"lines\":{\"b\":" COUPON(
                          ",\"rate\":3,\"sample\":[1]") ","
                                                        "\"a\":" COUPON(",\"rate\":2") "}}",
                      &text, &fault),
                 WL_OK);
    WL_AUTO(wl_config) config = NULL;
    cr_assert_eq(wl_config_compile(text, strlen(text), PAGE, sizeof PAGE - 1, &config, &fault),
                 WL_OK);
    cr_expect_str_eq(config->version, "3.1");
    cr_expect_eq(config->line_count, 2);
    cr_expect_eq(wl_config_line(config, "a")->rate, 1);
    cr_expect_eq(wl_config_line(config, "b")->rate, 3);
    cr_expect_null(strstr(text, "sample"));
}

Test(config_union, is_the_base_to_the_byte_when_nothing_is_new) {
    static const char base[] =
        "{ \"version\" : 3,\n \"lines\": {\"a\":" COUPON(",\"sample\":1") "} }";
    WL_AUTO_FREE char *text = NULL;
    cr_assert_eq(join(base, "{\"version\":4,\"lines\":{\"a\":" COUPON("") "}}", &text, NULL),
                 WL_OK);
    cr_expect_str_eq(text, base);
    WL_AUTO_FREE char *other = NULL;
    cr_assert_eq(join(base, "{\"version\":4,\"lines\":{}}", &other, NULL), WL_OK);
    cr_expect_str_eq(other, base);
}

/* So many lines, named from `first` on, with titles of so many bytes. */
static char *many(int first, int count, int title) {
    size_t room = 64 + (size_t)count * (128 + (size_t)title);
    char *text = wl_alloc(room);
    size_t used = (size_t)snprintf(text, room, "{\"version\":1,\"lines\":{");
    for (int i = 0; i < count; i++) {
        used += (size_t)snprintf(text + used, room - used,
                                 "%s\"l%d\":{\"kind\":\"coupon\",\"url\":\"http://h/%0*d\"}",
                                 i == 0 ? "" : ",", first + i, title, 0);
    }
    (void)snprintf(text + used, room - used, "}}");
    return text;
}

Test(config_union, is_bounded) {
    wl_fault_t fault = {0};
    WL_AUTO_FREE char *base = many(0, 40, 1);
    WL_AUTO_FREE char *fits = many(40, 24, 1);
    WL_AUTO_FREE char *more = many(40, 25, 1);
    char *text = NULL;
    cr_expect_eq(join(base, fits, &text, &fault), WL_OK);
    wl_free(text);
    text = NULL;
    cr_expect_eq(join(base, more, &text, &fault), WL_ERR_TOO_BIG);
    cr_expect_null(text);
    cr_expect_str_eq(fault.where, "integration/lines");
    cr_expect_str_eq(fault.message,
                     "65 lines with those of the candidate, at most 64: end a line first");
    WL_AUTO_FREE char *long_base = many(0, 2, 40000);
    WL_AUTO_FREE char *long_more = many(2, 1, 40000);
    cr_expect_eq(join(long_base, long_more, &text, &fault), WL_ERR_TOO_BIG);
    cr_expect(strstr(fault.message, "bytes with the lines of the candidate, at most 102400"));
}

Test(config_union, refuses_what_is_no_document) {
    static const char *const rows[] = {"", "[]", "{", "{\"lines\":[]}", "{\"version\":1}"};
    for (size_t i = 0; i < WL_COUNT_OF(rows); i++) {
        wl_fault_t fault = {0};
        char *text = NULL;
        cr_expect_eq(join(rows[i], "{\"lines\":{}}", &text, &fault), WL_ERR_MALFORMED);
        cr_expect_str_eq(fault.message, "the base has no object of lines");
        cr_expect_eq(join("{\"lines\":{}}", rows[i], &text, &fault), WL_ERR_MALFORMED);
        cr_expect_str_eq(fault.message, "the candidate has no object of lines");
        cr_expect_null(text);
    }
}
