#include "actors/consent_args.h"

#include "read_path.h"

static wl_rpc_t *rpc;
static wl_config_t *config;
static wl_rpc_request_t request;
static wl_fault_t fault;
static wl_consent_args_t args;

static void args_open(void) {
    rpc = wl_rpc_new();
    cr_assert_eq(wl_config_compile(live_integration, sizeof live_integration - 1, live_presentation,
                                   sizeof live_presentation - 1, &config, &fault),
                 WL_OK, "%s: %s", fault.where, fault.message);
}

static void args_close(void) {
    wl_rpc_destroy(&rpc);
    wl_config_destroy(&config);
}

/* How a request with these packed args is read at 1,000 ms. */
static wl_err_t ask(const void *packed, size_t bytes) {
    static msgpack_sbuffer body;
    msgpack_sbuffer_destroy(&body);
    msgpack_sbuffer_init(&body);
    wl_rpc_pack_request(&body, 1, "wallet.consent", (wl_bytes_t){packed, bytes});
    cr_assert_eq(wl_rpc_decode(rpc, body.data, body.size, WL_PORT_READER, &request, &fault), WL_OK,
                 "%s", fault.message);
    return wl_consent_args_read(&request, config, (wl_wall_ms_t){1000}, &args, &fault);
}

#define ASK(text) ask((text), sizeof(text) - 1)

Test(consent_args, who_for_which_line_and_until_when) {
    args_open();
    cr_expect_eq(ASK("\x83\xa3uid\x07\xa4line\xa4"
                     "card\xa7granted\xc3"),
                 WL_OK);
    cr_expect(args.uid == 7 && args.granted && args.expires_at == 0);
    cr_expect_str_eq(args.line, "card");
    cr_expect_eq(ASK("\x84\xa3uid\x07\xa4line\xa4"
                     "card\xa7granted\xc3\xaa"
                     "expires_at\xcd\x03\xe9"),
                 WL_OK);
    cr_expect_eq(args.expires_at, 1001);
    cr_expect_eq(ASK("\x84\xa3uid\x07\xa4line\xa4"
                     "card\xa7granted\xc2\xaa"
                     "expires_at\x00"),
                 WL_OK);
    cr_expect(!args.granted && args.expires_at == 0);
    args_close();
}

Test(consent_args, anything_else_is_refused) {
    args_open();
    cr_expect_eq(ASK("\x82\xa4line\xa4"
                     "card\xa7granted\xc3"),
                 WL_ERR_BAD_REQUEST, "nobody");
    cr_expect_eq(ASK("\x82\xa3uid\x07\xa7granted\xc3"), WL_ERR_BAD_REQUEST, "no line");
    cr_expect_eq(ASK("\x82\xa3uid\x07\xa4line\xa4"
                     "card"),
                 WL_ERR_BAD_REQUEST, "what?");
    cr_expect_eq(ASK("\x83\xa3uid\x07\xa4line\xa4"
                     "card\xa7granted\x01"),
                 WL_ERR_BAD_REQUEST, "a number is no word");
    cr_expect_eq(ASK("\x83\xa3uid\x07\xa4line\xa4"
                     "none\xa7granted\xc3"),
                 WL_ERR_NOT_FOUND);
    cr_expect_eq(ASK("\x83\xa3uid\x07\xa4line\xa4"
                     "coin\xa7granted\xc3"),
                 WL_ERR_BAD_REQUEST, "needs none");
    cr_expect_eq(ASK("\x83\xa3uid\x07\xa4line\xa4"
                     "ca d\xa7granted\xc3"),
                 WL_ERR_BAD_REQUEST, "no id");
    cr_expect_eq(ASK("\x84\xa3uid\x07\xa4line\xa4"
                     "card\xa7granted\xc3\xaa"
                     "expires_at\xcd\x03\xe8"),
                 WL_ERR_BAD_REQUEST, "over by now");
    cr_expect_eq(ASK("\x84\xa3uid\x07\xa4line\xa4"
                     "card\xa7granted\xc2\xaa"
                     "expires_at\xcd\x03\xe9"),
                 WL_ERR_BAD_REQUEST, "withdrawn for a while");
    args_close();
}
