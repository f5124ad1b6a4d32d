#include "actors/admin_owner.h"

wl_actor_kind_t wl_admin_owner(wl_method_t method) {
    if (wl_method_config(method)) {
        return WL_ACTOR_CONFIG;
    }
    if (wl_method_reconcile(method)) {
        return WL_ACTOR_RECONCILER;
    }
    if (wl_method_shards(method)) {
        return WL_ACTOR_MOVER;
    }
    if (method == WL_METHOD_ADMIN_EXPLAIN) {
        return WL_ACTOR_TRAIL;
    }
    bool console = method == WL_METHOD_ADMIN_STATS || method == WL_METHOD_ADMIN_PRESENCE_STATS ||
                   method == WL_METHOD_ADMIN_PRESENCE_REBUILD;
    return console ? WL_ACTOR_CONSOLE : WL_ACTOR_DISPATCHER;
}
