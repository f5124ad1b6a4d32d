#include "proto/args.h"
#include "proto/walk.h"

#include "proto_random.h"

#include <criterion/criterion.h>

static msgpack_zone zone;
static msgpack_sbuffer buffer;
static msgpack_packer packer;
static wl_fault_t fault;
static wl_asset_t asset;

static void setup(void) {
    cr_assert(msgpack_zone_init(&zone, 8192));
    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    memset(&fault, 0, sizeof fault);
    memset(&asset, 0x5a, sizeof asset);
}

static void teardown(void) {
    msgpack_sbuffer_destroy(&buffer);
    msgpack_zone_destroy(&zone);
}

TestSuite(asset_value, .init = setup, .fini = teardown);

static void pack_text(const char *text) {
    msgpack_pack_str(&packer, strlen(text));
    msgpack_pack_str_body(&packer, text, strlen(text));
}

static wl_err_t read_packed(void) {
    msgpack_object object;
    size_t used = 0;
    cr_assert_eq(msgpack_unpack(buffer.data, buffer.size, &used, &zone, &object),
                 MSGPACK_UNPACK_SUCCESS);
    return wl_value_asset(&object, &zone, &asset, &fault);
}

/* {key: the one packed value in bytes} */
static wl_err_t read_one(const char *key, const char *bytes, size_t count) {
    msgpack_sbuffer_clear(&buffer);
    msgpack_pack_map(&packer, 1);
    pack_text(key);
    (void)msgpack_sbuffer_write(&buffer, bytes, count);
    return read_packed();
}

#define ONE(key, text) read_one((key), (text), sizeof(text) - 1)

static void pack_pair_text(const char *key, const char *text) {
    pack_text(key);
    pack_text(text);
}

static void pack_pair_number(const char *key, uint64_t number) {
    pack_text(key);
    msgpack_pack_uint64(&packer, number);
}

Test(asset_value, reads_every_key_and_ignores_unknown_ones) {
    msgpack_pack_map(&packer, 17);
    pack_pair_number("uid", UINT64_MAX);
    pack_pair_text("line", "cash");
    pack_pair_text("bucket", "ios");
    pack_pair_text("kind", "coupon");
    pack_pair_text("amount", "-1250");
    pack_pair_text("unit", "CNY");
    pack_pair_number("scale", 2);
    pack_pair_number("count", UINT32_MAX);
    pack_pair_number("pending", 7);
    pack_pair_text("state", "frozen");
    pack_pair_number("expires_at", 1700000000000);
    pack_pair_number("version", WL_VERSION_MAX);
    pack_pair_number("changed_at", 1600000000000);
    pack_pair_number("pulled_at", 5);
    pack_pair_text("colour", "red");
    pack_text("extra");
    msgpack_pack_map(&packer, 1);
    pack_pair_text("title", "hi");
    msgpack_pack_nil(&packer);
    msgpack_pack_nil(&packer);
    cr_assert_eq(read_packed(), WL_OK, "%s", fault.message);
    cr_assert_eq(asset.uid, UINT64_MAX);
    cr_assert_str_eq(asset.line, "cash");
    cr_assert_str_eq(asset.bucket, "ios");
    cr_assert_eq(asset.kind, WL_KIND_COUPON);
    cr_assert_eq(asset.amount, -1250);
    cr_assert_str_eq(asset.unit, "CNY");
    cr_assert_eq(asset.scale, 2);
    cr_assert_eq(asset.count, UINT32_MAX);
    cr_assert_eq(asset.pending, 7);
    cr_assert_eq(asset.state, WL_STATE_FROZEN);
    cr_assert_eq(asset.expires_at, 1700000000000);
    cr_assert_eq(asset.version, WL_VERSION_MAX);
    cr_assert_eq(asset.changed_at, 1600000000000);
    cr_assert_eq(asset.pulled_at, 0, "ours, not the line's");
    cr_assert_eq(asset.extra_bytes, 10);
    cr_assert_eq(memcmp(asset.extra, "\x81\xa5title\xa2hi", 10), 0);
}

Test(asset_value, absent_keys_are_zero) {
    msgpack_pack_map(&packer, 0);
    cr_assert_eq(read_packed(), WL_OK);
    wl_asset_t zero;
    memset(&zero, 0, sizeof zero);
    cr_assert_eq(memcmp(&asset, &zero, sizeof zero), 0);
}

Test(asset_value, takes_amounts_as_integers_integral_floats_and_decimal_strings) {
    static const struct {
        const char *bytes;
        size_t count;
        int64_t amount;
    } rows[] = {
#define ROW(text, amount) {(text), sizeof(text) - 1, (amount)}
        ROW("\x05", 5),
        ROW("\xff", -1),
        ROW("\xd3\x80\0\0\0\0\0\0\0", INT64_MIN),
        ROW("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", INT64_MAX),
        ROW("\xcb\x40\x93\x88\0\0\0\0\0", 1250),
        ROW("\xcb\x80\0\0\0\0\0\0\0", 0),
        ROW("\xcb\xc3\x40\0\0\0\0\0\0", -9007199254740992),
        ROW("\xa4"
            "1250",
            1250),
        ROW("\xc4\x04"
            "1250",
            1250),
        ROW("\xa1"
            "0",
            0),
        ROW("\xa2"
            "-7",
            -7),
        ROW("\xb3"
            "9223372036854775807",
            INT64_MAX),
        ROW("\xb4"
            "-9223372036854775808",
            INT64_MIN),
#undef ROW
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_assert_eq(read_one("amount", rows[i].bytes, rows[i].count), WL_OK, "row %zu", i);
        cr_assert_eq(asset.amount, rows[i].amount, "row %zu", i);
        cr_assert_eq(read_one("pending", rows[i].bytes, rows[i].count), WL_OK, "row %zu", i);
        cr_assert_eq(asset.pending, rows[i].amount, "row %zu", i);
    }
}

Test(asset_value, refuses_amounts_that_are_not_whole_or_do_not_fit) {
    asset.amount = 42;
    cr_assert_eq(ONE("amount", "\xa4"
                               "12.5"),
                 WL_ERR_BAD_REQUEST);
    cr_assert_str_eq(fault.message, "amount: must be an integer of minor units, as in \"1250\"");
    cr_assert_str_eq(fault.where, "amount");
    cr_assert_eq(ONE("amount", "\xa0"), WL_ERR_BAD_REQUEST);
    cr_assert_eq(ONE("amount", "\xa1-"), WL_ERR_BAD_REQUEST);
    cr_assert_eq(ONE("amount", "\xa2+5"), WL_ERR_BAD_REQUEST);
    cr_assert_eq(ONE("amount", "\xa2 5"), WL_ERR_BAD_REQUEST);
    cr_assert_eq(ONE("amount", "\xa2"
                               "5 "),
                 WL_ERR_BAD_REQUEST);
    cr_assert_eq(ONE("amount", "\xa2"
                               "5\0"),
                 WL_ERR_BAD_REQUEST);
    cr_assert_eq(ONE("amount", "\xa3"
                               "1e3"),
                 WL_ERR_BAD_REQUEST);
    cr_assert_eq(ONE("amount", "\xb3"
                               "9223372036854775808"),
                 WL_ERR_BAD_REQUEST);
    cr_assert_eq(ONE("amount", "\xb4"
                               "-9223372036854775809"),
                 WL_ERR_BAD_REQUEST);
    cr_assert_eq(ONE("amount", "\xcb\x3f\xf8\0\0\0\0\0\0"), WL_ERR_BAD_REQUEST, "1.5");
    cr_assert_eq(ONE("amount", "\xcb\x43\x50\0\0\0\0\0\0"), WL_ERR_BAD_REQUEST, "2^54");
    cr_assert_eq(ONE("amount", "\xcf\x80\0\0\0\0\0\0\0"), WL_ERR_BAD_REQUEST, "2^63");
    cr_assert_eq(ONE("amount", "\xc3"), WL_ERR_BAD_REQUEST);
    cr_assert_eq(asset.amount, 42, "untouched on failure");
}

Test(asset_value, refuses_what_does_not_fit_its_field) {
    cr_assert_eq(ONE("uid", "\x00"), WL_ERR_BAD_REQUEST);
    cr_assert_str_eq(fault.message, "uid: must not be 0");
    cr_assert_eq(ONE("uid", "\xa1"
                            "5"),
                 WL_ERR_BAD_REQUEST);
    cr_assert_eq(ONE("kind", "\xa4gold"), WL_ERR_BAD_REQUEST);
    cr_assert_str_eq(fault.where, "kind");
    cr_assert_eq(ONE("kind", "\x01"), WL_ERR_BAD_REQUEST);
    cr_assert_eq(ONE("state", "\xa4lost"), WL_ERR_BAD_REQUEST);
    cr_assert_eq(ONE("scale", "\x0a"), WL_ERR_BAD_REQUEST);
    cr_assert_str_eq(fault.message, "scale: must be at most 9");
    cr_assert_eq(ONE("count", "\xcf\0\0\0\x01\0\0\0\0"), WL_ERR_BAD_REQUEST);
    cr_assert_eq(ONE("version", "\xcf\x80\0\0\0\0\0\0\0"), WL_ERR_BAD_REQUEST);
    cr_assert_eq(ONE("unit", "\xad"
                             "1234567890123"),
                 WL_ERR_BAD_REQUEST);
    cr_assert_eq(ONE("line", "\xa2"
                             "a\0"),
                 WL_ERR_BAD_REQUEST);
    cr_assert_eq(ONE("expires_at", "\xa1"
                                   "x"),
                 WL_ERR_BAD_REQUEST);
    msgpack_sbuffer_clear(&buffer);
    msgpack_pack_array(&packer, 0);
    cr_assert_eq(read_packed(), WL_ERR_BAD_REQUEST);
    cr_assert_str_eq(fault.message, "asset: must be a map, got array");
}

Test(asset_value, extra_is_a_map_or_the_bytes_of_one) {
    cr_assert_eq(ONE("extra", "\x80"), WL_OK);
    cr_assert_null(asset.extra);
    cr_assert_eq(ONE("extra", "\xc4\x00"), WL_OK);
    cr_assert_null(asset.extra);
    cr_assert_eq(ONE("extra", "\xc4\x04\x81\xa1x\x01"), WL_OK);
    cr_assert_eq(asset.extra_bytes, 4);
    cr_assert_eq(ONE("extra", "\x81\xa1x\xdc\x00\x01\x01"), WL_OK, "packed anew, shorter");
    cr_assert_eq(asset.extra_bytes, 5);
    cr_assert_eq(memcmp(asset.extra, "\x81\xa1x\x91\x01", 5), 0);
    cr_assert_eq(ONE("extra", "\xc4\x03\x81\xa1x"), WL_ERR_BAD_REQUEST, "cut");
    cr_assert_eq(ONE("extra", "\xc4\x01\x90"), WL_ERR_BAD_REQUEST, "no map");
    cr_assert_eq(ONE("extra", "\xa1x"), WL_ERR_BAD_REQUEST, "text");
    cr_assert_eq(ONE("extra", "\x81\x01\x81\x01\x81\x01\x81\x01\x01"), WL_OK, "four deep");
    cr_assert_eq(ONE("extra", "\x81\x01\x81\x01\x81\x01\x81\x01\x90"), WL_ERR_BAD_REQUEST);
}

Test(asset_value, extra_has_at_most_512_bytes) {
    for (uint32_t text = 505; text < 512; text++) {
        for (unsigned as_bin = 0; as_bin < 2; as_bin++) {
            char body[600] = {0};
            msgpack_sbuffer_clear(&buffer);
            msgpack_pack_map(&packer, 1);
            pack_text("extra");
            if (as_bin == 1) {
                msgpack_pack_bin(&packer, 5 + text);
            }
            msgpack_pack_map(&packer, 1); /* 1 + 1 + 3 bytes around the text */
            msgpack_pack_int(&packer, 1);
            msgpack_pack_str(&packer, text);
            msgpack_pack_str_body(&packer, body, text);
            cr_assert_eq(read_packed(), text <= 507 ? WL_OK : WL_ERR_BAD_REQUEST, "%u", text);
            cr_assert(text > 507 || asset.extra_bytes == text + 5);
        }
    }
}

Test(asset_value, random_maps_as_extra_are_refused_or_whole) {
    rng_t rng = {21};
    unsigned accepted = 0;
    for (unsigned round = 0; round < 3000; round++) {
        msgpack_sbuffer_clear(&buffer);
        msgpack_pack_map(&packer, 1);
        pack_text("extra");
        msgpack_pack_map(&packer, 2);
        for (unsigned i = 0; i < 4; i++) {
            pack_random(&rng, &packer, 3);
        }
        if (read_packed() == WL_OK) {
            accepted++;
            cr_assert(wl_extra_valid(asset.extra, asset.extra_bytes));
        }
    }
    cr_assert_gt(accepted, 300);
}
