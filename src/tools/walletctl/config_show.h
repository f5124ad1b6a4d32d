/* config_show.h: answers of admin.config.* for people. They come from the wire: what is missing or
 * of another type is shown as "-". */
#ifndef WL_TOOLS_WALLETCTL_CONFIG_SHOW_H
#define WL_TOOLS_WALLETCTL_CONFIG_SHOW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

void ctl_config_show_status(const json_t *status, bool color, FILE *out);
void ctl_config_show_history(const json_t *history, bool color, FILE *out);
void ctl_config_show_effective(const json_t *effective, bool color, FILE *out);
/* "50 % of users, scene home, app 13.4 or newer" */
void ctl_config_rollout_text(const json_t *rollout, char *into, size_t room);

/* One document of admin.config.diff: - before, + after; what others changed meanwhile is said to be
 * theirs, and what is in each other's way stands out. */
void ctl_config_show_diff(const json_t *diff, bool color, FILE *out);
/* {"changes"} of a change that was made, or would be. */
void ctl_config_show_changes(const json_t *reply, bool color, FILE *out);

#endif
