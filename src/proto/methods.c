#include "proto/methods.h"

#include <string.h>

static const wl_method_info_t methods[WL_METHOD_COUNT] = {
#define METHOD_ROW(NAME, text, port, cost, args, result) {text, args, result, WL_PORT_##port, cost},
    WL_METHODS(METHOD_ROW)
#undef METHOD_ROW
};

const wl_method_info_t *wl_method_info(wl_method_t method) {
    return (unsigned)method < WL_METHOD_COUNT ? &methods[method] : NULL;
}

bool wl_method_find(const char *name, size_t bytes, wl_method_t *ret_method) {
    for (unsigned i = 0; i < WL_METHOD_COUNT; i++) {
        if (strlen(methods[i].name) == bytes && memcmp(methods[i].name, name, bytes) == 0) {
            *ret_method = (wl_method_t)i;
            return true;
        }
    }
    return false;
}

const char *wl_port_name(wl_port_t port) {
    switch (port) {
    case WL_PORT_READER: return "reader";
    case WL_PORT_WRITER: return "writer";
    case WL_PORT_ANY: break;
    }
    return "any";
}

bool wl_method_config(wl_method_t method) {
    return method >= WL_METHOD_CONFIG_STATUS && method <= WL_METHOD_CONFIG_DRAFT;
}

bool wl_method_shards(wl_method_t method) {
    return method >= WL_METHOD_SHARDS_STATUS && method <= WL_METHOD_SHARDS_FINISH;
}

bool wl_method_reconcile(wl_method_t method) {
    return method >= WL_METHOD_RECONCILE_RUN && method <= WL_METHOD_RECONCILE_DIFFERENCES;
}
