#include "base/err.h"

#include <criterion/criterion.h>

Test(err, success_is_zero_and_every_error_has_words) {
    cr_expect_eq(WL_OK, 0);
    for (unsigned i = 0; i < WL_ERR_COUNT; i++) {
        cr_expect_neq(wl_err_name((wl_err_t)i)[0], '\0');
        cr_expect_neq(wl_err_text((wl_err_t)i)[0], '\0');
    }
    cr_expect_str_eq(wl_err_wire_code(WL_ERR_FULL), "busy");
    cr_expect_str_eq(wl_err_wire_code((wl_err_t)9999), "internal");
}

Test(err, a_fault_is_formatted_and_cut_to_size) {
    wl_fault_t fault = {0};
    cr_expect_eq(wl_fault(&fault, WL_ERR_BAD_REQUEST, "uid", "%0500d", 7), WL_ERR_BAD_REQUEST);
    cr_expect_str_eq(fault.where, "uid");
    cr_expect_eq(strlen(fault.message), sizeof fault.message - 1);
    cr_expect_eq(wl_fault(NULL, WL_ERR_IO, "x", "y"), WL_ERR_IO);
}
