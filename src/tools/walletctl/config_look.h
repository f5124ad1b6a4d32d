/* config_look.h: the verbs of `walletctl config` that look and change nothing. */
#ifndef WL_TOOLS_WALLETCTL_CONFIG_LOOK_H
#define WL_TOOLS_WALLETCTL_CONFIG_LOOK_H

#include "tools/walletctl/config_file.h"

ctl_exit_t ctl_config_run_status(const ctl_options_t *options, int count, char **words);
ctl_exit_t ctl_config_run_get(const ctl_options_t *options, int count, char **words);
ctl_exit_t ctl_config_run_diff(const ctl_options_t *options, int count, char **words);
ctl_exit_t ctl_config_run_history(const ctl_options_t *options, int count, char **words);
ctl_exit_t ctl_config_run_effective(const ctl_options_t *options, int count, char **words);
ctl_exit_t ctl_config_run_schema(const ctl_options_t *options, int count, char **words);

/* admin.config.get of one document; candidate: the rollout's; *ret_reply is the caller's. */
ctl_exit_t ctl_config_get(const ctl_options_t *options, wl_document_t document, bool candidate,
                          json_t **ret_reply);
/* admin.config.diff of a text that began with `base`; `name` is what people call it, and is put
 * into the reply as "file". */
ctl_exit_t ctl_config_diff_text(const ctl_options_t *options, wl_document_t document,
                                const char *text, size_t bytes, uint64_t base, const char *name,
                                json_t **ret_reply);
/* The same of two changes of the history. */
ctl_exit_t ctl_config_diff_history(const ctl_options_t *options, wl_document_t document,
                                   uint64_t from, uint64_t to, json_t **ret_reply);

#endif
