#include "actors/consent_args.h"

static wl_err_t line_read(const msgpack_object *args, const wl_config_t *config,
                          wl_consent_args_t *into, wl_fault_t *fault) {
    wl_err_t err = wl_args_text(args, "line", into->line, WL_LINE_ID_MAX, fault);
    if (err == WL_ERR_NOT_FOUND) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "line", "line: is required");
    }
    if (err != WL_OK) {
        return err;
    }
    if (!wl_line_id_valid(into->line)) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "line",
                        "line: is not a line id [a-z0-9_-]{1,32}");
    }
    const wl_line_t *line = wl_config_line(config, into->line);
    if (line == NULL) {
        return wl_fault(fault, WL_ERR_NOT_FOUND, "line", "line: there is no line \"%s\"",
                        into->line);
    }
    return line->consent ? WL_OK
                         : wl_fault(fault, WL_ERR_BAD_REQUEST, "line",
                                    "line: \"%s\" needs no consent", into->line);
}

static wl_err_t expiry_read(const msgpack_object *args, wl_wall_ms_t now, wl_consent_args_t *into,
                            wl_fault_t *fault) {
    into->expires_at = 0;
    wl_err_t err = wl_args_i64(args, "expires_at", &into->expires_at, fault);
    if (err != WL_OK) {
        return err == WL_ERR_NOT_FOUND ? WL_OK : err;
    }
    if (into->expires_at == 0) {
        return WL_OK;
    }
    if (!into->granted) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "expires_at",
                        "expires_at: only what is granted can expire");
    }
    return into->expires_at > now.ms ? WL_OK
                                     : wl_fault(fault, WL_ERR_BAD_REQUEST, "expires_at",
                                                "expires_at: is not in the future (ms since 1970)");
}

wl_err_t wl_consent_args_read(const wl_rpc_request_t *request, const wl_config_t *config,
                              wl_wall_ms_t now, wl_consent_args_t *ret, wl_fault_t *fault) {
    wl_err_t err = wl_args_uid(request->args, "uid", &ret->uid, fault);
    if (err == WL_OK) {
        err = line_read(request->args, config, ret, fault);
    }
    if (err == WL_OK) {
        err = wl_args_bool(request->args, "granted", &ret->granted, fault);
        if (err == WL_ERR_NOT_FOUND) {
            err = wl_fault(fault, WL_ERR_BAD_REQUEST, "granted", "granted: is required");
        }
    }
    return err == WL_OK ? expiry_read(request->args, now, ret, fault) : err;
}
