#include "actors/details.h"

#include "actors/hub.h"
#include "base/alloc.h"

typedef struct {
    wl_hub_t hub;
} details_t;

static void details_take(void *actor, const wl_msg_t *msg) {
    details_t *self = actor;
    WL_COUNT(&self->hub.counters, msg_unexpected, msg->id != WL_MSG_LINE);
}

static wl_err_t details_open(void *actor, zsock_t *pipe, wl_boot_t *boot) {
    details_t *self = actor;
    const wl_hub_handlers_t handlers = {.take = details_take};
    return wl_hub_open(&self->hub, pipe, boot, &handlers, self, &boot->fault);
}

static void details_close(void *actor) {
    details_t *self = actor;
    wl_hub_close(&self->hub);
    wl_free(self);
}

void wl_details_run(zsock_t *pipe, void *boot) {
    details_t *self = wl_alloc_zero(1, sizeof *self);
    wl_hub_live(&self->hub, pipe, boot, details_open, details_close, self);
}
