/* config_diff.h: what two people changed in a document, and both of it together. Pure, any thread;
 * borrows the documents, which must outlive the result.
 *
 * Objects are compared by key, texts and numbers by value. Lists:
 * - "golden" by position: an element there is another one when its "line" is another;
 * - of objects that all have their own "id", "line" or "kind", by that, so that a section moved or
 *   put before others is not all of them changed; their order is compared by itself;
 * - of texts without one twice, as a whole, but both changes go together when each only added or
 *   removed some;
 * - others as a whole.
 * "version" at the top of a document is not looked at. */
#ifndef WL_DOMAIN_CONFIG_DIFF_H
#define WL_DOMAIN_CONFIG_DIFF_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* A place where the three are not the same. Values are borrowed; NULL = there is none. */
typedef struct {
    char *path; /* JSON pointer into mine, or where mine has nothing into theirs, else base */
    const json_t *base;
    const json_t *mine;
    const json_t *theirs;
    bool conflict; /* both changed it, and not to the same */
    bool order;    /* of this list: the values are the names of its elements, in order */
} wl_config_difference_t;

typedef struct wl_config_diff wl_config_diff_t;

/* Differences sorted by key and position. For two documents give base twice: base, mine, base. */
wl_config_diff_t *wl_config_diff(const json_t *base, const json_t *mine, const json_t *theirs);
size_t wl_config_diff_count(const wl_config_diff_t *self);
size_t wl_config_diff_conflicts(const wl_config_diff_t *self);
const wl_config_difference_t *wl_config_diff_at(const wl_config_diff_t *self, size_t index);
/* [{"path", "base", "mine", "theirs", "conflict"}]: values that are not there are left out, "order"
 * is true where it is. The caller owns it. */
json_t *wl_config_diff_json(const wl_config_diff_t *self);
void wl_config_diff_destroy(wl_config_diff_t **self);

/* Theirs with my changes. Keys stand as in theirs, mine behind them. WL_ERR_CONFLICT: some changes
 * are in each other's way; wl_config_diff() names them. The caller owns *ret; "version" is theirs.
 * merge(base, mine, base) is mine, merge(base, base, theirs) is theirs, but for "version". */
WL_MUST_USE wl_err_t wl_config_merge(const json_t *base, const json_t *mine, const json_t *theirs,
                                     json_t **ret);

#endif
