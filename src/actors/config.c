#include "actors/config.h"

#include "actors/config_load.h"
#include "actors/hub.h"
#include "base/alloc.h"
#include "base/log.h"

#include <string.h>

typedef struct {
    wl_hub_t hub;
    wl_config_loaded_t live; /* what was handed out last */
} config_t;

static void on_refused(const char *path, const wl_fault_t *fault, void *arg) {
    config_t *self = arg;
    WL_COUNT(&self->hub.counters, config_refused, 1);
    wl_log(WL_LOG_ERROR, self->hub.name, "config_refused", "%s:%u:%u: %s: %s", path, fault->line,
           fault->column, fault->where, fault->message);
}

static void config_send(config_t *self, wl_actor_kind_t kind, uint32_t instance) {
    wl_config_head_t head = {0};
    memcpy(head.version, self->live.config->version, sizeof head.version);
    wl_config_item_t item = {
        .integration = {(const uint8_t *)self->live.integration.text, self->live.integration.bytes},
        .presentation = {(const uint8_t *)self->live.presentation.text,
                         self->live.presentation.bytes},
    };
    wl_encoder_t *to = wl_hub_to(&self->hub, kind, instance, WL_MSG_CONFIG, 0);
    if (!wl_encoder_begun(to)) {
        wl_config_begin(to, &head);
    }
    wl_config_add(to, &item);
}

static void config_hand_out(config_t *self) {
    for (wl_actor_kind_t kind = 0; kind < WL_ACTOR_KINDS; kind++) {
        uint32_t instances = wl_hub_instances(&self->hub, kind);
        for (uint32_t i = 0; kind != WL_ACTOR_CONFIG && i < instances; i++) {
            if (wl_topology_here(self->hub.settings, kind, i)) { /* other hosts have their own */
                config_send(self, kind, i);
            }
        }
    }
    wl_hub_flush(&self->hub);
    WL_COUNT(&self->hub.counters, config_reloads, 1);
    wl_log(WL_LOG_INFO, self->hub.name, "config_live", "version %s, %u lines, source directory %s",
           self->live.config->version, self->live.config->line_count,
           self->hub.settings->server_config_dir);
}

/* Reads the directory again; hands out what is new. */
static wl_err_t config_reload(config_t *self, wl_fault_t *fault) {
    wl_config_loaded_t loaded = {0};
    wl_err_t err =
        wl_config_load(self->hub.settings->server_config_dir, on_refused, self, &loaded, fault);
    if (err != WL_OK) {
        return err;
    }
    if (self->live.config != NULL &&
        strcmp(self->live.config->version, loaded.config->version) == 0) {
        wl_log(WL_LOG_INFO, self->hub.name, "config_same", "version %s stays live",
               loaded.config->version);
        wl_config_loaded_release(&loaded);
        return WL_OK;
    }
    wl_config_loaded_release(&self->live);
    self->live = loaded;
    config_hand_out(self);
    return WL_OK;
}

static void on_word(void *arg, const char *word) {
    config_t *self = arg;
    wl_fault_t fault = {0};
    if (strcmp(word, "RELOAD") == 0 && config_reload(self, &fault) != WL_OK) {
        wl_log(WL_LOG_ERROR, self->hub.name, "config_kept", "%s: %s; version %s stays live",
               fault.where, fault.message, self->live.config->version);
    }
}

static void on_message(void *arg, const wl_msg_t *msg) {
    config_t *self = arg;
    (void)msg;
    WL_COUNT(&self->hub.counters, msg_unexpected, 1);
}

static wl_err_t config_open(void *arg, zsock_t *pipe, wl_boot_t *boot) {
    config_t *self = arg;
    wl_hub_handlers_t handlers = {.take = on_message, .told = on_word};
    wl_err_t err = wl_hub_open(&self->hub, pipe, boot, &handlers, self, &boot->fault);
    return err == WL_OK ? config_reload(self, &boot->fault) : err;
}

static void config_close(void *arg) {
    config_t *self = arg;
    wl_config_loaded_release(&self->live);
    wl_hub_close(&self->hub);
}

void wl_config_run(zsock_t *pipe, void *boot) {
    config_t *self = wl_alloc_zero(1, sizeof *self);
    wl_hub_live(&self->hub, pipe, boot, config_open, config_close, self);
    wl_free(self);
}
