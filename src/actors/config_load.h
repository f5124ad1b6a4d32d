/* config_load.h: finds the newest pair of configuration documents that is valid. Used by the config
 * actor and by `walletd --check`. Blocks on two small files. */
#ifndef WL_ACTORS_CONFIG_LOAD_H
#define WL_ACTORS_CONFIG_LOAD_H

#include "domain/config.h"
#include "store/config_dir.h"

typedef struct {
    wl_config_file_t integration;  /* owned */
    wl_config_file_t presentation; /* owned */
    wl_config_t *config;           /* owned */
} wl_config_loaded_t;

void wl_config_loaded_release(wl_config_loaded_t *self);

/* A document that was passed over: its path and why. */
typedef void (*wl_config_refused_fn)(const char *path, const wl_fault_t *fault, void *arg);

/* Starts with the newest of both and walks back past refused ones, telling each. The caller
 * releases *ret. Errors: no valid pair, *fault says why the last try failed. */
WL_MUST_USE wl_err_t wl_config_load(const char *dir, wl_config_refused_fn refused, void *arg,
                                    wl_config_loaded_t *ret, wl_fault_t *fault);

#endif
