/* ask.h: one question of walletctl: options, arguments, the call, and what a refusal means for the
 * exit code. One thread. */
#ifndef WL_TOOLS_WALLETCTL_ASK_H
#define WL_TOOLS_WALLETCTL_ASK_H

#include "base/limits.h"
#include "tools/walletctl/config_options.h"

#include <jansson.h>
#include <msgpack.h>
#include <stdbool.h>
#include <stdint.h>

/* Design section 9. */
typedef enum {
    CTL_EXIT_OK = 0,
    CTL_EXIT_REFUSED = 1,
    CTL_EXIT_USAGE = 2,
    CTL_EXIT_NOT_FOUND = 3,
    CTL_EXIT_CONFLICT = 4,
    CTL_EXIT_UNREACHABLE = 5,
    CTL_EXIT_CHECK_FAILED = 6
} ctl_exit_t;

typedef enum { CTL_READER, CTL_WRITER } ctl_port_t;

enum { CTL_SCOPES_MAX = 64 };

typedef struct {
    const char *endpoints[2];           /* by ctl_port_t */
    const char *key;                    /* --key: file of our own keys, NULL = no CURVE */
    const char *server_key;             /* --server-key: file of the server's, NULL = no CURVE */
    const char *dir;                    /* --dir, NULL = not given */
    const char *scopes[CTL_SCOPES_MAX]; /* --scope, as given */
    uint32_t scope_count;
    const char *line;                /* --line, NULL = not given */
    const char *failure;             /* --class, NULL = not given */
    const char *note;                /* --note, NULL = not given */
    const char *month;               /* --month, NULL = not given */
    const char *kind;                /* --kind, NULL = not given */
    const char *until;               /* --until, NULL = not given */
    uint64_t limit;                  /* --limit, 0 = not given */
    const char *config;              /* --config, NULL = not given; so the next three */
    const char *sample;              /* --sample */
    const char *record;              /* --record */
    const char *secrets;             /* --secrets */
    uint64_t uids[WL_PULL_UIDS_MAX]; /* --uid, as given */
    uint32_t uid_count;
    uint64_t rate;               /* --rate, 0 = not given */
    bool all;                    /* --all */
    bool stop;                   /* --stop */
    bool status;                 /* --status */
    bool no_wait;                /* --no-wait */
    ctl_config_options_t change; /* of the verbs of config */
    int timeout_ms;
    bool timeout_given; /* --timeout */
    bool json;          /* print the reply as JSON */
    bool color;
} ctl_options_t;

/* The map of arguments while it is built. */
typedef struct {
    msgpack_sbuffer body;
    uint32_t count;
} ctl_args_t;

void ctl_args_init(ctl_args_t *self);
void ctl_args_destroy(ctl_args_t *self);
void ctl_args_u64(ctl_args_t *self, const char *key, uint64_t value);
void ctl_args_text(ctl_args_t *self, const char *key, const char *value);
void ctl_args_bool(ctl_args_t *self, const char *key, bool value);
void ctl_args_real(ctl_args_t *self, const char *key, double value);
/* Text that need not end with a NUL. */
void ctl_args_bytes(ctl_args_t *self, const char *key, const char *bytes, size_t count);
/* Writes the key; the caller then packs exactly one value with the packer it gets. */
msgpack_packer ctl_args_value(ctl_args_t *self, const char *key);

/* Asks and waits, destroys args. CTL_EXIT_OK: *ret_reply is the caller's. Otherwise the reason has
 * been written to stderr, and with --json to stdout as {"error": {...}}. */
ctl_exit_t ctl_ask(const ctl_options_t *options, ctl_port_t port, const char *method,
                   ctl_args_t *args, json_t **ret_reply);

/* Digits only, 1 .. 2^64-1: no sign, blank, or anything behind. */
bool ctl_uid_parse(const char *text, uint64_t *ret_uid);
/* The same for the first `bytes` bytes; 0 is allowed when min is 0. */
bool ctl_number_parse(const char *text, size_t bytes, uint64_t min, uint64_t *ret);

/* A line "walletctl: ..." on stderr; returns the code, to be used in `return`. */
ctl_exit_t ctl_complain(ctl_exit_t code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The reply as one JSON object on stdout. */
void ctl_print_json(const json_t *reply);

#endif
