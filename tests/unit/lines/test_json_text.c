#include "lines/json_text.h"

#include "base/alloc.h"

#include <criterion/criterion.h>
#include <string.h>

static json_t *parse(const char *text, wl_fault_t *fault) {
    json_t *root = NULL;
    return wl_json_text_parse(text, strlen(text), &root, fault) == WL_OK ? root : NULL;
}

static char *repeat(const char *text, size_t times) {
    size_t bytes = strlen(text);
    char *all = wl_alloc(bytes * times + 1);
    for (size_t i = 0; i < times; i++) {
        memcpy(all + i * bytes, text, bytes);
    }
    all[bytes * times] = '\0';
    return all;
}

Test(json_text, bounds_depth_before_building) {
    for (size_t depth = 30; depth < 36; depth++) {
        WL_AUTO_FREE char *open = repeat("[", depth);
        WL_AUTO_FREE char *shut = repeat("]", depth);
        char text[128];
        (void)snprintf(text, sizeof text, "%s%s", open, shut);
        json_t *root = parse(text, NULL);
        cr_assert_eq(root != NULL, depth <= WL_JSON_DEPTH_MAX, "depth %zu", depth);
        json_decref(root);
    }
    WL_AUTO_FREE char *bomb = repeat("[", 1000000);
    cr_assert_null(parse(bomb, NULL));
    WL_AUTO_FREE char *objects = repeat("{\"a\":", 100000);
    cr_assert_null(parse(objects, NULL));
}

Test(json_text, bounds_containers_by_bytes) {
    WL_AUTO_FREE char *many = repeat("{},", 100000);
    char *text = wl_alloc(strlen(many) + 4);
    (void)snprintf(text, strlen(many) + 4, "[%s1]", many);
    wl_fault_t fault = {0};
    cr_assert_null(parse(text, &fault));
    cr_assert_not_null(strstr(fault.message, "objects and arrays"), "%s", fault.message);
    wl_free(text);
}

Test(json_text, brackets_inside_strings_do_not_count) {
    json_t *root = parse("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[[[[[[[\"]", NULL);
    cr_assert_not_null(root);
    json_decref(root);
}

Test(json_text, a_number_beyond_int64_becomes_text_and_harms_nobody_else) {
    json_t *root = parse("{\"a\":[99999999999999999999,-3],\"b\":18446744073709551615,"
                         "\"c\":1e999,\"d\":\"12345678901234567890\",\"e\":7}",
                         NULL);
    cr_assert_not_null(root);
    json_t *a = json_object_get(root, "a");
    cr_assert_str_eq(json_string_value(json_array_get(a, 0)), "99999999999999999999");
    cr_assert_eq(json_integer_value(json_array_get(a, 1)), -3);
    cr_assert_str_eq(json_string_value(json_object_get(root, "b")), "18446744073709551615");
    cr_assert_str_eq(json_string_value(json_object_get(root, "c")), "1e999");
    cr_assert_str_eq(json_string_value(json_object_get(root, "d")), "12345678901234567890");
    cr_assert_eq(json_integer_value(json_object_get(root, "e")), 7);
    json_decref(root);
}

Test(json_text, faults_say_where_but_never_quote) {
    static const char *const rows[] = {
        "",         "{",        "{\"amount\":4711,}",     "[1] x", "{\"a\":1,\"a\":2}",
        "\"\xff\"", "[4711 2]", "\"a\\u0000b\"",          "nul",   "[\"unfinished",
        "[\"\\",    "-",        "[99999999999999999999,]"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        wl_fault_t fault = {0};
        cr_assert_null(parse(rows[i], &fault), "%s", rows[i]);
        cr_assert_null(strstr(fault.message, "4711"), "%s", fault.message);
        cr_assert_neq(fault.message[0], '\0');
    }
    json_t *root = NULL;
    cr_assert_eq(wl_json_text_parse("[1\0]", 4, &root, NULL), WL_ERR_MALFORMED);
}
