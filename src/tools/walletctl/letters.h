/* letters.h: walletctl dlq: dead letters, to look at, to try again, to give up. See verbs.c for the
 * arguments. */
#ifndef WL_TOOLS_WALLETCTL_LETTERS_H
#define WL_TOOLS_WALLETCTL_LETTERS_H

#include "tools/walletctl/ask.h"

ctl_exit_t ctl_letters_list(const ctl_options_t *options, int count, char **words);
ctl_exit_t ctl_letters_show(const ctl_options_t *options, int count, char **words);
ctl_exit_t ctl_letters_redrive(const ctl_options_t *options, int count, char **words);
ctl_exit_t ctl_letters_discard(const ctl_options_t *options, int count, char **words);

#endif
