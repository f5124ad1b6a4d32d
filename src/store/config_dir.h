/* config_dir.h: the embedded configuration store: a directory of immutable, versioned JSON files,
 *     integration-<N>.json  presentation-<N>.json      (N = "version" inside, 1..2^31-1)
 * The highest version of each that reads and parses is the live one. Files are written by the
 * operator's editor: write a new number, then `walletd` takes it on SIGHUP. Reads only. */
#ifndef WL_STORE_CONFIG_DIR_H
#define WL_STORE_CONFIG_DIR_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t version; /* from the file name */
    char *text;       /* wl_free(), NUL-terminated */
    size_t bytes;
    char path[512];
} wl_config_file_t;

void wl_config_file_release(wl_config_file_t *self); /* frees text, leaves it empty */

/* Reads the newest file of `name` ("integration", "presentation") with version < below (0 = any),
 * so that a caller can walk back past a refused one. WL_ERR_NOT_FOUND: there is none. WL_ERR_IO,
 * WL_ERR_TOO_BIG (WL_DOCUMENT_BYTES_MAX): as the one exception to the rule, ret->version and
 * ret->path then say which file failed, with text NULL; version 0: it was the folder. Names with
 * leading zeros, signs or other endings are not read. *ret is overwritten: release it first. */
WL_MUST_USE wl_err_t wl_config_dir_read(const char *dir, const char *name, uint32_t below,
                                        wl_config_file_t *ret, wl_fault_t *fault);

#endif
