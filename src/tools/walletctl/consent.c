#include "tools/walletctl/consent.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { DAY_S = 86400, AMOUNT_MAX = 1000000, TIME_ROOM = 40 };

/* "90d": so many days from now. */
static bool span_parse(const char *text, int64_t now_ms, int64_t *ret_ms) {
    static const char units[] = "dhm";
    static const int64_t seconds[] = {DAY_S, 3600, 60};
    size_t bytes = strlen(text);
    const char *unit = bytes == 0 ? NULL : strchr(units, text[bytes - 1]);
    uint64_t number = 0;
    if (unit == NULL || !ctl_number_parse(text, bytes - 1, 1, &number) || number > AMOUNT_MAX) {
        return false;
    }
    *ret_ms = now_ms + (int64_t)number * seconds[unit - units] * 1000;
    return true;
}

bool ctl_until_parse(const char *text, int64_t now_ms, int64_t *ret_ms) {
    static const char *const formats[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S",
                                          "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d"};
    enum { FORMATS = sizeof formats / sizeof *formats };
    if (span_parse(text, now_ms, ret_ms)) {
        return true;
    }
    for (size_t i = 0; i < FORMATS; i++) {
        struct tm when = {.tm_isdst = -1};
        const char *end = strptime(text, formats[i], &when);
        bool utc = end != NULL && strcmp(end, "Z") == 0;
        if (end == NULL || (*end != '\0' && !utc)) {
            continue;
        }
        if (i == FORMATS - 1) { /* the whole day */
            when.tm_hour = 23;
            when.tm_min = 59;
            when.tm_sec = 59;
        }
        when.tm_isdst = -1;
        time_t seconds = utc ? timegm(&when) : mktime(&when);
        *ret_ms = (int64_t)seconds * 1000;
        return seconds != (time_t)-1;
    }
    return false;
}

static void time_text(const json_t *at, char *into, size_t bytes) {
    time_t seconds = (time_t)(json_integer_value(at) / 1000);
    struct tm when;
    (void)snprintf(into, bytes, "?");
    if (json_is_integer(at) && localtime_r(&seconds, &when) != NULL) {
        (void)strftime(into, bytes, "%Y-%m-%d %H:%M:%S", &when);
    }
}

static void consent_show(const json_t *reply) {
    char since[TIME_ROOM];
    char until[TIME_ROOM];
    bool granted = json_is_true(json_object_get(reply, "granted"));
    const json_t *expires_at = json_object_get(reply, "expires_at");
    time_text(json_object_get(reply, "granted_at"), since, sizeof since);
    time_text(expires_at, until, sizeof until);
    (void)printf("%s %s", granted ? "granted" : "withdrawn", since);
    if (granted && json_integer_value(expires_at) != 0) {
        (void)printf(", until %s", until);
    }
    (void)printf("\n");
}

/* The words that say what is wanted. */
static ctl_exit_t consent_pack(const ctl_options_t *options, char **words, ctl_args_t *args) {
    uint64_t uid = 0;
    bool granted = strcmp(words[2], "grant") == 0;
    int64_t until = 0;
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    int64_t now_ms = (int64_t)now.tv_sec * 1000;
    if (!ctl_uid_parse(words[0], &uid)) {
        return ctl_complain(CTL_EXIT_USAGE, "\"%s\" is no user id: digits only, 1 to 2^64-1",
                            words[0]);
    }
    if (!granted && strcmp(words[2], "revoke") != 0) {
        return ctl_complain(CTL_EXIT_USAGE, "\"%s\": grant or revoke?", words[2]);
    }
    if (options->until != NULL && !granted) {
        return ctl_complain(CTL_EXIT_USAGE, "--until goes with grant");
    }
    if (options->until != NULL && !ctl_until_parse(options->until, now_ms, &until)) {
        return ctl_complain(CTL_EXIT_USAGE,
                            "\"%s\" is no time: 2026-12-31, \"2026-12-31 18:30\" or 90d",
                            options->until);
    }
    ctl_args_u64(args, "uid", uid);
    ctl_args_text(args, "line", words[1]);
    msgpack_packer packer = ctl_args_value(args, "granted");
    granted ? (void)msgpack_pack_true(&packer) : (void)msgpack_pack_false(&packer);
    if (until != 0) {
        packer = ctl_args_value(args, "expires_at");
        (void)msgpack_pack_int64(&packer, until);
    }
    return CTL_EXIT_OK;
}

ctl_exit_t ctl_consent(const ctl_options_t *options, int count, char **words) {
    (void)count;
    ctl_args_t args;
    ctl_args_init(&args);
    ctl_exit_t code = consent_pack(options, words, &args);
    if (code != CTL_EXIT_OK) {
        ctl_args_destroy(&args);
        return code;
    }
    json_t *reply = NULL;
    code = ctl_ask(options, CTL_READER, "wallet.consent", &args, &reply);
    if (code == CTL_EXIT_OK && options->json) {
        ctl_print_json(reply);
    } else if (code == CTL_EXIT_OK) {
        consent_show(reply);
    }
    json_decref(reply);
    return code;
}
