/* store_options.h: which store an actor opens, from the settings: a file in server.data_dir or a
 * server. The one place that knows the names of files. Any thread. */
#ifndef WL_ACTORS_STORE_OPTIONS_H
#define WL_ACTORS_STORE_OPTIONS_H

#include "base/settings.h"
#include "store/asset_db.h"
#include "store/cache.h"
#include "store/redis.h"
#include "store/report_db.h"

/* Texts that the options point into: keep it until the store is open. */
typedef struct {
    char path[600]; /* of a file */
    char at[512];   /* of a server */
} wl_store_text_t;

/* Does another process share the database of assets with us? */
bool wl_store_shared(const wl_settings_t *settings);

/* The database of one shard, to write or only to read. */
wl_asset_db_options_t wl_store_options_assets(const wl_settings_t *settings, uint32_t shard,
                                              bool readonly, wl_store_text_t *text);
/* Its server, when shard.store = mysql; leases live in that of shard 0. */
wl_mysql_options_t wl_store_options_mysql(const wl_settings_t *settings, uint32_t shard,
                                          wl_store_text_t *text);
/* The file of the durable queue, when queue.store = sqlite. */
const char *wl_store_options_queue(const wl_settings_t *settings, wl_store_text_t *text);
/* Where runs of reconciliation are reported: in shard 0, or a file. */
wl_report_db_options_t wl_store_options_reports(const wl_settings_t *settings,
                                                wl_store_text_t *text);
/* A Redis, with what all of ours share; nodes are borrowed. */
wl_redis_options_t wl_store_options_redis(const wl_settings_t *settings, const char *nodes,
                                          bool cluster);
/* One of all caches. */
wl_cache_options_t wl_store_options_cache(const wl_settings_t *settings);

#endif
