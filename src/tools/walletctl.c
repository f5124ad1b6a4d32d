/* walletctl: asks a walletd on behalf of a person or a script (design section 9).
 * Data goes to stdout, words to stderr, the verdict into the exit code. */
#include "tools/walletctl/verbs.h"

#include <czmq.h>
#include <getopt.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TIMEOUT_MS = 3000, TIMEOUT_MS_MAX = 600000, LIMIT_MAX = 100000, RATE_MAX = 1000000 };

enum {
    OPTION_JSON = 256,
    OPTION_TIMEOUT,
    OPTION_LINE,
    OPTION_CLASS,
    OPTION_NOTE,
    OPTION_LIMIT,
    OPTION_MONTH,
    OPTION_KIND,
    OPTION_UNTIL,
    OPTION_RATE,
    OPTION_ALL,
    OPTION_STOP,
    OPTION_STATUS,
    OPTION_NO_WAIT,
    OPTION_SERVER_KEY,
    OPTION_SCOPE,
    OPTION_DIR,
    OPTION_CONFIG,
    OPTION_SAMPLE,
    OPTION_RECORD,
    OPTION_SECRETS,
    OPTION_UID,
    OPTION_COLOR,
    OPTION_VERSION
};

static const struct option long_options[] = {
    {"endpoint", required_argument, NULL, 'e'},
    {"writer", required_argument, NULL, 'w'},
    {"json", no_argument, NULL, OPTION_JSON},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"key", required_argument, NULL, 'k'},
    {"server-key", required_argument, NULL, OPTION_SERVER_KEY},
    {"scope", required_argument, NULL, OPTION_SCOPE},
    {"dir", required_argument, NULL, OPTION_DIR},
    {"line", required_argument, NULL, OPTION_LINE},
    {"class", required_argument, NULL, OPTION_CLASS},
    {"note", required_argument, NULL, OPTION_NOTE},
    {"limit", required_argument, NULL, OPTION_LIMIT},
    {"month", required_argument, NULL, OPTION_MONTH},
    {"kind", required_argument, NULL, OPTION_KIND},
    {"config", required_argument, NULL, OPTION_CONFIG},
    {"sample", required_argument, NULL, OPTION_SAMPLE},
    {"record", required_argument, NULL, OPTION_RECORD},
    {"secrets", required_argument, NULL, OPTION_SECRETS},
    {"uid", required_argument, NULL, OPTION_UID},
    {"until", required_argument, NULL, OPTION_UNTIL},
    {"rate", required_argument, NULL, OPTION_RATE},
    {"all", no_argument, NULL, OPTION_ALL},
    {"stop", no_argument, NULL, OPTION_STOP},
    {"status", no_argument, NULL, OPTION_STATUS},
    {"no-wait", no_argument, NULL, OPTION_NO_WAIT},
    {"reason", required_argument, NULL, 'm'},
    {"output", required_argument, NULL, 'o'},
    {"color", required_argument, NULL, OPTION_COLOR},
#define CONFIG_ROW(id, name, argument) {name, argument, NULL, CTL_CONFIG_##id},
    CTL_CONFIG_OPTIONS(CONFIG_ROW)
#undef CONFIG_ROW
        {"version", no_argument, NULL, OPTION_VERSION},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static const char *environment(const char *name, const char *fallback) {
    const char *value = getenv(name);
    return value == NULL || value[0] == '\0' ? fallback : value;
}

/* no-color.org: any value that is not empty switches colours off. */
static bool color_wanted(void) {
    return isatty(STDOUT_FILENO) && environment("NO_COLOR", "")[0] == '\0' &&
           strcmp(environment("TERM", "dumb"), "dumb") != 0;
}

static bool number_option(const char *name, const char *text, uint64_t max, uint64_t *ret) {
    if (!ctl_number_parse(text, strlen(text), 1, ret) || *ret > max) {
        (void)ctl_complain(CTL_EXIT_USAGE, "%s wants a number from 1 to %llu, not \"%s\"", name,
                           (unsigned long long)max, text);
        return false;
    }
    return true;
}

/* Each user once: walletd asks a line for different users. */
static bool uid_option(ctl_options_t *options, const char *text) {
    uint64_t uid = 0;
    if (!ctl_uid_parse(text, &uid)) {
        (void)ctl_complain(CTL_EXIT_USAGE, "\"%s\" is no user id: digits only, 1 to 2^64-1", text);
        return false;
    }
    for (uint32_t i = 0; i < options->uid_count; i++) {
        if (options->uids[i] == uid) {
            return true;
        }
    }
    if (options->uid_count == WL_PULL_UIDS_MAX) {
        (void)ctl_complain(CTL_EXIT_USAGE, "too many times --uid");
        return false;
    }
    options->uids[options->uid_count++] = uid;
    return true;
}

static bool color_option(ctl_options_t *options, const char *text) {
    bool always = strcmp(text, "always") == 0;
    if (!always && strcmp(text, "never") != 0 && strcmp(text, "auto") != 0) {
        (void)ctl_complain(CTL_EXIT_USAGE, "--color wants always, never or auto, not \"%s\"", text);
        return false;
    }
    options->color = always || (strcmp(text, "auto") == 0 && color_wanted());
    return true;
}

/* Returns true to go on; otherwise *ret_code is the end. */
static bool option_take(ctl_options_t *options, int option, ctl_exit_t *ret_code) {
    uint64_t number = 0;
    *ret_code = CTL_EXIT_USAGE;
    if (option >= CTL_CONFIG_OPTION_FIRST) {
        return ctl_config_option_take(&options->change, option, optarg);
    }
    switch (option) {
    case 'm': options->change.reason = optarg; return true;
    case 'o': options->change.output = optarg; return true;
    case OPTION_COLOR: return color_option(options, optarg);
    case 'e': options->endpoints[CTL_READER] = optarg; return true;
    case 'w': options->endpoints[CTL_WRITER] = optarg; return true;
    case 'k': options->key = optarg; return true;
    case OPTION_SERVER_KEY: options->server_key = optarg; return true;
    case OPTION_DIR: options->dir = optarg; return true;
    case OPTION_CONFIG: options->config = optarg; return true;
    case OPTION_SAMPLE: options->sample = optarg; return true;
    case OPTION_RECORD: options->record = optarg; return true;
    case OPTION_SECRETS: options->secrets = optarg; return true;
    case OPTION_UID: return uid_option(options, optarg);
    case OPTION_SCOPE:
        if (options->scope_count == CTL_SCOPES_MAX) {
            (void)ctl_complain(CTL_EXIT_USAGE, "too many times --scope");
            return false;
        }
        options->scopes[options->scope_count++] = optarg;
        return true;
    case OPTION_JSON: options->json = true; return true;
    case OPTION_LINE: options->line = optarg; return true;
    case OPTION_CLASS: options->failure = optarg; return true;
    case OPTION_NOTE: options->note = optarg; return true;
    case OPTION_MONTH: options->month = optarg; return true;
    case OPTION_KIND: options->kind = optarg; return true;
    case OPTION_UNTIL: options->until = optarg; return true;
    case OPTION_ALL: options->all = true; return true;
    case OPTION_STOP: options->stop = true; return true;
    case OPTION_STATUS: options->status = true; return true;
    case OPTION_NO_WAIT: options->no_wait = true; return true;
    case OPTION_RATE: return number_option("--rate", optarg, RATE_MAX, &options->rate);
    case OPTION_LIMIT: return number_option("--limit", optarg, LIMIT_MAX, &options->limit);
    case OPTION_TIMEOUT:
        if (number_option("--timeout", optarg, TIMEOUT_MS_MAX, &number)) {
            options->timeout_ms = (int)number;
            options->timeout_given = true;
            return true;
        }
        return false;
    case OPTION_VERSION:
        (void)printf("walletctl %s\n", WL_VERSION);
        *ret_code = CTL_EXIT_OK;
        return false;
    case 'h':
        ctl_verb_help(stdout);
        *ret_code = CTL_EXIT_OK;
        return false;
    default: (void)ctl_complain(CTL_EXIT_USAGE, "see walletctl help"); return false;
    }
}

int main(int argc, char **argv) {
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    zsys_handler_set(NULL); /* Ctrl-C ends the program at once */
    ctl_options_t options = {
        .endpoints = {environment("WALLETCTL_ENDPOINT", "tcp://127.0.0.1:7700"),
                      environment("WALLETCTL_WRITER", "tcp://127.0.0.1:7701")},
        .key = environment("WALLET_KEY", NULL),
        .server_key = environment("WALLET_SERVER_KEY", NULL),
        .timeout_ms = TIMEOUT_MS,
        .color = color_wanted(),
    };
    for (int option; (option = getopt_long(argc, argv, "e:w:k:m:o:h", long_options, NULL)) != -1;) {
        ctl_exit_t code;
        if (!option_take(&options, option, &code)) {
            return (int)code;
        }
    }
    if (optind == argc) {
        ctl_verb_help(stderr);
        return CTL_EXIT_USAGE;
    }
    ctl_exit_t code = ctl_verb_run(&options, argc - optind, argv + optind);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        return (int)ctl_complain(CTL_EXIT_REFUSED, "cannot write to stdout");
    }
    return (int)code;
}
