#include "proto/notify.h"

#include <criterion/criterion.h>
#include <string.h>

/* Unpacks bytes for one look. */
static const msgpack_object *unpack(msgpack_unpacked *root, const msgpack_sbuffer *bytes) {
    msgpack_unpacked_init(root);
    cr_assert_eq(msgpack_unpack_next(root, bytes->data, bytes->size, NULL), MSGPACK_UNPACK_SUCCESS);
    return &root->data;
}

static void text(msgpack_packer *packer, const char *value) {
    msgpack_pack_str(packer, strlen(value));
    msgpack_pack_str_body(packer, value, strlen(value));
}

typedef struct {
    msgpack_sbuffer bytes;
    msgpack_packer packer;
    msgpack_unpacked root;
} args_t;

static msgpack_packer *args_open(args_t *self, uint32_t keys) {
    msgpack_sbuffer_init(&self->bytes);
    msgpack_packer_init(&self->packer, &self->bytes, msgpack_sbuffer_write);
    msgpack_pack_map(&self->packer, keys);
    return &self->packer;
}

static void args_close(args_t *self) {
    msgpack_unpacked_destroy(&self->root);
    msgpack_sbuffer_destroy(&self->bytes);
}

static wl_err_t read_line(const char *value, char line[WL_LINE_ID_MAX + 1], wl_fault_t *fault) {
    args_t args;
    msgpack_packer *packer = args_open(&args, value == NULL ? 0 : 1);
    if (value != NULL) {
        text(packer, "line");
        text(packer, value);
    }
    wl_err_t err = wl_notify_line(unpack(&args.root, &args.bytes), line, fault);
    args_close(&args);
    return err;
}

Test(notify, reads_a_line_id_and_nothing_else) {
    char line[WL_LINE_ID_MAX + 1] = "";
    wl_fault_t fault = {0};
    cr_expect_eq(read_line("cash-2_x", line, &fault), WL_OK);
    cr_expect_str_eq(line, "cash-2_x");
    cr_expect_eq(read_line(NULL, line, &fault), WL_ERR_BAD_REQUEST);
    cr_expect_str_eq(fault.message, "line: is required");
    cr_expect_eq(read_line("", line, &fault), WL_ERR_BAD_REQUEST);
    cr_expect_eq(read_line("Cash", line, &fault), WL_ERR_BAD_REQUEST);
    cr_expect_eq(read_line("cash/x", line, &fault), WL_ERR_BAD_REQUEST);
    cr_expect_eq(read_line("a23456789012345678901234567890123", line, &fault), WL_ERR_BAD_REQUEST);
    cr_expect_str_eq(line, "cash-2_x", "untouched by refusals");
}

/* One change {uid: 5, key: number} behind a sound one. */
static wl_err_t read_change(const char *key, uint64_t number, wl_fault_t *fault, wl_change_t *ret) {
    args_t args;
    msgpack_packer *packer = args_open(&args, 1);
    static wl_change_t changes[WL_CHANGES_MAX];
    size_t count = 0;
    text(packer, "changes");
    msgpack_pack_array(packer, 2);
    for (uint32_t i = 0; i < 2; i++) {
        msgpack_pack_map(packer, 1 + i);
        text(packer, "uid");
        msgpack_pack_uint64(packer, 5);
        if (i == 1) {
            text(packer, key);
            msgpack_pack_uint64(packer, number);
        }
    }
    wl_err_t err = wl_notify_changes(unpack(&args.root, &args.bytes), changes, &count, fault);
    if (err == WL_OK) {
        cr_expect_eq(count, 2u);
        *ret = changes[1];
    }
    args_close(&args);
    return err;
}

Test(notify, takes_versions_that_a_database_can_hold) {
    wl_change_t change = {0};
    wl_fault_t fault = {0};
    cr_expect_eq(read_change("version", INT64_MAX, &fault, &change), WL_OK);
    cr_expect_eq(change.version, (uint64_t)INT64_MAX);
    cr_expect_eq(read_change("version", (uint64_t)INT64_MAX + 1, &fault, &change),
                 WL_ERR_BAD_REQUEST);
    cr_expect_str_eq(fault.message, "changes/1/version: must be at most 9223372036854775807");
    cr_expect_str_eq(fault.where, "changes/1/version");
    cr_expect_eq(read_change("bucket", 5, &fault, &change), WL_ERR_BAD_REQUEST);
    cr_expect_str_eq(fault.message, "changes/1/bucket: must be text, got int");
    cr_expect_eq(read_change("unknown", 5, &fault, &change), WL_OK, "unknown keys are ignored");
}

Test(notify, bounds_lists_and_names_what_is_no_map) {
    static wl_change_t changes[WL_CHANGES_MAX];
    size_t count = 77;
    wl_fault_t fault = {0};
    for (uint32_t size = 0; size <= WL_CHANGES_MAX + 1; size += WL_CHANGES_MAX + 1) {
        args_t args;
        msgpack_packer *packer = args_open(&args, 1);
        text(packer, "changes");
        msgpack_pack_array(packer, size);
        for (uint32_t i = 0; i < size; i++) {
            msgpack_pack_nil(packer);
        }
        cr_expect_eq(wl_notify_changes(unpack(&args.root, &args.bytes), changes, &count, &fault),
                     WL_ERR_BAD_REQUEST);
        args_close(&args);
    }
    args_t args;
    msgpack_packer *packer = args_open(&args, 1);
    text(packer, "changes");
    msgpack_pack_array(packer, 1);
    msgpack_pack_int(packer, 5);
    cr_expect_eq(wl_notify_changes(unpack(&args.root, &args.bytes), changes, &count, &fault),
                 WL_ERR_BAD_REQUEST);
    cr_expect_str_eq(fault.message, "changes/0: must be a map, got int");
    args_close(&args);
    cr_expect_eq(wl_notify_changes(NULL, changes, &count, &fault), WL_ERR_BAD_REQUEST);
    cr_expect_str_eq(fault.message, "changes: is required");
    cr_expect_eq(count, 77u);
}

Test(notify, sets_the_line_of_assets_and_refuses_another) {
    static wl_asset_t assets[WL_PAYLOAD_ASSETS_MAX];
    const char *lines[] = {"", "cash", "coin"};
    msgpack_zone zone;
    cr_assert(msgpack_zone_init(&zone, 1024));
    for (int i = 0; i < 3; i++) {
        args_t args;
        uint32_t count = 0;
        wl_fault_t fault = {0};
        msgpack_packer *packer = args_open(&args, 1);
        text(packer, "assets");
        msgpack_pack_array(packer, 1);
        msgpack_pack_map(packer, 2);
        text(packer, "uid");
        msgpack_pack_uint64(packer, 5);
        text(packer, "line");
        text(packer, lines[i]);
        wl_err_t err = wl_notify_assets(unpack(&args.root, &args.bytes), "cash", &zone, assets,
                                        &count, &fault);
        cr_expect_eq(err, i < 2 ? WL_OK : WL_ERR_BAD_REQUEST);
        if (err == WL_OK) {
            cr_expect_str_eq(assets[0].line, "cash");
            cr_expect_eq(count, 1u);
        } else {
            cr_expect_str_eq(fault.message, "assets/0/line: is not that of the request");
        }
        args_close(&args);
    }
    args_t args;
    uint32_t count = 0;
    wl_fault_t fault = {0};
    msgpack_packer *packer = args_open(&args, 1);
    text(packer, "assets");
    msgpack_pack_array(packer, 1);
    msgpack_pack_map(packer, 0);
    cr_expect_eq(
        wl_notify_assets(unpack(&args.root, &args.bytes), "cash", &zone, assets, &count, &fault),
        WL_ERR_BAD_REQUEST);
    cr_expect_str_eq(fault.message, "assets/0/uid: is required");
    args_close(&args);
    msgpack_zone_destroy(&zone);
}

/* {uid: 5, bucket: bucket} as the only element of the list. */
static void args_of_bucket(args_t *args, const char *list, const char *bucket) {
    msgpack_packer *packer = args_open(args, 1);
    text(packer, list);
    msgpack_pack_array(packer, 1);
    msgpack_pack_map(packer, 2);
    text(packer, "uid");
    msgpack_pack_uint64(packer, 5);
    text(packer, "bucket");
    text(packer, bucket);
}

/* The bucket of consents is walletd's own. */
Test(notify, reserved_buckets_are_refused_in_changes_and_assets) {
    static const char *const buckets[] = {"!consent", "!", "ok!"};
    static wl_change_t changes[WL_CHANGES_MAX];
    static wl_asset_t assets[WL_PAYLOAD_ASSETS_MAX];
    msgpack_zone zone;
    cr_assert(msgpack_zone_init(&zone, 64));
    for (int i = 0; i < 3; i++) {
        args_t args;
        size_t changed = 0;
        uint32_t count = 0;
        wl_fault_t fault = {0};
        wl_err_t expected = i < 2 ? WL_ERR_BAD_REQUEST : WL_OK;
        args_of_bucket(&args, "changes", buckets[i]);
        cr_expect_eq(wl_notify_changes(unpack(&args.root, &args.bytes), changes, &changed, &fault),
                     expected);
        cr_expect_str_eq(fault.message, i < 2 ? "changes/0/bucket: must not begin with \"!\"" : "");
        args_close(&args);
        args_of_bucket(&args, "assets", buckets[i]);
        cr_expect_eq(wl_notify_assets(unpack(&args.root, &args.bytes), "cash", &zone, assets,
                                      &count, &fault),
                     expected);
        cr_expect_str_eq(fault.message, i < 2 ? "assets/0/bucket: must not begin with \"!\"" : "");
        args_close(&args);
    }
    msgpack_zone_destroy(&zone);
}

Test(notify, reads_an_optional_list_of_lines) {
    char lines[WL_LINES_MAX][WL_LINE_ID_MAX + 1];
    uint32_t count = 9;
    wl_fault_t fault = {0};
    cr_expect_eq(wl_notify_lines(NULL, lines, &count, &fault), WL_OK);
    cr_expect_eq(count, 0u);
    args_t args;
    msgpack_packer *packer = args_open(&args, 1);
    text(packer, "lines");
    msgpack_pack_array(packer, 2);
    text(packer, "cash");
    text(packer, "co in");
    cr_expect_eq(wl_notify_lines(unpack(&args.root, &args.bytes), lines, &count, &fault),
                 WL_ERR_BAD_REQUEST);
    cr_expect_str_eq(fault.message, "lines/1: is not of [a-z0-9_-]{1,32}");
    args_close(&args);
}
