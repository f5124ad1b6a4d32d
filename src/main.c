/* main.c: arguments, configuration check, start order, signals, stop order. Nothing else. */
#include "actors/cache.h"
#include "actors/config.h"
#include "actors/console.h"
#include "actors/dispatcher.h"
#include "actors/frontend.h"
#include "actors/hub.h"
#include "actors/intake.h"
#include "actors/presence.h"
#include "actors/puller.h"
#include "actors/query.h"
#include "actors/shard.h"
#include "base/alloc.h"
#include "base/log.h"
#include "process.h"

#include <signal.h>
#include <stdio.h>

enum { ACTORS_MAX = 512 }; /* the sum of all bounds in settings.def is below */

static wl_actor_fn *const bodies[WL_ACTOR_KINDS] = {
#define WL_ACTOR_BODY(NAME, name) [WL_ACTOR_##NAME] = wl_##name##_run,
    WL_ACTORS(WL_ACTOR_BODY)
#undef WL_ACTOR_BODY
};

/* Writers first, so that nothing new begins; what answers reads stays until nobody waits. */
static const wl_actor_kind_t stop_order[WL_ACTOR_KINDS] = {
    WL_ACTOR_FRONTEND, WL_ACTOR_INTAKE, WL_ACTOR_DISPATCHER, WL_ACTOR_PULLER, WL_ACTOR_SHARD,
    WL_ACTOR_PRESENCE, WL_ACTOR_CACHE,  WL_ACTOR_QUERY,      WL_ACTOR_CONFIG, WL_ACTOR_CONSOLE,
};

typedef struct {
    wl_actor_t *at[ACTORS_MAX];
    wl_actor_kind_t kind[ACTORS_MAX];
    uint32_t count;
} house_t;

static wl_err_t house_start_kind(house_t *self, const wl_settings_t *settings, wl_actor_kind_t kind,
                                 wl_fault_t *fault) {
    uint32_t instances = wl_topology_instances(settings, kind);
    for (uint32_t i = 0; i < instances; i++) {
        char name[24];
        (void)snprintf(name, sizeof name, "%s.%u", wl_actor_kind_name(kind), i);
        wl_actor_options_t options = {.settings = settings, .kind = kind, .instance = i};
        wl_err_t err = wl_actor_start(name, bodies[kind], &options, &self->at[self->count], fault);
        if (err != WL_OK) {
            wl_log(WL_LOG_ERROR, name, "start_failed", "%s: %s (%s)", fault->where, fault->message,
                   wl_err_text(err));
            return err;
        }
        self->kind[self->count++] = kind;
    }
    return WL_OK;
}

static wl_err_t house_start(house_t *self, const wl_settings_t *settings, wl_fault_t *fault) {
    wl_err_t err = WL_OK;
    for (wl_actor_kind_t kind = 0; err == WL_OK && kind < WL_ACTOR_KINDS; kind++) {
        err = house_start_kind(self, settings, kind, fault);
    }
    return err;
}

static void house_tell(house_t *self, wl_actor_kind_t kind, const char *word) {
    for (uint32_t i = 0; i < self->count; i++) {
        if (self->kind[i] == kind) {
            wl_actor_tell(self->at[i], word);
        }
    }
}

static void house_stop(house_t *self) {
    for (wl_actor_kind_t kind = 0; kind < WL_ACTOR_KINDS; kind++) {
        house_tell(self, kind, WL_WORD_STOPPING);
    }
    for (uint32_t step = 0; step < WL_ACTOR_KINDS; step++) {
        for (uint32_t i = 0; i < self->count; i++) {
            if (self->kind[i] == stop_order[step]) {
                wl_actor_destroy(&self->at[i]);
            }
        }
    }
}

/* Serves until SIGTERM or SIGINT; SIGHUP reads the runtime configuration again. */
static int serve(const wl_settings_t *settings) {
    wl_process_t process;
    wl_fault_t fault = {0};
    wl_err_t err = wl_process_open(&process, settings, &fault);
    if (err != WL_OK) {
        wl_log(WL_LOG_ERROR, "main", "start_failed", "%s: %s", fault.where, fault.message);
        return WL_EXIT_FAILED;
    }
    house_t *house = wl_alloc_zero(1, sizeof *house);
    err = house_start(house, settings, &fault);
    if (err == WL_OK) {
        wl_log(WL_LOG_INFO, "main", "ready", "walletd " WL_VERSION " serves %s, hears %s",
               settings->frontend_endpoint, settings->intake_endpoint);
    }
    while (err == WL_OK) {
        int signal = wl_process_wait(&process);
        if (signal != SIGHUP) {
            wl_log(WL_LOG_INFO, "main", "stopping", "signal %d", signal);
            break;
        }
        house_tell(house, WL_ACTOR_CONFIG, "RELOAD");
    }
    house_stop(house);
    wl_free(house);
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
