/* methods.h: the table of methods that clients can call, made from methods.def.
 * Static data, any thread. */
#ifndef WL_PROTO_METHODS_H
#define WL_PROTO_METHODS_H

#include "proto/methods.def"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
#define WL_METHOD_ENUM(NAME, text, port, cost, args, result) WL_METHOD_##NAME,
    WL_METHODS(WL_METHOD_ENUM)
#undef WL_METHOD_ENUM
        WL_METHOD_COUNT
} wl_method_t;

typedef enum { WL_PORT_READER, WL_PORT_WRITER, WL_PORT_ANY } wl_port_t;

typedef struct {
    const char *name;   /* on the wire: "wallet.home" */
    const char *args;   /* for people */
    const char *result; /* for people */
    wl_port_t port;     /* where it is served */
    uint8_t cost;       /* 0 = cheapest, refused last when busy */
} wl_method_info_t;

/* NULL when out of range. */
const wl_method_info_t *wl_method_info(wl_method_t method);
/* name is `bytes` long, without NUL. false: unknown, *ret_method untouched. */
bool wl_method_find(const char *name, size_t bytes, wl_method_t *ret_method);
bool wl_method_config(wl_method_t method);    /* one of admin.config.* */
bool wl_method_reconcile(wl_method_t method); /* one of admin.reconcile.* */
bool wl_method_shards(wl_method_t method);    /* one of admin.shards.* */
const char *wl_port_name(wl_port_t port);     /* "reader", "writer", "any" */

#endif
