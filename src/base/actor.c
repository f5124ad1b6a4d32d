#include "base/actor.h"

#include "base/alloc.h"
#include "base/check.h"

#include <pthread.h>
#include <stdio.h>

struct wl_actor {
    zactor_t *thread; /* owned */
    wl_actor_fn *body;
    wl_boot_t *boot; /* owned; the thread reads it until its signal */
    char name[24];
};

static void actor_main(zsock_t *pipe, void *arg) {
    wl_actor_t *self = arg;
    char thread_name[16]; /* the kernel keeps 15 bytes */
    (void)snprintf(thread_name, sizeof thread_name, "%.15s", self->name);
    (void)pthread_setname_np(pthread_self(), thread_name);
    self->body(pipe, self->boot);
}

wl_err_t wl_actor_start(const char *name, wl_actor_fn *body, const void *options, wl_actor_t **ret,
                        wl_fault_t *fault) {
    WL_ASSERT(name != NULL && body != NULL && ret != NULL);
    wl_actor_t *self = wl_alloc_zero(1, sizeof *self);
    (void)snprintf(self->name, sizeof self->name, "%s", name);
    self->body = body;
    self->boot = wl_alloc_zero(1, sizeof *self->boot);
    *self->boot = (wl_boot_t){.name = self->name, .options = options, .status = WL_ERR_INTERNAL};
    self->thread = zactor_new(actor_main, self);
    WL_ASSERT(self->thread != NULL);
    wl_err_t err = self->boot->status;
    if (err != WL_OK) {
        if (fault != NULL) {
            *fault = self->boot->fault;
        }
        wl_actor_destroy(&self);
        return err;
    }
    *ret = self;
    return WL_OK;
}

void wl_actor_destroy(wl_actor_t **pointer) {
    wl_actor_t *self = *pointer;
    if (self == NULL) {
        return;
    }
    zactor_destroy(&self->thread);
    wl_free(self->boot);
    wl_free(self);
    *pointer = NULL;
}

void wl_actor_tell(wl_actor_t *self, const char *word) {
    (void)zstr_send(self->thread, word);
}

const char *wl_actor_name(const wl_actor_t *self) {
    return self->name;
}
