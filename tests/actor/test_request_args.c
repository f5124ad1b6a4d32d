#include "actors/request_args.h"

#include "read_path.h"

static wl_rpc_t *rpc;
static wl_config_t *config;
static wl_rpc_request_t request;
static wl_fault_t fault;

static void args_open(void) {
    rpc = wl_rpc_new();
    cr_assert_eq(wl_config_compile(test_integration, sizeof test_integration - 1, test_presentation,
                                   sizeof test_presentation - 1, &config, &fault),
                 WL_OK, "%s: %s", fault.where, fault.message);
}

static void args_close(void) {
    wl_rpc_destroy(&rpc);
    wl_config_destroy(&config);
}

/* Makes a request of the method with these packed args. */
static void ask(const char *method, const void *args, size_t bytes) {
    static msgpack_sbuffer body;
    msgpack_sbuffer_destroy(&body);
    msgpack_sbuffer_init(&body);
    wl_rpc_pack_request(&body, 1, method, (wl_bytes_t){args, bytes});
    cr_assert_eq(wl_rpc_decode(rpc, body.data, body.size, WL_PORT_READER, &request, &fault), WL_OK,
                 "%s", fault.message);
}

#define ASK(method, args) ask((method), (args), sizeof(args) - 1)

Test(request_args, a_uid_is_needed_and_all_lines_are_the_default) {
    args_open();
    wl_wallet_args_t args;
    ASK("wallet.assets", "\x81\xa3uid\xcf\xff\xff\xff\xff\xff\xff\xff\xff");
    cr_expect_eq(wl_wallet_args_read(&request, config, &args, &fault), WL_OK);
    cr_expect_eq(args.uid, UINT64_MAX);
    cr_expect_eq(args.filter_bytes, 0u);
    ASK("wallet.assets", "\x82\xa3uid\x07\xa5lines\x90");
    cr_expect_eq(wl_wallet_args_read(&request, config, &args, &fault), WL_OK);
    cr_expect_eq(args.filter_bytes, 0u, "an empty list is no filter");
    ASK("wallet.golden", "\x81\xa3uid\x00");
    cr_expect_eq(wl_wallet_args_read(&request, config, &args, &fault), WL_ERR_BAD_REQUEST);
    ASK("wallet.golden", "\x80");
    cr_expect_eq(wl_wallet_args_read(&request, config, &args, &fault), WL_ERR_BAD_REQUEST);
    args_close();
}

Test(request_args, lines_may_be_text_or_bin_and_a_long_list_fits) {
    args_open();
    wl_wallet_args_t args;
    ASK("wallet.assets", "\x82\xa3uid\x07\xa5lines\x92\xc4\x04"
                         "cash\xa4"
                         "coin");
    cr_expect_eq(wl_wallet_args_read(&request, config, &args, &fault), WL_OK);
    cr_expect_eq(args.filter_bytes, 10u);
    cr_expect_eq(memcmp(args.filter, "cash,coin,", 10), 0);
    msgpack_sbuffer packed;
    msgpack_packer packer;
    msgpack_sbuffer_init(&packed);
    msgpack_packer_init(&packer, &packed, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 2);
    args_key(&packer, "uid");
    msgpack_pack_int(&packer, 1);
    args_key(&packer, "lines");
    msgpack_pack_array(&packer, WL_LINES_MAX);
    for (uint32_t i = 0; i < WL_LINES_MAX; i++) {
        args_key(&packer, "coin");
    }
    ask("wallet.assets", packed.data, packed.size);
    cr_expect_eq(wl_wallet_args_read(&request, config, &args, &fault), WL_OK);
    cr_expect_eq(args.filter_bytes, 5u * WL_LINES_MAX);
    msgpack_sbuffer_destroy(&packed);
    args_close();
}

Test(request_args, an_unknown_line_is_named) {
    args_open();
    wl_wallet_args_t args;
    ASK("wallet.assets", "\x82\xa3uid\x07\xa5lines\x92\xa4"
                         "coin\xa5"
                         "beans");
    cr_expect_eq(wl_wallet_args_read(&request, config, &args, &fault), WL_ERR_NOT_FOUND);
    cr_expect_not_null(strstr(fault.message, "beans"));
    ASK("wallet.assets", "\x82\xa3uid\x07\xa5lines\x91\xc0");
    cr_expect_eq(wl_wallet_args_read(&request, config, &args, &fault), WL_ERR_BAD_REQUEST);
    ASK("wallet.home", "\x82\xa3uid\x07\xa5lines\x91\xc0");
    cr_expect_eq(wl_wallet_args_read(&request, config, &args, &fault), WL_OK, "not its key");
    args_close();
}

Test(request_args, a_balance_is_of_one_known_line) {
    args_open();
    wl_wallet_args_t args;
    ASK("wallet.balance", "\x82\xa3uid\x07\xa4line\xa4"
                          "coin");
    cr_expect_eq(wl_wallet_args_read(&request, config, &args, &fault), WL_OK);
    cr_expect_eq(args.filter_bytes, 5u);
    cr_expect_eq(memcmp(args.filter, "coin,", 5), 0);
    ASK("wallet.balance", "\x81\xa3uid\x07");
    cr_expect_eq(wl_wallet_args_read(&request, config, &args, &fault), WL_ERR_BAD_REQUEST);
    ASK("wallet.balance", "\x82\xa3uid\x07\xa4line\xa3"
                          "!no");
    cr_expect_eq(wl_wallet_args_read(&request, config, &args, &fault), WL_ERR_BAD_REQUEST);
    ASK("wallet.balance", "\x82\xa3uid\x07\xa4line\xa4"
                          "gone");
    cr_expect_eq(wl_wallet_args_read(&request, config, &args, &fault), WL_ERR_NOT_FOUND);
    cr_expect_not_null(strstr(fault.message, "gone"));
    args_close();
}

/* wallet.home of user 7 with this min_version */
#define ASK_FLOORS(map) ASK("wallet.home", "\x82\xa3uid\x07\xabmin_version" map)

Test(request_args, versions_to_reach_are_of_known_lines_and_fit_a_version) {
    args_open();
    wl_wallet_args_t args;
    ASK_FLOORS("\x82\xa4"
               "cash\xcf\x7f\xff\xff\xff\xff\xff\xff\xff\xa4"
               "coin\x03");
    cr_expect_eq(wl_wallet_args_read(&request, config, &args, &fault), WL_OK, "%s", fault.message);
    cr_expect_eq(wl_floors_get(args.floors, args.floors_bytes, "cash"), WL_VERSION_MAX);
    cr_expect_eq(wl_floors_get(args.floors, args.floors_bytes, "coin"), 3u);
    ASK_FLOORS("\x81\xa4"
               "coin\x00");
    cr_expect_eq(wl_wallet_args_read(&request, config, &args, &fault), WL_OK);
    cr_expect_eq(args.floors_bytes, 0u, "any version is at least 0");
    static const struct {
        const char *map;
        size_t bytes;
        wl_err_t err;
    } refused[] = {
#define CASE(map, err) {"\x82\xa3uid\x07\xabmin_version" map, sizeof(map) + 17, err}
        CASE("\x90", WL_ERR_BAD_REQUEST),
        CASE("\x81\xa4"
             "coin\xff",
             WL_ERR_BAD_REQUEST),
        CASE("\x81\xa4"
             "coin\xcf\x80\x00\x00\x00\x00\x00\x00\x00",
             WL_ERR_BAD_REQUEST),
        CASE("\x81\xa4"
             "coin\xa1"
             "3",
             WL_ERR_BAD_REQUEST),
        CASE("\x81\x01\x03", WL_ERR_BAD_REQUEST),
        CASE("\x81\xa5"
             "beans\x03",
             WL_ERR_NOT_FOUND),
#undef CASE
    };
    for (size_t i = 0; i < WL_COUNT_OF(refused); i++) {
        ask("wallet.home", refused[i].map, refused[i].bytes);
        cr_expect_eq(wl_wallet_args_read(&request, config, &args, &fault), refused[i].err,
                     "case %zu", i);
    }
    args_close();
}

Test(request_args, has_assets_takes_none_to_a_thousand_users) {
    args_open();
    static uint64_t uids[WL_HAS_UIDS_MAX];
    uint32_t count = 99;
    ASK("wallet.has_assets", "\x81\xa4uids\x90");
    cr_expect_eq(wl_has_args_read(&request, uids, &count, &fault), WL_OK);
    cr_expect_eq(count, 0u);
    ASK("wallet.has_assets",
        "\x81\xa4uids\x93\x01\xcb\x40\x00\x00\x00\x00\x00\x00\x00\xcd\xff\xff");
    cr_expect_eq(wl_has_args_read(&request, uids, &count, &fault), WL_OK);
    cr_expect_eq(count, 3u);
    cr_expect_eq(uids[1], 2u, "2.0 of a JavaScript client");
    cr_expect_eq(uids[2], 65535u);
    ASK("wallet.has_assets", "\x81\xa4uids\x92\x01\xff");
    cr_expect_eq(wl_has_args_read(&request, uids, &count, &fault), WL_ERR_BAD_REQUEST);
    ASK("wallet.has_assets", "\x81\xa4uids\x01");
    cr_expect_eq(wl_has_args_read(&request, uids, &count, &fault), WL_ERR_BAD_REQUEST);
    ASK("wallet.has_assets", "\x80");
    cr_expect_eq(wl_has_args_read(&request, uids, &count, &fault), WL_ERR_BAD_REQUEST);
    args_close();
}
