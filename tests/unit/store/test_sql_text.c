#include "store/sql_text.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(sql_text);

static void assert_text(const wl_sql_text_t *sql, const char *wanted) {
    cr_assert(sql->used == strlen(wanted) && memcmp(sql->at, wanted, sql->used) == 0, "%.*s",
              (int)sql->used, sql->at);
}

Test(sql_text, writes_numbers_up_to_their_ends) {
    wl_sql_text_t sql = {0};
    wl_sql_unsigned(&sql, 0);
    wl_sql_add(&sql, ",");
    wl_sql_unsigned(&sql, UINT64_MAX);
    wl_sql_add(&sql, ",");
    wl_sql_signed(&sql, INT64_MIN);
    wl_sql_add(&sql, ",");
    wl_sql_signed(&sql, INT64_MAX);
    wl_sql_add(&sql, ",");
    wl_sql_signed(&sql, -1);
    assert_text(&sql, "0,18446744073709551615,-9223372036854775808,9223372036854775807,-1");
    wl_sql_text_destroy(&sql);
}

Test(sql_text, no_text_can_end_its_literal) {
    wl_sql_text_t sql = {0};
    wl_sql_text(&sql, "cash-2_b.C");
    wl_sql_text(&sql, "");
    wl_sql_text(&sql, "'");
    wl_sql_text(&sql, "ab\\");
    wl_sql_text(&sql, "\xff");
    wl_sql_text(&sql, "a b");
    assert_text(&sql, "'cash-2_b.C'''x'27'x'61625c'x'ff'x'612062'");
    wl_sql_text_clear(&sql);
    wl_sql_bytes(&sql, (const uint8_t *)"\0\x9f", 2);
    wl_sql_bytes(&sql, NULL, 0);
    assert_text(&sql, "x'009f'NULL");
    wl_sql_text_destroy(&sql);
    wl_sql_text_destroy(&sql);
}

Test(sql_text, grows_as_far_as_needed) {
    wl_sql_text_t sql = {0};
    uint8_t bytes[3000];
    memset(bytes, 0xab, sizeof bytes);
    for (unsigned i = 0; i < 50; i++) {
        wl_sql_bytes(&sql, bytes, sizeof bytes);
    }
    cr_assert_eq(sql.used, 50 * (sizeof bytes * 2 + 3));
    cr_assert(memcmp(sql.at + sql.used - 4, "bab'", 4) == 0);
    wl_sql_text_destroy(&sql);
}
