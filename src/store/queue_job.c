#include "store/queue_job.h"

#include "base/check.h"
#include "store/queue_backend.h"

#include <string.h>

static void job_check(const char *name, const void *body, size_t bytes) {
    WL_ASSERT(name[0] != '\0' && strlen(name) <= WL_JOB_NAME_MAX);
    WL_ASSERT(bytes <= WL_JOB_BYTES_MAX && (body != NULL || bytes == 0));
}

wl_err_t wl_queue_job_set(wl_queue_t *self, uint32_t partition, const char *name, const void *body,
                          size_t bytes) {
    WL_ASSERT(partition < self->partitions);
    job_check(name, body, bytes);
    return self->ops->job_set(self, partition, name, body, bytes);
}

wl_err_t wl_queue_job_put(wl_queue_t *self, const char *name, const void *body, size_t bytes) {
    job_check(name, body, bytes);
    return self->ops->job_put(self, name, body, bytes);
}

wl_err_t wl_queue_jobs(wl_queue_t *self, uint32_t partition, wl_job_fn tell, void *arg) {
    WL_ASSERT(partition < self->partitions);
    return self->ops->jobs(self, partition, tell, arg);
}
