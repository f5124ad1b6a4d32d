#include "base/actor.h"

#include <criterion/criterion.h>

static void body_works(zsock_t *pipe, void *arg) {
    wl_boot_t *boot = arg;
    boot->status = WL_OK;
    zsock_signal(pipe, 0);
    char *word = zstr_recv(pipe);
    zstr_free(&word);
}

static void body_fails(zsock_t *pipe, void *arg) {
    wl_boot_t *boot = arg;
    boot->status = wl_fault(&boot->fault, WL_ERR_BIND, "here", "taken");
    zsock_signal(pipe, 0);
}

Test(actor, starts_and_ends) {
    zsys_handler_set(NULL);
    wl_actor_t *actor = NULL;
    cr_assert_eq(wl_actor_start("works.0", body_works, NULL, &actor, NULL), WL_OK);
    cr_expect_str_eq(wl_actor_name(actor), "works.0");
    wl_actor_destroy(&actor);
    cr_expect_null(actor);
    wl_actor_destroy(&actor);
}

Test(actor, a_failed_start_is_an_error_with_its_reason) {
    zsys_handler_set(NULL);
    wl_actor_t *actor = NULL;
    wl_fault_t fault = {0};
    cr_expect_eq(wl_actor_start("fails.0", body_fails, NULL, &actor, &fault), WL_ERR_BIND);
    cr_expect_null(actor);
    cr_expect_str_eq(fault.message, "taken");
}
