#include "store/queue_backend.h"

wl_err_t wl_queue_redis_open(const wl_queue_options_t *options, wl_queue_t **ret,
                             wl_fault_t *fault) {
    (void)options;
    (void)ret;
    return wl_fault(fault, WL_ERR_SETTINGS, "queue.store", "this program has no Redis queue");
}
