#include "base/alloc.h"
#include "domain/config.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CASH "\"cash\":{\"kind\":\"cash\",\"url\":\"http://h:1\",\"unit\":\"CNY\"}"
#define COIN "\"coin\":{\"kind\":\"coin\",\"url\":\"tcp://h:1\",\"unit\":\"bean\"}"
#define LIVE \
    "\"live\":{\"kind\":\"cash\",\"mode\":\"live\",\"url\":\"http://h:1\",\"unit\":\"CNY\"}"
#define LINES(lines) "{\"version\":3,\"lines\":{" lines "}}"
#define OPEN "\"cash\":{\"kind\":\"cash\",\"url\":\"http://h:1\",\"unit\":\"CNY\","
#define LINE(keys) LINES(OPEN keys "}")
#define THREE LINES(CASH "," COIN "," LIVE)
#define PAGE(keys) "{\"version\":7," keys "}"
#define EMPTY_PAGE "{\"version\":7}"

static wl_err_t compile(const char *integration, const char *presentation, wl_config_t **ret,
                        wl_fault_t *fault) {
    return wl_config_compile(integration, strlen(integration), presentation, strlen(presentation),
                             ret, fault);
}

static char *file_read(const char *path) {
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file, "%s", path);
    char *text = wl_alloc_zero(1, WL_DOCUMENT_BYTES_MAX + 1);
    size_t bytes = fread(text, 1, WL_DOCUMENT_BYTES_MAX, file);
    cr_assert_gt(bytes, 0);
    (void)fclose(file);
    return text;
}

/* what is accepted */

Test(config, defaults_are_those_of_the_page) {
    WL_AUTO(wl_config) config = NULL;
    cr_assert_eq(compile(LINES(CASH), EMPTY_PAGE, &config, NULL), WL_OK);
    cr_expect_str_eq(config->version, "3.7");
    cr_expect_eq(config->line_count, 1);
    cr_expect_eq(config->section_count, 0);
    const wl_line_t *line = wl_config_line(config, "cash");
    cr_assert_not_null(line);
    cr_expect_str_eq(line->id, "cash");
    cr_expect_str_eq(line->title, "");
    cr_expect_str_eq(line->secret, "");
    cr_expect_eq(line->mode, WL_MODE_SYNC);
    cr_expect_eq(line->adapter, WL_ADAPTER_HTTP);
    cr_expect_eq(line->scale, 0);
    cr_expect(line->versions);
    cr_expect_eq(line->batch_max, 100);
    cr_expect_eq(line->batch_wait_ms, 5);
    cr_expect_eq(line->timeout_ms, 1000);
    cr_expect_eq(line->concurrency, 4);
    cr_expect_eq(line->rate, 0);
    cr_expect_eq(line->burst, 1);
    cr_expect_eq(line->response_bytes_max, WL_LINE_RESPONSE_BYTES_MAX);
    cr_expect_eq(line->attempts_max, 8);
    cr_expect_eq(line->retry_base_ms, 200);
    cr_expect_eq(line->retry_max_ms, 60000);
    cr_expect_eq(line->fresh_ms, 0);
    cr_expect_eq(line->breaker_failures, 5);
    cr_expect_eq(line->breaker_open_ms, 2000);
    cr_expect_eq(line->sanity.amount_min, 0);
    cr_expect_eq(line->sanity.amount_max, INT64_MAX);
    cr_expect_eq(line->sanity.jump_max, 0);
    cr_expect_eq(line->sanity.version_ahead_max, 0);
    cr_expect_not(line->mapping.used);
    for (size_t i = 0; i < WL_GOLDEN_SLOTS; i++) {
        cr_expect_not(config->golden[i].used);
    }
}

Test(config, every_key_reaches_its_field) {
    WL_AUTO(wl_config) config = NULL;
    wl_fault_t fault = {0};
    const char *text =
        LINES("\"l\":{\"kind\":\"cashback\",\"mode\":\"live\",\"title\":\"T\",\"adapter\":\"http\","
              "\"url\":\"https://[::1]:8/p?q\",\"secret\":\"key-1\",\"unit\":\"CNY\",\"scale\":9,"
              "\"versions\":false,\"batch_max\":200,\"batch_wait_ms\":0,\"timeout_ms\":1,"
              "\"concurrency\":2,\"rate\":30,\"burst\":4,\"response_bytes_max\":1024,"
              "\"attempts_max\":5,\"retry_base_ms\":6,\"retry_max_ms\":7,\"fresh_ms\":315360000000,"
              "\"breaker_failures\":8,\"breaker_open_ms\":9,\"sanity\":{\"amount_min\":\"-5\","
              "\"amount_max\":\"9223372036854775806\",\"jump_max\":\"11\"},"
              "\"mapping\":{\"path\":\"/a\",\"list\":\"/b\",\"uid\":\"/c~0~1\",\"bucket\":\"/d\","
              "\"amount\":\"/e\",\"pending\":\"/f\",\"count\":\"/g\",\"state\":\"/h\","
              "\"expires_at\":\"/i\",\"changed_at\":\"/j\",\"version\":\"/k\",\"title\":\"/l\","
              "\"amount_rule\":\"decimal\"}}");
    cr_assert_eq(compile(text, EMPTY_PAGE, &config, &fault), WL_OK, "%s %s", fault.where,
                 fault.message);
    const wl_line_t *line = &config->lines[0];
    cr_expect_eq(line->kind, WL_KIND_CASHBACK);
    cr_expect_eq(line->mode, WL_MODE_LIVE);
    cr_expect_str_eq(line->title, "T");
    cr_expect_str_eq(line->url, "https://[::1]:8/p?q");
    cr_expect_str_eq(line->secret, "key-1");
    cr_expect_str_eq(line->unit, "CNY");
    cr_expect_eq(line->scale, 9);
    cr_expect_not(line->versions);
    const uint32_t numbers[] = {
        line->batch_max,     line->batch_wait_ms, line->timeout_ms,       line->concurrency,
        line->rate,          line->burst,         line->attempts_max,     line->response_bytes_max,
        line->retry_base_ms, line->retry_max_ms,  line->breaker_failures, line->breaker_open_ms};
    const uint32_t expected[] = {200, 0, 1, 2, 30, 4, 5, 1024, 6, 7, 8, 9};
    cr_expect_arr_eq(numbers, expected, sizeof numbers);
    cr_expect_eq(line->fresh_ms, 315360000000u);
    cr_expect_eq(line->sanity.amount_min, -5);
    cr_expect_eq(line->sanity.amount_max, INT64_MAX - 1);
    cr_expect_eq(line->sanity.jump_max, 11);
    const wl_mapping_t *mapping = &line->mapping;
    const char *texts[] = {mapping->path,       mapping->list,    mapping->uid,
                           mapping->bucket,     mapping->amount,  mapping->pending,
                           mapping->count,      mapping->state,   mapping->expires_at,
                           mapping->changed_at, mapping->version, mapping->title};
    const char *pointers[] = {"/a", "/b", "/c~0~1", "/d", "/e", "/f",
                              "/g", "/h", "/i",     "/j", "/k", "/l"};
    for (size_t i = 0; i < 12; i++) {
        cr_expect_str_eq(texts[i], pointers[i]);
    }
    cr_expect(mapping->used);
    cr_expect_eq(mapping->amount_rule, WL_AMOUNT_DECIMAL);
}

Test(config, every_key_of_a_foreign_page_reaches_its_field) {
    WL_AUTO(wl_config) config = NULL;
    wl_fault_t fault = {0};
    const char *text =
        LINE("\"details\":true,\"summary\":true,\"details_mapping\":{\"path\":\"/a?b=c\","
             "\"list\":\"/d\",\"id\":\"/e\",\"time\":\"/f\",\"title\":\"/g\",\"amount\":\"/h\","
             "\"kind\":\"/i\",\"next\":\"/j\",\"amount_rule\":\"decimal\",\"time_rule\":\"s\","
             "\"query_uid\":\"k\",\"query_month\":\"l\",\"query_cursor\":\"m\",\"query_limit\":"
             "\"n\"},\"summary_mapping\":{\"path\":\"/o\",\"in\":\"/p\",\"out\":\"/q\",\"count\":"
             "\"/r\",\"amount_rule\":\"decimal\",\"query_uid\":\"s\",\"query_month\":\"t\"}");
    cr_assert_eq(compile(text, EMPTY_PAGE, &config, &fault), WL_OK, "%s %s", fault.where,
                 fault.message);
    const wl_details_mapping_t *details = &config->lines[0].details_mapping;
    const wl_summary_mapping_t *summary = &config->lines[0].summary_mapping;
    const char *texts[] = {details->path,        details->list,         details->id,
                           details->time,        details->title,        details->amount,
                           details->kind,        details->next,         details->query_uid,
                           details->query_month, details->query_cursor, details->query_limit,
                           summary->path,        summary->in,           summary->out,
                           summary->count,       summary->query_uid,    summary->query_month};
    const char *expected[] = {"/a?b=c", "/d", "/e", "/f", "/g", "/h", "/i", "/j", "k",
                              "l",      "m",  "n",  "/o", "/p", "/q", "/r", "s",  "t"};
    for (size_t i = 0; i < 18; i++) {
        cr_expect_str_eq(texts[i], expected[i]);
    }
    cr_expect(details->used && summary->used);
    cr_expect_eq(details->amount_rule, WL_AMOUNT_DECIMAL);
    cr_expect_eq(details->time_rule, WL_TIME_S);
    cr_expect_eq(summary->amount_rule, WL_AMOUNT_DECIMAL);
}

Test(config, adapters_follow_the_scheme_and_burst_follows_rate) {
    WL_AUTO(wl_config) config = NULL;
    cr_assert_eq(
        compile(LINES(COIN ",\"c\":{\"kind\":\"coupon\",\"url\":\"https://h\",\"rate\":9,"
                           "\"sanity\":{\"version_ahead_max\":\"4\"}},"
                           "\"help\":{\"kind\":\"link\",\"mode\":\"link\",\"url\":\"app://x\"},"
                           "\"bare\":{\"kind\":\"link\",\"mode\":\"link\"}"),
                EMPTY_PAGE, &config, NULL),
        WL_OK);
    cr_expect_eq(wl_config_line(config, "coin")->adapter, WL_ADAPTER_ZMQ);
    cr_expect_eq(wl_config_line(config, "c")->adapter, WL_ADAPTER_HTTP);
    cr_expect_eq(wl_config_line(config, "c")->burst, 9);
    cr_expect_eq(wl_config_line(config, "c")->sanity.version_ahead_max, 4);
    cr_expect_eq(wl_config_line(config, "help")->adapter, WL_ADAPTER_NONE);
    cr_expect_str_eq(wl_config_line(config, "help")->url, "app://x");
    cr_expect_str_eq(wl_adapter_name(WL_ADAPTER_ZMQ), "zmq");
    cr_expect_str_eq(wl_mode_name(WL_MODE_LIVE), "live");
    cr_expect_str_eq(wl_mode_name(WL_MODE_COUNT), "?");
}

Test(config, golden_slots_keep_their_positions) {
    WL_AUTO(wl_config) config = NULL;
    const char *page =
        PAGE("\"golden\":[null,{\"line\":\"coin\",\"title\":\"B\",\"link\":\"x\"},null,"
             "{\"line\":\"cash\"}],\"sections\":[{\"kind\":\"cash\",\"title\":\"M\","
             "\"lines\":[\"live\",\"cash\"]},{\"kind\":\"link\",\"lines\":[]}]");
    cr_assert_eq(compile(THREE, page, &config, NULL), WL_OK);
    cr_expect_not(config->golden[0].used);
    cr_expect(config->golden[1].used);
    cr_expect_str_eq(config->golden[1].title, "B");
    cr_expect_str_eq(config->golden[1].link, "x");
    cr_expect_eq(config->golden[1].line_index, 1);
    cr_expect_not(config->golden[2].used);
    cr_expect_eq(config->golden[3].line_index, 0);
    cr_expect_eq(config->section_count, 2);
    cr_expect_eq(config->sections[0].line_count, 2);
    cr_expect_eq(config->sections[0].line_indexes[0], 2);
    cr_expect_eq(config->sections[0].line_indexes[1], 0);
    cr_expect_str_eq(config->sections[0].title, "M");
    cr_expect_eq(config->sections[1].kind, WL_KIND_LINK);
}

Test(config, a_golden_slot_without_a_title_takes_the_one_of_its_line) {
    WL_AUTO(wl_config) config = NULL;
    cr_assert_eq(compile(LINE("\"title\":\"Cash\""), PAGE("\"golden\":[{\"line\":\"cash\"}]"),
                         &config, NULL),
                 WL_OK);
    cr_expect_str_eq(config->golden[0].title, "Cash");
}

Test(config, campaigns_stand_by_priority_and_keep_their_keys) {
    WL_AUTO(wl_config) config = NULL;
    wl_fault_t fault = {0};
    const char *page =
        PAGE("\"golden\":[{\"line\":\"coin\",\"campaigns\":["
             "{\"id\":\"a\",\"line\":\"cash\"},"
             "{\"id\":\"b\",\"line\":\"coin\",\"title\":\"B\",\"link\":\"x\",\"priority\":7,"
             "\"start\":\"2026-11-11T00:00:00+08:00\",\"end\":\"2026-11-12T00:00:00+08:00\","
             "\"unless\":[\"empty\",\"sick\"]},"
             "{\"id\":\"c\",\"line\":\"cash\",\"priority\":7,\"unless\":[\"empty\"]},"
             "{\"id\":\"d\",\"line\":\"cash\",\"priority\":1000}]}],\"sections\":["
             "{\"kind\":\"coin\",\"lines\":[]},"
             "{\"kind\":\"cash\",\"lines\":[\"cash\"],\"campaigns\":[{\"id\":\"e\",\"line\":"
             "\"live\",\"unless\":[]}]}]");
    cr_assert_eq(compile(THREE, page, &config, &fault), WL_OK, "%s %s", fault.where, fault.message);
    cr_expect_eq(config->campaign_count, 5);
    cr_expect_eq(config->golden[0].campaign_first, 0);
    cr_expect_eq(config->golden[0].campaign_count, 4);
    cr_expect_eq(config->sections[0].campaign_count, 0);
    cr_expect_eq(config->sections[1].campaign_first, 4);
    cr_expect_eq(config->sections[1].campaign_count, 1);
    const char *order[] = {"d", "b", "c", "a", "e"};
    for (size_t i = 0; i < WL_COUNT_OF(order); i++) {
        cr_expect_str_eq(config->campaigns[i].id, order[i]);
    }
    const wl_campaign_t *second = &config->campaigns[1];
    cr_expect_eq(second->line_index, 1);
    cr_expect_str_eq(second->title, "B");
    cr_expect_str_eq(second->link, "x");
    cr_expect_eq(second->start, 1794326400000);
    cr_expect_eq(second->end, 1794326400000 + 86400000);
    cr_expect_eq(second->unless, (1u << WL_UNLESS_SICK) | (1u << WL_UNLESS_EMPTY));
    cr_expect_eq(config->campaigns[2].unless, 1u << WL_UNLESS_EMPTY);
    const wl_campaign_t *last = &config->campaigns[3];
    cr_expect(last->start == INT64_MIN && last->end == INT64_MAX && last->unless == 0);
    cr_expect(config->live_home, "a live line may be in a section");
    cr_expect_str_eq(wl_unless_name(WL_UNLESS_COUNT), "?");
}

Test(config, as_many_campaigns_as_there_may_be_fit) {
    WL_AUTO(wl_config) config = NULL;
    wl_fault_t fault = {0};
    char *lines = wl_alloc(WL_DOCUMENT_BYTES_MAX);
    char *page = wl_alloc(WL_DOCUMENT_BYTES_MAX);
    size_t max = WL_DOCUMENT_BYTES_MAX;
    size_t used = (size_t)snprintf(lines, max, "{\"version\":1,\"lines\":{");
    for (int i = 0; i < WL_GOLDEN_SLOTS + WL_SECTIONS_MAX; i++) {
        used += (size_t)snprintf(lines + used, max - used,
                                 "%s\"l%d\":{\"kind\":\"coupon\",\"url\":\"http://h\"}",
                                 i == 0 ? "" : ",", i);
    }
    (void)snprintf(lines + used, max - used, "}}");
    used = (size_t)snprintf(page, max, "{\"version\":1,\"golden\":[");
    for (int i = 0; i < WL_GOLDEN_SLOTS + WL_SECTIONS_MAX; i++) {
        bool golden = i < WL_GOLDEN_SLOTS;
        const char *before = i == 0 || i == WL_GOLDEN_SLOTS ? "" : ",";
        used += (size_t)snprintf(page + used, max - used,
                                 golden ? "%s{\"line\":\"l%d\",\"campaigns\":["
                                        : "%s{\"kind\":\"coupon\",\"lines\":[],\"campaigns\":[",
                                 before, i);
        int count = golden ? WL_GOLDEN_CAMPAIGNS_MAX : WL_SECTION_CAMPAIGNS_MAX;
        for (int j = 0; j < count; j++) {
            used +=
                (size_t)snprintf(page + used, max - used, "%s{\"id\":\"c%d_%d\",\"line\":\"l%d\"}",
                                 j == 0 ? "" : ",", i, j, i);
        }
        used += (size_t)snprintf(page + used, max - used,
                                 i == WL_GOLDEN_SLOTS - 1 ? "]}],\"sections\":[" : "]}");
    }
    (void)snprintf(page + used, max - used, "]}");
    cr_expect_eq(compile(lines, page, &config, &fault), WL_OK, "%s %s", fault.where, fault.message);
    cr_assert_not_null(config);
    cr_expect_eq(config->campaign_count, WL_CAMPAIGNS_MAX);
    wl_free(lines);
    wl_free(page);
}

Test(config, finds_every_line_of_a_full_configuration) {
    WL_AUTO(wl_config) config = NULL;
    char *text = wl_alloc(WL_DOCUMENT_BYTES_MAX);
    size_t used = (size_t)snprintf(text, WL_DOCUMENT_BYTES_MAX, "{\"version\":1,\"lines\":{");
    for (int i = 0; i < WL_LINES_MAX; i++) {
        used += (size_t)snprintf(text + used, WL_DOCUMENT_BYTES_MAX - used,
                                 "%s\"line_%d\":{\"kind\":\"coupon\",\"url\":\"http://h\"}",
                                 i == 0 ? "" : ",", i);
    }
    (void)snprintf(text + used, WL_DOCUMENT_BYTES_MAX - used, "}}");
    cr_assert_eq(compile(text, EMPTY_PAGE, &config, NULL), WL_OK);
    for (int i = 0; i < WL_LINES_MAX + 1000; i++) {
        char id[32];
        (void)snprintf(id, sizeof id, "line_%d", i);
        cr_expect_eq(wl_config_line_index(config, id), i < WL_LINES_MAX ? i : -1);
    }
    cr_expect_null(wl_config_line(config, ""));
    wl_free(text);
}

/* Ten characters, which count forty bytes. */
#define TEN                                                        \
    "\xe4\xbd\x99\xe4\xbd\x99\xe4\xbd\x99\xe4\xbd\x99\xe4\xbd\x99" \
    "\xe9\xa2\x9d\xe9\xa2\x9d\xe9\xa2\x9d\xe9\xa2\x9d\xe9\xa2\x9d"

Test(config, bounds_are_inclusive) {
    const char *good[] = {
        LINE("\"batch_max\":1"),
        LINE("\"batch_max\":200"),
        LINE("\"scale\":9"),
        LINE("\"sanity\":{\"amount_min\":\"-9223372036854775808\"}"),
        LINE("\"sanity\":{\"amount_min\":\"7\",\"amount_max\":\"7\"}"),
        LINE("\"rate\":1e6,\"burst\":2.0"),
        LINE("\"title\":\"" TEN TEN "1234\""),
        LINES("\"n\":{\"kind\":\"coupon\",\"url\":\"http://[fe80::1%eth0]:65535/a?b#c\"}"),
        "{\"version\":9007199254740991.0,\"lines\":{}}",
        "{\"version\":9007199254740991,\"lines\":{}}"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        WL_AUTO(wl_config) config = NULL;
        wl_fault_t fault = {0};
        cr_expect_eq(compile(good[i], EMPTY_PAGE, &config, &fault), WL_OK, "%s: %s", good[i],
                     fault.message);
    }
}

/* what is refused */

typedef struct {
    const char *integration;
    const char *presentation;
    const char *where;
    const char *message;
} refusal_t;

#define I(text, where, message) \
    { text, EMPTY_PAGE, "integration" where, message }
#define L(keys, where, message) \
    { LINE(keys), EMPTY_PAGE, "integration/lines/cash" where, message }
#define N(keys, where, message) \
    { LINES("\"n\":{" keys "}"), EMPTY_PAGE, "integration/lines/n" where, message }
#define P(keys, where, message) \
    { THREE, PAGE(keys), "presentation" where, message }
#define M(keys, where, message) L("\"mapping\":{" keys "}", "/mapping" where, message)
#define D(keys, where, message) \
    L("\"details\":true,\"details_mapping\":{" keys "}", "/details_mapping" where, message)
#define U(keys, where, message) \
    L("\"summary\":true,\"summary_mapping\":{" keys "}", "/summary_mapping" where, message)
#define S(keys, where, message) L("\"sanity\":{" keys "}", "/sanity" where, message)

#define G(campaigns, where, message)                                         \
    P("\"golden\":[null,{\"line\":\"cash\",\"campaigns\":[" campaigns "]}]", \
      "/golden/1/campaigns" where, message)

static const refusal_t refusals[] = {
    I("[]", "", "must be an object"),
    I("{}", "", "\"version\" is required"),
    I("{\"version\":1}", "", "\"lines\" is required"),
    I("{\"version\":0,\"lines\":{}}", "/version",
      "must be a whole number from 1 to 9007199254740991"),
    I("{\"version\":1.5,\"lines\":{}}", "/version",
      "must be a whole number from 1 to 9007199254740991"),
    I("{\"version\":1,\"lines\":[]}", "/lines", "must be an object"),
    I("{\"version\":1,\"lines\":{},\"line\":{}}", "/line",
      "unknown key \"line\", did you mean \"lines\"?"),
    I(LINES("\"Cash\":{}"), "/lines/Cash", "a line id must match [a-z0-9_-]{1,32}"),
    I(LINES("\"\":{}"), "/lines/", "a line id must match [a-z0-9_-]{1,32}"),
    I(LINES("\"a\\nb\":{}"), "/lines/a?b", "a line id must match [a-z0-9_-]{1,32}"),
    I(LINES("\"cash\":1"), "/lines/cash", "must be an object"),
    N("\"url\":\"http://h\"", "", "\"kind\" is required"),
    N("\"kind\":\"gold\"", "/kind", "must be one of: cash, activity, cashback, coupon, coin, link"),
    N("\"kind\":1", "/kind", "must be one of: cash, activity, cashback, coupon, coin, link"),
    N("\"kind\":\"cash\",\"url\":\"http://h\"", "", "\"unit\" is required for kind cash"),
    N("\"kind\":\"coupon\"", "", "\"url\" is required unless the mode is link"),
    N("\"kind\":\"link\"", "/mode", "mode link and kind link go together"),
    N("\"kind\":\"coin\",\"mode\":\"link\"", "/mode", "mode link and kind link go together"),
    N("\"kind\":\"link\",\"mode\":\"link\",\"adapter\":\"http\"", "/adapter",
      "a link is never asked: leave it out"),
    N("\"kind\":\"link\",\"mode\":\"link\",\"url\":\"help\"", "/url",
      "must be scheme://... where the link leads"),
    N("\"kind\":\"coupon\",\"url\":\"h:80\"", "/url",
      "must start with http://, https:// or tcp://"),
    N("\"kind\":\"coupon\",\"url\":\"http://\"", "/url",
      "adapter http needs http://host[:port] or https://"),
    N("\"kind\":\"coupon\",\"url\":\"http://u:p@h\"", "/url",
      "adapter http needs http://host[:port] or https://"),
    N("\"kind\":\"coupon\",\"url\":\"http://h:0\"", "/url",
      "adapter http needs http://host[:port] or https://"),
    N("\"kind\":\"coupon\",\"url\":\"http://h:65536/\"", "/url",
      "adapter http needs http://host[:port] or https://"),
    N("\"kind\":\"coupon\",\"url\":\"http://:80\"", "/url",
      "adapter http needs http://host[:port] or https://"),
    N("\"kind\":\"coupon\",\"adapter\":\"http\",\"url\":\"tcp://h:1\"", "/url",
      "adapter http needs http://host[:port] or https://"),
    N("\"kind\":\"coupon\",\"adapter\":\"zmq\",\"url\":\"http://h:1\"", "/url",
      "adapter zmq needs tcp://host:port"),
    N("\"kind\":\"coupon\",\"url\":\"tcp://h\"", "/url", "adapter zmq needs tcp://host:port"),
    N("\"kind\":\"coupon\",\"url\":\"tcp://*:1\"", "/url", "adapter zmq needs tcp://host:port"),
    N("\"kind\":\"coupon\",\"url\":\"tcp://h:1/\"", "/url", "adapter zmq needs tcp://host:port"),
    L("\"rat\":1", "/rat", "unknown key \"rat\", did you mean \"rate\"?"),
    L("\"batchmax\":1", "/batchmax", "unknown key \"batchmax\", did you mean \"batch_max\"?"),
    L("\"zzzzzz\":1", "/zzzzzz", "unknown key \"zzzzzz\""),
    L("\"mode\":\"push\"", "/mode", "must be one of: sync, live, link"),
    L("\"adapter\":\"none\"", "/adapter", "must be one of: http, zmq"),
    L("\"rate\":\"5\"", "/rate", "must be a whole number from 0 to 1000000"),
    L("\"rate\":-1", "/rate", "must be a whole number from 0 to 1000000"),
    L("\"rate\":1000001", "/rate", "must be a whole number from 0 to 1000000"),
    L("\"rate\":null", "/rate", "must be a whole number from 0 to 1000000"),
    L("\"burst\":0", "/burst", "must be a whole number from 1 to 1000000"),
    L("\"batch_max\":201", "/batch_max", "must be a whole number from 1 to 200"),
    L("\"scale\":10", "/scale", "must be a whole number from 0 to 9"),
    L("\"versions\":1", "/versions", "must be true or false"),
    L("\"title\":1", "/title", "must be a text of at most 96 bytes"),
    L("\"title\":\"" TEN TEN "12345678901234567\"", "/title",
      "must be a text of at most 96 bytes, where a character outside ASCII counts as four"),
    L("\"rate\":1e300", "/rate", "must be a whole number from 0 to 1000000"),
    L("\"rate\":1.5", "/rate", "must be a whole number from 0 to 1000000"),
    {LINES("\"n\":{\"kind\":\"coin\",\"title\":\"12345678901234567890123456789012345678901234567890"
           "12345678901234567890123456789012345678901234567\"}"),
     EMPTY_PAGE, "integration/lines/n/title", "must be a text of at most 96 bytes"},
    N("\"kind\":\"coupon\",\"url\":\"http://h/a b\"", "/url",
      "must be ASCII without blanks: write others as %20 or %e4%bd%99"),
    N("\"kind\":\"coupon\",\"url\":\"http://h:08\"", "/url",
      "adapter http needs http://host[:port] or https://"),
    N("\"kind\":\"coupon\",\"urls\":[\"http://h\",\"\"]", "/urls/1", "must not be empty"),
    N("\"kind\":\"coupon\",\"urls\":[]", "/urls", "must not be empty"),
    N("\"kind\":\"link\",\"mode\":\"link\",\"sample\":null", "/sample",
      "a link is never asked: leave it out"),
    M("\"uid\":\"/u\",\"amount\":\"/a\",\"version\":\"/v\",\"path\":\"a\"", "/path",
      "must start with /"),
    L("\"title\":\"a\\u0007\"", "/title", "must not contain control characters"),
    L("\"secret\":\"../key\"", "/secret", "must match [a-z0-9_-]{1,32}"),
    L("\"retry_base_ms\":10,\"retry_max_ms\":9", "/retry_max_ms",
      "must not be less than retry_base_ms (10)"),
    L("\"details_mapping\":{}", "/details_mapping",
      "means nothing for a line that is not asked for it"),
    L("\"details\":true,\"summary_mapping\":{}", "/summary_mapping",
      "means nothing for a line that is not asked for it"),
    L("\"details\":true,\"details_mapping\":[]", "/details_mapping", "must be an object"),
    N("\"kind\":\"coupon\",\"url\":\"tcp://h:1\",\"details\":true,\"details_mapping\":{}",
      "/details_mapping", "means nothing for adapter zmq"),
    D("", "", "\"id\" is required"),
    D("\"id\":\"/a\",\"amount\":\"/b\"", "", "\"time\" is required"),
    D("\"id\":\"/a\",\"time\":\"/b\"", "", "\"amount\" is required"),
    D("\"id\":\"\",\"time\":\"/b\",\"amount\":\"/c\"", "/id", "must not be empty"),
    D("\"id\":\"a\",\"time\":\"/b\",\"amount\":\"/c\"", "/id",
      "must be a JSON pointer such as /data/amount"),
    D("\"id\":\"/a\",\"time\":\"/b\",\"amount\":\"/c\",\"time_rule\":\"min\"", "/time_rule",
      "must be one of: ms, s"),
    D("\"id\":\"/a\",\"time\":\"/b\",\"amount\":\"/c\",\"query_uid\":"
      "\"123456789012345678901234567890123\"",
      "/query_uid", "must be a text of at most 32 bytes"),
    D("\"mount\":\"/a\"", "/mount", "unknown key \"mount\", did you mean \"amount\"?"),
    U("\"out\":\"/a\",\"count\":\"/b\"", "", "\"in\" is required"),
    U("\"in\":\"/a\",\"out\":\"/b\"", "", "\"count\" is required"),
    U("\"list\":\"/a\"", "/list", "unknown key \"list\""),
    L("\"sanity\":[]", "/sanity", "must be an object"),
    S("\"amount_min\":-5", "/amount_min",
      "must be a text with a whole number from \"-9223372036854775808\" to "
      "\"9223372036854775807\""),
    S("\"amount_max\":\"9223372036854775808\"", "/amount_max",
      "must be a text with a whole number from \"-9223372036854775808\" to "
      "\"9223372036854775807\""),
    S("\"amount_max\":\"1.5\"", "/amount_max",
      "must be a text with a whole number from \"-9223372036854775808\" to "
      "\"9223372036854775807\""),
    S("\"jump_max\":\"-1\"", "/jump_max",
      "must be a text with a whole number from \"0\" to \"9223372036854775807\""),
    S("\"amount_min\":\"2\",\"amount_max\":\"1\"", "/amount_min", "must not be above amount_max"),
    S("\"jump\":\"1\"", "/jump", "unknown key \"jump\""),
    L("\"versions\":false,\"sanity\":{\"version_ahead_max\":\"5\"}", "/sanity/version_ahead_max",
      "means nothing for a line without versions"),
    M("\"amount\":\"/a\",\"version\":\"/v\"", "", "\"uid\" is required"),
    M("\"uid\":\"\",\"amount\":\"/a\",\"version\":\"/v\"", "/uid", "must not be empty"),
    M("\"uid\":\"/u\",\"version\":\"/v\"", "", "\"amount\" or \"count\" is required"),
    M("\"uid\":\"/u\",\"amount\":\"/a\"", "",
      "\"version\" is required, or set versions of the line to false"),
    M("\"uid\":\"u\"", "/uid", "must be a JSON pointer such as /data/amount"),
    M("\"uid\":\"/a~2\"", "/uid", "must be a JSON pointer such as /data/amount"),
    M("\"uid\":\"/u\",\"amount_rule\":\"float\"", "/amount_rule", "must be one of: minor, decimal"),
    M("\"uid\":\"/u\",\"paht\":\"/u\"", "/paht", "unknown key \"paht\", did you mean \"path\"?"),
    G("{\"line\":\"coin\"}", "/0", "\"id\" is required"),
    G("{\"id\":\"a b\",\"line\":\"coin\"}", "/0/id", "must match [a-z0-9_-]{1,32}"),
    G("{\"id\":\"a\"}", "/0", "\"line\" is required"),
    G("7", "/0", "must be an object"),
    G("{\"id\":\"a\",\"line\":\"coim\"}", "/0/line",
      "there is no line \"coim\", did you mean \"coin\"?"),
    G("{\"id\":\"a\",\"line\":\"live\"}", "/0/line",
      "\"live\" has mode live: golden slots show sync lines only"),
    G("{\"id\":\"a\",\"line\":\"coin\",\"strat\":\"\"}", "/0/strat",
      "unknown key \"strat\", did you mean \"start\"?"),
    G("{\"id\":\"a\",\"line\":\"coin\"},{\"id\":\"a\",\"line\":\"coin\"}", "/1/id",
      "\"a\" is another campaign's id"),
    G("{\"id\":\"a\",\"line\":\"coin\",\"start\":1}", "/0/start",
      "must be a time with its zone such as 2026-11-11T00:00:00+08:00"),
    G("{\"id\":\"a\",\"line\":\"coin\",\"end\":\"2026-11-11T00:00:00\"}", "/0/end",
      "must be a time with its zone such as 2026-11-11T00:00:00+08:00"),
    G("{\"id\":\"a\",\"line\":\"coin\",\"start\":\"2026-11-11T00:00:00+08:00\",\"end\":"
      "\"2026-11-10T16:00:00Z\"}",
      "/0/end", "must be after start"),
    G("{\"id\":\"a\",\"line\":\"coin\",\"priority\":1001}", "/0/priority",
      "must be a whole number from 0 to 1000"),
    G("{\"id\":\"a\",\"line\":\"coin\",\"unless\":\"sick\"}", "/0/unless", "must be a list"),
    G("{\"id\":\"a\",\"line\":\"coin\",\"unless\":[\"sick\",\"ill\"]}", "/0/unless/1",
      "must be one of: sick, empty"),
    G("{\"id\":\"a\",\"line\":\"coin\",\"unless\":[\"empty\",\"empty\"]}", "/0/unless/1",
      "\"empty\" is there twice"),
    G("{\"id\":\"a\",\"line\":\"coin\",\"unless\":[\"sick\",\"sick\",\"sick\"]}", "/0/unless",
      "must have at most 2 elements"),
    P("\"golden\":[{\"line\":\"cash\",\"campaigns\":[{\"id\":\"a\",\"line\":\"coin\"}]},"
      "{\"line\":\"coin\"}]",
      "/golden/1/line", "\"coin\" already fills position 1"),
    P("\"golden\":[{\"line\":\"cash\"},null,{\"line\":\"coin\",\"campaigns\":"
      "[{\"id\":\"a\",\"line\":\"coin\"},{\"id\":\"b\",\"line\":\"cash\"}]}]",
      "/golden/2/campaigns/1/line", "\"cash\" already fills position 1"),
    P("\"golden\":[{\"line\":\"cash\",\"campaigns\":{}}]", "/golden/0/campaigns", "must be a list"),
    P("\"golden\":[{\"line\":\"cash\",\"campaigns\":[1,2,3,4,5,6,7,8,9]}]", "/golden/0/campaigns",
      "must have at most 8 elements"),
    P("\"sections\":[{\"kind\":\"cash\",\"lines\":[],\"campaigns\":"
      "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}]",
      "/sections/0/campaigns", "must have at most 16 elements"),
    P("\"sections\":[{\"kind\":\"cash\",\"lines\":[],\"campaigns\":"
      "[{\"id\":\"a\",\"line\":\"coin\"}]}]",
      "/sections/0/campaigns/0/line", "\"coin\" is of kind coin, the section of kind cash"),
    P("\"sections\":[{\"kind\":\"cash\",\"lines\":[],\"campaigns\":"
      "[{\"id\":\"a\",\"line\":\"cash\"}]},{\"kind\":\"cash\",\"lines\":[\"cash\"]}]",
      "/sections/0/campaigns/0/line", "\"cash\" is already in section 1"),
    P("\"sections\":[{\"kind\":\"cash\",\"lines\":[],\"campaigns\":"
      "[{\"id\":\"a\",\"line\":\"cash\"}]},{\"kind\":\"cash\",\"lines\":[],\"campaigns\":"
      "[{\"id\":\"b\",\"line\":\"live\"},{\"id\":\"c\",\"line\":\"cash\"}]}]",
      "/sections/1/campaigns/1/line", "\"cash\" is already in a campaign of section 0"),
    P("\"golden\":[{\"line\":\"cash\",\"campaigns\":[{\"id\":\"a\",\"line\":\"coin\"}]}],"
      "\"sections\":[{\"kind\":\"cash\",\"lines\":[],\"campaigns\":"
      "[{\"id\":\"a\",\"line\":\"cash\"}]}]",
      "/sections/0/campaigns/0/id", "\"a\" is another campaign's id"),
    {LINES("\"help\":{\"kind\":\"link\",\"mode\":\"link\"}"),
     PAGE("\"sections\":[{\"kind\":\"link\",\"lines\":[],\"campaigns\":"
          "[{\"id\":\"a\",\"line\":\"help\",\"unless\":[\"empty\"]}]}]"),
     "presentation/sections/0/campaigns/0/unless", "\"help\" is a link: nobody has anything there"},
    P("\"golden\":{}", "/golden", "must be a list"),
    P("\"golden\":[null,null,null,null,null]", "/golden", "must have at most 4 elements"),
    P("\"golden\":[1]", "/golden/0", "must be an object"),
    P("\"golden\":[{}]", "/golden/0", "\"line\" is required"),
    P("\"golden\":[{\"line\":\"\"}]", "/golden/0/line", "must not be empty"),
    P("\"golden\":[{\"line\":\"cahs\"}]", "/golden/0/line",
      "there is no line \"cahs\", did you mean \"cash\"?"),
    P("\"golden\":[{\"line\":\"stocks\"}]", "/golden/0/line", "there is no line \"stocks\""),
    P("\"golden\":[null,{\"line\":\"live\"}]", "/golden/1/line",
      "\"live\" has mode live: golden slots show sync lines only"),
    P("\"golden\":[{\"line\":\"cash\"},{\"line\":\"coin\"},{\"line\":\"cash\"}]", "/golden/2/line",
      "\"cash\" already fills position 1"),
    P("\"golden\":[{\"line\":\"cash\",\"titel\":\"\"}]", "/golden/0/titel",
      "unknown key \"titel\", did you mean \"title\"?"),
    P("\"sections\":[{\"lines\":[]}]", "/sections/0", "\"kind\" is required"),
    P("\"sections\":[{\"kind\":\"cash\"}]", "/sections/0", "\"lines\" is required"),
    P("\"sections\":[{\"kind\":\"cash\",\"lines\":[1]}]", "/sections/0/lines/0",
      "must be a text of at most 32 bytes"),
    P("\"sections\":[{\"kind\":\"cash\",\"lines\":[\"cash\",\"cas\\u0001\"]}]",
      "/sections/0/lines/1", "must not contain control characters"),
    P("\"sections\":[{\"kind\":\"cash\",\"lines\":[\"cash\",\"cas\"]}]", "/sections/0/lines/1",
      "there is no line \"cas\", did you mean \"cash\"?"),
    P("\"sections\":[{\"kind\":\"cash\",\"lines\":[\"coin\"]}]", "/sections/0/lines/0",
      "\"coin\" is of kind coin, the section of kind cash"),
    P("\"sections\":[{\"kind\":\"cash\",\"lines\":[\"cash\"]},{\"kind\":\"cash\",\"lines\":"
      "[\"live\",\"cash\"]}]",
      "/sections/1/lines/1", "\"cash\" is already in section 0"),
    P("\"sections\":[{\"kind\":\"cash\",\"lines\":[\"cash\",\"cash\"]}]", "/sections/0/lines/1",
      "\"cash\" is already in section 0"),
};

Test(config, every_refusal_names_its_place_and_reason) {
    for (size_t i = 0; i < WL_COUNT_OF(refusals); i++) {
        const refusal_t *row = &refusals[i];
        wl_config_t *config = NULL;
        wl_fault_t fault = {0};
        cr_expect_eq(compile(row->integration, row->presentation, &config, &fault), WL_ERR_SETTINGS,
                     "%s %s", row->integration, row->presentation);
        cr_expect_null(config);
        cr_expect_str_eq(fault.where, row->where, "%s | %s: %s", row->integration, fault.where,
                         fault.message);
        cr_expect_str_eq(fault.message, row->message, "%s: %s", fault.where, fault.message);
        cr_expect(fault.line == 1 && fault.column >= 1);
        cr_expect_eq(compile(row->integration, row->presentation, &config, NULL), WL_ERR_SETTINGS,
                     "a fault is optional");
    }
}

typedef struct {
    const char *integration;
    const char *presentation;
    const char *where;
    unsigned line;
    unsigned column;
} place_t;

Test(config, faults_carry_the_line_and_column_of_the_key) {
    const place_t rows[] = {
        {"{\n  \"version\": 1,\n  \"lines\": {\n    \"cash\": {\"kind\": \"cash\",\n"
         "      \"rate\": -1}\n  }\n}",
         EMPTY_PAGE, "integration/lines/cash/rate", 5, 7},
        {"{\n  \"version\": 1,\n  \"lines\": {\n    \"cash\": {\"kind\": \"cash\",\n"
         "      \"x\": -1}\n  }\n}",
         EMPTY_PAGE, "integration/lines/cash/x", 5, 7},
        {"{\n  \"version\": 1,\n  \"lines\": {\n    \"cash\": {}}}", EMPTY_PAGE,
         "integration/lines/cash", 4, 5},
        {THREE, "{\"version\": 1,\n\"golden\": [\n null,\n {\"line\": \"nope\"}]}",
         "presentation/golden/1/line", 4, 3},
        {THREE,
         "{\"version\": 1,\n\"sections\": [{\"kind\":\"cash\",\n\"lines\":[\"cash\",\n"
         "\"coin\"]}]}",
         "presentation/sections/0/lines/1", 4, 1},
        /* syntax: where the parser stopped */
        {"{\"version\": 1,\n \"lines\": {},}", EMPTY_PAGE, "integration", 2, 14},
        {THREE, "{\"version\": 1,\n oops}", "presentation", 2, 5},
        {"{\"version\": 1,\n \"version\": 2}", EMPTY_PAGE, "integration", 2, 10},
        {"[[[[[[[[[[[[[[[[\n[1]]]]]]]]]]]]]]]]]", EMPTY_PAGE, "integration", 2, 1},
        {"", EMPTY_PAGE, "integration", 1, 1},
    };
    for (size_t i = 0; i < WL_COUNT_OF(rows); i++) {
        wl_config_t *config = NULL;
        wl_fault_t fault = {0};
        cr_expect_eq(compile(rows[i].integration, rows[i].presentation, &config, &fault),
                     WL_ERR_SETTINGS);
        cr_expect_str_eq(fault.where, rows[i].where);
        cr_expect(fault.line == rows[i].line && fault.column == rows[i].column, "%zu: %u:%u %s", i,
                  fault.line, fault.column, fault.message);
        cr_expect_neq(fault.message[0], '\0');
    }
}

Test(config, refuses_more_than_its_bounds) {
    wl_config_t *config = NULL;
    wl_fault_t fault = {0};
    char *text = wl_alloc(WL_DOCUMENT_BYTES_MAX + 1);
    memset(text, ' ', WL_DOCUMENT_BYTES_MAX + 1);
    memcpy(text, LINES(CASH), sizeof LINES(CASH) - 1);
    cr_expect_eq(wl_config_compile(text, WL_DOCUMENT_BYTES_MAX + 1, EMPTY_PAGE,
                                   sizeof EMPTY_PAGE - 1, &config, &fault),
                 WL_ERR_TOO_BIG);
    cr_expect_str_eq(fault.message, "the document is too long");
    cr_expect_eq(wl_config_compile(text, WL_DOCUMENT_BYTES_MAX, EMPTY_PAGE, sizeof EMPTY_PAGE - 1,
                                   &config, &fault),
                 WL_OK);
    wl_config_destroy(&config);
    size_t used = (size_t)snprintf(text, WL_DOCUMENT_BYTES_MAX, "{\"version\":1,\"lines\":{");
    for (int i = 0; i <= WL_LINES_MAX; i++) {
        used += (size_t)snprintf(text + used, WL_DOCUMENT_BYTES_MAX - used,
                                 "%s\"l%d\":{\"kind\":\"coupon\",\"url\":\"http://h\"}",
                                 i == 0 ? "" : ",", i);
    }
    (void)snprintf(text + used, WL_DOCUMENT_BYTES_MAX - used, "}}");
    cr_expect_eq(compile(text, EMPTY_PAGE, &config, &fault), WL_ERR_SETTINGS);
    cr_expect_str_eq(fault.where, "integration/lines");
    cr_expect_str_eq(fault.message, "must have at most 64 elements");
    used = (size_t)snprintf(text, WL_DOCUMENT_BYTES_MAX, "{\"version\":1,\"sections\":[");
    for (int i = 0; i <= WL_SECTIONS_MAX; i++) {
        used += (size_t)snprintf(text + used, WL_DOCUMENT_BYTES_MAX - used,
                                 "%s{\"kind\":\"cash\",\"lines\":[]}", i == 0 ? "" : ",");
    }
    (void)snprintf(text + used, WL_DOCUMENT_BYTES_MAX - used, "]}");
    cr_expect_eq(compile(THREE, text, &config, &fault), WL_ERR_SETTINGS);
    cr_expect_str_eq(fault.message, "must have at most 16 elements");
    wl_free(text);
}

Test(config, keeps_the_samples_of_its_lines) {
    WL_AUTO(wl_config) config = NULL;
    wl_fault_t fault = {0};
    cr_assert_eq(
        compile(LINES(OPEN "\"sample\": [ 1, {\"a\" : \"x\"} ]},\"n\":{\"kind\":\"coupon\","
                           "\"url\":\"http://h\"},\"m\":{\"kind\":\"coupon\",\"url\":\"http://h\","
                           "\"sample\":null}"),
                EMPTY_PAGE, &config, &fault),
        WL_OK, "%s %s", fault.where, fault.message);
    size_t bytes = 1;
    const char *text = wl_config_sample(config, wl_config_line(config, "cash"), &bytes);
    cr_expect_eq(bytes, strlen("[1,{\"a\":\"x\"}]"));
    cr_expect_eq(memcmp(text, "[1,{\"a\":\"x\"}]", bytes), 0);
    cr_expect_null(wl_config_sample(config, wl_config_line(config, "n"), &bytes));
    cr_expect_eq(bytes, 0);
    text = wl_config_sample(config, wl_config_line(config, "m"), &bytes);
    cr_expect(bytes == 4 && memcmp(text, "null", 4) == 0);
}

Test(config, refuses_a_sample_that_is_too_long) {
    wl_config_t *config = NULL;
    wl_fault_t fault = {0};
    char *text = wl_alloc(WL_DOCUMENT_BYTES_MAX);
    for (int over = 0; over < 2; over++) { /* spaces do not count */
        (void)snprintf(text, WL_DOCUMENT_BYTES_MAX, LINES(OPEN "\"sample\":[  \"%0*d\"  ]}"),
                       WL_SAMPLE_BYTES_MAX - 4 + over, 0);
        cr_expect_eq(compile(text, EMPTY_PAGE, &config, &fault), over ? WL_ERR_SETTINGS : WL_OK);
        wl_config_destroy(&config);
    }
    cr_expect_str_eq(fault.where, "integration/lines/cash/sample");
    cr_expect_str_eq(fault.message, "must be at most 16384 bytes of compact JSON");
    wl_free(text);
}

Test(config, a_secret_with_nul_inside_is_not_cut_short) {
    wl_config_t *config = NULL;
    wl_fault_t fault = {0};
    cr_expect_eq(compile(LINE("\"secret\":\"a\\u0000b\""), EMPTY_PAGE, &config, &fault),
                 WL_ERR_SETTINGS);
    cr_expect_null(config);
}

/* the page and the samples */

Test(config, samples_compile) {
    char *integration = file_read("conf/config/integration-1.json");
    char *presentation = file_read("conf/config/presentation-1.json");
    WL_AUTO(wl_config) config = NULL;
    wl_fault_t fault = {0};
    cr_assert_eq(compile(integration, presentation, &config, &fault), WL_OK, "%s:%u:%u %s",
                 fault.where, fault.line, fault.column, fault.message);
    cr_expect_eq(config->line_count, 6);
    cr_expect_eq(config->section_count, WL_KIND_COUNT);
    for (size_t i = 0; i < WL_GOLDEN_SLOTS; i++) {
        cr_expect(config->golden[i].used);
    }
    cr_expect(wl_config_line(config, "rebate")->mapping.used);
    wl_free(integration);
    wl_free(presentation);
}

static void page_append(const char *row, void *arg) {
    char *page = arg;
    size_t used = strlen(page);
    used += (size_t)snprintf(page + used, WL_DOCUMENT_BYTES_MAX - used, "| `");
    unsigned cell = 0;
    for (const char *each = row; *each != '\0'; each++) {
        if (*each == '\t') {
            used += (size_t)snprintf(page + used, WL_DOCUMENT_BYTES_MAX - used, "%s",
                                     cell++ == 0 ? "` | " : " | ");
        } else {
            page[used++] = *each;
            page[used] = '\0';
        }
    }
    cr_expect_eq(cell, 4, "%s", row);
    (void)snprintf(page + used, WL_DOCUMENT_BYTES_MAX - used, " |\n");
}

/* The text between ```json fences number `index` of a page; wl_free() it. */
static char *page_example(const char *page, unsigned index) {
    const char *fence = "```json\n";
    const char *at = strstr(page, fence);
    while (at != NULL && index-- > 0) {
        at = strstr(at + strlen(fence), fence);
    }
    cr_assert_not_null(at);
    at += strlen(fence);
    const char *end = strstr(at, "```");
    cr_assert_not_null(end);
    char *text = wl_strdup(at);
    text[end - at] = '\0';
    return text;
}

/* The pair of documents, and the same with the campaigns of the page. */
Test(config, the_examples_of_the_page_compile) {
    char *page = file_read("docs/CONFIG.md");
    char *integration = page_example(page, 0);
    char *presentation = page_example(page, 1);
    char *campaigns = page_example(page, 2);
    WL_AUTO(wl_config) config = NULL;
    WL_AUTO(wl_config) with = NULL;
    wl_fault_t fault = {0};
    cr_expect_eq(compile(integration, presentation, &config, &fault), WL_OK, "%s: %s", fault.where,
                 fault.message);
    cr_assert_eq(compile(integration, campaigns, &with, &fault), WL_OK, "%s: %s", fault.where,
                 fault.message);
    cr_expect_gt(with->campaign_count, 1);
    wl_free(page);
    wl_free(integration);
    wl_free(presentation);
    wl_free(campaigns);
}

/* The table of docs/CONFIG.md is what wl_config_document() prints. */
Test(config, the_page_lists_every_key_as_it_is) {
    char *page = file_read("docs/CONFIG.md");
    char *table = wl_alloc_zero(1, WL_DOCUMENT_BYTES_MAX);
    (void)snprintf(table, WL_DOCUMENT_BYTES_MAX,
                   "<!-- generated: config -->\n| key | type | default | bounds | meaning |\n"
                   "| --- | --- | --- | --- | --- |\n");
    wl_config_document(page_append, table);
    (void)strncat(table, "<!-- end -->\n", WL_DOCUMENT_BYTES_MAX - strlen(table) - 1);
    if (strstr(page, table) == NULL) {
        (void)fputs(table, stderr); /* to be pasted */
        cr_expect(false, "docs/CONFIG.md is not up to date");
    }
    wl_free(page);
    wl_free(table);
}

/* random damage */

static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void damage(char *text, size_t bytes) {
    static const char alphabet[] = "{}[]\",:0123456789-truefalsn \n\\/abz_";
    uint64_t edits = 1 + next_random() % 3;
    for (uint64_t i = 0; i < edits; i++) {
        text[next_random() % bytes] = alphabet[next_random() % (sizeof alphabet - 1)];
    }
}

/* Whatever is accepted is whole: texts end, indexes and numbers are in range. */
static void check_whole(const wl_config_t *config) {
    cr_assert_leq(config->line_count, WL_LINES_MAX);
    for (uint32_t i = 0; i < config->line_count; i++) {
        const wl_line_t *line = &config->lines[i];
        cr_assert(wl_line_id_valid(line->id));
        cr_assert_eq(wl_config_line_index(config, line->id), (int)i);
        cr_assert(line->kind < WL_KIND_COUNT && line->mode < WL_MODE_COUNT);
        cr_assert((line->adapter == WL_ADAPTER_NONE) == (line->mode == WL_MODE_LINK));
        cr_assert(line->batch_max >= 1 && line->batch_max <= WL_PULL_UIDS_MAX);
        cr_assert(line->burst >= 1 && line->retry_base_ms <= line->retry_max_ms);
        cr_assert(line->sanity.amount_min <= line->sanity.amount_max);
    }
    for (uint32_t i = 0; i < WL_GOLDEN_SLOTS; i++) {
        cr_assert(!config->golden[i].used || config->golden[i].line_index < config->line_count);
    }
    for (uint32_t i = 0; i < config->section_count; i++) {
        for (uint32_t j = 0; j < config->sections[i].line_count; j++) {
            cr_assert_lt(config->sections[i].line_indexes[j], config->line_count);
        }
    }
    cr_assert_leq(config->campaign_count, WL_CAMPAIGNS_MAX);
    for (uint32_t i = 0; i < config->campaign_count; i++) {
        cr_assert_lt(config->campaigns[i].line_index, config->line_count);
        cr_assert_lt(config->campaigns[i].start, config->campaigns[i].end);
    }
}

Test(config, never_accepts_a_damaged_document_half) {
    char *integration = file_read("conf/config/integration-1.json");
    char *presentation = file_read("conf/config/presentation-1.json");
    size_t integration_bytes = strlen(integration);
    size_t presentation_bytes = strlen(presentation);
    uint32_t accepted = 0;
    for (uint32_t round = 0; round < 10000; round++) {
        char *first = wl_strdup(integration);
        char *second = wl_strdup(presentation);
        damage(round % 2 == 0 ? first : second,
               round % 2 == 0 ? integration_bytes : presentation_bytes);
        wl_config_t *config = NULL;
        wl_fault_t fault = {0};
        wl_err_t err = compile(first, second, &config, &fault);
        if (err == WL_OK) {
            check_whole(config);
            accepted++;
        } else {
            cr_assert_null(config);
            cr_assert(fault.message[0] != '\0' && fault.line >= 1 && fault.column >= 1);
        }
        wl_config_destroy(&config);
        wl_free(first);
        wl_free(second);
    }
    cr_expect(accepted > 100 && accepted < 9900, "%u", accepted);
    wl_free(integration);
    wl_free(presentation);
}
