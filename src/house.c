#include "house.h"

#include "actors/cache.h"
#include "actors/config.h"
#include "actors/console.h"
#include "actors/details.h"
#include "actors/dispatcher.h"
#include "actors/fetcher.h"
#include "actors/frontend.h"
#include "actors/guard.h"
#include "actors/hub.h"
#include "actors/intake.h"
#include "actors/keeper.h"
#include "actors/mover.h"
#include "actors/presence.h"
#include "actors/puller.h"
#include "actors/query.h"
#include "actors/reconciler.h"
#include "actors/shard.h"
#include "actors/trail.h"
#include "base/alloc.h"
#include "base/check.h"

#include <stdio.h>
#include <string.h>

enum { ACTORS_MAX = 512 }; /* the sum of all bounds in settings.def is below */

static wl_actor_fn *const bodies[WL_ACTOR_KINDS] = {
#define WL_ACTOR_BODY(NAME, name) [WL_ACTOR_##NAME] = wl_##name##_run,
    WL_ACTORS(WL_ACTOR_BODY)
#undef WL_ACTOR_BODY
};

/* Writers first, so that nothing new begins; what answers reads stays until nobody waits. */
static const wl_actor_kind_t stop_order[] = {
    WL_ACTOR_FRONTEND,   WL_ACTOR_INTAKE,  WL_ACTOR_RECONCILER, WL_ACTOR_MOVER,
    WL_ACTOR_DISPATCHER, WL_ACTOR_KEEPER, /* nothing is served any more: another writer may begin */
    WL_ACTOR_PULLER,     WL_ACTOR_SHARD,   WL_ACTOR_PRESENCE,   WL_ACTOR_CACHE,
    WL_ACTOR_QUERY,      WL_ACTOR_DETAILS, WL_ACTOR_FETCHER,    WL_ACTOR_TRAIL,
    WL_ACTOR_CONFIG,     WL_ACTOR_CONSOLE, WL_ACTOR_GUARD, /* as long as anything is bound */
};
static_assert(sizeof stop_order / sizeof *stop_order == WL_ACTOR_KINDS, "every kind is stopped");

struct wl_house {
    wl_actor_t *at[ACTORS_MAX]; /* owned */
    wl_actor_options_t options[ACTORS_MAX];
    uint32_t count;
};

/* "shard.0: shard.at": the actor, then what it complains about. */
static void fault_name(wl_fault_t *fault, const char *name) {
    char where[sizeof fault->where];
    memcpy(where, fault->where, sizeof where);
    (void)snprintf(fault->where, sizeof fault->where, "%s%s%.*s", name,
                   where[0] == '\0' ? "" : ": ", (int)(sizeof where - 32), where);
}

static wl_err_t house_start_kind(wl_house_t *self, const wl_settings_t *settings,
                                 wl_actor_kind_t kind, wl_fault_t *fault) {
    uint32_t instances = wl_topology_instances(settings, kind);
    for (uint32_t i = 0; i < instances; i++) {
        if (!wl_topology_here(settings, kind, i)) {
            continue; /* on another host */
        }
        WL_ASSERT(self->count < ACTORS_MAX);
        char name[24];
        (void)snprintf(name, sizeof name, "%s.%u", wl_actor_kind_name(kind), i);
        wl_actor_options_t *options = &self->options[self->count];
        *options = (wl_actor_options_t){.settings = settings, .kind = kind, .instance = i};
        wl_err_t err = wl_actor_start(name, bodies[kind], options, &self->at[self->count], fault);
        if (err != WL_OK) {
            fault_name(fault, name);
            return err;
        }
        self->count++;
    }
    return WL_OK;
}

wl_err_t wl_house_start(const wl_settings_t *settings, wl_house_t **ret, wl_fault_t *fault) {
    wl_house_t *self = wl_alloc_zero(1, sizeof *self);
    wl_err_t err = WL_OK;
    *ret = self;
    for (wl_actor_kind_t kind = 0; err == WL_OK && kind < WL_ACTOR_KINDS; kind++) {
        err = house_start_kind(self, settings, kind, fault);
    }
    return err;
}

void wl_house_tell(wl_house_t *self, wl_actor_kind_t kind, const char *word) {
    for (uint32_t i = 0; i < self->count; i++) {
        if (self->options[i].kind == kind) {
            wl_actor_tell(self->at[i], word);
        }
    }
}

void wl_house_stop(wl_house_t **pointer) {
    if (pointer == NULL || *pointer == NULL) {
        return;
    }
    wl_house_t *self = *pointer;
    for (wl_actor_kind_t kind = 0; kind < WL_ACTOR_KINDS; kind++) {
        wl_house_tell(self, kind, WL_WORD_STOPPING);
    }
    for (uint32_t step = 0; step < WL_ACTOR_KINDS; step++) {
        for (uint32_t i = 0; i < self->count; i++) {
            if (self->options[i].kind == stop_order[step]) {
                wl_actor_destroy(&self->at[i]);
            }
        }
    }
    wl_free(self);
    *pointer = NULL;
}
