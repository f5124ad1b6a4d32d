/* rebuild.h: the verb that has presence built anew from the database and watches it. One thread. */
#ifndef WL_TOOLS_WALLETCTL_REBUILD_H
#define WL_TOOLS_WALLETCTL_REBUILD_H

#include "tools/walletctl/ask.h"

/* --status instead of a start; --no-wait returns at once. */
ctl_exit_t ctl_presence_rebuild(const ctl_options_t *options, int count, char **words);

#endif
