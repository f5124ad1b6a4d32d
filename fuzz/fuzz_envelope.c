/* fuzz_envelope.c: any bytes are refused with a reason, or are a request whose parts, packed again,
 * read as the same request. Every reader of args runs over what was accepted. */
#include "base/limits.h"
#include "proto/rpc.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static wl_rpc_t *rpc;
static wl_rpc_t *again;

static void read_assets(const msgpack_object *list) {
    wl_fault_t fault;
    for (uint32_t i = 0; i < list->via.array.size; i++) {
        wl_asset_t asset;
        wl_err_t err = wl_value_asset(&list->via.array.ptr[i], wl_rpc_zone(rpc), &asset, &fault);
        if (err == WL_OK && asset.extra_bytes > 0 &&
            !wl_extra_valid(asset.extra, asset.extra_bytes)) {
            abort();
        }
    }
}

static void read_args(const msgpack_object *args) {
    wl_fault_t fault;
    uint64_t number = 0;
    int64_t whole = 0;
    char line[WL_LINE_ID_MAX + 1];
    const msgpack_object *list = NULL;
    if (wl_args_uid(args, "uid", &number, &fault) == WL_OK && number == 0) {
        abort();
    }
    if (wl_args_text(args, "line", line, WL_LINE_ID_MAX, &fault) == WL_OK &&
        strnlen(line, sizeof line) > WL_LINE_ID_MAX) {
        abort();
    }
    (void)!wl_args_i64(args, "since", &whole, &fault);
    if (wl_args_array(args, "assets", WL_PAYLOAD_ASSETS_MAX, &list, &fault) == WL_OK) {
        read_assets(list);
    }
}

static void check_request(const wl_rpc_request_t *request, wl_port_t port) {
    wl_rpc_request_t back = {.msgid = 0};
    msgpack_sbuffer body;
    msgpack_sbuffer_init(&body);
    wl_rpc_pack_request(&body, request->msgid, wl_method_info(request->method)->name,
                        request->args_bytes);
    bool fits = body.size <= WL_REQUEST_BYTES_MAX; /* the method's text may have grown by a byte */
    if (fits && (wl_rpc_decode(again, body.data, body.size, port, &back, NULL) != WL_OK ||
                 back.msgid != request->msgid || back.method != request->method ||
                 back.deadline_ms != request->deadline_ms ||
                 back.args_bytes.count != request->args_bytes.count)) {
        abort();
    }
    msgpack_sbuffer_destroy(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    if (rpc == NULL) {
        rpc = wl_rpc_new();
        again = wl_rpc_new();
    }
    for (int port = WL_PORT_READER; port <= WL_PORT_WRITER; port++) {
        wl_rpc_request_t request = {.msgid = 0};
        wl_fault_t fault = {.message = ""};
        if (wl_rpc_decode(rpc, bytes, count, (wl_port_t)port, &request, &fault) == WL_OK) {
            read_args(request.args);
            check_request(&request, (wl_port_t)port);
        } else if (fault.message[0] == '\0') {
            abort();
        }
    }
    return 0;
}
