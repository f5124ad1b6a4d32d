/* console_rebuild.h: admin.presence.rebuild: what the presence actors of this process say of their
 * rebuilds, added up. Part of the console and used on its thread only. */
#ifndef WL_ACTORS_CONSOLE_REBUILD_H
#define WL_ACTORS_CONSOLE_REBUILD_H

#include "actors/hub.h"

#include <msgpack.h>

enum { WL_CONSOLE_PRESENCES_MAX = 16 }; /* as settings.def allows */

/* By presence instance; zeroes: nothing is known. */
typedef struct {
    wl_rebuilt_head_t at[WL_CONSOLE_PRESENCES_MAX];
} wl_console_rebuild_t;

/* A REBUILT. WL_ERR_BAD_REQUEST: of no actor, or with a state that is none. */
WL_MUST_USE wl_err_t wl_console_rebuild_take(wl_console_rebuild_t *self, const wl_hub_t *hub,
                                             const wl_rebuilt_head_t *head);

/* args: action? start | status. members: of the sets that serve now. Writes the result, or returns
 * WL_ERR_BAD_REQUEST with *fault. A start while one is under way begins nothing. */
WL_MUST_USE wl_err_t wl_console_rebuild_admin(wl_console_rebuild_t *self, wl_hub_t *hub,
                                              uint64_t members, const msgpack_object *args,
                                              msgpack_packer *packer, wl_fault_t *fault);

#endif
