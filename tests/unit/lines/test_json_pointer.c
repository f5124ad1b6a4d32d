#include "lines/json_pointer.h"

#include <criterion/criterion.h>
#include <string.h>

/* The document of RFC 6901, section 5. */
static const char document[] = "{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"e^f\":3,"
                               "\"g|h\":4,\"i\\\\j\":5,\"k\\\"l\":6,\" \":7,\"m~n\":8}";

Test(json_pointer, meets_the_examples_of_the_rfc) {
    static const struct {
        const char *pointer;
        int value;
    } rows[] = {{"/", 0},     {"/a~1b", 1}, {"/c%d", 2}, {"/e^f", 3}, {"/g|h", 4},
                {"/i\\j", 5}, {"/k\"l", 6}, {"/ ", 7},   {"/m~0n", 8}};
    json_t *root = json_loads(document, 0, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const json_t *value = wl_json_pointer_find(root, rows[i].pointer);
        cr_assert(json_is_integer(value), "%s", rows[i].pointer);
        cr_assert_eq(json_integer_value(value), rows[i].value, "%s", rows[i].pointer);
    }
    cr_assert_eq(wl_json_pointer_find(root, ""), root);
    cr_assert_eq(wl_json_pointer_find(root, "/foo"), json_object_get(root, "foo"));
    cr_assert_str_eq(json_string_value(wl_json_pointer_find(root, "/foo/1")), "baz");
    json_decref(root);
}

Test(json_pointer, finds_nothing_where_there_is_nothing) {
    static const char *const rows[] = {"foo",
                                       "/foo/2",
                                       "/foo/01",
                                       "/foo/-",
                                       "/foo/x",
                                       "/foo/0/x",
                                       "/nobody",
                                       "/m~2n",
                                       "/m~",
                                       "/foo/",
                                       "/foo/99999999999999999999"};
    json_t *root = json_loads(document, 0, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_assert_null(wl_json_pointer_find(root, rows[i]), "%s", rows[i]);
    }
    char longer[200];
    memset(longer, 'a', sizeof longer);
    longer[0] = '/';
    longer[sizeof longer - 1] = '\0';
    cr_assert_null(wl_json_pointer_find(root, longer));
    cr_assert_null(wl_json_pointer_find(NULL, "/foo"));
    json_decref(root);
}
