#include "tools/walletctl/verbs.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/settings.h"
#include "tools/walletctl/backfill.h"
#include "tools/walletctl/config_change.h"
#include "tools/walletctl/config_edit.h"
#include "tools/walletctl/config_look.h"
#include "tools/walletctl/config_users.h"
#include "tools/walletctl/config_validate.h"
#include "tools/walletctl/consent.h"
#include "tools/walletctl/explain.h"
#include "tools/walletctl/keys.h"
#include "tools/walletctl/letters.h"
#include "tools/walletctl/line_test.h"
#include "tools/walletctl/rebuild.h"
#include "tools/walletctl/reconcile.h"
#include "tools/walletctl/shards.h"
#include "tools/walletctl/show.h"
#include "tools/walletctl/statement.h"

#include <limits.h>
#include <string.h>

enum { NAME_MAX_BYTES = 64, HELP_COLUMN = 45 };

typedef void (*show_fn)(const json_t *reply, bool color, FILE *out);

static void show_any(const json_t *reply, bool color, FILE *out) {
    ctl_show_any(reply, 0, color, out);
}

/* Asks, then prints the reply as the user wants it. Destroys args. */
static ctl_exit_t ask_and_show(const ctl_options_t *options, ctl_port_t port, const char *method,
                               ctl_args_t *args, show_fn show) {
    json_t *reply = NULL;
    ctl_exit_t code = ctl_ask(options, port, method, args, &reply);
    if (code == CTL_EXIT_OK && options->json) {
        ctl_print_json(reply);
    } else if (code == CTL_EXIT_OK) {
        show(reply, options->color, stdout);
    }
    json_decref(reply);
    return code;
}

static ctl_exit_t ask_plain(const ctl_options_t *options, ctl_port_t port, const char *method,
                            show_fn show) {
    ctl_args_t args;
    ctl_args_init(&args);
    return ask_and_show(options, port, method, &args, show);
}

static ctl_exit_t uid_complain(const char *text) {
    return ctl_complain(CTL_EXIT_USAGE, "\"%s\" is no user id: digits only, 1 to 2^64-1", text);
}

/* ---- wallets -------------------------------------------------------------------------------- */

/* UID [LINE...] */
static ctl_exit_t ask_user(const ctl_options_t *options, ctl_port_t port, const char *method,
                           int count, char **words, show_fn show) {
    uint64_t uid;
    if (!ctl_uid_parse(words[0], &uid)) {
        return uid_complain(words[0]);
    }
    ctl_args_t args;
    ctl_args_init(&args);
    ctl_args_u64(&args, "uid", uid);
    if (count > 1) {
        msgpack_packer packer = ctl_args_value(&args, "lines");
        (void)msgpack_pack_array(&packer, (size_t)(count - 1));
        for (int i = 1; i < count; i++) {
            (void)msgpack_pack_str_with_body(&packer, words[i], strlen(words[i]));
        }
    }
    return ask_and_show(options, port, method, &args, show);
}

static ctl_exit_t run_home(const ctl_options_t *options, int count, char **words) {
    return ask_user(options, CTL_READER, "wallet.home", count, words, ctl_show_home);
}

static ctl_exit_t run_golden(const ctl_options_t *options, int count, char **words) {
    return ask_user(options, CTL_READER, "wallet.golden", count, words, ctl_show_golden);
}

static ctl_exit_t run_assets(const ctl_options_t *options, int count, char **words) {
    return ask_user(options, CTL_READER, "wallet.assets", count, words, ctl_show_assets);
}

static ctl_exit_t run_balance(const ctl_options_t *options, int count, char **words) {
    (void)count;
    uint64_t uid;
    if (!ctl_uid_parse(words[0], &uid)) {
        return uid_complain(words[0]);
    }
    ctl_args_t args;
    ctl_args_init(&args);
    ctl_args_u64(&args, "uid", uid);
    ctl_args_text(&args, "line", words[1]);
    return ask_and_show(options, CTL_READER, "wallet.balance", &args, ctl_show_assets);
}

static ctl_exit_t run_refresh(const ctl_options_t *options, int count, char **words) {
    return ask_user(options, CTL_WRITER, "wallet.refresh", count, words, show_any);
}

static ctl_exit_t run_has(const ctl_options_t *options, int count, char **words) {
    ctl_args_t args;
    ctl_args_init(&args);
    msgpack_packer packer = ctl_args_value(&args, "uids");
    (void)msgpack_pack_array(&packer, (size_t)count);
    for (int i = 0; i < count; i++) {
        uint64_t uid;
        if (!ctl_uid_parse(words[i], &uid)) {
            ctl_args_destroy(&args);
            return uid_complain(words[i]);
        }
        (void)msgpack_pack_uint64(&packer, uid);
    }
    json_t *reply = NULL;
    ctl_exit_t code = ctl_ask(options, CTL_READER, "wallet.has_assets", &args, &reply);
    if (code == CTL_EXIT_OK && options->json) {
        ctl_print_json(reply);
    } else if (code == CTL_EXIT_OK) {
        const json_t *has = json_object_get(reply, "has");
        for (int i = 0; i < count; i++) {
            const json_t *one = json_array_get(has, (size_t)i);
            (void)printf("%s\t%s\n", words[i],
                         json_is_true(one)    ? "yes"
                         : json_is_false(one) ? "no"
                                              : "-");
        }
    }
    json_decref(reply);
    return code;
}

/* ---- changes -------------------------------------------------------------------------------- */

/* "42" or "42:7" */
static bool change_pack(msgpack_packer *packer, const char *word) {
    const char *colon = strchr(word, ':');
    size_t uid_bytes = colon == NULL ? strlen(word) : (size_t)(colon - word);
    uint64_t uid = 0;
    uint64_t version = 0;
    if (!ctl_number_parse(word, uid_bytes, 1, &uid) ||
        (colon != NULL && (!ctl_number_parse(colon + 1, strlen(colon + 1), 0, &version) ||
                           version > WL_VERSION_MAX))) {
        return false;
    }
    (void)msgpack_pack_map(packer, colon == NULL ? 1 : 2);
    (void)msgpack_pack_str_with_body(packer, "uid", 3);
    (void)msgpack_pack_uint64(packer, uid);
    if (colon != NULL) {
        (void)msgpack_pack_str_with_body(packer, "version", 7);
        (void)msgpack_pack_uint64(packer, version);
    }
    return true;
}

static ctl_exit_t run_notify(const ctl_options_t *options, int count, char **words) {
    ctl_args_t args;
    ctl_args_init(&args);
    ctl_args_text(&args, "line", words[0]);
    msgpack_packer packer = ctl_args_value(&args, "changes");
    (void)msgpack_pack_array(&packer, (size_t)(count - 1));
    for (int i = 1; i < count; i++) {
        if (!change_pack(&packer, words[i])) {
            ctl_args_destroy(&args);
            return ctl_complain(CTL_EXIT_USAGE, "\"%s\" is no UID or UID:VERSION", words[i]);
        }
    }
    return ask_and_show(options, CTL_WRITER, "notify.changed", &args, show_any);
}

/* ---- operators ------------------------------------------------------------------------------ */

static ctl_exit_t run_lines(const ctl_options_t *options, int count, char **words) {
    (void)count;
    (void)words;
    return ask_plain(options, CTL_WRITER, "admin.lines", show_any);
}

static ctl_exit_t run_queue(const ctl_options_t *options, int count, char **words) {
    (void)count;
    (void)words;
    return ask_plain(options, CTL_WRITER, "admin.queue", show_any);
}

static ctl_exit_t run_presence_stats(const ctl_options_t *options, int count, char **words) {
    (void)count;
    (void)words;
    return ask_plain(options, CTL_WRITER, "admin.presence.stats", show_any);
}

static ctl_exit_t run_stats(const ctl_options_t *options, int count, char **words) {
    (void)count;
    (void)words;
    return ask_plain(options, CTL_WRITER, "admin.stats", ctl_show_stats);
}

static ctl_exit_t run_info(const ctl_options_t *options, int count, char **words) {
    (void)count;
    (void)words;
    return ask_plain(options, CTL_READER, "sys.info", show_any);
}

static ctl_exit_t run_ping(const ctl_options_t *options, int count, char **words) {
    (void)count;
    (void)words;
    return ask_plain(options, CTL_READER, "sys.ping", show_any);
}

static ctl_exit_t run_help(const ctl_options_t *options, int count, char **words) {
    (void)options;
    (void)count;
    (void)words;
    ctl_verb_help(stdout);
    return CTL_EXIT_OK;
}

/* ---- the table ------------------------------------------------------------------------------ */

static const ctl_verb_t verbs[] = {
    {"home", "UID", "the wallet page of a user", 1, 1, run_home},
    {"golden", "UID", "the four golden slots of a user", 1, 1, run_golden},
    {"assets", "UID [LINE...]", "all that a user owns, or what some lines hold", 1,
     1 + WL_LINES_MAX, run_assets},
    {"details", "UID [--line LINE] [--month MONTH] [--kind KIND] [--limit N]",
     "what happened to a user's assets, newest first", 1, 1, ctl_details},
    {"summary", "UID LINE [MONTH]", "sums of a month, 2026-11, or of all", 2, 3, ctl_summary},
    {"balance", "UID LINE", "what a line says now that a user holds", 2, 2, run_balance},
    {"consent", "UID LINE grant|revoke [--until TIME]",
     "what a user allows walletd to ask a line; revoking deletes what it said", 3, 3, ctl_consent},
    {"has", "UID...", "do these users own anything?", 1, WL_HAS_UIDS_MAX, run_has},
    {"refresh", "UID [LINE...]", "ask the lines anew for a user", 1, 1 + WL_LINES_MAX, run_refresh},
    {"notify", "LINE UID[:VERSION]...", "say that users of a line changed; returns when durable", 2,
     1 + WL_CHANGES_MAX, run_notify},
    {"lines", "", "health and work of each line", 0, 0, run_lines},
    {"lines test", "LINE --config FOLDER [--uid UID]...",
     "what walletd would make of a line's answer, live or recorded", 1, 1, ctl_line_test},
    {"lines backfill", "LINE [--rate N] [--all] [--no-wait] [--status] [--stop]",
     "pull all users of a line once more, and watch it", 1, 1, ctl_lines_backfill},
    {"queue", "", "what waits in the durable queue", 0, 0, run_queue},
    {"dlq list", "[--line LINE] [--class CLASS] [--uid UID] [--limit N]",
     "dead letters, newest first, and how many of each class there are", 0, 0, ctl_letters_list},
    {"dlq show", "ID", "one dead letter, with the history of its attempts", 1, 1, ctl_letters_show},
    {"dlq redrive", "ID | [--line LINE] [--class CLASS] [--uid UID] | --all",
     "try dead letters again", 0, 1, ctl_letters_redrive},
    {"dlq discard", "ID | [--line LINE] [--class CLASS] [--uid UID] | --all --note TEXT [--yes]",
     "give dead letters up for good", 0, 1, ctl_letters_discard},
    {"explain", "UID [--line LINE] [--limit N]", "what a user has now, and how it came about", 1, 1,
     ctl_explain},
    {"presence stats", "", "members, memory and false positives of presence", 0, 0,
     run_presence_stats},
    {"presence rebuild", "[--no-wait] [--status]",
     "read presence anew from the database, without a pause, and watch it", 0, 0,
     ctl_presence_rebuild},
    {"reconcile run", "[--dry-run] [--rate N] [--cap P] [--shard N] [--no-wait]",
     "compare database, caches and presence, repair what differs", 0, 0, ctl_reconcile_run},
    {"reconcile report", "[RUN] [--rounds] [--limit N]", "what was compared, found and repaired", 0,
     1, ctl_reconcile_report},
    {"reconcile differences", "RUN [--limit N]", "each difference of a run, and its repair", 1, 1,
     ctl_reconcile_differences},
    {"reconcile stop", "RUN [--note TEXT]", "end a run; what was repaired stays", 1, 1,
     ctl_reconcile_stop},
    {"shards status", "[--limit N]", "which shard has which slots, and the newest moves", 0, 0,
     ctl_shards_status},
    {"shards move", "--slots A-B --to SHARD [--rate N] [--note TEXT] [--yes] [--no-wait]",
     "move slots to another shard while both serve, and watch it", 0, 0, ctl_shards_move},
    {"shards back", "[--yes] [--no-wait]", "take the open move back", 0, 0, ctl_shards_back},
    {"shards finish", "[--yes] [--no-wait]", "give its way back up and clean the old shard up", 0,
     0, ctl_shards_finish},
    {"stats", "", "counters of all actors that are not zero", 0, 0, run_stats},
    {"info", "", "version, state, configuration and stores of the server", 0, 0, run_info},
    {"ping", "", "is somebody there?", 0, 0, run_ping},
    {"config status", "", "what is live, where it came from, and who has it", 0, 0,
     ctl_config_run_status},
    {"config get", "DOCUMENT [--seq N] [--candidate] [-o FILE]",
     "the integration or presentation document", 1, 1, ctl_config_run_get},
    {"config validate", "FILE... [--local [--config FOLDER]]",
     "could these documents be published?", 1, 2, ctl_config_run_validate},
    {"config diff", "FILE [--base N] [-o MERGED] | --from A [--to B]",
     "what a file would change, or what was changed", 0, 1, ctl_config_run_diff},
    {"config put", "FILE... [--base N] -m REASON [--dry-run] [--yes]",
     "publish documents to everybody", 1, 2, ctl_config_run_put},
    {"config edit", "DOCUMENT -m REASON", "change a document in your editor, then publish it", 1, 1,
     ctl_config_run_edit},
    {"config rollback", "SEQ -m REASON", "what was live after that change, as new versions", 1, 1,
     ctl_config_run_rollback},
    {"config rollout", "FILE... [--percent P] [--whitelist FILE] [--scene S]... -m REASON",
     "publish documents to some users, as a candidate", 1, 2, ctl_config_run_rollout},
    {"config pause", "[ID] -m REASON", "show the candidate to nobody for now", 0, 1,
     ctl_config_run_pause},
    {"config resume", "[ID] -m REASON", "show it again", 0, 1, ctl_config_run_resume},
    {"config widen", "[ID] [--percent P] [--whitelist FILE] -m REASON",
     "show it to another share or set of users", 0, 1, ctl_config_run_widen},
    {"config promote", "[ID] -m REASON", "the candidate is for everybody", 0, 1,
     ctl_config_run_promote},
    {"config abort", "[ID] -m REASON", "withdraw the candidate", 0, 1, ctl_config_run_abort},
    {"config upload", "USERS.txt", "a set of users for --whitelist; prints its digest", 1, 1,
     ctl_config_run_upload},
    {"config drafts", "list | save NAME FILE | show NAME | drop NAME",
     "documents that are not finished, for others to see", 1, 3, ctl_config_run_drafts},
    {"config history", "[--before N] [--limit N] [--verify]",
     "who changed what, when and why, newest first", 0, 0, ctl_config_run_history},
    {"config effective", "UID|--uid UID [--scene S] [--app V] [--at TIME]",
     "what a user sees, and why", 0, 1, ctl_config_run_effective},
    {"config schema", "DOCUMENT [-o FILE]", "its JSON Schema, for editors", 1, 1,
     ctl_config_run_schema},
    {"keys new", "NAME [--scope SCOPE]... [--dir DIR]", "make a pair of keys", 1, 1, ctl_keys_new},
    {"keys list", "DIR", "the public keys in a folder, and what they may do", 1, 1, ctl_keys_list},
    {"keys show", "FILE", "one key, without its secret", 1, 1, ctl_keys_show},
    {"help", "", "this text", 0, 0, run_help},
};

void ctl_verb_help(FILE *out) {
    (void)fputs("usage: walletctl [OPTION...] VERB [ARGUMENT...]\n\n", out);
    for (size_t i = 0; i < WL_COUNT_OF(verbs); i++) {
        int width = fprintf(out, "  %s %s", verbs[i].name, verbs[i].args);
        bool fits = width < HELP_COLUMN; /* else the words stand on a line of their own */
        (void)fprintf(out, "%s%*s%s\n", fits ? "" : "\n", fits ? HELP_COLUMN - width : HELP_COLUMN,
                      "", verbs[i].help);
    }
    (void)fputs(
        "\noptions:\n"
        "  -e, --endpoint ENDPOINT   where to read, default tcp://127.0.0.1:7700\n"
        "                            or $WALLETCTL_ENDPOINT\n"
        "  -w, --writer ENDPOINT     where to write and ask as operator, default\n"
        "                            tcp://127.0.0.1:7701 or $WALLETCTL_WRITER\n"
        "  -k, --key FILE            our keys, NAME.key_secret, or $WALLET_KEY\n"
        "      --server-key FILE     walletd's public key, NAME.key, or $WALLET_SERVER_KEY; two "
        "with\n"
        "                            a comma between them while it is being changed\n"
        "      --scope SCOPE         keys new: read, consent, notify:LINE[,LINE...], notify:*, "
        "admin\n"
        "                            or peer\n"
        "      --config FOLDER       lines test: where integration-N.json and presentation-N.json "
        "are\n"
        "      --uid UID             lines test: ask the line for this user; dlq: letters of "
        "this user\n"
        "      --class CLASS         dlq: letters of this class, such as timeout or malformed\n"
        "      --all                 dlq redrive, discard: all letters there are\n"
        "      --sample FILE         lines test: a recorded answer, FOLDER/samples/LINE.json by "
        "default\n"
        "      --record FILE         lines test: keep what the line answered as a sample\n"
        "      --secrets FOLDER      lines test: where the signing keys are, server.secrets_dir\n"
        "      --json                one JSON object; ids and amounts are strings\n",
        out);
    (void)fputs(ctl_config_options_help, out);
    (void)fputs(
        "      --timeout MS          how long to wait, default 3000; of changes 10000\n"
        "      --version             print the version\n"
        "\nexit: 0 ok, 1 refused, 2 usage, 3 not found, 4 conflict, 5 unreachable or timeout,\n"
        "      6 check failed\n",
        out);
}

static const ctl_verb_t *verb_find(const char *name) {
    for (size_t i = 0; i < WL_COUNT_OF(verbs); i++) {
        if (strcmp(verbs[i].name, name) == 0) {
            return &verbs[i];
        }
    }
    return NULL;
}

/* "dlq lsit": the nearest of all names to the first two words, or to the first alone. */
static ctl_exit_t verb_unknown(const char *one, const char *two) {
    const char *names[WL_COUNT_OF(verbs)];
    for (size_t i = 0; i < WL_COUNT_OF(verbs); i++) {
        names[i] = verbs[i].name;
    }
    const char *nearest = wl_nearest(two, names, WL_COUNT_OF(names));
    if (nearest == NULL) {
        nearest = wl_nearest(one, names, WL_COUNT_OF(names));
    }
    const char *given = one;
    size_t bytes = strlen(one);
    for (size_t i = 0; i < WL_COUNT_OF(verbs); i++) {
        if (strncmp(verbs[i].name, one, bytes) == 0 && verbs[i].name[bytes] == ' ') {
            given = two[0] == '\0' ? one : two;
            nearest = nearest == NULL ? verbs[i].name : nearest; /* "dlq" alone */
        }
    }
    if (nearest != NULL) {
        return ctl_complain(CTL_EXIT_USAGE, "there is no verb \"%s\"; did you mean \"%s\"?", given,
                            nearest);
    }
    return ctl_complain(CTL_EXIT_USAGE, "there is no verb \"%s\"; see walletctl help", given);
}

ctl_exit_t ctl_verb_run(const ctl_options_t *options, int count, char **words) {
    WL_ASSERT(count > 0);
    char two[NAME_MAX_BYTES] = "";
    if (count > 1) {
        (void)snprintf(two, sizeof two, "%s %s", words[0], words[1]);
    }
    const ctl_verb_t *verb = verb_find(two);
    int used = 2;
    if (verb == NULL) {
        verb = verb_find(words[0]);
        used = 1;
    }
    if (verb == NULL) {
        return verb_unknown(words[0], two);
    }
    count -= used;
    if (count < verb->min || count > verb->max) {
        return ctl_complain(CTL_EXIT_USAGE, "usage: walletctl %s %s", verb->name, verb->args);
    }
    if (!ctl_config_options_check(&options->change, verb->name)) {
        return CTL_EXIT_USAGE;
    }
    return verb->run(options, count, words + used);
}
