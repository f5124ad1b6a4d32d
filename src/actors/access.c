#include "actors/access.h"

#include "base/check.h"
#include "proto/notify.h"

#include <string.h>

/* A notification is about a line. One that cannot be read is refused later for being so: here it is
 * enough that the key may notify at all. */
static bool notify_allowed(const wl_scopes_t *scopes, const wl_rpc_request_t *request) {
    char line[WL_LINE_ID_MAX + 1];
    return wl_notify_line(request->args, line, NULL) == WL_OK ? wl_scopes_notify(scopes, line)
                                                              : wl_scopes_notify_some(scopes);
}

static bool method_allowed(const wl_hub_t *hub, const wl_scopes_t *scopes,
                           const wl_rpc_request_t *request) {
    if (hub->kind == WL_ACTOR_FRONTEND) {
        bool sys = request->method == WL_METHOD_PING || request->method == WL_METHOD_INFO;
        bool consent = request->method == WL_METHOD_CONSENT;
        return consent ? scopes->consent : scopes->read || (sys && scopes->consent);
    }
    switch ((int)request->method) {
    case WL_METHOD_NOTIFY_CHANGED:
    case WL_METHOD_NOTIFY_ASSETS: return notify_allowed(scopes, request);
    case WL_METHOD_REFRESH: return scopes->read || wl_scopes_notify_some(scopes);
    case WL_METHOD_PING:
    case WL_METHOD_INFO: return true; /* whoever has come through the door */
    default: return scopes->admin;
    }
}

wl_err_t wl_access_check(wl_hub_t *hub, const char *user, const wl_rpc_request_t *request,
                         wl_fault_t *fault) {
    WL_ASSERT(hub->keys != NULL);
    const wl_scopes_t *scopes = user == NULL ? NULL : wl_key_ring_find(hub->keys, user);
    if (scopes == NULL) {
        WL_COUNT(&hub->counters, auth_refused, 1);
        return wl_fault(fault, WL_ERR_UNAUTHORIZED, "", "this key is not authorised");
    }
    if (!method_allowed(hub, scopes, request)) {
        WL_COUNT(&hub->counters, auth_refused, 1);
        return wl_fault(fault, WL_ERR_FORBIDDEN, "", "this key may not %s here",
                        wl_method_info(request->method)->name);
    }
    return WL_OK;
}
