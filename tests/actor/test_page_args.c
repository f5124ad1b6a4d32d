#include "actors/page_args.h"

#include "read_path.h"

static const char page_integration[] =
    "{\"version\":1,\"lines\":{"
    "\"cash\":{\"kind\":\"cash\",\"url\":\"http://127.0.0.1:1\",\"unit\":\"CNY\",\"scale\":2,"
    "\"details\":true},"
    "\"coin\":{\"kind\":\"coin\",\"url\":\"http://127.0.0.1:1\",\"unit\":\"bean\","
    "\"summary\":true},"
    "\"mute\":{\"kind\":\"coin\",\"url\":\"http://127.0.0.1:1\",\"unit\":\"bean\"}}}";

static wl_rpc_t *rpc;
static wl_config_t *config;
static wl_fault_t fault;
static wl_page_args_t args;

static void args_open(void) {
    static const char none[] = "{\"version\":1}";
    rpc = wl_rpc_new();
    cr_assert_eq(wl_config_compile(page_integration, sizeof page_integration - 1, none,
                                   sizeof none - 1, &config, &fault),
                 WL_OK, "%s: %s", fault.where, fault.message);
}

static void args_close(void) {
    wl_rpc_destroy(&rpc);
    wl_config_destroy(&config);
}

static wl_err_t read_args(const char *method, const void *packed, size_t bytes) {
    static msgpack_sbuffer body;
    wl_rpc_request_t request;
    msgpack_sbuffer_destroy(&body);
    msgpack_sbuffer_init(&body);
    wl_rpc_pack_request(&body, 1, method, (wl_bytes_t){packed, bytes});
    cr_assert_eq(wl_rpc_decode(rpc, body.data, body.size, WL_PORT_READER, &request, &fault), WL_OK,
                 "%s", fault.message);
    return wl_page_args_read(&request, config, &args, &fault);
}

#define READ(method, packed) read_args((method), (packed), sizeof(packed) - 1)

Test(page_args, a_list_has_defaults) {
    args_open();
    cr_expect_eq(READ("wallet.details", "\x81\xa3uid\x07"), WL_OK);
    cr_expect(args.uid == 7 && args.limit == 20 && args.kind == WL_KIND_COUNT);
    cr_expect(args.line[0] == '\0' && args.month[0] == '\0' && args.cursor_bytes == 0);
    args_close();
}

Test(page_args, everything_can_be_said) {
    args_open();
    cr_expect_eq(READ("wallet.details", "\x86\xa3uid\x07\xa4line\xa4"
                                        "cash\xa5month\xa7"
                                        "2026-11\xa4kind\xa4"
                                        "cash\xa5limit\x64\xa6"
                                        "cursor\xa3"
                                        "abc"),
                 WL_OK, "%s", fault.message);
    cr_expect_str_eq(args.line, "cash");
    cr_expect_str_eq(args.month, "2026-11");
    cr_expect_eq(args.kind, WL_KIND_CASH);
    cr_expect_eq(args.limit, 100u);
    cr_expect_eq(args.cursor_bytes, 3u);
    cr_expect_eq(READ("wallet.summary", "\x82\xa3uid\x07\xa4line\xa4"
                                        "coin"),
                 WL_OK);
    args_close();
}

Test(page_args, what_is_wrong_is_named) {
    static const struct {
        const char *method;
        const char *packed;
        size_t bytes;
        wl_err_t err;
        const char *where;
        const char *says; /* NULL: whatever */
    } wrong[] = {
#define WRONG(method, packed, err, where) {method, packed, sizeof(packed) - 1, err, where, NULL}
#define SAYS(packed, where, says) \
    {"wallet.details", packed, sizeof(packed) - 1, WL_ERR_BAD_REQUEST, where, says}
        SAYS("\x82\xa3uid\x07\xa5month\xaa"
             "2026-11-01",
             "month", "month: must be like 2026-11, from 1970-01 on"),
        SAYS("\x82\xa3uid\x07\xa4kind\xb1"
             "ccccccccccccccccc",
             "kind", "kind: is none of cash, activity, cashback, coupon, coin, link"),
        SAYS("\x82\xa3uid\x07\xa4line\xa3"
             "a b",
             "line", "line: is not a line id [a-z0-9_-]{1,32}"),
        WRONG("wallet.details", "\x80", WL_ERR_BAD_REQUEST, "uid"),
        WRONG("wallet.details", "\x82\xa3uid\x07\xa5limit\x00", WL_ERR_BAD_REQUEST, "limit"),
        WRONG("wallet.details", "\x82\xa3uid\x07\xa5limit\x65", WL_ERR_BAD_REQUEST, "limit"),
        WRONG("wallet.details",
              "\x82\xa3uid\x07\xa5month\xa7"
              "2026-13",
              WL_ERR_BAD_REQUEST, "month"),
        WRONG("wallet.details",
              "\x82\xa3uid\x07\xa5month\xa8"
              "2026-011",
              WL_ERR_BAD_REQUEST, "month"),
        WRONG("wallet.details",
              "\x82\xa3uid\x07\xa4kind\xa4"
              "gold",
              WL_ERR_BAD_REQUEST, "kind"),
        WRONG("wallet.details",
              "\x82\xa3uid\x07\xa4line\xa4"
              "gone",
              WL_ERR_NOT_FOUND, "line"),
        WRONG("wallet.details",
              "\x82\xa3uid\x07\xa4line\xa4"
              "coin",
              WL_ERR_BAD_REQUEST, "line"),
        WRONG("wallet.details", "\x82\xa3uid\x07\xa4line\x07", WL_ERR_BAD_REQUEST, "line"),
        WRONG("wallet.details",
              "\x82\xa3uid\x07\xa6"
              "cursor\x07",
              WL_ERR_BAD_REQUEST, "cursor"),
        WRONG("wallet.summary", "\x81\xa3uid\x07", WL_ERR_BAD_REQUEST, "line"),
        WRONG("wallet.summary",
              "\x82\xa3uid\x07\xa4line\xa4"
              "mute",
              WL_ERR_BAD_REQUEST, "line"),
#undef SAYS
#undef WRONG
    };
    args_open();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cr_expect_eq(read_args(wrong[i].method, wrong[i].packed, wrong[i].bytes), wrong[i].err,
                     "%zu: %s", i, fault.message);
        cr_expect_str_eq(fault.where, wrong[i].where, "%zu", i);
        cr_expect(wrong[i].says == NULL || strcmp(fault.message, wrong[i].says) == 0, "%s",
                  fault.message);
    }
    args_close();
}
