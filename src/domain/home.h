/* home.h: writes the results of wallet.home, wallet.golden and wallet.assets as MessagePack from
 * one user's assets and the configuration (design section 4). Pure: the moment, the health of lines
 * and the marks come in. Runs in cache and query actors for every read, so it allocates nothing but
 * the growth of `into` and walks each asset once per place it appears in.
 *
 * Never a wrong zero: a line without a record is {amount: nil, freshness: "missing"}; a copy known
 * to be behind says "refreshing" or "stale"; a line that cannot be asked is named in `degraded`.
 * Keys are always all there. nil stands for what is not known: amount, pending and as_of of a line
 * without a record; amount and pending of a sum that overflows or would mix units. Tombstones count
 * as no record. A link carries its title and target in extra. */
#ifndef WL_DOMAIN_HOME_H
#define WL_DOMAIN_HOME_H

#include "base/clock.h"
#include "domain/config.h"
#include "domain/marks.h"

#include <msgpack.h>

/* Where the assets came from, said in every asset. */
typedef enum { WL_SOURCE_CACHE, WL_SOURCE_DB, WL_SOURCE_LINE, WL_SOURCE_LAST_GOOD } wl_source_t;

typedef struct {
    const wl_config_t *config;
    const bool *sick;         /* [config->line_count]: the line cannot be asked */
    const wl_asset_t *assets; /* all of the user's, any order, tombstones allowed */
    uint32_t asset_count;
    uint64_t uid;
    wl_wall_ms_t now;
    wl_source_t source;
    const void *marks; /* wl_marks_text() of the user, may be NULL */
    size_t marks_bytes;
    const char *filter; /* "cash,coin," line ids to show in wallet.assets; NULL or empty = all */
    size_t filter_bytes;
} wl_home_view_t;

/* Each appends one MessagePack map to `into`. */
void wl_home_write(const wl_home_view_t *view, msgpack_sbuffer *into);
void wl_golden_write(const wl_home_view_t *view, msgpack_sbuffer *into);
void wl_assets_write(const wl_home_view_t *view, msgpack_sbuffer *into);

/* True when the user owns something at view->now: any asset that is neither gone nor expired and
 * has an amount, a pending amount or a count. */
bool wl_home_has_assets(const wl_home_view_t *view);

/* Calls back for each sync line whose copy is older than its fresh_ms (design section 6, rule 8),
 * at most once a line. A copy with a change on its way is told, too: its pull then jumps the queue.
 * Failing and sick lines are left out: they are tried again in their time. */
void wl_home_each_old(const wl_home_view_t *view, void (*tell)(const wl_line_t *line, void *arg),
                      void *arg);

#endif
