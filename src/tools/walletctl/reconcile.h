/* reconcile.h: the verbs that compare database, caches and presence, watch it, and show what was
 * found. One thread. */
#ifndef WL_TOOLS_WALLETCTL_RECONCILE_H
#define WL_TOOLS_WALLETCTL_RECONCILE_H

#include "tools/walletctl/ask.h"

/* --dry-run, --rate, --cap, --shard; --no-wait returns at once. Ends with CTL_EXIT_OK: nothing is
 * left; CTL_EXIT_REFUSED: it was stopped, or too much differs; CTL_EXIT_CHECK_FAILED: differences
 * are left. */
ctl_exit_t ctl_reconcile_run(const ctl_options_t *options, int count, char **words);
/* [RUN], --rounds, --limit */
ctl_exit_t ctl_reconcile_report(const ctl_options_t *options, int count, char **words);
/* RUN, --limit */
ctl_exit_t ctl_reconcile_differences(const ctl_options_t *options, int count, char **words);
/* RUN, --note */
ctl_exit_t ctl_reconcile_stop(const ctl_options_t *options, int count, char **words);

#endif
