#include "topology.h"

#include <criterion/criterion.h>
#include <string.h>

static wl_err_t checked(const char *assignment, wl_fault_t *fault) {
    wl_settings_t settings;
    wl_settings_defaults(&settings);
    cr_assert_eq(wl_settings_assign(&settings, assignment, NULL), WL_OK);
    return wl_topology_check(&settings, fault);
}

Test(topology, the_defaults_are_valid) {
    wl_settings_t settings;
    wl_settings_defaults(&settings);
    cr_expect_eq(wl_topology_check(&settings, NULL), WL_OK);
}

Test(topology, plaintext_beyond_loopback_needs_permission) {
    wl_fault_t fault = {0};
    cr_expect_eq(checked("frontend.endpoint=tcp://0.0.0.0:7700", &fault), WL_ERR_SETTINGS);
    cr_expect(strstr(fault.message, "allow_plaintext") != NULL);
    cr_expect_eq(checked("frontend.endpoint=tcp://*:7700", NULL), WL_ERR_SETTINGS);
    wl_settings_t settings;
    wl_settings_defaults(&settings);
    cr_assert_eq(wl_settings_assign(&settings, "frontend.endpoint=tcp://0.0.0.0:7700", NULL),
                 WL_OK);
    cr_assert_eq(wl_settings_assign(&settings, "server.allow_plaintext=yes", NULL), WL_OK);
    cr_expect_eq(wl_topology_check(&settings, NULL), WL_OK);
}

Test(topology, an_endpoint_used_twice_is_refused) {
    cr_expect_eq(checked("frontend.endpoint=tcp://127.0.0.1:1,tcp://127.0.0.1:1", NULL),
                 WL_ERR_SETTINGS);
    cr_expect_eq(checked("frontend.endpoint=tcp://127.0.0.1:7701", NULL), WL_ERR_SETTINGS);
    cr_expect_eq(checked("intake.subscribe=tcp://127.0.0.1:7701", NULL), WL_ERR_SETTINGS);
    cr_expect_eq(checked("frontend.endpoint=127.0.0.1:7700", NULL), WL_ERR_SETTINGS);
    cr_expect_eq(checked("frontend.endpoint=,", NULL), WL_ERR_SETTINGS);
}

Test(topology, a_port_that_libzmq_would_wrap_is_refused) {
    static const char *const bad[] = {
        "tcp://127.0.0.1:99999", "tcp://127.0.0.1:65536", "tcp://127.0.0.1:0",
        "tcp://127.0.0.1",       "tcp://127.0.0.1:",      "tcp://127.0.0.1:77x",
        "tcp://127.0.0.1:-1",    "tcp://[::1]",           "tcp://127.0.0.1:99999999999999999999",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char assignment[96];
        (void)snprintf(assignment, sizeof assignment, "frontend.endpoint=%s", bad[i]);
        cr_expect_eq(checked(assignment, NULL), WL_ERR_SETTINGS, "%s", bad[i]);
    }
    cr_expect_eq(checked("frontend.endpoint=tcp://127.0.0.1:65535", NULL), WL_OK);
    cr_expect_eq(checked("frontend.endpoint=tcp://[::1]:7700", NULL), WL_OK);
}

Test(topology, each_endpoint_of_a_list_is_an_instance) {
    wl_settings_t settings;
    wl_settings_defaults(&settings);
    cr_assert_eq(wl_settings_assign(&settings,
                                    "frontend.endpoint=tcp://127.0.0.1:1, tcp://127.0.0.1:2", NULL),
                 WL_OK);
    cr_expect_eq(wl_topology_instances(&settings, WL_ACTOR_FRONTEND), 2u);
    cr_expect_eq(wl_topology_instances(&settings, WL_ACTOR_DISPATCHER), 1u);
}

Test(topology, a_mailbox_that_is_taken_is_an_error) {
    zsys_handler_set(NULL);
    zsock_t *first = NULL;
    zsock_t *second = NULL;
    wl_fault_t fault = {0};
    cr_assert_eq(wl_topology_inbox(WL_ACTOR_CACHE, 3, &first, &fault), WL_OK);
    cr_expect_eq(wl_topology_inbox(WL_ACTOR_CACHE, 3, &second, &fault), WL_ERR_BIND);
    cr_expect_null(second);
    zsock_destroy(&first);
}

Test(topology, a_full_mailbox_is_an_error_at_the_sender) {
    zsys_handler_set(NULL);
    zsock_t *inbox = NULL;
    zsock_t *outbox = NULL;
    cr_assert_eq(wl_topology_inbox(WL_ACTOR_QUERY, 0, &inbox, NULL), WL_OK);
    cr_assert_eq(wl_topology_outbox(WL_ACTOR_QUERY, 0, &outbox), WL_OK);
    int sent = 0;
    while (sent < 100000 && zstr_send(outbox, "x") == 0) {
        sent++;
    }
    cr_expect_eq(sent, 20000, "both sides of the pipe hold WL_MAILBOX_HWM: %d", sent);
    zsock_destroy(&outbox);
    zsock_destroy(&inbox);
}
