#include "actors/access.h"

#include "proto/rpc.h"
#include "read_path.h"

typedef struct {
    wl_hub_t hub;
    wl_rpc_t *rpc;
    msgpack_sbuffer body;
} door_t;

static void door_open(door_t *door, wl_actor_kind_t kind) {
    static const char *const keys[][2] = {
        {"app/1", "read"},       {"cash/1", "notify:cash"}, {"lines/1", "notify:*"},
        {"operator/1", "admin"}, {"peer/1", "peer"},        {"care/1", "consent"},
    };
    memset(door, 0, sizeof *door);
    door->hub.kind = kind;
    door->hub.keys = wl_key_ring_new();
    wl_key_ring_begin(door->hub.keys, 1, 6);
    for (size_t i = 0; i < 6; i++) {
        cr_assert_eq(wl_key_ring_add(door->hub.keys, keys[i][0], keys[i][1]), WL_OK);
    }
    door->rpc = wl_rpc_new();
    msgpack_sbuffer_init(&door->body);
}

static void door_close(door_t *door) {
    wl_key_ring_destroy(&door->hub.keys);
    wl_rpc_destroy(&door->rpc);
    msgpack_sbuffer_destroy(&door->body);
}

/* line NULL: no args */
static wl_err_t asked(door_t *door, const char *user, const char *method, const char *line) {
    wl_rpc_request_t request = {.msgid = 0};
    wl_fault_t fault = {.where = ""};
    uint8_t args[64] = {0x81, 0xa4, 'l', 'i', 'n', 'e'};
    size_t bytes = 0;
    if (line != NULL) {
        args[6] = (uint8_t)(0xa0 | strlen(line));
        memcpy(args + 7, line, strlen(line));
        bytes = 7 + strlen(line);
    }
    msgpack_sbuffer_clear(&door->body);
    wl_rpc_pack_request(&door->body, 1, method, (wl_bytes_t){args, bytes});
    wl_port_t port = door->hub.kind == WL_ACTOR_FRONTEND ? WL_PORT_READER : WL_PORT_WRITER;
    cr_assert_eq(wl_rpc_decode(door->rpc, door->body.data, door->body.size, port, &request, &fault),
                 WL_OK, "%s", fault.message);
    wl_err_t err = wl_access_check(&door->hub, user, &request, &fault);
    cr_expect(err == WL_OK ||
                  (strstr(fault.message, "cash") == NULL && strstr(fault.message, "app") == NULL),
              "it says too much: %s", fault.message);
    return err;
}

Test(access, without_curve_nothing_is_asked) {
    wl_hub_t hub = {.keys = NULL};
    cr_expect_not(wl_access_guarded(&hub));
}

Test(access, readers_need_read) {
    door_t door;
    door_open(&door, WL_ACTOR_FRONTEND);
    static const char *const methods[] = {"wallet.home", "wallet.has_assets", "sys.ping",
                                          "sys.info"};
    for (size_t i = 0; i < 4; i++) {
        cr_expect_eq(asked(&door, "app/1", methods[i], NULL), WL_OK);
        cr_expect_eq(asked(&door, "lines/1", methods[i], NULL), WL_ERR_FORBIDDEN);
        cr_expect_eq(asked(&door, "operator/1", methods[i], NULL), WL_ERR_FORBIDDEN);
        cr_expect_eq(asked(&door, "peer/1", methods[i], NULL), WL_ERR_FORBIDDEN);
        cr_expect_eq(asked(&door, "app/2", methods[i], NULL), WL_ERR_UNAUTHORIZED);
        cr_expect_eq(asked(&door, "app", methods[i], NULL), WL_ERR_UNAUTHORIZED);
        cr_expect_eq(asked(&door, NULL, methods[i], NULL), WL_ERR_UNAUTHORIZED);
    }
    cr_expect_eq(door.hub.counters.at[WL_COUNTER_auth_refused], 24);
    door_close(&door);
}

Test(access, consents_need_a_scope_of_their_own) {
    door_t door;
    door_open(&door, WL_ACTOR_FRONTEND);
    cr_expect_eq(asked(&door, "care/1", "wallet.consent", NULL), WL_OK);
    cr_expect_eq(asked(&door, "care/1", "sys.ping", NULL), WL_OK);
    cr_expect_eq(asked(&door, "care/1", "sys.info", NULL), WL_OK);
    cr_expect_eq(asked(&door, "care/1", "wallet.home", NULL), WL_ERR_FORBIDDEN);
    cr_expect_eq(asked(&door, "app/1", "wallet.consent", NULL), WL_ERR_FORBIDDEN);
    cr_expect_eq(asked(&door, "operator/1", "wallet.consent", NULL), WL_ERR_FORBIDDEN);
    static const char *const reads[] = {"wallet.balance", "wallet.details", "wallet.summary"};
    for (size_t i = 0; i < 3; i++) {
        cr_expect_eq(asked(&door, "app/1", reads[i], NULL), WL_OK);
        cr_expect_eq(asked(&door, "care/1", reads[i], NULL), WL_ERR_FORBIDDEN);
    }
    door_close(&door);
}

Test(access, a_line_speaks_for_itself) {
    door_t door;
    door_open(&door, WL_ACTOR_INTAKE);
    static const char *const methods[] = {"notify.changed", "notify.assets"};
    for (size_t i = 0; i < 2; i++) {
        cr_expect_eq(asked(&door, "cash/1", methods[i], "cash"), WL_OK);
        cr_expect_eq(asked(&door, "cash/1", methods[i], "coin"), WL_ERR_FORBIDDEN);
        cr_expect_eq(asked(&door, "cash/1", methods[i], "cash2"), WL_ERR_FORBIDDEN);
        cr_expect_eq(asked(&door, "lines/1", methods[i], "coin"), WL_OK);
        cr_expect_eq(asked(&door, "app/1", methods[i], "cash"), WL_ERR_FORBIDDEN);
        cr_expect_eq(asked(&door, "operator/1", methods[i], "cash"), WL_ERR_FORBIDDEN);
        cr_expect_eq(asked(&door, "peer/1", methods[i], "cash"), WL_ERR_FORBIDDEN);
        /* Which line is not said, or not well: whoever may notify is told so later. */
        cr_expect_eq(asked(&door, "cash/1", methods[i], NULL), WL_OK);
        cr_expect_eq(asked(&door, "app/1", methods[i], NULL), WL_ERR_FORBIDDEN);
        cr_expect_eq(asked(&door, "app/1", methods[i], "CASH"), WL_ERR_FORBIDDEN);
    }
    cr_expect_eq(asked(&door, "cash/1", "wallet.refresh", NULL), WL_OK);
    cr_expect_eq(asked(&door, "app/1", "wallet.refresh", NULL), WL_OK);
    cr_expect_eq(asked(&door, "operator/1", "wallet.refresh", NULL), WL_ERR_FORBIDDEN);
    door_close(&door);
}

Test(access, operators_need_admin) {
    door_t door;
    door_open(&door, WL_ACTOR_INTAKE);
    for (int method = 0; method < WL_METHOD_COUNT; method++) {
        const char *name = wl_method_info((wl_method_t)method)->name;
        if (strncmp(name, "admin.", 6) != 0) {
            continue;
        }
        cr_expect_eq(asked(&door, "operator/1", name, NULL), WL_OK, "%s", name);
        cr_expect_eq(asked(&door, "app/1", name, NULL), WL_ERR_FORBIDDEN, "%s", name);
        cr_expect_eq(asked(&door, "lines/1", name, NULL), WL_ERR_FORBIDDEN, "%s", name);
        cr_expect_eq(asked(&door, "peer/1", name, NULL), WL_ERR_FORBIDDEN, "%s", name);
        cr_expect_eq(asked(&door, NULL, name, NULL), WL_ERR_UNAUTHORIZED, "%s", name);
    }
    cr_expect_eq(asked(&door, "cash/1", "sys.ping", NULL), WL_OK);
    door_close(&door);
}
