#include "store/queue.h"

#include "base/check.h"
#include "base/limits.h"
#include "store/queue_backend.h"

wl_err_t wl_queue_open(const wl_queue_options_t *options, wl_queue_t **ret, wl_fault_t *fault) {
    uint32_t partitions = options->partitions == 0 ? 1 : options->partitions;
    if (partitions > WL_PARTITIONS_MAX || options->partition >= partitions) {
        return wl_fault(fault, WL_ERR_SETTINGS, "queue.partitions", "partition %u of %u",
                        options->partition, partitions);
    }
    if (options->path != NULL && partitions > 1) {
        return wl_fault(fault, WL_ERR_SETTINGS, "queue.partitions",
                        "a queue in SQLite has one partition");
    }
    return options->path != NULL ? wl_queue_sqlite_open(options, ret, fault)
                                 : wl_queue_redis_open(options, ret, fault);
}

void wl_queue_close(wl_queue_t **self) {
    if (self != NULL && *self != NULL) {
        (*self)->ops->close(*self);
        *self = NULL;
    }
}

const char *wl_queue_warning(const wl_queue_t *self) {
    return self->warning;
}

const char *wl_queue_problem(const wl_queue_t *self) {
    return self->problem;
}

wl_err_t wl_queue_append(wl_queue_t *self, wl_queue_entry_t *entries, size_t count) {
    for (size_t i = 0; i < count; i++) {
        WL_ASSERT(entries[i].body != NULL || entries[i].body_bytes == 0);
        WL_ASSERT(entries[i].partition < self->partitions);
        entries[i].id = 0;
        if (entries[i].body_bytes > WL_MESSAGE_BYTES_MAX) {
            return WL_ERR_TOO_BIG;
        }
    }
    return count == 0 ? WL_OK : self->ops->append(self, entries, count);
}

wl_err_t wl_queue_claim(wl_queue_t *self, uint64_t epoch) {
    return self->ops->claim(self, epoch);
}

wl_err_t wl_queue_read(wl_queue_t *self, uint64_t after, size_t max, wl_queue_entry_fn tell,
                       void *arg, uint64_t *ret_last) {
    return self->ops->read(self, after, max, tell, arg, ret_last);
}

wl_err_t wl_queue_settle(wl_queue_t *self, const wl_settle_t *settle) {
    for (size_t i = 0; i < settle->dead_count; i++) {
        if (settle->dead[i].body_bytes > WL_MESSAGE_BYTES_MAX) {
            return WL_ERR_TOO_BIG;
        }
    }
    size_t all =
        settle->retry_count + settle->retry_end_count + settle->dead_count + settle->ack_count;
    return all == 0 ? WL_OK : self->ops->settle(self, settle);
}

wl_err_t wl_queue_retries(wl_queue_t *self, wl_retry_fn tell, void *arg) {
    return self->ops->retries(self, tell, arg);
}

wl_err_t wl_queue_stats(wl_queue_t *self, wl_queue_stats_t *ret) {
    return self->ops->stats(self, ret);
}
