/* line_show.h: the findings of `walletctl lines test` for people. */
#ifndef WL_TOOLS_WALLETCTL_LINE_SHOW_H
#define WL_TOOLS_WALLETCTL_LINE_SHOW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* {line, kind, config, answers: [{source, reason, users, missing, taken, refused, records}],
 *  pages: [{source, reason, ...}]}, as line_test.c makes it */
void ctl_show_line_test(const json_t *test, bool color, FILE *out);

#endif
