#include "tools/walletctl/config_users.h"

#include "base/alloc.h"
#include "domain/config_state.h"
#include "domain/presence_set.h"
#include "store/blob_file.h"
#include "store/config_log.h"
#include "tools/walletctl/config_ask.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum {
    TEXT_BYTES_MAX = 1 << 30,
    MARK_MAX = 1 << 20,                         /* users of one call, which takes 16 MB meanwhile */
    PIECE = WL_CONFIG_REQUEST_BYTES_MAX - 1024, /* the rest of a request is its other arguments */
    BAR_COLUMNS = 30,
    ID_DIGITS_MAX = 20,
};

/* ---- the set --------------------------------------------------------------------------------- */

static bool blank(char letter) {
    return letter == ' ' || letter == '\t' || letter == '\r';
}

/* One line, without its LF; *ret_uid 0: there is nothing on it. false: it is no user id. */
static bool line_read(const char *at, const char *end, uint64_t *ret_uid) {
    while (at < end && blank(*at)) {
        at++;
    }
    while (end > at && blank(end[-1])) {
        end--;
    }
    *ret_uid = 0;
    return at == end || ctl_number_parse(at, (size_t)(end - at), 1, ret_uid);
}

static void users_save(wl_presence_set_t *set, ctl_users_t *ret) {
    wl_presence_set_optimize(set);
    wl_presence_set_save(set, NULL, 0, &ret->bytes, &ret->count);
    ret->members = wl_presence_set_members(set);
    wl_config_digest(ret->bytes, ret->count, ret->digest);
}

size_t ctl_users_read(const char *text, size_t bytes, ctl_users_t *ret) {
    const char *end = text + bytes;
    size_t line = 0;
    size_t count = 0;
    bool good = true;
    WL_AUTO_FREE uint64_t *uids = wl_alloc(MARK_MAX * sizeof *uids);
    WL_AUTO(wl_presence_set) set = wl_presence_set_new(WL_PRESENCE_EXACT, 0);
    *ret = (ctl_users_t){.bytes = NULL};
    size_t mark = strncmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; /* of UTF-8, by some editors */
    for (const char *at = text + mark; at < end && good;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop == NULL ? end : stop;
        line++;
        good = line_read(at, stop, &uids[count]);
        count += good && uids[count] != 0;
        if (count == MARK_MAX) {
            wl_presence_set_mark_many(set, uids, count);
            count = 0;
        }
        at = stop + 1;
    }
    wl_presence_set_mark_many(set, uids, count);
    if (good) {
        users_save(set, ret);
    }
    return good ? 0 : line;
}

void ctl_users_release(ctl_users_t *self) {
    wl_free(self->bytes);
    self->bytes = NULL;
}

/* The line, or its beginning, for people. */
static ctl_exit_t line_complain(const char *path, const char *text, size_t number) {
    char shown[2 * ID_DIGITS_MAX + 1];
    for (size_t i = 1; i < number; i++) {
        text = strchr(text, '\n') + 1;
    }
    size_t bytes = strcspn(text, "\r\n");
    bytes = bytes < sizeof shown ? bytes : sizeof shown - 1;
    for (size_t i = 0; i < bytes; i++) {
        shown[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    }
    shown[bytes] = '\0';
    return ctl_complain(CTL_EXIT_CHECK_FAILED,
                        "%s: line %zu: not a user id: \"%s\"; an id is digits only, 1 to 2^64-1",
                        path, number, shown);
}

static ctl_exit_t users_of_file(const char *path, ctl_users_t *ret) {
    WL_AUTO_FREE void *text = NULL;
    size_t bytes = 0;
    *ret = (ctl_users_t){.bytes = NULL};
    wl_err_t err = wl_blob_file_read(path, TEXT_BYTES_MAX, &text, &bytes);
    if (err != WL_OK) {
        return ctl_complain(CTL_EXIT_NOT_FOUND, "%s: %s", path,
                            err == WL_ERR_NOT_FOUND ? "there is no such file"
                            : err == WL_ERR_TOO_BIG ? "is longer than 1 GB"
                                                    : "cannot be read, or is no regular file");
    }
    size_t line = ctl_users_read(text, bytes, ret);
    if (line > 0) {
        return strlen(text) == bytes
                   ? line_complain(path, text, line)
                   : ctl_complain(CTL_EXIT_CHECK_FAILED, "%s: line %zu: not a user id", path, line);
    }
    if (ret->members == 0) {
        return ctl_complain(CTL_EXIT_CHECK_FAILED, "%s: there is no user in it", path);
    }
    if (ret->count > WL_CONFIG_BLOB_BYTES_MAX) {
        return ctl_complain(CTL_EXIT_CHECK_FAILED,
                            "%s: the set takes %zu bytes, at most %d: give fewer users, or a "
                            "--percent of all",
                            path, ret->count, WL_CONFIG_BLOB_BYTES_MAX);
    }
    return CTL_EXIT_OK;
}

/* ---- bringing it ----------------------------------------------------------------------------- */

static void bar_draw(uint64_t have, uint64_t total) {
    char bar[BAR_COLUMNS + 1];
    uint64_t filled = have * BAR_COLUMNS / total;
    for (uint64_t i = 0; i < BAR_COLUMNS; i++) {
        bar[i] = i < filled ? '#' : '-';
    }
    bar[BAR_COLUMNS] = '\0';
    (void)fprintf(stderr, "\r\033[K[%s] %" PRIu64 " %%  %" PRIu64 " of %" PRIu64 " bytes", bar,
                  have * 100 / total, have, total);
}

static ctl_exit_t piece_send(const ctl_options_t *options, const ctl_users_t *users, uint64_t from,
                             json_t **ret_reply) {
    ctl_args_t args;
    size_t count = users->count - from < PIECE ? users->count - from : PIECE;
    ctl_args_init(&args);
    ctl_args_text(&args, "digest", users->digest);
    ctl_args_u64(&args, "total", users->count);
    ctl_args_u64(&args, "offset", from);
    msgpack_packer packer = ctl_args_value(&args, "bytes");
    (void)msgpack_pack_bin_with_body(&packer, (const char *)users->bytes + from, count);
    return ctl_config_ask(options, "admin.config.upload", &args, ret_reply);
}

static ctl_exit_t users_send(const ctl_options_t *options, const ctl_users_t *users,
                             json_t **ret_reply) {
    bool terminal = isatty(STDERR_FILENO) != 0 && !options->json;
    uint64_t have = 0;
    ctl_exit_t code = CTL_EXIT_OK;
    bool done = false;
    while (code == CTL_EXIT_OK && !done) {
        json_t *reply = NULL;
        code = piece_send(options, users, have, &reply);
        uint64_t now = ctl_config_number(reply, "have");
        done = code == CTL_EXIT_OK && json_object_get(reply, "members") != NULL;
        if (code == CTL_EXIT_OK && !done && (now <= have || now >= users->count)) {
            code = ctl_complain(CTL_EXIT_REFUSED,
                                "walletd has %" PRIu64 " of %zu bytes and does "
                                "not go on: try again",
                                now, users->count);
        }
        have = now;
        if (terminal && code == CTL_EXIT_OK) {
            bar_draw(have, users->count);
        }
        if (done) {
            *ret_reply = reply;
        } else {
            json_decref(reply);
        }
    }
    if (terminal) {
        (void)fputs("\r\033[K", stderr);
    }
    return code;
}

ctl_exit_t ctl_config_run_upload(const ctl_options_t *options, int count, char **words) {
    (void)count;
    ctl_users_t users;
    json_t *reply = NULL;
    ctl_exit_t code = users_of_file(words[0], &users);
    if (code == CTL_EXIT_OK) {
        code = users_send(options, &users, &reply);
    }
    if (code == CTL_EXIT_OK && options->json) {
        ctl_print_json(reply);
    } else if (code == CTL_EXIT_OK) {
        (void)printf("%s\n", users.digest);
        (void)ctl_complain(code, "%" PRIu64 " users, %zu bytes: config rollout --whitelist %s",
                           users.members, users.count, users.digest);
    }
    json_decref(reply);
    ctl_users_release(&users);
    return code;
}

static bool is_digest(const char *text) {
    return strlen(text) == WL_DIGEST_HEX && strspn(text, "0123456789abcdef") == WL_DIGEST_HEX;
}

ctl_exit_t ctl_config_whitelist(const ctl_options_t *options, char ret_digest[WL_DIGEST_HEX + 1]) {
    const char *whitelist = options->change.whitelist;
    ctl_users_t users;
    json_t *reply = NULL;
    if (is_digest(whitelist)) {
        memcpy(ret_digest, whitelist, WL_DIGEST_HEX + 1);
        return CTL_EXIT_OK;
    }
    ctl_exit_t code = users_of_file(whitelist, &users);
    if (code == CTL_EXIT_OK) {
        code = users_send(options, &users, &reply);
    }
    if (code == CTL_EXIT_OK) {
        memcpy(ret_digest, users.digest, WL_DIGEST_HEX + 1);
        (void)ctl_complain(code, "%s: %" PRIu64 " users, %zu bytes, digest %s", whitelist,
                           users.members, users.count, users.digest);
    }
    json_decref(reply);
    ctl_users_release(&users);
    return code;
}
