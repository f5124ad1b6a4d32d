#include "lines/explain.h"

#include "lines/answer.h"

#include <criterion/criterion.h>
#include <msgpack.h>
#include <stdio.h>
#include <string.h>

static const wl_wall_ms_t now = {1700000000123};
static wl_line_t line;
static json_t *result;

static void open_line(void) {
    line = (wl_line_t){.id = "cash",
                       .unit = "CNY",
                       .scale = 2,
                       .kind = WL_KIND_CASH,
                       .adapter = WL_ADAPTER_HTTP,
                       .versions = true,
                       .response_bytes_max = 1 << 20};
    line.sanity = (wl_sanity_t){.amount_min = 0, .amount_max = 1000000};
}

static void close_result(void) {
    json_decref(result);
}

TestSuite(explain, .init = open_line, .fini = close_result);

static void explain(const char *text, const uint64_t *uids, uint32_t count) {
    json_decref(result);
    result = wl_explain(&line, uids, count, now, text, strlen(text));
}

static const json_t *record(size_t index) {
    const json_t *json = json_array_get(json_object_get(result, "records"), index);
    cr_assert_not_null(json, "record %zu", index);
    return json;
}

static int counted(const char *key) {
    return (int)json_integer_value(json_object_get(result, key));
}

/* The members of a list of texts, "7,8". */
static const char *users(const char *key) {
    static char text[256];
    size_t index = 0;
    const json_t *one = NULL;
    text[0] = '\0';
    json_array_foreach(json_object_get(result, key), index, one) {
        size_t used = strlen(text);
        (void)snprintf(text + used, sizeof text - used, "%s%s", index == 0 ? "" : ",",
                       json_string_value(one));
    }
    return text;
}

/* "from|raw|kept" of a field; "-" for null; "" when it is not listed. */
static const char *field(size_t index, const char *name) {
    static char text[512];
    size_t at = 0;
    const json_t *one = NULL;
    text[0] = '\0';
    json_array_foreach(json_object_get(record(index), "fields"), at, one) {
        const char *raw = json_string_value(json_object_get(one, "raw"));
        const char *kept = json_string_value(json_object_get(one, "kept"));
        if (strcmp(json_string_value(json_object_get(one, "field")), name) == 0) {
            (void)snprintf(text, sizeof text, "%s|%s|%s",
                           json_string_value(json_object_get(one, "from")), raw == NULL ? "-" : raw,
                           kept == NULL ? "-" : kept);
        }
    }
    return text;
}

/* All reasons of a record, "; " between them. */
static const char *failed(size_t index) {
    static char text[2048];
    size_t at = 0;
    const json_t *one = NULL;
    text[0] = '\0';
    json_array_foreach(json_object_get(record(index), "failed"), at, one) {
        size_t used = strlen(text);
        (void)snprintf(text + used, sizeof text - used, "%s%s", at == 0 ? "" : "; ",
                       json_string_value(json_object_get(one, "reason")));
    }
    return text;
}

static bool hinted(size_t index, const char *words) {
    size_t at = 0;
    const json_t *one = NULL;
    json_array_foreach(json_object_get(record(index), "hints"), at, one) {
        if (strstr(json_string_value(one), words) != NULL) {
            return true;
        }
    }
    return false;
}

/* Sources. */

Test(explain, names_the_key_and_shows_the_value_before_and_after) {
    explain("{\"assets\":[{\"uid\":\"7\",\"amount\":\"1250\",\"pending\":5,\"version\":\"9\","
            "\"changed_at\":1699999999000,\"title\":\"A\",\"extra\":{\"n\":1}}]}",
            NULL, 0);
    cr_assert_str_eq(field(0, "uid"), "uid|\"7\"|7");
    cr_assert_str_eq(field(0, "amount"), "amount|\"1250\"|12.50 CNY");
    cr_assert_str_eq(field(0, "pending"), "pending|5|0.05 CNY");
    cr_assert_str_eq(field(0, "version"), "version|\"9\"|9");
    cr_assert_str_eq(field(0, "changed_at"), "changed_at|1699999999000|2023-11-14 22:13:19Z");
    cr_assert_str_eq(field(0, "title"), "title|\"A\"|A");
    cr_assert_str_eq(field(0, "kind"), "integration|-|cash");
    cr_assert_str_eq(field(0, "unit"), "integration|-|CNY");
    cr_assert_str_eq(field(0, "scale"), "integration|-|2");
    cr_assert_str_eq(field(0, "bucket"), "", "what is absent and needs no value is not listed");
    cr_assert_str_eq(failed(0), "");
    cr_assert_eq(counted("taken"), 1);
}

Test(explain, names_the_pointer_of_a_mapping_also_where_it_finds_nothing) {
    line.mapping = (wl_mapping_t){.used = true,
                                  .list = "/data/list",
                                  .uid = "/user/id",
                                  .amount = "/balance",
                                  .changed_at = "/at",
                                  .amount_rule = WL_AMOUNT_DECIMAL};
    line.versions = false;
    explain("{\"data\":{\"list\":[{\"user\":{\"id\":7},\"balance\":\"12.5\"}]}}", NULL, 0);
    cr_assert_str_eq(field(0, "uid"), "/user/id|7|7");
    cr_assert_str_eq(field(0, "amount"), "/balance|\"12.5\"|12.50 CNY");
    cr_assert_str_eq(field(0, "changed_at"), "/at|-|-");
    cr_assert_str_eq(field(0, "version"), "walletd|-|1700000000123000");
    cr_assert_str_eq(field(0, "title"), "", "not mapped");
    cr_assert_eq(counted("taken"), 1);
}

Test(explain, long_values_are_cut) {
    char text[400];
    (void)snprintf(text, sizeof text,
                   "{\"assets\":[{\"uid\":7,\"amount\":1,\"version\":1,\"title\":\"%0200d\"}]}", 0);
    explain(text, NULL, 0);
    cr_assert_eq(strlen(strchr(field(0, "title"), '|') + 1), 60 + 1 + 200);
}

/* Verdicts. */

Test(explain, tells_every_rule_that_is_broken_not_only_the_first) {
    explain("{\"assets\":[{\"uid\":7,\"amount\":12.5,\"pending\":\"2000000\",\"version\":\"0\","
            "\"unit\":\"USD\",\"scale\":3,\"kind\":\"coin\",\"state\":\"lost\",\"bucket\":5,"
            "\"expires_at\":-1,\"extra\":[]}]}",
            NULL, 0);
    cr_assert_str_eq(failed(0), "bucket: must be text; state: is none that is known; "
                                "amount: a JSON real cannot carry money, send a string; "
                                "extra: must be an object of texts and integers; "
                                "version: must be from 1 to 2^63 - 1; "
                                "expires_at: must not be negative; "
                                "kind: is coin, the line is of kind cash; "
                                "unit: is \"USD\", the line sends \"CNY\"; "
                                "scale: is 3, the line has 2; "
                                "pending: is above amount_max of the line");
    cr_assert_str_eq(field(0, "amount"), "amount|12.5|-", "a refused value is not kept");
    cr_assert_eq(counted("refused"), 1);
}

/* The first reason is the one that walletd logs: the verdict is that of the reader. */
Test(explain, agrees_with_the_reader_that_walletd_uses) {
    static const char *const records[] = {
        "{\"uid\":7,\"amount\":1,\"version\":1}",
        "{\"uid\":7,\"amount\":-1,\"version\":1}",
        "{\"uid\":7,\"version\":1}",
        "{\"uid\":7,\"amount\":1}",
        "{\"amount\":1}",
        "{\"uid\":8,\"amount\":1,\"version\":0}",
        "{\"uid\":7,\"state\":\"gone\",\"version\":1,\"amount\":-5}",
        "{\"uid\":7,\"amount\":1,\"version\":1,\"line\":\"coin\"}",
        "[]",
        "5",
    };
    static const uint64_t asked[] = {7};
    wl_answer_reader_t *reader = wl_answer_reader_new();
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        char text[256];
        wl_answer_t answer = {.uids = asked, .uid_count = 1};
        (void)snprintf(text, sizeof text, "{\"assets\":[%s]}", records[i]);
        cr_assert_eq(wl_answer_read_json(reader, &line, now, text, strlen(text), &answer), WL_OK);
        explain(text, asked, 1);
        cr_assert_eq(counted("taken"), answer.asset_count, "%s", records[i]);
        cr_assert_eq(counted("refused"), answer.refused_total, "%s", records[i]);
        if (answer.refusal_count > 0) {
            const char *reason = answer.refusals[0].reason;
            cr_assert_eq(strncmp(failed(0), reason, strlen(reason)), 0, "%s: %s", failed(0),
                         reason);
        } else {
            cr_assert_str_eq(failed(0), "");
        }
    }
    wl_answer_reader_destroy(&reader);
}

Test(explain, a_tombstone_breaks_no_rule_of_amounts) {
    explain("{\"assets\":[{\"uid\":7,\"state\":\"gone\",\"version\":4,\"unit\":\"USD\"}]}", NULL,
            0);
    cr_assert_str_eq(failed(0), "");
}

Test(explain, a_record_that_loses_to_another_one_is_refused) {
    explain("{\"assets\":[{\"uid\":7,\"amount\":1,\"version\":1},"
            "{\"uid\":7,\"amount\":2,\"version\":2}]}",
            NULL, 0);
    cr_assert_str_eq(failed(0), "bucket: twice in one answer");
    cr_assert(json_is_false(json_object_get(record(0), "taken")));
    cr_assert(json_is_true(json_object_get(record(1), "taken")));
    cr_assert_str_eq(users("held"), "7");
}

Test(explain, a_broken_answer_has_a_reason_and_no_records) {
    explain("{\"assets\": [", NULL, 0);
    cr_assert_neq(json_string_value(json_object_get(result, "reason"))[0], '\0');
    cr_assert_eq(json_array_size(json_object_get(result, "records")), 0);
    explain("{\"rows\": []}", NULL, 0);
    cr_assert_str_eq(json_string_value(json_object_get(result, "reason")),
                     "the answer has no list \"assets\"");
    cr_assert_str_eq(users("held"), "");
}

/* Users. */

Test(explain, without_users_everybody_in_the_answer_was_asked_for) {
    explain("{\"assets\":[{\"uid\":\"18446744073709551615\",\"amount\":1,\"version\":1},"
            "{\"uid\":3,\"amount\":2,\"version\":1},{\"uid\":3,\"bucket\":\"b\",\"amount\":2,"
            "\"version\":1}]}",
            NULL, 0);
    cr_assert_str_eq(users("users"), "18446744073709551615,3");
    cr_assert_eq(counted("taken"), 3);
    explain("{\"assets\":[]}", NULL, 0);
    cr_assert_str_eq(users("users"), "");
}

Test(explain, says_who_has_no_record_and_of_whom_nothing_is_stored) {
    static const uint64_t asked[] = {7, 8, 9};
    explain("{\"assets\":[{\"uid\":7,\"amount\":1,\"version\":1},"
            "{\"uid\":8,\"amount\":-1,\"version\":1}]}",
            asked, 3);
    cr_assert_str_eq(users("missing"), "9");
    cr_assert_str_eq(users("held"), "8");
    explain("{\"assets\":[{\"uid\":7,\"amount\":1,\"version\":1},{\"uid\":\"x\"}]}", asked, 3);
    cr_assert_str_eq(users("held"), "8,9", "the record of nobody may be theirs");
}

Test(explain, shows_nothing_of_users_who_were_not_asked_for) {
    static const uint64_t asked[] = {7};
    explain("{\"assets\":[{\"uid\":8,\"amount\":\"4711\",\"pending\":4711.5,\"version\":4711,"
            "\"title\":\"4711\"},{\"uid\":\"q4711\",\"amount\":4711,\"version\":1}]}",
            asked, 1);
    char *text = json_dumps(result, 0);
    cr_assert_null(strstr(text, "4711"), "%s", text);
    free(text);
    cr_assert_str_eq(field(0, "amount"), "amount|(text)|-");
    cr_assert_str_eq(field(0, "uid"), "uid|8|-");
    cr_assert_str_eq(field(1, "uid"), "uid|(text)|-");
    cr_assert_eq(strncmp(failed(0), "pending: a JSON real", 20), 0);
    cr_assert_not_null(strstr(failed(0), "uid: not asked for"));
}

Test(explain, shows_so_many_records_and_judges_all) {
    enum { RECORDS = WL_EXPLAIN_RECORDS_MAX + 10 };
    static char text[RECORDS * 64];
    size_t used = (size_t)snprintf(text, sizeof text, "{\"assets\":[");
    for (int i = 0; i < RECORDS; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "%s{\"uid\":%d,\"bucket\":\"%d\",\"amount\":1,\"version\":1}",
                                 i == 0 ? "" : ",", 1 + i % 5, i);
    }
    (void)snprintf(text + used, sizeof text - used, "]}");
    explain(text, NULL, 0);
    cr_assert_eq(json_array_size(json_object_get(result, "records")), WL_EXPLAIN_RECORDS_MAX);
    cr_assert_eq(counted("taken"), RECORDS);
}

/* Hints. */

Test(explain, hints_at_what_newcomers_get_wrong) {
    explain("{\"assets\":[{\"uid\":7,\"ammount\":\"5\",\"version\":1,\"amount\":1,"
            "\"expires_at\":1700000000,\"changed_at\":1700000000}]}",
            NULL, 0);
    cr_assert(hinted(0, "\"ammount\" is no key of the contract"));
    cr_assert(hinted(0, "did you mean \"amount\"?"));
    cr_assert(hinted(0, "expires_at looks like seconds"));
    cr_assert(hinted(0, "changed_at looks like seconds"));
    explain("{\"assets\":[{\"uid\":7,\"version\":1,\"amount\":1,\"expires_at\":1600000000000}]}",
            NULL, 0);
    cr_assert(hinted(0, "expires_at is past"));
    line.mapping =
        (wl_mapping_t){.used = true, .list = "", .uid = "/id", .amount = "/sum", .version = "/v"};
    explain("[{\"id\":7,\"sum\":\"1.25\",\"v\":1,\"other\":2}]", NULL, 0);
    cr_assert(hinted(0, "\"amount_rule\": \"decimal\""));
    cr_assert_not(hinted(0, "other"), "a mapping reads what it names, the rest is no mistake");
}

/* MessagePack. */

Test(explain, reads_the_answers_of_zeromq_lines) {
    msgpack_sbuffer buffer;
    msgpack_packer packer;
    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    (void)msgpack_pack_map(&packer, 1);
    (void)msgpack_pack_str_with_body(&packer, "assets", 6);
    (void)msgpack_pack_array(&packer, 2);
    for (uint64_t i = 0; i < 2; i++) {
        (void)msgpack_pack_map(&packer, 4);
        (void)msgpack_pack_str_with_body(&packer, "uid", 3);
        (void)msgpack_pack_uint64(&packer, UINT64_MAX - i);
        (void)msgpack_pack_str_with_body(&packer, "amount", 6);
        (void)msgpack_pack_int64(&packer, i == 0 ? 1250 : -1);
        (void)msgpack_pack_str_with_body(&packer, "version", 7);
        (void)msgpack_pack_uint64(&packer, 3);
        (void)msgpack_pack_str_with_body(&packer, "extra", 5);
        (void)msgpack_pack_map(&packer, 1);
        (void)msgpack_pack_str_with_body(&packer, "ok", 2);
        (void)msgpack_pack_true(&packer);
    }
    line.adapter = WL_ADAPTER_ZMQ;
    result = wl_explain(&line, NULL, 0, now, buffer.data, buffer.size);
    msgpack_sbuffer_destroy(&buffer);
    cr_assert_str_eq(field(0, "uid"), "uid|\"18446744073709551615\"|18446744073709551615");
    cr_assert_str_eq(field(0, "amount"), "amount|1250|12.50 CNY");
    cr_assert_str_eq(field(0, "extra"), "extra|{\"ok\":true}|5 bytes");
    cr_assert_str_eq(failed(1), "amount: is below amount_min of the line");
    cr_assert_eq(counted("taken"), 1);
}

/* Whatever comes, it ends with a result. */

Test(explain, any_damage_is_explained) {
    static const char good[] =
        "{\"assets\":[{\"uid\":\"7\",\"amount\":\"1250\",\"version\":\"9\",\"kind\":\"cash\","
        "\"title\":\"A\",\"extra\":{\"n\":5}},{\"uid\":8,\"amount\":-1}]}";
    char text[sizeof good];
    for (size_t at = 0; at < sizeof good - 1; at++) {
        static const char swaps[] = "\"{}[]:,0-.\\ \x80";
        memcpy(text, good, sizeof good);
        text[at] = swaps[at % (sizeof swaps - 1)];
        explain(text, NULL, 0);
        cr_assert_eq(counted("taken") + counted("refused"),
                     json_array_size(json_object_get(result, "records")));
    }
}
