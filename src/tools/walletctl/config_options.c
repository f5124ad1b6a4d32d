#include "tools/walletctl/config_options.h"

#include "tools/walletctl/ask.h"

#include <stdlib.h>
#include <string.h>

enum { PERCENT_BYTES_MAX = 6 }; /* "100.00" */

const char ctl_config_options_help[] =
    "  -m, --reason TEXT         config: why; it is kept in the history\n"
    "      --author NAME         config: who, default $USER\n"
    "      --base N              config: the change that the file began with\n"
    "      --dry-run             config: judge it everywhere, publish nothing\n"
    "      --yes                 config: publish to everybody without being asked; dlq discard\n"
    "      --local               config validate: here, without a server\n"
    "      --seq N, --candidate  config get: as it was after change N; the rollout's\n"
    "  -o, --output FILE         config get, diff, schema, drafts show: into a file\n"
    "      --from A, --to B      config diff: two changes of the history\n"
    "      --percent P           config rollout, widen: share of all users, 0 to 100\n"
    "      --whitelist FILE      config rollout, widen: only these users, one id a line, or\n"
    "                            the digest that config upload has printed\n"
    "      --scene S             config rollout: only this scene, may be repeated;\n"
    "                            config effective: the scene of the request\n"
    "      --app-min V           config rollout: oldest app version; --app-max V: newest\n"
    "      --abort-percent P     config rollout: end it when so many more replies fail;\n"
    "                            --abort-after N: but not before N replies\n"
    "      --app V, --at TIME    config effective: app version and moment of the request\n"
    "      --before N            config history: changes before N; --verify: are all records\n"
    "                            still those that were written?\n"
    "      --dry-run             reconcile run: repair nothing; --cap P: repair nothing more when\n"
    "                            more than P percent of the users differ; --shard N: only this "
    "one\n"
    "      --rounds              reconcile report: of the rolling comparison\n"
    "      --slots A-B           shards move: these slots; --to SHARD: that is to have them;\n"
    "                            --rate N: records a second; --yes: do not ask\n"
    "      --color WHEN          always, never or auto: on a terminal, unless NO_COLOR is set\n";

static bool percent_take(const char *name, const char *text, ctl_percent_t *ret) {
    size_t whole = strspn(text, "0123456789");
    size_t rest = text[whole] == '.' ? strspn(text + whole + 1, "0123456789") : 0;
    size_t used = whole + (text[whole] == '.' ? rest + 1 : 0);
    double value = strtod(text, NULL);
    if (whole == 0 || (text[whole] == '.' && (rest == 0 || rest > 2)) || text[used] != '\0' ||
        used > PERCENT_BYTES_MAX || value > 100) {
        (void)ctl_complain(CTL_EXIT_USAGE,
                           "--%s wants a number from 0 to 100, such as 2.5, not "
                           "\"%s\"",
                           name, text);
        return false;
    }
    *ret = (ctl_percent_t){true, value};
    return true;
}

static bool number_take(const char *name, const char *text, ctl_number_t *ret) {
    if (!ctl_number_parse(text, strlen(text), 0, &ret->value)) {
        (void)ctl_complain(CTL_EXIT_USAGE, "--%s wants a number, not \"%s\"", name, text);
        return false;
    }
    ret->given = true;
    return true;
}

static bool scene_take(ctl_config_options_t *self, const char *text) {
    if (self->scene_count == WL_ROLLOUT_SCENES_MAX) {
        (void)ctl_complain(CTL_EXIT_USAGE, "at most %d times --scene", WL_ROLLOUT_SCENES_MAX);
        return false;
    }
    self->scenes[self->scene_count++] = text;
    return true;
}

/* ---- which verb takes what ------------------------------------------------------------------- */

#define CHANGES "put edit rollback rollout pause resume widen promote abort"

/* An option, and the verbs of config that take it, with a blank between them. */
typedef struct {
    const char *name;
    bool given;
    const char *verbs;
} taken_t;

/* Is it one of these words? */
static bool word_in(const char *words, const char *word) {
    size_t bytes = strlen(word);
    for (const char *at = words; bytes > 0 && (at = strstr(at, word)) != NULL; at += bytes) {
        bool begins = at == words || at[-1] == ' ';
        if (begins && (at[bytes] == ' ' || at[bytes] == '\0')) {
            return true;
        }
    }
    return false;
}

bool ctl_config_options_check(const ctl_config_options_t *self, const char *verb) {
    static const char family[] = "config ";
    const taken_t rows[] = {
        {"-m", self->reason != NULL, CHANGES},
        {"--author", self->author != NULL, CHANGES " drafts reconcile run shards move"},
        {"--base", self->base.given, CHANGES " diff drafts"},
        {"--dry-run", self->dry_run, CHANGES " reconcile run"},
        {"--yes", self->yes, CHANGES " dlq discard shards move shards back shards finish"},
        {"-o", self->output != NULL, "get diff schema drafts"},
        {"--whitelist", self->whitelist != NULL, "rollout widen"},
        {"--percent", self->percent.given, "rollout widen"},
        {"--scene", self->scene_count > 0, "rollout widen effective"},
        {"--app-min", self->app_min != NULL, "rollout widen"},
        {"--app-max", self->app_max != NULL, "rollout widen"},
        {"--abort-percent", self->abort_percent.given, "rollout widen"},
        {"--abort-after", self->abort_after.given, "rollout widen"},
        {"--app", self->app != NULL, "effective"},
        {"--at", self->at != NULL, "effective"},
        {"--from", self->from.given, "diff"},
        {"--to", self->to.given, "diff shards move"},
        {"--seq", self->seq.given, "get edit"},
        {"--candidate", self->candidate, "get"},
        {"--before", self->before.given, "history"},
        {"--verify", self->verify, "history"},
        {"--local", self->local, "validate"},
        {"--cap", self->cap.given, "reconcile run"},
        {"--shard", self->shard.given, "reconcile run"},
        {"--rounds", self->rounds, "reconcile report"},
        {"--slots", self->slots != NULL, "shards move"},
    };
    bool config = strncmp(verb, family, strlen(family)) == 0;
    bool whole = strncmp(verb, "reconcile ", strlen("reconcile ")) == 0 ||
                 strncmp(verb, "dlq ", strlen("dlq ")) == 0 ||
                 strncmp(verb, "shards ", strlen("shards ")) == 0;
    const char *word = config ? verb + strlen(family) : whole ? verb : "";
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].given && !word_in(rows[i].verbs, word)) {
            bool ours = strncmp(rows[i].verbs, "reconcile", 9) == 0 ||
                        strncmp(rows[i].verbs, "shards", 6) == 0;
            (void)ctl_complain(CTL_EXIT_USAGE, "%s takes no %s, which goes with %s%s", verb,
                               rows[i].name, ours ? "" : family, rows[i].verbs);
            return false;
        }
    }
    return true;
}

/* ---- one option ------------------------------------------------------------------------------ */

bool ctl_config_option_take(ctl_config_options_t *self, int option, const char *text) {
    switch ((ctl_config_option_t)option) {
    case CTL_CONFIG_AUTHOR: self->author = text; return true;
    case CTL_CONFIG_WHITELIST: self->whitelist = text; return true;
    case CTL_CONFIG_APP_MIN: self->app_min = text; return true;
    case CTL_CONFIG_APP_MAX: self->app_max = text; return true;
    case CTL_CONFIG_APP: self->app = text; return true;
    case CTL_CONFIG_AT: self->at = text; return true;
    case CTL_CONFIG_SCENE: return scene_take(self, text);
    case CTL_CONFIG_BASE: return number_take("base", text, &self->base);
    case CTL_CONFIG_FROM: return number_take("from", text, &self->from);
    case CTL_CONFIG_TO: return number_take("to", text, &self->to);
    case CTL_CONFIG_SEQ: return number_take("seq", text, &self->seq);
    case CTL_CONFIG_BEFORE: return number_take("before", text, &self->before);
    case CTL_CONFIG_ABORT_AFTER: return number_take("abort-after", text, &self->abort_after);
    case CTL_CONFIG_PERCENT: return percent_take("percent", text, &self->percent);
    case CTL_CONFIG_ABORT_PERCENT: return percent_take("abort-percent", text, &self->abort_percent);
    case CTL_CONFIG_CANDIDATE: self->candidate = true; return true;
    case CTL_CONFIG_LOCAL: self->local = true; return true;
    case CTL_CONFIG_VERIFY: self->verify = true; return true;
    case CTL_CONFIG_CAP: return number_take("cap", text, &self->cap);
    case CTL_CONFIG_SHARD: return number_take("shard", text, &self->shard);
    case CTL_CONFIG_ROUNDS: self->rounds = true; return true;
    case CTL_CONFIG_SLOTS: self->slots = text; return true;
    case CTL_CONFIG_DRY_RUN: self->dry_run = true; return true;
    case CTL_CONFIG_YES: self->yes = true; return true;
    case CTL_CONFIG_OPTION_BEFORE_FIRST:
    case CTL_CONFIG_OPTION_END:
    default: return false;
    }
}
