/* explain.h: `walletctl explain UID`: what a user has now, and what has brought that about, as a
 * time-line for people, newest last. */
#ifndef WL_TOOLS_WALLETCTL_EXPLAIN_H
#define WL_TOOLS_WALLETCTL_EXPLAIN_H

#include "tools/walletctl/ask.h"

/* words: UID; --line, --limit, --json. */
ctl_exit_t ctl_explain(const ctl_options_t *options, int count, char **words);

/* How long before now that was: "38 ms", "12 s", "5 min", "3 h", "2 d"; "soon" for what is later
 * than now. room: at least 24 bytes. */
void ctl_ago_text(int64_t at_ms, int64_t now_ms, char *into, size_t room);

#endif
