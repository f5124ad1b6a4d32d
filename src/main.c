/* main.c: arguments, configuration check, start, signals, stop. Nothing else. */
#include "base/log.h"
#include "door_probe.h"
#include "house.h"
#include "process.h"

#include <signal.h>
#include <unistd.h>

enum { DOORS_MS = 60000 }; /* how often the doors are tried */

/* What this process is there for, in one line. */
static void ready_say(const wl_settings_t *settings) {
    bool reads = wl_role_reads(settings);
    bool writes = wl_role_writes(settings);
    bool feeds = writes && settings->tier_endpoint[0] != '\0';
    wl_log(WL_LOG_INFO, "main", "ready", "walletd " WL_VERSION " %s%s%s%s%s%s%s",
           reads ? "serves " : "", reads ? settings->frontend_endpoint : "",
           reads && writes ? ", " : "", writes ? "hears " : "",
           writes ? settings->intake_endpoint : "", feeds ? ", feeds " : "",
           feeds ? settings->tier_endpoint : "");
}

/* A door that is open to strangers is closed the fast way: what was acknowledged is durable. */
static void doors_check(const wl_settings_t *settings) {
    wl_fault_t fault = {0};
    wl_err_t err = wl_probe_doors(settings, false, &fault);
    if (err == WL_ERR_FORBIDDEN) {
        wl_log(WL_LOG_ERROR, "main", "door_open", "%s: %s; ending at once", fault.where,
               fault.message);
        _exit(WL_EXIT_FAILED);
    }
    if (err != WL_OK) {
        wl_log(WL_LOG_WARN, "main", "door_unclear", "%s: %s", fault.where, fault.message);
    }
}

/* Serves until SIGTERM or SIGINT; SIGHUP reads the runtime configuration and the keys again. */
static int serve(const wl_settings_t *settings) {
    wl_process_t process;
    wl_fault_t fault = {0};
    wl_err_t err = wl_process_open(&process, settings, &fault);
    if (err != WL_OK) {
        wl_log(WL_LOG_ERROR, "main", "start_failed", "%s: %s", fault.where, fault.message);
        return WL_EXIT_FAILED;
    }
    wl_house_t *house = NULL;
    err = wl_house_start(settings, &house, &fault);
    if (err == WL_OK) {
        err = wl_probe_doors(settings, true, &fault);
    }
    if (err == WL_OK) {
        ready_say(settings);
    } else {
        wl_log(WL_LOG_ERROR, "main", "start_failed", "%s: %s (%s)", fault.where, fault.message,
               wl_err_text(err));
    }
    while (err == WL_OK) {
        int signal = wl_process_wait(&process, DOORS_MS);
        if (signal == 0) {
            doors_check(settings);
        } else if (signal == SIGHUP) {
            wl_house_tell(house, WL_ACTOR_CONFIG, "RELOAD");
            wl_house_tell(house, WL_ACTOR_GUARD, "RELOAD");
        } else {
            wl_log(WL_LOG_INFO, "main", "stopping", "signal %d", signal);
            break;
        }
    }
    wl_house_stop(&house);
    wl_process_close(&process);
    if (err == WL_OK) {
        wl_log(WL_LOG_INFO, "main", "stopped", "all actors ended");
    }
    return err == WL_OK ? WL_EXIT_OK : WL_EXIT_FAILED;
}

int main(int argc, char **argv) {
    wl_settings_t settings;
    int exit_code = WL_EXIT_OK;
    if (!wl_process_arguments(argc, argv, &settings, &exit_code)) {
        return exit_code;
    }
    return serve(&settings);
}
