#include "director.h"

#include "base/actor.h"
#include "base/clock.h"
#include "base/log.h"

enum { WAIT_MAX_MS = 1000 };

static int wait_ms(const scenario_t *scenario, int64_t elapsed_ms) {
    int64_t next_ms = scenario_next_ms(scenario);
    if (next_ms < 0 || next_ms - elapsed_ms > WAIT_MAX_MS) {
        return WAIT_MAX_MS;
    }
    return next_ms <= elapsed_ms ? 0 : (int)(next_ms - elapsed_ms);
}

void director_run(zsock_t *pipe, void *arg) {
    wl_boot_t *boot = arg;
    director_options_t options = *(const director_options_t *)boot->options;
    int64_t begun_ms = wl_mono_now().ms;
    boot->status = WL_OK;
    (void)zsock_signal(pipe, 0);
    zpoller_t *poller = zpoller_new(pipe, NULL);
    for (void *ready = NULL; ready != pipe;) {
        int64_t elapsed_ms = wl_mono_now().ms - begun_ms;
        const scenario_step_t *step = NULL;
        while ((step = scenario_take(options.scenario, elapsed_ms)) != NULL) {
            (void)sim_plan_set(options.sim, step->line, &step->plan);
            wl_log(WL_LOG_INFO, "linesim", "fault", "at_ms=%lld line=%s fault=%s",
                   (long long)step->at_ms, step->line[0] == '\0' ? "all" : step->line,
                   sim_fault_name(step->plan.fault));
        }
        ready = zpoller_wait(poller, wait_ms(options.scenario, elapsed_ms));
    }
    zpoller_destroy(&poller);
}
