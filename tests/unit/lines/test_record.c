#include "lines/record.h"

#include <criterion/criterion.h>
#include <string.h>

static json_t *root;
static wl_mapping_t mapping;

static wl_record_t record_of(const char *text, const wl_mapping_t *by) {
    json_decref(root);
    root = json_loads(text, 0, NULL);
    return (wl_record_t){root, by};
}

static void close_record(void) {
    json_decref(root);
}

TestSuite(record, .fini = close_record);

Test(record, absent_and_null_leave_the_value_alone) {
    wl_record_t record = record_of("{\"count\":null}", NULL);
    uint64_t number = 5;
    int64_t amount = -5;
    char text[8] = "kept";
    cr_assert_eq(wl_record_u64(&record, WL_RECORD_COUNT, 10, &number, NULL), WL_OK);
    cr_assert_eq(wl_record_i64(&record, WL_RECORD_EXPIRES_AT, &amount, NULL), WL_OK);
    cr_assert_eq(wl_record_money(&record, WL_RECORD_AMOUNT, 2, &amount, NULL), WL_OK);
    cr_assert_eq(wl_record_text(&record, WL_RECORD_BUCKET, text, 7, NULL), WL_OK);
    cr_assert_eq(number, 5);
    cr_assert_eq(amount, -5);
    cr_assert_str_eq(text, "kept");
}

Test(record, a_mapping_hides_every_field_that_it_does_not_name) {
    mapping = (wl_mapping_t){.used = true, .uid = "/id", .amount = "/a/0"};
    wl_record_t record =
        record_of("{\"uid\":1,\"id\":2,\"a\":[3],\"unit\":\"X\",\"count\":4}", &mapping);
    for (unsigned i = 0; i < WL_RECORD_FIELD_COUNT; i++) {
        bool named = i == WL_RECORD_UID || i == WL_RECORD_AMOUNT;
        cr_assert_eq(wl_record_get(&record, (wl_record_field_t)i) != NULL, named, "%s",
                     wl_record_field_name((wl_record_field_t)i));
    }
    cr_assert_eq(json_integer_value(wl_record_get(&record, WL_RECORD_UID)), 2);
}

Test(record, decimals_belong_to_mappings_that_say_so) {
    int64_t amount = 0;
    mapping = (wl_mapping_t){
        .used = true, .uid = "/uid", .amount = "/amount", .amount_rule = WL_AMOUNT_DECIMAL};
    wl_record_t record = record_of("{\"amount\":\"1.5\"}", &mapping);
    cr_assert_eq(wl_record_money(&record, WL_RECORD_AMOUNT, 2, &amount, NULL), WL_OK);
    cr_assert_eq(amount, 150);
    mapping.amount_rule = WL_AMOUNT_MINOR;
    cr_assert_eq(wl_record_money(&record, WL_RECORD_AMOUNT, 2, &amount, NULL), WL_ERR_BAD_REQUEST);
    record.mapping = NULL;
    cr_assert_eq(wl_record_money(&record, WL_RECORD_AMOUNT, 2, &amount, NULL), WL_ERR_BAD_REQUEST);
    cr_assert_eq(amount, 150);
}

Test(record, faults_name_the_field_and_keep_the_value_to_themselves) {
    wl_fault_t fault = {0};
    int64_t amount = 0;
    uint64_t number = 0;
    char text[4] = "";
    wl_record_t record = record_of(
        "{\"amount\":4711.5,\"count\":\"4711x\",\"version\":4711,\"bucket\":\"4711\"}", NULL);
    cr_assert_eq(wl_record_money(&record, WL_RECORD_AMOUNT, 2, &amount, &fault),
                 WL_ERR_BAD_REQUEST);
    cr_assert_str_eq(fault.message, "amount: a JSON real cannot carry money, send a string");
    cr_assert_eq(wl_record_u64(&record, WL_RECORD_COUNT, 9, &number, &fault), WL_ERR_BAD_REQUEST);
    cr_assert_str_eq(fault.where, "count");
    cr_assert_null(strstr(fault.message, "4711"));
    cr_assert_eq(wl_record_u64(&record, WL_RECORD_VERSION, 9, &number, &fault), WL_ERR_BAD_REQUEST);
    cr_assert_str_eq(fault.message, "version: is out of range");
    cr_assert_eq(wl_record_text(&record, WL_RECORD_BUCKET, text, 3, &fault), WL_ERR_BAD_REQUEST);
    cr_assert_str_eq(fault.message, "bucket: is too long");
}
