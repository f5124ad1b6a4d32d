#include "actors/change_queue.h"

#include "actors/store_options.h"
#include "base/log.h"

#include <string.h>

wl_err_t wl_change_queue_open(const wl_settings_t *settings, const char *actor, wl_queue_use_t use,
                              uint32_t partition, wl_queue_t **ret, wl_fault_t *fault) {
    wl_store_text_t text;
    bool redis = strcmp(settings->queue_store, "redis") == 0;
    const char *path = wl_store_options_queue(settings, &text);
    wl_redis_options_t where =
        wl_store_options_redis(settings, settings->queue_redis, settings->queue_cluster);
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
