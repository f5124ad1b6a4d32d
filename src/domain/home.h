/* home.h: writes the results of wallet.home, wallet.golden, wallet.assets and wallet.balance as
 * MessagePack from one user's assets and the configuration (design section 4). Pure: the moment,
 * the health of lines, the marks and what lines were asked come in. Runs in cache and query actors
 * for every read, so it allocates nothing but the growth of `into` and walks each asset once per
 * place it appears in.
 *
 * Never a wrong zero: a line without a record is {amount: nil, freshness: "missing"}; a copy known
 * to be behind says "refreshing" or "stale"; a line that cannot be asked is named in `degraded`.
 * Keys are always all there. nil stands for what is not known: amount, pending and as_of of a line
 * without a record; amount and pending of a record that may not be shown as an amount, and of a sum
 * that overflows, would mix units or has such a record in it. Tombstones count as no record. A line
 * without the consent it needs is one {amount: nil, freshness: "unauthorized"}, is in no sum and
 * makes nobody an owner. A link carries its title and target in extra. Only answers from the
 * candidate of a rollout have one key more, variant: "candidate"; nothing is shown of a line that
 * only view->unseen has. */
#ifndef WL_DOMAIN_HOME_H
#define WL_DOMAIN_HOME_H

#include "domain/home_view.h"

#include <msgpack.h>

/* Each appends one MessagePack map to `into`. */
void wl_home_write(const wl_home_view_t *view, msgpack_sbuffer *into);
void wl_golden_write(const wl_home_view_t *view, msgpack_sbuffer *into);
/* Records of the listed lines, and one that says so for each of them that gave no answer or lacks
 * consent and has no record. */
void wl_assets_write(const wl_home_view_t *view, msgpack_sbuffer *into);
/* The same for the line of the filter, which always has one at least; and `degraded`. */
void wl_balance_write(const wl_home_view_t *view, msgpack_sbuffer *into);

/* True when the user owns something at view->now: any asset that is neither gone nor expired, has
 * an amount, a pending amount or a count, and is not of a line whose consent is missing. */
bool wl_home_has_assets(const wl_home_view_t *view);

#endif
