/* verbs.h: everything walletctl can do, in one table: names, arguments, help, and what runs. */
#ifndef WL_TOOLS_WALLETCTL_VERBS_H
#define WL_TOOLS_WALLETCTL_VERBS_H

#include "tools/walletctl/ask.h"

typedef struct {
    const char *name; /* "home", "dlq list" */
    const char *args; /* for people: "UID [LINE...]" */
    const char *help; /* one sentence */
    int min;          /* words behind the name */
    int max;
    ctl_exit_t (*run)(const ctl_options_t *options, int count, char **words);
} ctl_verb_t;

/* Finds the verb that words begin with, checks the number of words behind it and runs it. */
ctl_exit_t ctl_verb_run(const ctl_options_t *options, int count, char **words);

/* The verb table as text. */
void ctl_verb_help(FILE *out);

#endif
