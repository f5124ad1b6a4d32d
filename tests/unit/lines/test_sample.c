#include "base/alloc.h"
#include "lines/sample.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static const wl_wall_ms_t now = {1700000000123};

#define RECORD(uid, amount) \
    "{\"uid\":\"" uid "\",\"amount\":" amount ",\"unit\":\"CNY\",\"scale\":2,\"version\":\"3\"}"
/* ZeroMQ lines send numbers as such. */
#define NUMBERS(amount) \
    "{\"uid\":7,\"amount\":" amount ",\"unit\":\"CNY\",\"scale\":2,\"version\":3}"
#define ANSWER(records) "{\"assets\":[" records "]}"
#define MAPPED                                                                                \
    "\"kind\":\"cash\",\"url\":\"http://h\",\"unit\":\"CNY\",\"scale\":2,\"versions\":false," \
    "\"mapping\":{\"list\":\"/data\",\"uid\":\"/who\",\"amount\":\"/"                         \
    "a\",\"amount_rule\":\"decimal\"}"
#define PLAIN(url) "\"kind\":\"cash\",\"url\":\"" url "\",\"unit\":\"CNY\",\"scale\":2"

typedef struct {
    const char *keys;
    const char *sample;
    const char *message; /* "" = it is good */
} row_t;

static wl_config_t *compile(const char *keys, const char *sample) {
    char text[4096];
    wl_config_t *config = NULL;
    wl_fault_t fault = {0};
    int bytes =
        snprintf(text, sizeof text,
                 "{\"version\":1,\"lines\":{\"n\":{\"kind\":\"coupon\",\"url\":\"http://h\"},"
                 "\"cash\":{%s,\"sample\":%s}}}",
                 keys, sample);
    wl_err_t err = wl_config_compile(text, (size_t)bytes, "{\"version\":1}", 13, &config, &fault);
    cr_assert_eq(err, WL_OK, "%s %s", fault.where, fault.message);
    return config;
}

Test(sample, is_judged_as_an_answer_of_its_line) {
    static const row_t rows[] = {
        {PLAIN("http://h"), ANSWER(RECORD("7", "\"150\"")), ""},
        {PLAIN("tcp://h:1"), ANSWER(NUMBERS("150")), ""},
        {PLAIN("http://h"), ANSWER(RECORD("7", "1.5")), "record 0: amount: "},
        {PLAIN("tcp://h:1"), ANSWER(NUMBERS("1.5")), "record 0: amount: "},
        {PLAIN("http://h"), ANSWER(RECORD("7", "1") "," RECORD("8", "-1") "," RECORD("9", "-2")),
         "record 1: amount: "},
        {PLAIN("http://h"), ANSWER(""), "there is no record in it: it shows nothing"},
        {PLAIN("tcp://h:1"), ANSWER(""), "there is no record in it: it shows nothing"},
        {PLAIN("http://h"), "null", ""},
        {PLAIN("tcp://h:1"), "[1,true,false,null,2.5]", ""},
        {MAPPED, "{\"data\":[{\"who\":7,\"a\":\"12.5\"}]}", ""},
        {MAPPED, "{\"data\":[{\"who\":7,\"a\":\"12.555\"}]}", "record 0: amount: "},
        {MAPPED, "{\"data\":{\"list\":[]}}", ""},
    };
    static const bool good[] = {1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0};
    for (size_t i = 0; i < WL_COUNT_OF(rows); i++) {
        WL_AUTO(wl_config) config = compile(rows[i].keys, rows[i].sample);
        wl_fault_t fault = {0};
        wl_err_t err = wl_samples_check(config, now, &fault);
        cr_expect_eq(err, good[i] ? WL_OK : WL_ERR_SETTINGS, "%zu: %s", i, fault.message);
        cr_expect_eq(strncmp(fault.message, rows[i].message, strlen(rows[i].message)), 0, "%zu: %s",
                     i, fault.message);
        cr_expect_str_eq(fault.where, good[i] ? "" : "integration/lines/cash/sample");
        cr_expect(good[i] || fault.message[0] != '\0');
        cr_expect_eq(wl_samples_check(config, now, NULL), err);
    }
}

Test(sample, the_report_is_that_of_lines_test) {
    static const char text[] =
        ANSWER(RECORD("7", "1") "," RECORD("8", "-1") "," RECORD("9", "-2")) "behind";
    WL_AUTO(wl_config) config = compile(PLAIN("http://h"), "1");
    const wl_line_t *line = wl_config_line(config, "cash");
    wl_fault_t fault = {0};
    json_t *report = NULL;
    size_t bytes = strlen(text) - strlen("behind");
    cr_expect_eq(wl_sample_check(line, text, bytes, now, &report, &fault), WL_ERR_SETTINGS);
    cr_expect_not_null(strstr(fault.message, "; 2 records are refused"), "%s", fault.message);
    cr_expect_eq(json_array_size(json_object_get(report, "records")), 3);
    cr_expect_eq(json_integer_value(json_object_get(report, "taken")), 1);
    json_decref(report);
    cr_expect_eq(wl_sample_check(line, text, sizeof text - 1, now, &report, &fault),
                 WL_ERR_SETTINGS);
    cr_expect_eq(json_array_size(json_object_get(report, "records")), 0);
    json_decref(report);
}

/* The last document of docs/CONFIG.md. */
Test(sample, the_example_of_the_page_is_good) {
    static char page[131072];
    FILE *file = fopen("docs/CONFIG.md", "r");
    cr_assert_not_null(file);
    size_t bytes = fread(page, 1, sizeof page - 1, file);
    (void)fclose(file);
    page[bytes] = '\0';
    const char *at = strstr(page, "## Samples\n");
    cr_assert_not_null(at);
    at = strstr(at, "```json\n") + strlen("```json\n");
    wl_config_t *config = NULL;
    wl_fault_t fault = {0};
    cr_assert_eq(wl_config_compile(at, (size_t)(strstr(at, "```") - at), "{\"version\":1}", 13,
                                   &config, &fault),
                 WL_OK, "%s %s", fault.where, fault.message);
    cr_expect_gt(config->samples_bytes, 0);
    cr_expect_eq(wl_samples_check(config, now, &fault), WL_OK, "%s", fault.message);
    wl_config_destroy(&config);
}

/* A configuration without samples has nothing to refuse. */
Test(sample, none_is_fine) {
    wl_config_t *config = NULL;
    static const char text[] =
        "{\"version\":1,\"lines\":{\"n\":{\"kind\":\"coupon\",\"url\":\"http://h\"}}}";
    cr_assert_eq(wl_config_compile(text, sizeof text - 1, "{\"version\":1}", 13, &config, NULL),
                 WL_OK);
    cr_expect_eq(wl_samples_check(config, now, NULL), WL_OK);
    wl_config_destroy(&config);
}
