/* shards.h: `walletctl shards`: which shard has which slots, and moving them. */
#ifndef WL_TOOLS_WALLETCTL_SHARDS_H
#define WL_TOOLS_WALLETCTL_SHARDS_H

#include "tools/walletctl/ask.h"

/* Each is a verb: see verbs.c. */
ctl_exit_t ctl_shards_status(const ctl_options_t *options, int count, char **words);
ctl_exit_t ctl_shards_move(const ctl_options_t *options, int count, char **words);
ctl_exit_t ctl_shards_back(const ctl_options_t *options, int count, char **words);
ctl_exit_t ctl_shards_finish(const ctl_options_t *options, int count, char **words);

#endif
