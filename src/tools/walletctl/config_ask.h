/* config_ask.h: questions that several verbs of `walletctl config` put to walletd: what is live,
 * what a change says about who makes it, and whether everybody may see it. */
#ifndef WL_TOOLS_WALLETCTL_CONFIG_ASK_H
#define WL_TOOLS_WALLETCTL_CONFIG_ASK_H

#include "tools/walletctl/config_file.h"

/* As ctl_ask() on the operators' endpoint, but waits 10 s unless --timeout says otherwise. */
ctl_exit_t ctl_config_ask(const ctl_options_t *options, const char *method, ctl_args_t *args,
                          json_t **ret_reply);
/* Without arguments. */
ctl_exit_t ctl_config_status(const ctl_options_t *options, json_t **ret_status);

/* A number of a reply, also where walletctl has made it a text; 0: there is none. */
uint64_t ctl_config_number(const json_t *object, const char *key);
/* A text of a reply; "": there is none. */
const char *ctl_config_text(const json_t *object, const char *key);

/* Which change the files began with: --base; else the live one, when each file has the version of
 * the live document. Otherwise CTL_EXIT_CONFLICT, and the fix has been told. A file that is no
 * JSON is let through: who judges it says where it is wrong. */
ctl_exit_t ctl_config_base(const ctl_options_t *options, const ctl_config_files_t *files,
                           uint64_t *ret_base);
/* The same of a file that may be older: looks in the history for the change with its version. */
ctl_exit_t ctl_config_base_old(const ctl_options_t *options, const ctl_config_file_t *file,
                               uint64_t *ret_base);

/* Has -m been given? `verb` asks for it. */
ctl_exit_t ctl_config_reason_check(const ctl_options_t *options, const char *verb);
/* Writes the author: --author, else $USER as far as it fits. */
void ctl_config_author(const ctl_options_t *options, ctl_args_t *args);
/* Writes base, author, reason and dry_run. */
void ctl_config_args(const ctl_options_t *options, uint64_t base, ctl_args_t *args);

/* May everybody see it? `question` is asked on a terminal; --yes and --dry-run answer it.
 * CTL_EXIT_USAGE: there is nobody to ask; CTL_EXIT_REFUSED: no. Both have been told. */
ctl_exit_t ctl_config_confirm(const ctl_options_t *options, const char *question);
/* The same for verbs that reach something else: `reach` says what ("this reaches everybody"), and
 * `refused` what did not happen. */
ctl_exit_t ctl_confirm(const ctl_options_t *options, const char *reach, const char *question,
                       const char *refused);
/* Will ctl_config_confirm() ask? Then what it is about should be shown before. */
bool ctl_config_asks(const ctl_options_t *options);

#endif
