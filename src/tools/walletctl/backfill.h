/* backfill.h: the verb that pulls all users of a line once more and watches it. One thread. */
#ifndef WL_TOOLS_WALLETCTL_BACKFILL_H
#define WL_TOOLS_WALLETCTL_BACKFILL_H

#include "tools/walletctl/ask.h"

/* LINE with --rate, --all; --status and --stop instead of a start; --no-wait returns at once. */
ctl_exit_t ctl_lines_backfill(const ctl_options_t *options, int count, char **words);

#endif
