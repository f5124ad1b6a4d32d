/* admin_owner.h: which actor answers an operator's request. Pure, any thread. */
#ifndef WL_ACTORS_ADMIN_OWNER_H
#define WL_ACTORS_ADMIN_OWNER_H

#include "proto/methods.h"
#include "topology.h"

/* Instance 0 of the returned kind takes ADMIN messages of this method. */
wl_actor_kind_t wl_admin_owner(wl_method_t method);

#endif
