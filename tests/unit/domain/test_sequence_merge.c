#include "base/alloc.h"
#include "domain/sequence_merge.h"

#include <criterion/criterion.h>
#include <string.h>

/* "abc" as ["a", "b", "c"] */
static json_t *names(const char *letters) {
    json_t *list = json_array();
    for (; *letters != '\0'; letters++) {
        (void)json_array_append_new(list, json_stringn(letters, 1));
    }
    return list;
}

typedef struct {
    const char *base;
    const char *mine;
    const char *theirs;
    const char *merged; /* NULL = both moved */
} merge_t;

Test(sequence_merge, takes_both_changes) {
    static const merge_t rows[] = {
        {"abc", "abc", "abc", "abc"},   {"abc", "cba", "abc", "cba"},
        {"abc", "abc", "bca", "bca"},   {"abc", "cab", "cab", "cab"},
        {"ab", "abx", "aby", "abxy"},   {"ab", "xab", "aby", "xaby"},
        {"ab", "axyb", "ab", "axyb"},   {"abc", "ac", "abcd", "acd"},
        {"abc", "cba", "abcx", "cxba"}, {"abcd", "abd", "dcba", "dba"},
        {"abc", "", "abcx", "x"},       {"ab", "abx", "xab", "xab"},
        {"abc", "bac", "bca", NULL},    {"ab", "b", "axb", "xb"},
        {"", "a", "b", "ab"},           {"abc", "acb", "bac", NULL},
        {"ab", "bax", "bay", "baxy"},
    };
    for (size_t i = 0; i < WL_COUNT_OF(rows); i++) {
        json_t *base = names(rows[i].base);
        json_t *mine = names(rows[i].mine);
        json_t *theirs = names(rows[i].theirs);
        json_t *merged = NULL;
        bool good = wl_sequence_merge(base, mine, theirs, &merged);
        cr_expect_eq(good, rows[i].merged != NULL, "%zu", i);
        json_t *wanted = names(rows[i].merged == NULL ? "" : rows[i].merged);
        cr_expect(!good || json_equal(merged, wanted), "%zu: %s", i,
                  json_dumps(merged, JSON_COMPACT));
        cr_expect(good || merged == NULL);
        json_decref(base);
        json_decref(mine);
        json_decref(theirs);
        json_decref(merged);
        json_decref(wanted);
    }
}

Test(sequence_merge, only_what_is_in_both_can_move) {
    static const char *const rows[][3] = {
        {"abc", "abc", "-"}, {"abc", "xaybzc", "-"}, {"abc", "ac", "-"}, {"abc", "", "-"},
        {"abc", "acb", "+"}, {"abc", "cxa", "+"},    {"", "abc", "-"},
    };
    for (size_t i = 0; i < WL_COUNT_OF(rows); i++) {
        json_t *base = names(rows[i][0]);
        json_t *changed = names(rows[i][1]);
        cr_expect_eq(wl_sequence_moved(base, changed), rows[i][2][0] == '+', "%zu", i);
        json_decref(base);
        json_decref(changed);
    }
}
