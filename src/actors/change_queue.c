#include "actors/change_queue.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

wl_err_t wl_change_queue_open(const wl_settings_t *settings, const char *actor, wl_queue_use_t use,
                              uint32_t partition, wl_queue_t **ret, wl_fault_t *fault) {
    char path[600];
    bool redis = strcmp(settings->queue_store, "redis") == 0;
    (void)snprintf(path, sizeof path, "%s/queue.db", settings->server_data_dir);
    wl_redis_options_t where = {.nodes = settings->queue_redis,
                                .cluster = settings->queue_cluster,
                                .user = settings->redis_user,
                                .password_file = settings->redis_password_file,
                                .timeout_ms = (uint32_t)settings->redis_timeout_ms};
    wl_queue_options_t options = {.path = redis ? NULL : path,
                                  .use = use,
                                  .redis = &where,
                                  .prefix = settings->queue_prefix,
                                  .consumer = settings->server_name,
                                  .partitions = (uint32_t)settings->queue_partitions,
                                  .partition = partition,
                                  .allow_memory = settings->queue_allow_memory};
    wl_err_t err = wl_queue_open(&options, ret, fault);
    if (err == WL_OK && wl_queue_warning(*ret)[0] != '\0') {
        wl_log(WL_LOG_WARN, actor, "queue_not_safe", "%s", wl_queue_warning(*ret));
    }
    return err;
}
