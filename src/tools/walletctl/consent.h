/* consent.h: the verb that gives and withdraws a user's consent to a line. One thread. */
#ifndef WL_TOOLS_WALLETCTL_CONSENT_H
#define WL_TOOLS_WALLETCTL_CONSENT_H

#include "tools/walletctl/ask.h"

/* UID LINE grant|revoke with --until */
ctl_exit_t ctl_consent(const ctl_options_t *options, int count, char **words);

/* A time from now on as people write it, in ms since 1970: "2026-12-31" (its end), "2026-12-31
 * 18:30", "2026-12-31T18:30:00" in local time, or with a Z in UTC; "90d", "12h", "30m" from now. */
bool ctl_until_parse(const char *text, int64_t now_ms, int64_t *ret_ms);

#endif
