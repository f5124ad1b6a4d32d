/* config_edit.h: a document in the user's editor, and documents that are not finished. */
#ifndef WL_TOOLS_WALLETCTL_CONFIG_EDIT_H
#define WL_TOOLS_WALLETCTL_CONFIG_EDIT_H

#include "tools/walletctl/ask.h"

/* DOCUMENT: opens a copy of what is live in $VISUAL or $EDITOR, then publishes it as `put` does. A
 * copy that was not published is kept, and it is said where. */
ctl_exit_t ctl_config_run_edit(const ctl_options_t *options, int count, char **words);

/* list | save NAME FILE | show NAME | drop NAME */
ctl_exit_t ctl_config_run_drafts(const ctl_options_t *options, int count, char **words);

#endif
