/* store_address.h: do the addresses of a store stay on this host? Pure, any thread.
 *
 * Only what is plainly loopback counts: 127.0.0.0/8, ::1 (also as ::ffff:127.x.x.x) and the name
 * localhost. Other names are not looked up: what they mean may change after the check. */
#ifndef WL_STORE_STORE_ADDRESS_H
#define WL_STORE_STORE_ADDRESS_H

#include "base/err.h"

#include <stdbool.h>

/* list: "host:port" or "host:port/database", comma-separated, as the settings name stores.
 * WL_ERR_SETTINGS: one of them is, or may be, on another host; *fault names it and `where`. What is
 * no address at all is refused as well. *fault may be NULL. */
WL_MUST_USE wl_err_t wl_store_address_check(const char *where, const char *list, wl_fault_t *fault);

/* Is the host of one "host:port" or "[v6]:port" plainly loopback? Names are not looked up. */
bool wl_store_address_loopback(const char *address);

#endif
