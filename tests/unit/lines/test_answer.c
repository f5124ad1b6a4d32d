#include "lines/answer.h"

#include "base/alloc.h"

#include <criterion/criterion.h>
#include <msgpack.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const uint64_t asked[] = {7, 3, 18446744073709551615u};
static const wl_wall_ms_t pulled_at = {1700000000123};

static wl_answer_reader_t *reader;
static wl_line_t line;
static wl_answer_t answer;

static void open_reader(void) {
    reader = wl_answer_reader_new();
    line = (wl_line_t){.id = "cash",
                       .unit = "CNY",
                       .scale = 2,
                       .kind = WL_KIND_CASH,
                       .versions = true,
                       .response_bytes_max = 1 << 20};
    line.sanity = (wl_sanity_t){.amount_min = -100, .amount_max = INT64_MAX};
}

static void close_reader(void) {
    wl_answer_reader_destroy(&reader);
}

static wl_err_t read_text(const char *text) {
    answer = (wl_answer_t){.uids = asked, .uid_count = 3, .made_version = 42};
    return wl_answer_read_json(reader, &line, pulled_at, text, strlen(text), &answer);
}

static wl_err_t read_records(const char *records) {
    WL_AUTO_FREE char *text = wl_alloc(strlen(records) + 16);
    (void)snprintf(text, strlen(records) + 16, "{\"assets\":[%s]}", records);
    return read_text(text);
}

/* One record that must be refused, with a reason that holds `why`. */
static void refuses(const char *record, uint64_t uid, const char *why) {
    cr_assert_eq(read_records(record), WL_OK, "%s", record);
    cr_assert_eq(answer.asset_count, 0, "%s", record);
    cr_assert_eq(answer.refusal_count, 1, "%s", record);
    cr_assert_eq(answer.refusals[0].uid, uid, "%s: %s", record, answer.refusals[0].reason);
    cr_assert_not_null(strstr(answer.refusals[0].reason, why), "%s: %s", record,
                       answer.refusals[0].reason);
}

TestSuite(answer, .init = open_reader, .fini = close_reader);

/* Standard contract. */

Test(answer, reads_every_field_of_the_contract) {
    cr_assert_eq(read_records("{\"uid\":\"7\",\"bucket\":\"ios\",\"kind\":\"cash\","
                              "\"amount\":\"1250\",\"unit\":\"CNY\",\"scale\":2,\"count\":3,"
                              "\"pending\":\"75\",\"state\":\"frozen\","
                              "\"expires_at\":4102444800000,"
                              "\"version\":\"9\",\"changed_at\":1699999999999,\"title\":\"A\","
                              "\"badge\":\"new\",\"extra\":{\"n\":5,\"title\":\"B\",\"ok\":true},"
                              "\"unknown\":[1]}"),
                 WL_OK);
    cr_assert_eq(answer.asset_count, 1);
    const wl_asset_t *asset = &answer.assets[0];
    cr_assert_eq(asset->uid, 7);
    cr_assert_str_eq(asset->line, "cash");
    cr_assert_str_eq(asset->bucket, "ios");
    cr_assert_str_eq(asset->unit, "CNY");
    cr_assert_eq(asset->amount, 1250);
    cr_assert_eq(asset->pending, 75);
    cr_assert_eq(asset->count, 3);
    cr_assert_eq(asset->scale, 2);
    cr_assert_eq(asset->state, WL_STATE_FROZEN);
    cr_assert_eq(asset->expires_at, 4102444800000);
    cr_assert_eq(asset->changed_at, 1699999999999);
    cr_assert_eq(asset->version, 9);
    cr_assert_eq(asset->pulled_at, pulled_at.ms);
    static const char extra[] = "\x84\xa5title\xa1"
                                "A\xa5"
                                "badge\xa3new\xa1n\x05\xa2ok\xc3";
    cr_assert_eq(asset->extra_bytes, sizeof extra - 1);
    cr_assert_arr_eq(asset->extra, extra, sizeof extra - 1);
}

Test(answer, what_a_record_leaves_out_is_as_the_line_says) {
    cr_assert_eq(read_records("{\"uid\":7,\"amount\":-100,\"version\":1}"), WL_OK);
    cr_assert_eq(answer.asset_count, 1);
    cr_assert_eq(answer.assets[0].kind, WL_KIND_CASH);
    cr_assert_str_eq(answer.assets[0].unit, "CNY");
    cr_assert_eq(answer.assets[0].scale, 2);
    cr_assert_eq(answer.assets[0].state, WL_STATE_AVAILABLE);
    cr_assert_eq(answer.assets[0].amount, -100);
    cr_assert_null(answer.assets[0].extra);
}

Test(answer, sorts_by_user_and_bucket_and_leaves_absent_users_out) {
    cr_assert_eq(read_records("{\"uid\":\"18446744073709551615\",\"amount\":1,\"version\":1},"
                              "{\"uid\":7,\"bucket\":\"b\",\"amount\":2,\"version\":1},"
                              "{\"uid\":7,\"amount\":3,\"version\":1}"),
                 WL_OK);
    cr_assert_eq(answer.asset_count, 3);
    cr_assert_eq(answer.refused_total, 0);
    cr_assert_eq(answer.assets[0].amount, 3);
    cr_assert_eq(answer.assets[1].amount, 2);
    cr_assert_eq(answer.assets[2].uid, 18446744073709551615u);
    cr_assert_eq(read_records(""), WL_OK);
    cr_assert_eq(answer.asset_count + answer.refused_total, 0);
}

Test(answer, a_tombstone_needs_no_amount) {
    cr_assert_eq(read_records("{\"uid\":7,\"state\":\"gone\",\"version\":4}"), WL_OK);
    cr_assert_eq(answer.asset_count, 1);
    cr_assert_eq(answer.assets[0].state, WL_STATE_GONE);
}

Test(answer, lines_without_versions_get_that_of_the_call) {
    line.versions = false;
    cr_assert_eq(read_records("{\"uid\":7,\"amount\":1,\"version\":99}"), WL_OK);
    cr_assert_eq(answer.assets[0].version, 42);
}

Test(answer, coupons_may_be_pieces_only) {
    line.kind = WL_KIND_COUPON;
    line.unit[0] = '\0';
    line.scale = 0;
    cr_assert_eq(read_records("{\"uid\":7,\"count\":2,\"version\":1}"), WL_OK);
    cr_assert_eq(answer.asset_count, 1);
    cr_assert_eq(answer.assets[0].count, 2);
    refuses("{\"uid\":7,\"version\":1}", 7, "neither amount nor count");
}

/* Records that are refused. */

Test(answer, refuses_money_that_is_not_an_integer) {
    refuses("{\"uid\":7,\"amount\":12.5,\"version\":1}", 7, "a JSON real cannot carry money");
    refuses("{\"uid\":7,\"amount\":12.0,\"version\":1}", 7, "a JSON real cannot carry money");
    refuses("{\"uid\":7,\"amount\":1e3,\"version\":1}", 7, "a JSON real cannot carry money");
    refuses("{\"uid\":7,\"amount\":\"12.5\",\"version\":1}", 7, "amount: must be a whole number");
    refuses("{\"uid\":7,\"amount\":\"\",\"version\":1}", 7, "amount");
    refuses("{\"uid\":7,\"amount\":\" 1\",\"version\":1}", 7, "amount");
    refuses("{\"uid\":7,\"amount\":\"NaN\",\"version\":1}", 7, "amount");
    refuses("{\"uid\":7,\"amount\":true,\"version\":1}", 7, "amount");
    refuses("{\"uid\":7,\"amount\":[1],\"version\":1}", 7, "amount");
    refuses("{\"uid\":7,\"amount\":1,\"pending\":0.1,\"version\":1}", 7, "pending: a JSON real");
}

Test(answer, refuses_money_beyond_int64_without_harm_to_others) {
    refuses("{\"uid\":7,\"amount\":\"9223372036854775808\",\"version\":1}", 7, "64 bits");
    refuses("{\"uid\":7,\"amount\":9223372036854775808,\"version\":1}", 7, "64 bits");
    cr_assert_eq(read_records("{\"uid\":7,\"amount\":99999999999999999999,\"version\":1},"
                              "{\"uid\":3,\"amount\":9223372036854775807,\"version\":1}"),
                 WL_OK);
    cr_assert_eq(answer.asset_count, 1);
    cr_assert_eq(answer.assets[0].uid, 3);
    cr_assert_eq(answer.assets[0].amount, INT64_MAX);
    cr_assert_eq(answer.refused_total, 1);
}

Test(answer, a_forgotten_amount_never_becomes_zero) {
    refuses("{\"uid\":7,\"version\":1}", 7, "amount: is missing");
    refuses("{\"uid\":7,\"amount\":null,\"version\":1}", 7, "amount: is missing");
    refuses("{\"uid\":7,\"count\":1,\"version\":1}", 7, "amount: is missing");
}

Test(answer, refuses_other_users_and_users_that_cannot_be_read) {
    refuses("{\"uid\":8,\"amount\":1,\"version\":1}", 8, "not asked for");
    refuses("{\"uid\":\"07\",\"amount\":1,\"version\":1}", 0, "uid");
    refuses("{\"uid\":0,\"amount\":1,\"version\":1}", 0, "uid");
    refuses("{\"uid\":-7,\"amount\":1,\"version\":1}", 0, "uid: is out of range");
    refuses("{\"uid\":7.0,\"amount\":1,\"version\":1}", 0, "uid: must be an integer");
    refuses("{\"uid\":\"18446744073709551616\",\"amount\":1,\"version\":1}", 0, "uid");
    refuses("{\"amount\":1,\"version\":1}", 0, "uid: is missing");
    refuses("[]", 0, "uid: is missing");
    refuses("null", 0, "uid: is missing");
}

Test(answer, refuses_what_breaks_the_limits_of_the_line) {
    refuses("{\"uid\":7,\"amount\":-101,\"version\":1}", 7, "amount_min");
    refuses("{\"uid\":7,\"amount\":1,\"unit\":\"USD\",\"version\":1}", 7, "unit");
    refuses("{\"uid\":7,\"amount\":1,\"scale\":3,\"version\":1}", 7, "scale");
    refuses("{\"uid\":7,\"amount\":1,\"kind\":\"coin\",\"version\":1}", 7, "kind");
    refuses("{\"uid\":7,\"amount\":1,\"line\":\"coin\",\"version\":1}", 7, "line");
    line.sanity.amount_max = 10;
    refuses("{\"uid\":7,\"amount\":11,\"version\":1}", 7, "amount_max");
}

/* A line that could write into it would give itself the user's consent, or withdraw it. */
Test(answer, no_line_writes_into_a_bucket_of_walletd) {
    refuses("{\"uid\":7,\"bucket\":\"!consent\",\"amount\":1,\"version\":1}", 7, "bucket");
    refuses("{\"uid\":7,\"bucket\":\"!consent\",\"state\":\"gone\",\"version\":1}", 7, "bucket");
    refuses("{\"uid\":7,\"bucket\":\"!\",\"amount\":1,\"version\":1}", 7, "bucket");
    cr_assert_eq(read_records("{\"uid\":7,\"bucket\":\"a!\",\"amount\":1,\"version\":1}"), WL_OK);
    cr_assert_eq(answer.asset_count, 1);
}

Test(answer, refuses_fields_of_the_wrong_shape) {
    refuses("{\"uid\":7,\"amount\":1}", 7, "version");
    refuses("{\"uid\":7,\"amount\":1,\"version\":0}", 7, "version");
    refuses("{\"uid\":7,\"amount\":1,\"version\":\"9223372036854775808\"}", 7, "version");
    refuses("{\"uid\":7,\"amount\":1,\"version\":1,\"state\":\"lost\"}", 7, "state");
    refuses("{\"uid\":7,\"amount\":1,\"version\":1,\"kind\":\"gold\"}", 7, "kind");
    refuses("{\"uid\":7,\"amount\":1,\"version\":1,\"scale\":10}", 7, "scale");
    refuses("{\"uid\":7,\"amount\":1,\"version\":1,\"count\":4294967296}", 7, "count");
    refuses("{\"uid\":7,\"amount\":1,\"version\":1,\"count\":-1}", 7, "count");
    refuses("{\"uid\":7,\"amount\":1,\"version\":1,\"expires_at\":-5}", 7, "expires_at");
    refuses("{\"uid\":7,\"amount\":1,\"version\":1,\"bucket\":\"12345678901234567\"}", 7, "bucket");
    refuses("{\"uid\":7,\"amount\":1,\"version\":1,\"bucket\":\"a\\nb\"}", 7, "bucket");
    refuses("{\"uid\":7,\"amount\":1,\"version\":1,\"unit\":7}", 7, "unit");
    refuses("{\"uid\":7,\"amount\":1,\"version\":1,\"extra\":[]}", 7, "extra");
    refuses("{\"uid\":7,\"amount\":1,\"version\":1,\"extra\":{\"a\":1.5}}", 7, "extra");
    refuses("{\"uid\":7,\"amount\":1,\"version\":1,\"extra\":{\"a\":{}}}", 7, "extra");
    refuses("{\"uid\":7,\"amount\":1,\"version\":1,\"title\":5}", 7, "extra");
}

Test(answer, display_fields_fill_512_bytes_and_no_more) {
    for (size_t bytes = 490; bytes < 520; bytes++) {
        char title[520];
        char record[700];
        memset(title, 't', bytes);
        title[bytes] = '\0';
        (void)snprintf(record, sizeof record,
                       "{\"uid\":7,\"amount\":1,\"version\":1,\"title\":\"%s\"}", title);
        cr_assert_eq(read_records(record), WL_OK);
        size_t packed = 1 + 6 + 3 + bytes; /* map, "title", str16, text */
        cr_assert_eq(answer.asset_count, packed <= WL_EXTRA_BYTES_MAX, "%zu", bytes);
    }
}

Test(answer, of_doubled_records_the_higher_version_stands) {
    cr_assert_eq(read_records("{\"uid\":7,\"amount\":1,\"version\":5},"
                              "{\"uid\":7,\"amount\":2,\"version\":6},"
                              "{\"uid\":7,\"amount\":3,\"version\":4},"
                              "{\"uid\":7,\"bucket\":\"x\",\"amount\":4,\"version\":1}"),
                 WL_OK);
    cr_assert_eq(answer.asset_count, 2);
    cr_assert_eq(answer.assets[0].amount, 2);
    cr_assert_eq(answer.refused_total, 2);
    cr_assert_eq(answer.refusal_count, 1);
    cr_assert_eq(answer.refusals[0].uid, 7);
}

Test(answer, strangers_never_crowd_out_the_refusal_of_an_asked_user) {
    char records[8192] = "";
    for (int i = 0; i < 100; i++) {
        size_t used = strlen(records);
        (void)snprintf(records + used, sizeof records - used,
                       "{\"uid\":%d,\"amount\":1,\"version\":1},", 1000 + i);
    }
    size_t used = strlen(records);
    (void)snprintf(records + used, sizeof records - used,
                   "{\"uid\":3,\"amount\":0.5,\"version\":1}");
    cr_assert_eq(read_records(records), WL_OK);
    cr_assert_eq(answer.refused_total, 101);
    cr_assert_eq(answer.refusal_count, 17);
    cr_assert_eq(answer.refusals[16].uid, 3);
}

Test(answer, one_user_has_256_assets_at_most) {
    WL_AUTO_FREE char *records = wl_alloc(1 << 16);
    size_t used = 0;
    for (int i = 0; i < 300; i++) {
        used += (size_t)snprintf(records + used, (1 << 16) - used,
                                 "%s{\"uid\":7,\"bucket\":\"b%d\",\"amount\":1,\"version\":1}",
                                 i == 0 ? "" : ",", i);
    }
    cr_assert_eq(read_records(records), WL_OK);
    cr_assert_eq(answer.asset_count, 256);
    cr_assert_eq(answer.refused_total, 44);
}

/* Documents that are refused. */

Test(answer, refuses_documents_of_another_shape) {
    static const char *const rows[] = {
        "",
        "garbage",
        "null",
        "[]",
        "{}",
        "{\"assets\":{}}",
        "{\"assets\":null}",
        "{\"assets\":[]}x",
        "{\"assets\":[],\"assets\":[]}",
        "{\"assets\":[",
        "{\"assets\":[{\"uid\":7,\"uid\":3,\"amount\":1,\"version\":1}]}"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_assert_eq(read_text(rows[i]), WL_ERR_MALFORMED, "%s", rows[i]);
        cr_assert_neq(answer.reason[0], '\0');
        cr_assert_eq(answer.asset_count, 0);
        cr_assert_eq(answer.refused_total, 0);
    }
}

Test(answer, refuses_more_records_than_users_can_have) {
    size_t most = 3 * WL_USER_ASSETS_MAX;
    WL_AUTO_FREE char *records = wl_alloc(most * 2 + 8);
    for (size_t i = 0; i <= most; i++) {
        records[2 * i] = '0';
        records[2 * i + 1] = ',';
    }
    records[2 * most + 1] = '\0';
    cr_assert_eq(read_records(records), WL_ERR_TOO_BIG);
    records[2 * most - 1] = '\0';
    cr_assert_eq(read_records(records), WL_OK);
    cr_assert_eq(answer.refused_total, most);
}

/* Foreign shapes. */

static void map_rebates(void) {
    line.kind = WL_KIND_CASHBACK;
    line.versions = false;
    line.mapping = (wl_mapping_t){.used = true,
                                  .list = "/data/list",
                                  .uid = "/user_id",
                                  .amount = "/money/0",
                                  .pending = "/on~1the~0way",
                                  .changed_at = "/updated_ms",
                                  .title = "/name",
                                  .amount_rule = WL_AMOUNT_DECIMAL};
}

static wl_err_t read_rebate(const char *amount) {
    char text[256];
    (void)snprintf(text, sizeof text,
                   "{\"data\":{\"list\":[{\"user_id\":\"7\",\"money\":[%s],\"on/the~way\":\"0.05\","
                   "\"updated_ms\":\"1699999999999\",\"name\":\"N\"}]}}",
                   amount);
    return read_text(text);
}

Test(answer, reads_a_foreign_shape_by_its_mapping) {
    map_rebates();
    cr_assert_eq(read_rebate("\"12.5\""), WL_OK);
    cr_assert_eq(answer.asset_count, 1, "%s",
                 answer.refusal_count > 0 ? answer.refusals[0].reason : "");
    cr_assert_eq(answer.assets[0].amount, 1250);
    cr_assert_eq(answer.assets[0].pending, 5);
    cr_assert_eq(answer.assets[0].version, 42);
    cr_assert_eq(answer.assets[0].changed_at, 1699999999999);
    cr_assert_eq(answer.assets[0].kind, WL_KIND_CASHBACK);
    cr_assert_eq(answer.assets[0].extra_bytes, 9);
}

Test(answer, decimal_amounts_are_never_rounded) {
    static const struct {
        const char *text;
        int64_t amount; /* -1: refused */
    } rows[] = {{"\"0.01\"", 1},
                {"\"12\"", 1200},
                {"12", 1200},
                {"\"-0.50\"", -50},
                {"\"0.001\"", -1},
                {"12.5", -1},
                {"\"1e2\"", -1},
                {"\"12.\"", -1},
                {"\"92233720368547758.07\"", INT64_MAX},
                {"\"92233720368547758.08\"", -1},
                {"92233720368547759", -1}};
    map_rebates();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_assert_eq(read_rebate(rows[i].text), WL_OK);
        if (rows[i].amount == -1) {
            cr_assert_eq(answer.asset_count, 0, "%s", rows[i].text);
            cr_assert_eq(answer.refusals[0].uid, 7);
        } else {
            cr_assert_eq(answer.asset_count, 1, "%s", rows[i].text);
            cr_assert_eq(answer.assets[0].amount, rows[i].amount, "%s", rows[i].text);
        }
    }
}

Test(answer, a_mapping_reads_nothing_that_it_does_not_name) {
    map_rebates();
    line.mapping.list[0] = '\0';
    line.mapping.amount_rule = WL_AMOUNT_MINOR;
    cr_assert_eq(read_text("[{\"user_id\":7,\"money\":[5],\"state\":\"gone\",\"unit\":\"USD\","
                           "\"kind\":\"coin\",\"scale\":9,\"extra\":5,\"badge\":5}]"),
                 WL_OK);
    cr_assert_eq(answer.asset_count, 1);
    cr_assert_eq(answer.assets[0].amount, 5);
    cr_assert_eq(answer.assets[0].state, WL_STATE_AVAILABLE);
    cr_assert_eq(read_text("{\"data\":[]}"), WL_ERR_MALFORMED);
}

/* MessagePack. */

typedef struct {
    msgpack_sbuffer buffer;
    msgpack_packer packer;
} pack_t;

static void pack_text(pack_t *pack, const char *text) {
    msgpack_pack_str(&pack->packer, strlen(text));
    msgpack_pack_str_body(&pack->packer, text, strlen(text));
}

static void pack_open(pack_t *pack, size_t records) {
    msgpack_sbuffer_init(&pack->buffer);
    msgpack_packer_init(&pack->packer, &pack->buffer, msgpack_sbuffer_write);
    msgpack_pack_map(&pack->packer, 1);
    pack_text(pack, "assets");
    msgpack_pack_array(&pack->packer, records);
}

/* uid, version, then `more` pairs that the caller adds. */
static void pack_record(pack_t *pack, uint64_t uid, size_t more) {
    msgpack_pack_map(&pack->packer, 2 + more);
    pack_text(pack, "uid");
    msgpack_pack_uint64(&pack->packer, uid);
    pack_text(pack, "version");
    msgpack_pack_uint64(&pack->packer, 5);
}

static wl_err_t read_bytes(const void *bytes, size_t count) {
    answer = (wl_answer_t){.uids = asked, .uid_count = 3, .made_version = 42};
    return wl_answer_read_msgpack(reader, &line, pulled_at, bytes, count, &answer);
}

Test(answer, reads_messagepack_with_the_defaults_of_the_line) {
    pack_t pack;
    pack_open(&pack, 1);
    pack_record(&pack, 7, 3);
    pack_text(&pack, "amount");
    msgpack_pack_int64(&pack.packer, 1250);
    pack_text(&pack, "title");
    pack_text(&pack, "A");
    pack_text(&pack, "extra");
    msgpack_pack_map(&pack.packer, 2);
    pack_text(&pack, "title");
    pack_text(&pack, "B");
    pack_text(&pack, "n");
    msgpack_pack_int(&pack.packer, 5);
    line.kind = WL_KIND_COIN;
    cr_assert_eq(read_bytes(pack.buffer.data, pack.buffer.size), WL_OK);
    cr_assert_eq(answer.asset_count, 1, "%s",
                 answer.refusal_count > 0 ? answer.refusals[0].reason : "");
    cr_assert_eq(answer.assets[0].kind, WL_KIND_COIN);
    cr_assert_str_eq(answer.assets[0].unit, "CNY");
    cr_assert_str_eq(answer.assets[0].line, "cash");
    cr_assert_eq(answer.assets[0].version, 5);
    cr_assert_eq(answer.assets[0].pulled_at, pulled_at.ms);
    static const char extra[] = "\x82\xa5title\xa1"
                                "A\xa1n\x05";
    cr_assert_eq(answer.assets[0].extra_bytes, sizeof extra - 1);
    cr_assert_arr_eq(answer.assets[0].extra, extra, sizeof extra - 1);
    msgpack_sbuffer_destroy(&pack.buffer);
}

Test(answer, refuses_messagepack_money_that_is_no_int64) {
    pack_t pack;
    pack_open(&pack, 4);
    pack_record(&pack, 7, 1);
    pack_text(&pack, "amount");
    msgpack_pack_double(&pack.packer, 12.5);
    pack_record(&pack, 3, 1);
    pack_text(&pack, "amount");
    msgpack_pack_uint64(&pack.packer, UINT64_MAX);
    pack_record(&pack, UINT64_MAX, 0);
    pack_record(&pack, 8, 1);
    pack_text(&pack, "amount");
    msgpack_pack_int(&pack.packer, 1);
    cr_assert_eq(read_bytes(pack.buffer.data, pack.buffer.size), WL_OK);
    cr_assert_eq(answer.asset_count, 0);
    cr_assert_eq(answer.refusal_count, 4);
    cr_assert_not_null(strstr(answer.refusals[2].reason, "amount: is missing"));
    cr_assert_not_null(strstr(answer.refusals[3].reason, "not asked for"));
    msgpack_sbuffer_destroy(&pack.buffer);
}

Test(answer, refuses_messagepack_that_claims_more_than_it_has) {
    static const char *const rows[] = {"\x81\xa6"
                                       "assets\xdd\xff\xff\xff\xff",
                                       "\x81\xa6"
                                       "assets\xdf\xff\xff\xff\xff",
                                       "\x81\xa6"
                                       "assets\xdb\x05\xf5\xe1\x01",
                                       "\x80",
                                       "\x90",
                                       "\xc0",
                                       "\xc1",
                                       "\x81\xa6"
                                       "assets\x90\x90"};
    static const size_t sizes[] = {13, 13, 13, 1, 1, 1, 1, 10};
    for (size_t i = 0; i < 8; i++) {
        cr_assert_eq(read_bytes(rows[i], sizes[i]), WL_ERR_MALFORMED, "row %zu", i);
        cr_assert_neq(answer.reason[0], '\0');
    }
    cr_assert_eq(read_bytes("", 0), WL_ERR_MALFORMED);
}

/* Both. */

/* Damaged answers may lose records, but what is accepted keeps the rules, whatever the damage. */
Test(answer, any_damage_leaves_only_sound_assets_of_asked_users) {
    static const char good[] = "{\"assets\":[{\"uid\":\"7\",\"amount\":\"1250\",\"version\":\"9\"},"
                               "{\"uid\":3,\"bucket\":\"a\",\"amount\":5,\"version\":2,"
                               "\"title\":\"T\",\"extra\":{\"a\":1}}]}";
    uint64_t state = 1;
    for (int round = 0; round < 20000; round++) {
        char text[sizeof good];
        memcpy(text, good, sizeof good);
        for (int i = 0; i < 1 + round % 3; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            text[(state >> 33) % (sizeof good - 1)] = (char)(state >> 24);
        }
        answer = (wl_answer_t){.uids = asked, .uid_count = 3, .made_version = 42};
        wl_err_t err =
            wl_answer_read_json(reader, &line, pulled_at, text, sizeof good - 1, &answer);
        cr_assert(err == WL_OK || err == WL_ERR_MALFORMED);
        for (uint32_t i = 0; i < answer.asset_count; i++) {
            const wl_asset_t *asset = &answer.assets[i];
            cr_assert(asset->uid == 7 || asset->uid == 3);
            cr_assert_eq(asset->kind, WL_KIND_CASH);
            cr_assert(asset->amount >= -100 && asset->version >= 1);
        }
    }
}
