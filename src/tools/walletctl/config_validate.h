/* config_validate.h: could these documents be published? */
#ifndef WL_TOOLS_WALLETCTL_CONFIG_VALIDATE_H
#define WL_TOOLS_WALLETCTL_CONFIG_VALIDATE_H

#include "tools/walletctl/config_file.h"

/* FILE...; with --local here, else by walletd, beside what is live. */
ctl_exit_t ctl_config_run_validate(const ctl_options_t *options, int count, char **words);

/* Asks walletd. What is wrong has been told with its place, FILE:line:column; then `failed`,
 * and *ret_reply, as in any case that walletd has answered, is the caller's. */
ctl_exit_t ctl_config_validate(const ctl_options_t *options, const ctl_config_files_t *files,
                               ctl_exit_t failed, json_t **ret_reply);

#endif
