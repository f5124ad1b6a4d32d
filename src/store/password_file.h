/* password_file.h: the password of a store, kept in a file of its own so that it stands in no
 * configuration and no command line. Any thread; reads the file, so it may block for a moment. */
#ifndef WL_STORE_PASSWORD_FILE_H
#define WL_STORE_PASSWORD_FILE_H

#include "base/err.h"

enum { WL_PASSWORD_MAX = 512 }; /* bytes */

/* Reads a file of mode 0600 or stricter into ret (WL_PASSWORD_MAX + 1 bytes, without the line end);
 * wipe it after use. path NULL or "" yields "". WL_ERR_SETTINGS: cannot be read, open to others,
 * empty, too long, or holds a NUL; *fault may be NULL and says which. */
WL_MUST_USE wl_err_t wl_password_file_read(const char *path, char *ret, wl_fault_t *fault);

#endif
