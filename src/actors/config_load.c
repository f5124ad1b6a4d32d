#include "actors/config_load.h"

#include <string.h>

enum { TRIES_MAX = 16 }; /* refused versions walked past before giving up */

void wl_config_loaded_release(wl_config_loaded_t *self) {
    wl_config_file_release(&self->integration);
    wl_config_file_release(&self->presentation);
    wl_config_destroy(&self->config);
}

/* The newest document below the bound that can be read at all. */
static wl_err_t document_read(const char *dir, const char *name, uint32_t below,
                              wl_config_refused_fn refused, void *arg, wl_config_file_t *into,
                              wl_fault_t *fault) {
    wl_fault_t first = {0};
    for (int tries = 0;; tries++) {
        wl_fault_t why = {0};
        wl_config_file_release(into);
        wl_err_t err = wl_config_dir_read(dir, name, below, into, &why);
        if (err == WL_OK) {
            return WL_OK;
        }
        if (into->version == 0 || tries == TRIES_MAX) {
            if (fault != NULL) { /* why a file was refused says more than that there is no other */
                *fault = tries == 0 ? why : first;
            }
            return err;
        }
        first = tries == 0 ? why : first;
        below = into->version;
        refused(into->path, &why, arg);
    }
}

/* One step back from the document that the fault names. */
static wl_err_t step_back(const char *dir, wl_config_loaded_t *loaded, wl_config_refused_fn refused,
                          void *arg, const wl_fault_t *why, wl_fault_t *fault) {
    bool presentation = strncmp(why->where, "presentation", 12) == 0;
    wl_config_file_t *file = presentation ? &loaded->presentation : &loaded->integration;
    refused(file->path, why, arg);
    wl_fault_t none = {0};
    wl_err_t err = document_read(dir, presentation ? "presentation" : "integration", file->version,
                                 refused, arg, file, &none);
    if (err != WL_OK && fault != NULL) {
        *fault = *why; /* the refusal says more than "there is no older version" */
    }
    return err == WL_OK ? WL_OK : WL_ERR_SETTINGS;
}

wl_err_t wl_config_load(const char *dir, wl_config_refused_fn refused, void *arg,
                        wl_config_loaded_t *ret, wl_fault_t *fault) {
    wl_config_loaded_t loaded = {0};
    wl_err_t err = document_read(dir, "integration", 0, refused, arg, &loaded.integration, fault);
    if (err == WL_OK) {
        err = document_read(dir, "presentation", 0, refused, arg, &loaded.presentation, fault);
    }
    for (int tries = 0; err == WL_OK && loaded.config == NULL; tries++) {
        wl_fault_t why = {0};
        wl_err_t compiled = wl_config_compile(loaded.integration.text, loaded.integration.bytes,
                                              loaded.presentation.text, loaded.presentation.bytes,
                                              &loaded.config, &why);
        if (compiled != WL_OK && tries == TRIES_MAX) {
            err = compiled;
        } else if (compiled != WL_OK) {
            err = step_back(dir, &loaded, refused, arg, &why, fault);
        }
    }
    if (err != WL_OK) {
        wl_config_loaded_release(&loaded);
        return err;
    }
    *ret = loaded;
    return WL_OK;
}
