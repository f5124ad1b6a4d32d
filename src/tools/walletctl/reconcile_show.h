/* reconcile_show.h: reports of reconciliation for people. One thread. */
#ifndef WL_TOOLS_WALLETCTL_RECONCILE_SHOW_H
#define WL_TOOLS_WALLETCTL_RECONCILE_SHOW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* A reply of admin.reconcile.report. */
void ctl_reconcile_show(const json_t *reply, bool color, FILE *out);
/* A reply of admin.reconcile.differences. */
void ctl_reconcile_show_differences(const json_t *reply, bool color, FILE *out);

#endif
