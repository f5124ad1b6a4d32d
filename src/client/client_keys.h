/* client_keys.h: the keys that a client of walletd needs: its own pair and the server's public key.
 * One thread; wiped with wl_client_keys_forget(). */
#ifndef WL_CLIENT_CLIENT_KEYS_H
#define WL_CLIENT_CLIENT_KEYS_H

#include "base/key_file.h"

#include <czmq.h>

enum { WL_CLIENT_SERVERS_MAX = 2 }; /* the old and the new one, while the server's is changed */

typedef struct {
    uint32_t servers; /* 0 = no CURVE */
    uint8_t server[WL_CLIENT_SERVERS_MAX][WL_KEY_BYTES];
    wl_key_file_t own;
} wl_client_keys_t;

/* key_file: NAME.key_secret; server_files: NAME.key, two with a comma between them while the
 * server's key is being changed. Both NULL or empty: no CURVE. *fault says which file and line. */
WL_MUST_USE wl_err_t wl_client_keys_read(const char *key_file, const char *server_files,
                                         wl_client_keys_t *ret, wl_fault_t *fault);
/* Before connect; `which` of the server's keys counts round. */
void wl_client_keys_apply(const wl_client_keys_t *self, uint32_t which, zsock_t *socket);
void wl_client_keys_forget(wl_client_keys_t *self);

#endif
