/* blob_file.h: a whole file read or replaced at once. Replacing is atomic: `<path>.tmp`,
 * fsync, rename, fsync of the folder. Any thread, blocks on the disk. Readers see the old file or
 * the new one, also after a crash; a killed writer leaves `<path>.tmp`, which the next reuses. */
#ifndef WL_STORE_BLOB_FILE_H
#define WL_STORE_BLOB_FILE_H

#include "base/err.h"

#include <stddef.h>

/* *ret_bytes is wl_free()d by the caller; a NUL stands behind the last byte. WL_ERR_NOT_FOUND;
 * WL_ERR_TOO_BIG: more than bytes_max; WL_ERR_IO: cannot be read, or is not a regular file. */
WL_MUST_USE wl_err_t wl_blob_file_read(const char *path, size_t bytes_max, void **ret_bytes,
                                       size_t *ret_count);
/* The file gets mode 0640 less the umask. WL_ERR_NO_SPACE, WL_ERR_IO, WL_ERR_NOT_FOUND (no
 * folder): the old file stays. WL_ERR_BUSY: another writer is at work on the same path. WL_ERR_IO
 * may also come when the new file is there but its name could not be flushed: write again. */
WL_MUST_USE wl_err_t wl_blob_file_write(const char *path, const void *bytes, size_t count);

#endif
