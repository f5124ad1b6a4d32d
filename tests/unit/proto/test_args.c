#include "proto/args.h"

#include "proto_random.h"

#include <criterion/criterion.h>

static msgpack_zone zone;
static wl_fault_t fault;

static void setup(void) {
    cr_assert(msgpack_zone_init(&zone, 8192));
    memset(&fault, 0, sizeof fault);
}

static void teardown(void) {
    msgpack_zone_destroy(&zone);
}

TestSuite(args, .init = setup, .fini = teardown);

static msgpack_object unpack(const char *bytes, size_t count) {
    msgpack_object object;
    size_t used = 0;
    cr_assert_eq(msgpack_unpack(bytes, count, &used, &zone, &object), MSGPACK_UNPACK_SUCCESS);
    return object;
}

#define UNPACK(text) unpack((text), sizeof(text) - 1)

/* {"k": value} */
#define MAP(value) UNPACK("\x81\xa1k" value)

static wl_err_t u64_of(msgpack_object args, uint64_t *ret) {
    return wl_args_u64(&args, "k", ret, &fault);
}

static wl_err_t i64_of(msgpack_object args, int64_t *ret) {
    return wl_args_i64(&args, "k", ret, &fault);
}

static wl_err_t uid_of(msgpack_object args, uint64_t *ret) {
    return wl_args_uid(&args, "k", ret, &fault);
}

Test(args, absent_and_nil_keys_are_not_found_and_leave_the_result) {
    uint64_t number = 42;
    char text[9] = "old";
    const msgpack_object *value = NULL;
    msgpack_object empty = UNPACK("\x80");
    msgpack_object nil = MAP("\xc0");
    msgpack_object list = UNPACK("\x90");
    const msgpack_object *all[] = {NULL, &empty, &nil, &list};
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(wl_args_find(all[i], "k", &value), WL_ERR_NOT_FOUND);
        cr_assert_eq(wl_args_u64(all[i], "k", &number, &fault), WL_ERR_NOT_FOUND);
        cr_assert_eq(wl_args_text(all[i], "k", text, 8, &fault), WL_ERR_NOT_FOUND);
        cr_assert_eq(wl_args_array(all[i], "k", 8, &value, &fault), WL_ERR_NOT_FOUND);
    }
    cr_assert_eq(number, 42);
    cr_assert_str_eq(text, "old");
    cr_assert_null(value);
}

Test(args, finds_the_first_of_equal_keys_among_strange_ones) {
    uint64_t number = 0;
    /* {5: 1, nil: 1, "kk": 2, bin "k": 3, "k": 4} */
    msgpack_object args = UNPACK("\x85\x05\x01\xc0\x01\xa2kk\x02\xc4\x01k\x03\xa1k\x04");
    cr_assert_eq(wl_args_u64(&args, "k", &number, &fault), WL_OK);
    cr_assert_eq(number, 3);
}

Test(args, takes_integers_of_every_width_and_integral_floats) {
    uint64_t u = 0;
    int64_t i = 0;
    cr_assert_eq(u64_of(MAP("\x05"), &u), WL_OK);
    cr_assert_eq(u, 5);
    cr_assert_eq(u64_of(MAP("\xcf\0\0\0\0\0\0\0\x05"), &u), WL_OK);
    cr_assert_eq(u, 5);
    cr_assert_eq(u64_of(MAP("\xd3\0\0\0\0\0\0\0\x06"), &u), WL_OK);
    cr_assert_eq(u, 6);
    cr_assert_eq(u64_of(MAP("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), &u), WL_OK);
    cr_assert_eq(u, UINT64_MAX);
    cr_assert_eq(u64_of(MAP("\xcb\x42\x00\0\0\0\0\0\0"), &u), WL_OK);
    cr_assert_eq(u, 8589934592u);
    cr_assert_eq(u64_of(MAP("\xcb\x43\x40\0\0\0\0\0\0"), &u), WL_OK, "2^53");
    cr_assert_eq(u, 9007199254740992u);
    cr_assert_eq(u64_of(MAP("\xca\x40\xa0\0\0"), &u), WL_OK, "float32 5.0");
    cr_assert_eq(u, 5);
    cr_assert_eq(i64_of(MAP("\xcb\xc0\x14\0\0\0\0\0\0"), &i), WL_OK);
    cr_assert_eq(i, -5);
    cr_assert_eq(i64_of(MAP("\xd3\x80\0\0\0\0\0\0\0"), &i), WL_OK);
    cr_assert_eq(i, INT64_MIN);
}

Test(args, says_what_is_wrong_with_a_number) {
    uint64_t u = 42;
    int64_t i = 42;
    cr_assert_eq(u64_of(MAP("\xa1"
                            "5"),
                        &u),
                 WL_ERR_BAD_REQUEST);
    cr_assert_str_eq(fault.message, "k: must be an integer, got str");
    cr_assert_str_eq(fault.where, "k");
    cr_assert_eq(u64_of(MAP("\xff"), &u), WL_ERR_BAD_REQUEST);
    cr_assert_str_eq(fault.message, "k: must not be negative");
    cr_assert_eq(u64_of(MAP("\xcb\xc0\x14\0\0\0\0\0\0"), &u), WL_ERR_BAD_REQUEST);
    cr_assert_str_eq(fault.message, "k: must not be negative");
    cr_assert_eq(u64_of(MAP("\xcb\x3f\xf8\0\0\0\0\0\0"), &u), WL_ERR_BAD_REQUEST);
    cr_assert_str_eq(fault.message,
                     "k: must be an integer, got a float with a fraction or above 2^53");
    cr_assert_eq(u64_of(MAP("\xcb\x7f\xf0\0\0\0\0\0\0"), &u), WL_ERR_BAD_REQUEST, "infinity");
    cr_assert_eq(u64_of(MAP("\xcb\x43\x50\0\0\0\0\0\0"), &u), WL_ERR_BAD_REQUEST, "2^54");
    cr_assert_eq(u64_of(MAP("\xc3"), &u), WL_ERR_BAD_REQUEST);
    cr_assert_str_eq(fault.message, "k: must be an integer, got bool");
    cr_assert_eq(i64_of(MAP("\xcf\x80\0\0\0\0\0\0\0"), &i), WL_ERR_BAD_REQUEST);
    cr_assert_str_eq(fault.message, "k: is out of range");
    cr_assert_eq(u, 42);
    cr_assert_eq(i, 42);
    msgpack_object text = MAP("\xa1"
                              "5");
    cr_assert_eq(wl_args_u64(&text, "k", &u, NULL), WL_ERR_BAD_REQUEST, "no fault wanted");
}

Test(args, uid_is_required_and_never_0) {
    uint64_t uid = 42;
    cr_assert_eq(uid_of(UNPACK("\x80"), &uid), WL_ERR_BAD_REQUEST);
    cr_assert_str_eq(fault.message, "k: is required");
    cr_assert_eq(uid_of(MAP("\x00"), &uid), WL_ERR_BAD_REQUEST);
    cr_assert_str_eq(fault.message, "k: must not be 0");
    cr_assert_eq(uid_of(MAP("\xff"), &uid), WL_ERR_BAD_REQUEST);
    cr_assert_str_eq(fault.message, "k: must not be negative");
    cr_assert_eq(uid_of(MAP("\xa2"
                            "17"),
                        &uid),
                 WL_ERR_BAD_REQUEST);
    cr_assert_str_eq(fault.message, "k: must be an integer, got str");
    cr_assert_eq(uid, 42);
    cr_assert_eq(uid_of(MAP("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), &uid), WL_OK);
    cr_assert_eq(uid, UINT64_MAX);
}

Test(args, texts_fit_have_no_nul_and_may_be_bin) {
    char text[5] = "old";
    msgpack_object fits = MAP("\xa4"
                              "abcd");
    msgpack_object longer = MAP("\xa5"
                                "abcde");
    msgpack_object nul = MAP("\xa3"
                             "a\0b");
    msgpack_object bin = MAP("\xc4\x02"
                             "ab");
    msgpack_object none = MAP("\xa0");
    msgpack_object number = MAP("\x05");
    cr_assert_eq(wl_args_text(&longer, "k", text, 4, &fault), WL_ERR_BAD_REQUEST);
    cr_assert_str_eq(fault.message, "k: must be at most 4 bytes, got 5");
    cr_assert_eq(wl_args_text(&nul, "k", text, 4, &fault), WL_ERR_BAD_REQUEST);
    cr_assert_str_eq(fault.message, "k: must not contain a NUL byte");
    cr_assert_eq(wl_args_text(&number, "k", text, 4, &fault), WL_ERR_BAD_REQUEST);
    cr_assert_str_eq(fault.message, "k: must be text, got int");
    cr_assert_str_eq(text, "old");
    cr_assert_eq(wl_args_text(&fits, "k", text, 4, &fault), WL_OK);
    cr_assert_str_eq(text, "abcd");
    cr_assert_eq(wl_args_text(&bin, "k", text, 4, &fault), WL_OK);
    cr_assert_str_eq(text, "ab");
    cr_assert_eq(wl_args_text(&none, "k", text, 4, &fault), WL_OK);
    cr_assert_str_eq(text, "");
}

Test(args, arrays_and_bools_are_typed_and_bounded) {
    const msgpack_object *array = NULL;
    bool yes = false;
    msgpack_object three = MAP("\x93\x01\x02\x03");
    msgpack_object map = MAP("\x80");
    msgpack_object truth = MAP("\xc3");
    cr_assert_eq(wl_args_array(&three, "k", 3, &array, &fault), WL_OK);
    cr_assert_eq(array->via.array.size, 3);
    cr_assert_eq(wl_args_array(&three, "k", 2, &array, &fault), WL_ERR_BAD_REQUEST);
    cr_assert_str_eq(fault.message, "k: at most 2 elements, got 3");
    cr_assert_eq(wl_args_array(&map, "k", 2, &array, &fault), WL_ERR_BAD_REQUEST);
    cr_assert_str_eq(fault.message, "k: must be an array, got map");
    cr_assert_eq(wl_args_bool(&truth, "k", &yes, &fault), WL_OK);
    cr_assert(yes);
    cr_assert_eq(wl_args_bool(&map, "k", &yes, &fault), WL_ERR_BAD_REQUEST);
    cr_assert_str_eq(fault.message, "k: must be true or false, got map");
}

Test(args, names_every_type) {
    static const struct {
        const char *bytes;
        size_t count;
        const char *name;
    } rows[] = {{"\xc0", 1, "nil"},
                {"\xc2", 1, "bool"},
                {"\x01", 1, "int"},
                {"\xff", 1, "int"},
                {"\xa0", 1, "str"},
                {"\xc4\x00", 2, "bin"},
                {"\xca\x3f\0\0\0", 5, "float"},
                {"\x90", 1, "array"},
                {"\x80", 1, "map"},
                {"\xd4\x01\x01", 3, "ext"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        msgpack_object object = unpack(rows[i].bytes, rows[i].count);
        cr_assert_str_eq(wl_value_type_name(&object), rows[i].name);
    }
}
