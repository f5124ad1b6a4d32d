#include "actors/store_options.h"

#include <stdio.h>
#include <string.h>

enum { BUSY_TIMEOUT_MS = 2000 /* only tools open a shard's file beside its actors */ };

bool wl_store_shared(const wl_settings_t *settings) {
    return strcmp(settings->shard_store, "mysql") == 0;
}

wl_asset_db_options_t wl_store_options_assets(const wl_settings_t *settings, uint32_t shard,
                                              bool readonly, wl_store_text_t *text) {
    wl_asset_db_options_t options = {.path = text->path,
                                     .shard = shard,
                                     .shards = (uint32_t)settings->shard_instances,
                                     .mapped = settings->shard_map[0] != '\0',
                                     .busy_timeout_ms = BUSY_TIMEOUT_MS,
                                     .readonly = readonly};
    (void)snprintf(text->path, sizeof text->path, "%s/assets-%u.db", settings->server_data_dir,
                   shard);
    if (wl_store_shared(settings)) {
        options.mysql = wl_store_options_mysql(settings, shard, text);
        options.mapped = settings->shard_map[0] != '\0';
    }
    return options;
}

wl_mysql_options_t wl_store_options_mysql(const wl_settings_t *settings, uint32_t shard,
                                          wl_store_text_t *text) {
    text->at[0] = '\0';
    (void)wl_settings_list_item(settings->shard_at, shard, text->at, sizeof text->at);
    return (wl_mysql_options_t){.at = text->at,
                                .user = settings->shard_user,
                                .password_file = settings->shard_password_file,
                                .timeout_ms = (uint32_t)settings->shard_timeout_ms};
}

const char *wl_store_options_queue(const wl_settings_t *settings, wl_store_text_t *text) {
    (void)snprintf(text->path, sizeof text->path, "%s/queue.db", settings->server_data_dir);
    return text->path;
}

wl_report_db_options_t wl_store_options_reports(const wl_settings_t *settings,
                                                wl_store_text_t *text) {
    const char *name = settings->server_name[0] == '\0' ? "walletd" : settings->server_name;
    wl_report_db_options_t options = {.name = name};
    if (wl_store_shared(settings)) {
        options.mysql = wl_store_options_mysql(settings, 0, text);
        return options;
    }
    (void)snprintf(text->path, sizeof text->path, "%s/reports.db", settings->server_data_dir);
    options.path = text->path;
    return options;
}

wl_redis_options_t wl_store_options_redis(const wl_settings_t *settings, const char *nodes,
                                          bool cluster) {
    return (wl_redis_options_t){.nodes = nodes,
                                .cluster = cluster,
                                .user = settings->redis_user,
                                .password_file = settings->redis_password_file,
                                .timeout_ms = (uint32_t)settings->redis_timeout_ms};
}

wl_cache_options_t wl_store_options_cache(const wl_settings_t *settings) {
    return (wl_cache_options_t){.bytes_max = settings->cache_bytes_max / settings->cache_instances};
}
