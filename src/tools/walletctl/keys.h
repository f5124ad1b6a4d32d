/* keys.h: the verbs that make and show CURVE keys. They ask no server; secrets are written to files
 * of mode 0600 and shown nowhere. */
#ifndef WL_TOOLS_WALLETCTL_KEYS_H
#define WL_TOOLS_WALLETCTL_KEYS_H

#include "tools/walletctl/ask.h"

ctl_exit_t ctl_keys_new(const ctl_options_t *options, int count, char **words);
ctl_exit_t ctl_keys_list(const ctl_options_t *options, int count, char **words);
ctl_exit_t ctl_keys_show(const ctl_options_t *options, int count, char **words);

#endif
