#include "tools/linesim/fault.h"

#include <criterion/criterion.h>
#include <string.h>

static wl_err_t read_text(const char *text, fault_plan_t *ret) {
    wl_fault_t fault = {0};
    json_t *object = json_loads(text, 0, NULL);
    cr_assert_not_null(object, "%s", text);
    wl_err_t err = fault_plan_read(object, ret, &fault);
    cr_assert_eq(err == WL_OK, fault.message[0] == '\0', "%s", text);
    json_decref(object);
    return err;
}

Test(fault, each_name_is_read_back_and_has_a_line_of_help) {
    char room[400];
    for (unsigned i = 0; i < SIM_FAULT_COUNT; i++) {
        sim_fault_t fault = SIM_FAULT_COUNT;
        cr_assert(sim_fault_parse(sim_fault_name((sim_fault_t)i), &fault));
        cr_assert_eq(fault, i);
        cr_assert_not_null(strstr(sim_fault_help(i, room, sizeof room), sim_fault_name(fault)));
        cr_assert_lt(strlen(room), sizeof room - 1);
    }
    sim_fault_t fault = SIM_FAULT_COUNT;
    cr_assert_not(sim_fault_parse("sick", &fault));
    cr_assert_null(sim_fault_help(SIM_FAULT_COUNT, room, sizeof room));
}

Test(fault, a_plan_has_the_default_of_its_fault_or_what_is_given) {
    fault_plan_t plan;
    cr_assert_eq(read_text("{\"fault\": \"slow\"}", &plan), WL_OK);
    cr_assert(plan.fault == SIM_FAULT_SLOW && plan.share >= 1.0 && plan.ms == 3000);
    cr_assert_eq(read_text("{\"fault\": \"busy\", \"ms\": 250, \"share\": 0.5}", &plan), WL_OK);
    cr_assert(plan.fault == SIM_FAULT_BUSY && plan.share < 0.6 && plan.share > 0.4);
    cr_assert_eq(plan.ms, 250);
    cr_assert_eq(read_text("{\"fault\": \"error\", \"rate\": 0}", &plan), WL_OK);
    cr_assert(plan.share <= 0.0);
    cr_assert_eq(read_text("{\"fault\": \"clock-skew\", \"ms\": -86400000}", &plan), WL_OK);
    cr_assert_eq(plan.ms, -86400000);
    cr_assert_eq(read_text("{\"fault\": \"flapping\", \"ms\": 0}", &plan), WL_OK);
    cr_assert_eq(plan.ms, 1);
}

Test(fault, a_plan_that_makes_no_sense_is_refused_with_a_reason) {
    static const char *const wrong[] = {
        "{}",
        "{\"fault\": 7}",
        "{\"fault\": \"sick\"}",
        "{\"fault\": \"hang\", \"share\": 1.1}",
        "{\"fault\": \"hang\", \"share\": -1}",
        "{\"fault\": \"hang\", \"share\": \"half\"}",
        "{\"fault\": \"slow\", \"ms\": -1}",
        "{\"fault\": \"slow\", \"ms\": 1.5}",
        "{\"fault\": \"slow\", \"ms\": 99999999999}",
    };
    fault_plan_t plan;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        cr_assert_eq(read_text(wrong[i], &plan), WL_ERR_BAD_REQUEST, "%s", wrong[i]);
    }
}

Test(fault, flapping_is_bad_and_good_in_turn) {
    fault_plan_t plan = {.fault = SIM_FAULT_FLAPPING, .share = 1.0, .ms = 100, .since_ms = 5000};
    cr_assert_eq(fault_plan_at(&plan, 5000), SIM_FAULT_ERROR);
    cr_assert_eq(fault_plan_at(&plan, 5099), SIM_FAULT_ERROR);
    cr_assert_eq(fault_plan_at(&plan, 5100), SIM_FAULT_NONE);
    cr_assert_eq(fault_plan_at(&plan, 5200), SIM_FAULT_ERROR);
    plan.fault = SIM_FAULT_HANG;
    cr_assert_eq(fault_plan_at(&plan, 5100), SIM_FAULT_HANG);
}
