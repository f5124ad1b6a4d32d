/* config_options.h: what the verbs of `walletctl config`, `reconcile` and
 * `shards` take from the command
 * line. Texts are borrowed from argv. */
#ifndef WL_TOOLS_WALLETCTL_CONFIG_OPTIONS_H
#define WL_TOOLS_WALLETCTL_CONFIG_OPTIONS_H

#include "domain/rollout.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

/* A number that may be 0. */
typedef struct {
    bool given;
    uint64_t value;
} ctl_number_t;

/* 0 to 100, with at most two digits behind the point. */
typedef struct {
    bool given;
    double value;
} ctl_percent_t;

/* NULL, 0 or false: not given. */
typedef struct {
    const char *reason; /* -m */
    const char *author;
    const char *output; /* -o */
    const char *whitelist;
    const char *app_min;
    const char *app_max;
    const char *app;
    const char *at;
    const char *slots; /* of shards move */
    const char *scenes[WL_ROLLOUT_SCENES_MAX];
    uint32_t scene_count;
    ctl_number_t base;
    ctl_number_t from;
    ctl_number_t to;
    ctl_number_t seq;
    ctl_number_t before;
    ctl_number_t abort_after;
    ctl_number_t cap; /* of reconcile, like the next and rounds */
    ctl_number_t shard;
    ctl_percent_t percent;
    ctl_percent_t abort_percent;
    bool candidate;
    bool local;
    bool verify;
    bool rounds;
    bool dry_run;
    bool yes;
} ctl_config_options_t;

/* Rows for getopt_long(); their numbers begin at CTL_CONFIG_OPTION_FIRST. */
enum { CTL_CONFIG_OPTION_FIRST = 512 };
#define CTL_CONFIG_OPTIONS(O)                            \
    O(AUTHOR, "author", required_argument)               \
    O(WHITELIST, "whitelist", required_argument)         \
    O(APP_MIN, "app-min", required_argument)             \
    O(APP_MAX, "app-max", required_argument)             \
    O(APP, "app", required_argument)                     \
    O(AT, "at", required_argument)                       \
    O(SCENE, "scene", required_argument)                 \
    O(BASE, "base", required_argument)                   \
    O(FROM, "from", required_argument)                   \
    O(TO, "to", required_argument)                       \
    O(SEQ, "seq", required_argument)                     \
    O(BEFORE, "before", required_argument)               \
    O(ABORT_AFTER, "abort-after", required_argument)     \
    O(PERCENT, "percent", required_argument)             \
    O(ABORT_PERCENT, "abort-percent", required_argument) \
    O(CANDIDATE, "candidate", no_argument)               \
    O(LOCAL, "local", no_argument)                       \
    O(VERIFY, "verify", no_argument)                     \
    O(CAP, "cap", required_argument)                     \
    O(SHARD, "shard", required_argument)                 \
    O(ROUNDS, "rounds", no_argument)                     \
    O(SLOTS, "slots", required_argument)                 \
    O(DRY_RUN, "dry-run", no_argument)                   \
    O(YES, "yes", no_argument)

typedef enum {
    CTL_CONFIG_OPTION_BEFORE_FIRST = CTL_CONFIG_OPTION_FIRST - 1,
#define CTL_CONFIG_OPTION_ENUM(id, name, argument) CTL_CONFIG_##id,
    CTL_CONFIG_OPTIONS(CTL_CONFIG_OPTION_ENUM)
#undef CTL_CONFIG_OPTION_ENUM
        CTL_CONFIG_OPTION_END
} ctl_config_option_t;

/* Takes one of them. false: the user has been told what is wrong with it. */
bool ctl_config_option_take(ctl_config_options_t *self, int option, const char *text);

/* Does `verb` take all that is given? An option that a verb knows nothing of would else be dropped
 * in silence, and `config put --percent 5` reach everybody. false: the user has been told. */
bool ctl_config_options_check(const ctl_config_options_t *self, const char *verb);

/* Their part of the help text. */
extern const char ctl_config_options_help[];

#endif
