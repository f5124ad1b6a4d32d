/* cursor_key.h: the key that seals cursors, from its file. Part of the details actor. */
#ifndef WL_ACTORS_CURSOR_KEY_H
#define WL_ACTORS_CURSOR_KEY_H

#include "base/settings.h"
#include "domain/cursor.h"

/* Reads details.key_file, 64 hex digits in a file of mode 0600; or details.key in server.data_dir,
 * which is made when it is missing: cursors then mean something to this process only, also after a
 * restart. Blocks on the disk for a moment. WL_ERR_SETTINGS, WL_ERR_IO; *fault says what. */
WL_MUST_USE wl_err_t wl_cursor_key_read(const wl_settings_t *settings,
                                        uint8_t ret_key[static WL_CURSOR_KEY_BYTES],
                                        wl_fault_t *fault);

#endif
