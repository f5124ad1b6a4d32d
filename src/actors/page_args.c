#include "actors/page_args.h"

#include <string.h>

enum {
    LIMIT_DEFAULT = 20,
    KIND_BYTES_MAX = 16, /* of a kind that there is */
    WORD_BYTES_MAX = 64, /* of a month or kind, right or wrong */
};

/* An optional text: absent leaves it empty. */
static wl_err_t text_read(const msgpack_object *args, const char *key, char *into, size_t max,
                          wl_fault_t *fault) {
    into[0] = '\0';
    wl_err_t err = wl_args_text(args, key, into, max, fault);
    return err == WL_ERR_NOT_FOUND ? WL_OK : err;
}

static wl_err_t line_check(const wl_rpc_request_t *request, const wl_config_t *config,
                           const char *id, wl_fault_t *fault) {
    bool sums = request->method == WL_METHOD_SUMMARY;
    if (id[0] == '\0') {
        return !sums ? WL_OK : wl_fault(fault, WL_ERR_BAD_REQUEST, "line", "line: is required");
    }
    if (!wl_line_id_valid(id)) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "line",
                        "line: is not a line id [a-z0-9_-]{1,32}");
    }
    const wl_line_t *line = wl_config_line(config, id);
    if (line == NULL) {
        return wl_fault(fault, WL_ERR_NOT_FOUND, "line", "line: there is no line \"%s\"", id);
    }
    if (!line->details && !(sums && line->summary)) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "line", "line: \"%s\" offers no %s", id,
                        sums ? "summary" : "details");
    }
    return WL_OK;
}

static wl_err_t kind_wrong(wl_fault_t *fault) {
    char known[WL_KIND_COUNT * (KIND_BYTES_MAX + 2) + 1] = "";
    size_t used = 0;
    for (uint32_t kind = 0; kind < WL_KIND_COUNT; kind++) {
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%.*s", kind == 0 ? "" : ", ",
                                 KIND_BYTES_MAX, wl_kind_name((wl_kind_t)kind));
    }
    return wl_fault(fault, WL_ERR_BAD_REQUEST, "kind", "kind: is none of %s", known);
}

static wl_err_t month_read(const msgpack_object *args, wl_page_args_t *into, wl_fault_t *fault) {
    char text[WORD_BYTES_MAX + 1];
    wl_month_t month;
    into->month[0] = '\0';
    wl_err_t err = text_read(args, "month", text, WORD_BYTES_MAX, fault);
    if (err != WL_OK || text[0] == '\0') {
        return err;
    }
    if (!wl_month_parse(text, &month)) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "month",
                        "month: must be like 2026-11, from 1970-01 on");
    }
    memcpy(into->month, text, WL_MONTH_BYTES + 1);
    return WL_OK;
}

static wl_err_t list_read(const msgpack_object *args, wl_page_args_t *into, wl_fault_t *fault) {
    char kind[WORD_BYTES_MAX + 1];
    wl_err_t err = text_read(args, "kind", kind, WORD_BYTES_MAX, fault);
    wl_kind_t parsed = WL_KIND_COUNT;
    if (err == WL_OK && kind[0] != '\0' && !wl_kind_parse(kind, &parsed)) {
        err = kind_wrong(fault);
    }
    into->kind = (uint8_t)parsed;
    uint64_t limit = LIMIT_DEFAULT;
    if (err == WL_OK) {
        err = wl_args_u64(args, "limit", &limit, fault);
        err = err == WL_ERR_NOT_FOUND ? WL_OK : err;
    }
    if (err == WL_OK && (limit == 0 || limit > WL_DETAILS_MAX)) {
        err = wl_fault(fault, WL_ERR_BAD_REQUEST, "limit", "limit: from 1 to %d", WL_DETAILS_MAX);
    }
    into->limit = (uint32_t)limit;
    if (err == WL_OK) {
        err = text_read(args, "cursor", into->cursor, WL_CURSOR_TEXT_MAX, fault);
    }
    into->cursor_bytes = strlen(into->cursor);
    return err;
}

wl_err_t wl_page_args_read(const wl_rpc_request_t *request, const wl_config_t *config,
                           wl_page_args_t *ret, wl_fault_t *fault) {
    ret->kind = WL_KIND_COUNT;
    ret->limit = WL_DETAILS_MAX;
    ret->cursor[0] = '\0';
    ret->cursor_bytes = 0;
    wl_err_t err = wl_args_uid(request->args, "uid", &ret->uid, fault);
    if (err == WL_OK) {
        err = text_read(request->args, "line", ret->line, WL_LINE_ID_MAX, fault);
    }
    if (err == WL_OK) {
        err = month_read(request->args, ret, fault);
    }
    if (err == WL_OK) {
        err = line_check(request, config, ret->line, fault);
    }
    if (err == WL_OK && request->method == WL_METHOD_DETAILS) {
        err = list_read(request->args, ret, fault);
    }
    return err;
}
