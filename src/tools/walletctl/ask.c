#include "tools/walletctl/ask.h"

#include "tools/walletctl/reply_json.h"
#include "wallet.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

void ctl_args_init(ctl_args_t *self) {
    *self = (ctl_args_t){0};
    msgpack_sbuffer_init(&self->body);
}

void ctl_args_destroy(ctl_args_t *self) {
    msgpack_sbuffer_destroy(&self->body);
}

msgpack_packer ctl_args_value(ctl_args_t *self, const char *key) {
    msgpack_packer packer = {.data = &self->body, .callback = msgpack_sbuffer_write};
    self->count++;
    (void)msgpack_pack_str_with_body(&packer, key, strlen(key));
    return packer;
}

void ctl_args_u64(ctl_args_t *self, const char *key, uint64_t value) {
    msgpack_packer packer = ctl_args_value(self, key);
    (void)msgpack_pack_uint64(&packer, value);
}

void ctl_args_text(ctl_args_t *self, const char *key, const char *value) {
    msgpack_packer packer = ctl_args_value(self, key);
    (void)msgpack_pack_str_with_body(&packer, value, strlen(value));
}

void ctl_args_bool(ctl_args_t *self, const char *key, bool value) {
    msgpack_packer packer = ctl_args_value(self, key);
    (void)(value ? msgpack_pack_true(&packer) : msgpack_pack_false(&packer));
}

void ctl_args_real(ctl_args_t *self, const char *key, double value) {
    msgpack_packer packer = ctl_args_value(self, key);
    (void)msgpack_pack_double(&packer, value);
}

void ctl_args_bytes(ctl_args_t *self, const char *key, const char *bytes, size_t count) {
    msgpack_packer packer = ctl_args_value(self, key);
    (void)msgpack_pack_str_with_body(&packer, bytes, count);
}

bool ctl_number_parse(const char *text, size_t bytes, uint64_t min, uint64_t *ret) {
    uint64_t number = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(number, 10u, &number) ||
            __builtin_add_overflow(number, (uint64_t)(text[i] - '0'), &number)) {
            return false;
        }
    }
    if (bytes == 0 || number < min) {
        return false;
    }
    *ret = number;
    return true;
}

bool ctl_uid_parse(const char *text, uint64_t *ret_uid) {
    return ctl_number_parse(text, strlen(text), 1, ret_uid);
}

ctl_exit_t ctl_complain(ctl_exit_t code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)fputs("walletctl: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    return code;
}

void ctl_print_json(const json_t *reply) {
    size_t flags = isatty(STDOUT_FILENO) ? JSON_INDENT(2) : 0;
    (void)json_dumpf(reply, stdout, flags);
    (void)fputc('\n', stdout);
}

/* Codes of design section 4 to codes of section 9. */
static ctl_exit_t refusal_exit(const char *code) {
    static const struct {
        const char *code;
        ctl_exit_t exit;
    } rows[] = {
        {"not_found", CTL_EXIT_NOT_FOUND},
        {"conflict", CTL_EXIT_CONFLICT},
        {"deadline", CTL_EXIT_UNREACHABLE},
        {"unavailable", CTL_EXIT_UNREACHABLE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(code, rows[i].code) == 0) {
            return rows[i].exit;
        }
    }
    return CTL_EXIT_REFUSED;
}

/* Scripts that asked for JSON find the reason on stdout too. */
static void failure_json(const char *code, const char *message, bool retryable,
                         uint32_t retry_after_ms) {
    json_t *error = json_object();
    (void)json_object_set_new(error, "code", json_string(code));
    (void)json_object_set_new(error, "message", json_string(message));
    (void)json_object_set_new(error, "retryable", json_boolean(retryable));
    if (retry_after_ms > 0) {
        (void)json_object_set_new(error, "retry_after_ms", json_integer(retry_after_ms));
    }
    json_t *json = json_object();
    (void)json_object_set_new(json, "error", error);
    ctl_print_json(json);
    json_decref(json);
}

static ctl_exit_t failure_tell(const ctl_options_t *options, ctl_port_t port,
                               wallet_status_t status) {
    const char *endpoint = options->endpoints[port];
    const char *option = port == CTL_READER ? "-e" : "-w";
    switch (status) {
    case WALLET_TIMEOUT:
        return ctl_complain(CTL_EXIT_UNREACHABLE, "%s did not answer within %d ms", endpoint,
                            options->timeout_ms);
    case WALLET_INVALID:
        return ctl_complain(CTL_EXIT_USAGE, "the request is larger than walletd accepts");
    case WALLET_UNREACHABLE:
    case WALLET_FULL:
    case WALLET_REFUSED:
    case WALLET_OK: break;
    }
    if (options->key != NULL) {
        return ctl_complain(CTL_EXIT_UNREACHABLE,
                            "nobody at %s speaks to us: walletd does not run there (%s names "
                            "another place), does not accept %s, or is not %s",
                            endpoint, option, options->key, options->server_key);
    }
    return ctl_complain(CTL_EXIT_UNREACHABLE,
                        "nobody listens at %s, or only to those with a key (--key); is walletd "
                        "running? (%s names another place)",
                        endpoint, option);
}

static ctl_exit_t refusal_tell(const wallet_error_t *error) {
    (void)ctl_complain(CTL_EXIT_REFUSED, "%s: %s", error->code, error->message);
    if (error->retry_after_ms > 0) {
        (void)ctl_complain(CTL_EXIT_REFUSED, "try again in %u ms", error->retry_after_ms);
    }
    return refusal_exit(error->code);
}

/* The head of the map comes first on the wire, but its size is known last. */
static msgpack_sbuffer args_finish(ctl_args_t *args) {
    msgpack_sbuffer map;
    msgpack_sbuffer_init(&map);
    msgpack_packer packer = {.data = &map, .callback = msgpack_sbuffer_write};
    (void)msgpack_pack_map(&packer, args->count);
    if (args->body.size > 0) {
        (void)msgpack_sbuffer_write(&map, args->body.data, args->body.size);
    }
    ctl_args_destroy(args);
    return map;
}

ctl_exit_t ctl_ask(const ctl_options_t *options, ctl_port_t port, const char *method,
                   ctl_args_t *args, json_t **ret_reply) {
    ctl_args_u64(args, "deadline_ms", (uint64_t)options->timeout_ms);
    msgpack_sbuffer map = args_finish(args);
    char problem[256];
    const wallet_options_t keys = {options->key, options->server_key};
    wallet_t *wallet = wallet_open_with(options->endpoints[port], &keys, problem, sizeof problem);
    if (wallet == NULL) {
        msgpack_sbuffer_destroy(&map);
        return ctl_complain(CTL_EXIT_USAGE, "%s: %s", options->endpoints[port], problem);
    }
    wallet_reply_t reply;
    wallet_status_t status =
        wallet_call(wallet, method, map.data, map.size, options->timeout_ms, &reply);
    ctl_exit_t code = CTL_EXIT_OK;
    if (status == WALLET_OK) {
        *ret_reply =
            ctl_reply_json(reply.result, reply.result_bytes, strncmp(method, "admin.", 6) != 0);
        if (*ret_reply == NULL) {
            code = ctl_complain(CTL_EXIT_REFUSED, "the reply cannot be read");
        }
    } else if (status == WALLET_REFUSED) {
        code = refusal_tell(&reply.error);
    } else {
        code = failure_tell(options, port, status);
    }
    if (options->json && status == WALLET_REFUSED) {
        failure_json(reply.error.code, reply.error.message, reply.error.retryable,
                     reply.error.retry_after_ms);
    } else if (options->json && code != CTL_EXIT_OK) {
        failure_json(wallet_status_text(status), "see stderr", status != WALLET_INVALID, 0);
    }
    msgpack_sbuffer_destroy(&map);
    wallet_close(&wallet);
    return code;
}
