/* statement.h: the verbs about what happened: details and summary. One thread. */
#ifndef WL_TOOLS_WALLETCTL_STATEMENT_H
#define WL_TOOLS_WALLETCTL_STATEMENT_H

#include "tools/walletctl/ask.h"

/* UID with --line, --month, --kind, --limit: follows the cursors until that many items came. */
ctl_exit_t ctl_details(const ctl_options_t *options, int count, char **words);
/* UID LINE [MONTH] */
ctl_exit_t ctl_summary(const ctl_options_t *options, int count, char **words);

#endif
