#include "tools/linesim/scenario.h"

#include <criterion/criterion.h>
#include <string.h>

static scenario_t *parse(const char *text, wl_fault_t *fault) {
    *fault = (wl_fault_t){0};
    return scenario_parse(text, strlen(text), fault);
}

Test(scenario, gives_each_step_once_when_its_time_has_come) {
    wl_fault_t fault;
    scenario_t *scenario = parse("[{\"at_ms\": 500, \"line\": \"cash\", \"fault\": \"none\"},"
                                 " {\"at_ms\": 0, \"line\": \"cash\", \"fault\": \"slow\","
                                 "  \"ms\": 70, \"share\": 0.25, \"note\": \"morning\"},"
                                 " {\"at_ms\": 500, \"fault\": \"hang\"}]",
                                 &fault);
    cr_assert_not_null(scenario, "%s", fault.message);
    cr_assert_eq(scenario_next_ms(scenario), 0);
    const scenario_step_t *step = scenario_take(scenario, 10);
    cr_assert(step != NULL && step->plan.fault == SIM_FAULT_SLOW && step->plan.ms == 70);
    cr_assert_str_eq(step->line, "cash");
    cr_assert_null(scenario_take(scenario, 499));
    cr_assert_eq(scenario_next_ms(scenario), 500);
    step = scenario_take(scenario, 500);
    cr_assert(step != NULL && step->plan.fault == SIM_FAULT_NONE, "equal times keep their order");
    step = scenario_take(scenario, 500);
    cr_assert(step != NULL && step->plan.fault == SIM_FAULT_HANG);
    cr_assert_str_eq(step->line, "");
    cr_assert_null(scenario_take(scenario, INT64_MAX));
    cr_assert_eq(scenario_next_ms(scenario), -1);
    cr_assert_not_null(scenario_step(scenario, 2));
    cr_assert_null(scenario_step(scenario, 3));
    scenario_destroy(&scenario);
    cr_assert_null(scenario);
}

Test(scenario, an_empty_one_has_no_steps) {
    wl_fault_t fault;
    scenario_t *scenario = parse("[]", &fault);
    cr_assert_not_null(scenario);
    cr_assert_eq(scenario_next_ms(scenario), -1);
    cr_assert_null(scenario_take(scenario, 0));
    scenario_destroy(&scenario);
}

Test(scenario, a_wrong_one_says_which_step_and_why) {
    static const struct {
        const char *text;
        const char *reason;
    } wrong[] = {
        {"", "line"},
        {"{}", "list"},
        {"[7]", "step 0: at_ms"},
        {"[{\"at_ms\": 0, \"fault\": \"none\"}, {\"at_ms\": -1, \"fault\": \"none\"}]",
         "step 1: at_ms"},
        {"[{\"at_ms\": 0, \"fault\": \"sick\"}]", "step 0: fault"},
        {"[{\"at_ms\": 0, \"line\": 3, \"fault\": \"none\"}]", "step 0: line"},
        {"[{\"at_ms\": 0, \"fault\": \"none\", \"shard\": 1}]", "\"shard\" is not known"},
        {"[{\"at_ms\": 0, \"fault\": \"none\", \"at\": 1}]", "\"at\" is not known"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        wl_fault_t fault;
        cr_assert_null(parse(wrong[i].text, &fault));
        cr_assert_not_null(strstr(fault.message, wrong[i].reason), "%s: %s", wrong[i].text,
                           fault.message);
    }
    wl_fault_t fault = {0};
    cr_assert_null(scenario_load("/nowhere/scenario.json", &fault));
}
