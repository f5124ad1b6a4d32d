/* config_change.h: the verbs of `walletctl config` that publish. Each makes one change, and says
 * who and why; what reaches everybody is confirmed first. */
#ifndef WL_TOOLS_WALLETCTL_CONFIG_CHANGE_H
#define WL_TOOLS_WALLETCTL_CONFIG_CHANGE_H

#include "tools/walletctl/config_file.h"

ctl_exit_t ctl_config_run_put(const ctl_options_t *options, int count, char **words);
ctl_exit_t ctl_config_run_rollback(const ctl_options_t *options, int count, char **words);
ctl_exit_t ctl_config_run_rollout(const ctl_options_t *options, int count, char **words);
ctl_exit_t ctl_config_run_pause(const ctl_options_t *options, int count, char **words);
ctl_exit_t ctl_config_run_resume(const ctl_options_t *options, int count, char **words);
ctl_exit_t ctl_config_run_widen(const ctl_options_t *options, int count, char **words);
ctl_exit_t ctl_config_run_promote(const ctl_options_t *options, int count, char **words);
ctl_exit_t ctl_config_run_abort(const ctl_options_t *options, int count, char **words);

/* Shows what the files change, asks, publishes, says what has become of it. */
ctl_exit_t ctl_config_put_files(const ctl_options_t *options, const ctl_config_files_t *files,
                                uint64_t base);

#endif
