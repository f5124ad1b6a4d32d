/* hub_config.h: how the hub of every actor takes the runtime configuration, its candidate and the
 * health of lines. Used by hub.c only; what actors ask is in hub.h. */
#ifndef WL_ACTORS_HUB_CONFIG_H
#define WL_ACTORS_HUB_CONFIG_H

#include "actors/hub.h"

/* CONFIG: both variants are compiled anew, then `configured` is called. */
void wl_hub_take_config(wl_hub_t *self, const wl_msg_t *msg);
/* LINE: who is sick now, by name and by index in both variants; then `lines_changed` is called. */
void wl_hub_take_lines(wl_hub_t *self, const wl_msg_t *msg);

#endif
