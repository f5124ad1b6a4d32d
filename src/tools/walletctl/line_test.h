/* line_test.h: `walletctl lines test`: what walletd would make of a line's answers, live or
 * recorded, without a walletd. */
#ifndef WL_TOOLS_WALLETCTL_LINE_TEST_H
#define WL_TOOLS_WALLETCTL_LINE_TEST_H

#include "tools/walletctl/ask.h"

ctl_exit_t ctl_line_test(const ctl_options_t *options, int count, char **words);

#endif
