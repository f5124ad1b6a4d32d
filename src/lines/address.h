/* address.h: which network addresses walletd may connect to when a configuration names a host.
 * Link-local addresses serve cloud metadata, the unspecified address reaches whatever listens
 * here, multicast has no answer: a line is never there. Pure, any thread. */
#ifndef WL_LINES_ADDRESS_H
#define WL_LINES_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

/* False for 0.0.0.0/8, 169.254/16, 224/4, 255.255.255.255, ::, fe80::/10, ff00::/8, the same IPv4
 * addresses mapped into IPv6 (::ffff:a.b.c.d, 64:ff9b::a.b.c.d), and families other than IP. */
bool wl_address_allowed(const struct sockaddr *address);

/* The same for the host of "tcp://host:port". A name is allowed: only its address is judged. */
bool wl_address_endpoint_allowed(const char *endpoint);

#endif
