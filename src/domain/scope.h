/* scope.h: what a key may do, and which doors it may come in by. Pure; any thread.
 *
 * A scope is written as words: "read consent notify:cash,coupon notify:* admin peer". Nothing is
 * implied: an admin key may not read, a key for all lines may not administer. */
#ifndef WL_DOMAIN_SCOPE_H
#define WL_DOMAIN_SCOPE_H

#include "base/asset.h"
#include "base/err.h"
#include "base/limits.h"

#include <stddef.h>
#include <stdint.h>

typedef struct {
    bool read;       /* wallet.* and sys.* of the reader port but consents; wallet.refresh */
    bool consent;    /* wallet.consent */
    bool admin;      /* admin.* */
    bool peer;       /* another walletd: the sockets between processes */
    bool notify_all; /* notify.* for every line */
    uint32_t line_count;
    char lines[WL_LINES_MAX][WL_LINE_ID_MAX + 1]; /* notify.* for these */
} wl_scopes_t;

/* At least one word; unknown, repeated and contradicting ones are refused. */
WL_MUST_USE wl_err_t wl_scopes_parse(const char *text, wl_scopes_t *ret, wl_fault_t *fault);
/* The text in its one written form. */
void wl_scopes_format(const wl_scopes_t *self, char *ret_text, size_t bytes);

/* May it notify for this line; for any line at all? */
bool wl_scopes_notify(const wl_scopes_t *self, const char *line);
bool wl_scopes_notify_some(const wl_scopes_t *self);

/* NAME, name: the kinds of sockets that others can reach, told to the ZAP handler as domain. */
#define WL_DOORS(D)     \
    D(READ, read)       \
    D(INTAKE, intake)   \
    D(PUBLISH, publish) \
    D(TIER, tier)

typedef enum {
#define WL_DOOR_ENUM(NAME, name) WL_DOOR_##NAME,
    WL_DOORS(WL_DOOR_ENUM)
#undef WL_DOOR_ENUM
        WL_DOOR_COUNT
} wl_door_t;

const char *wl_door_name(wl_door_t door);
/* false: there is no such door. */
bool wl_door_find(const char *name, wl_door_t *ret);

/* Is there anything behind this door that the scopes allow? */
bool wl_scopes_enter(const wl_scopes_t *self, wl_door_t door);

#endif
