#include "base/alloc.h"
#include "tools/walletctl/ask.h"
#include "tools/walletctl/config_options.h"

#include <criterion/criterion.h>

/* One option as the command line gives it. */
static ctl_config_options_t with(ctl_config_option_t option, const char *text) {
    ctl_config_options_t options = {.reason = NULL};
    cr_assert(ctl_config_option_take(&options, (int)option, text));
    return options;
}

Test(config_options, conditions_of_a_rollout_are_refused_by_verbs_for_everybody) {
    static const struct {
        ctl_config_option_t option;
        const char *text;
    } conditions[] = {
        {CTL_CONFIG_PERCENT, "0"},       {CTL_CONFIG_WHITELIST, "users.txt"},
        {CTL_CONFIG_SCENE, "home"},      {CTL_CONFIG_APP_MIN, "13.4"},
        {CTL_CONFIG_APP_MAX, "13.4"},    {CTL_CONFIG_ABORT_PERCENT, "1"},
        {CTL_CONFIG_ABORT_AFTER, "100"},
    };
    static const char *const everybody[] = {"config put",     "config edit",  "config rollback",
                                            "config promote", "config pause", "config abort"};
    for (size_t c = 0; c < WL_COUNT_OF(conditions); c++) {
        ctl_config_options_t options = with(conditions[c].option, conditions[c].text);
        for (size_t v = 0; v < WL_COUNT_OF(everybody); v++) {
            cr_assert_not(ctl_config_options_check(&options, everybody[v]), "%s, option %zu",
                          everybody[v], c);
        }
        cr_assert(ctl_config_options_check(&options, "config rollout"));
    }
}

Test(config_options, a_verb_whose_name_is_part_of_another_one_is_not_that) {
    ctl_config_options_t options = with(CTL_CONFIG_PERCENT, "5");
    static const char *const wrong[] = {"config roll", "config out", "config rollouts",
                                        "config ",     "config",     "rollout"};
    for (size_t i = 0; i < WL_COUNT_OF(wrong); i++) {
        cr_assert_not(ctl_config_options_check(&options, wrong[i]), "%s", wrong[i]);
    }
    cr_assert(ctl_config_options_check(&options, "config widen"));
}

Test(config_options, verbs_of_others_take_none_of_them) {
    ctl_config_options_t none = {.reason = NULL};
    ctl_config_options_t dry = with(CTL_CONFIG_DRY_RUN, NULL);
    ctl_config_options_t reason = {.reason = "why"};
    cr_assert(ctl_config_options_check(&none, "home"));
    cr_assert(ctl_config_options_check(&none, "config put"));
    cr_assert_not(ctl_config_options_check(&dry, "dlq redrive"));
    cr_assert_not(ctl_config_options_check(&reason, "dlq discard"));
    cr_assert_not(ctl_config_options_check(&dry, "config upload"));
}

Test(config_options, numbers_and_shares_are_read_whole) {
    static const char *const wrong[] = {"",    "-1",    "101",     "1.234",  "1e1", "5%", "0x10",
                                        "nan", "100.1", "100.001", "0000001", ".5", "5."};
    static const struct {
        const char *text;
        double value;
    } right[] = {{"0", 0}, {"100", 100}, {"100.00", 100}, {"2.5", 2.5}, {"0.01", 0.01}};
    ctl_config_options_t options = {.reason = NULL};
    for (size_t i = 0; i < WL_COUNT_OF(wrong); i++) {
        cr_assert_not(ctl_config_option_take(&options, CTL_CONFIG_PERCENT, wrong[i]), "%s",
                      wrong[i]);
        cr_assert_not(options.percent.given);
    }
    for (size_t i = 0; i < WL_COUNT_OF(right); i++) {
        options = with(CTL_CONFIG_PERCENT, right[i].text);
        cr_assert(options.percent.given);
        cr_assert_float_eq(options.percent.value, right[i].value, 1e-9);
    }
    cr_assert_not(ctl_config_option_take(&options, CTL_CONFIG_BASE, "18446744073709551616"));
    cr_assert_not(ctl_config_option_take(&options, CTL_CONFIG_BASE, "-1"));
    options = with(CTL_CONFIG_BASE, "0");
    cr_assert(options.base.given && options.base.value == 0);
}

Test(config_options, a_ninth_scene_is_refused) {
    ctl_config_options_t options = {.reason = NULL};
    for (int i = 0; i < WL_ROLLOUT_SCENES_MAX; i++) {
        cr_assert(ctl_config_option_take(&options, CTL_CONFIG_SCENE, "home"));
    }
    cr_assert_not(ctl_config_option_take(&options, CTL_CONFIG_SCENE, "home"));
    cr_assert_eq(options.scene_count, WL_ROLLOUT_SCENES_MAX);
}
