#include "proto/json_pack.h"

#include <criterion/criterion.h>
#include <string.h>

static wl_err_t pack(json_t *value, msgpack_sbuffer *into) {
    msgpack_sbuffer_init(into);
    wl_err_t err = wl_json_pack(value, into);
    json_decref(value);
    return err;
}

#define EXPECT_BYTES(value, text)                                                              \
    do {                                                                                       \
        msgpack_sbuffer got;                                                                   \
        cr_expect_eq(pack((value), &got), WL_OK);                                              \
        cr_expect(got.size == sizeof(text) - 1 && memcmp(got.data, text, got.size) == 0, "%s", \
                  text);                                                                       \
        msgpack_sbuffer_destroy(&got);                                                         \
    } while (0)

Test(json_pack, every_type_has_its_own) {
    EXPECT_BYTES(NULL, "\xc0");
    EXPECT_BYTES(json_null(), "\xc0");
    EXPECT_BYTES(json_true(), "\xc3");
    EXPECT_BYTES(json_false(), "\xc2");
    EXPECT_BYTES(json_integer(7), "\x07");
    EXPECT_BYTES(json_integer(-1), "\xff");
    EXPECT_BYTES(json_integer(INT64_MAX), "\xcf\x7f\xff\xff\xff\xff\xff\xff\xff");
    EXPECT_BYTES(json_integer(INT64_MIN), "\xd3\x80\0\0\0\0\0\0\0");
    EXPECT_BYTES(json_real(12.5), "\xcb\x40\x29\0\0\0\0\0\0");
    EXPECT_BYTES(json_string(""), "\xa0");
    EXPECT_BYTES(json_stringn("a\0b", 3), "\xa3"
                                          "a\0b");
    EXPECT_BYTES(json_pack("{s:[i, {}], s:n}", "a", 1, "b"), "\x82\xa1"
                                                             "a\x92\x01\x80\xa1"
                                                             "b\xc0");
}

/* [[[..]]], so many lists. */
static json_t *nest(int depth) {
    json_t *value = json_array();
    for (int i = 1; i < depth; i++) {
        json_t *outer = json_array();
        (void)json_array_append_new(outer, value);
        value = outer;
    }
    return value;
}

Test(json_pack, is_bounded_in_depth_and_size) {
    msgpack_sbuffer got;
    cr_expect_eq(pack(nest(33), &got), WL_OK);
    msgpack_sbuffer_destroy(&got);
    cr_expect_eq(pack(nest(34), &got), WL_ERR_TOO_BIG);
    msgpack_sbuffer_destroy(&got);
    cr_expect_eq(pack(nest(20000), &got), WL_ERR_TOO_BIG);
    msgpack_sbuffer_destroy(&got);
    static char text[WL_JSON_PACK_BYTES_MAX];
    memset(text, 'x', sizeof text);
    cr_expect_eq(pack(json_stringn(text, sizeof text - 5), &got), WL_OK);
    msgpack_sbuffer_destroy(&got);
    cr_expect_eq(pack(json_stringn(text, sizeof text), &got), WL_ERR_TOO_BIG);
    msgpack_sbuffer_destroy(&got);
}

Test(json_pack, goes_behind_what_is_there) {
    msgpack_sbuffer into;
    msgpack_sbuffer_init(&into);
    json_t *value = json_true();
    cr_expect_eq(wl_json_pack(value, &into), WL_OK);
    cr_expect_eq(wl_json_pack(value, &into), WL_OK);
    cr_expect(into.size == 2 && memcmp(into.data, "\xc3\xc3", 2) == 0);
    msgpack_sbuffer_destroy(&into);
}
