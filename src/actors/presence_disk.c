#include "actors/presence_disk.h"

#include "base/alloc.h"
#include "base/check.h"
#include "store/blob_file.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* A snapshot of a billion hashed users is under 3 GB. */
#define SNAPSHOT_BYTES_MAX ((size_t)8 << 30)

struct wl_presence_disk {
    char path[512];
    bool writing;  /* a save began whose end was not yet told */
    bool threaded; /* it has a thread to be joined */
    pthread_t writer;
    atomic_bool written; /* set by the writer at its end */
    void *blob;          /* owned; the writer's while it runs */
    size_t blob_bytes;
    wl_err_t err;   /* the writer's outcome, read after it was joined */
    uint64_t *seen; /* owned; of the last save */
    uint32_t seen_count;
};

wl_presence_disk_t *wl_presence_disk_new(const char *data_dir, uint32_t instance,
                                         uint32_t instances) {
    wl_presence_disk_t *self = wl_alloc_zero(1, sizeof *self);
    int bytes = snprintf(self->path, sizeof self->path, "%s/presence-%uof%u.snap", data_dir,
                         instance, instances);
    WL_ASSERT(bytes > 0 && (size_t)bytes < sizeof self->path); /* data_dir has at most 400 bytes */
    return self;
}

const char *wl_presence_disk_path(const wl_presence_disk_t *self) {
    return self->path;
}

wl_err_t wl_presence_disk_load(const wl_presence_disk_t *self, wl_presence_set_t **ret_set,
                               wl_presence_seen_t *ret_seen, wl_fault_t *fault) {
    void *bytes = NULL;
    size_t count = 0;
    wl_err_t err = wl_blob_file_read(self->path, SNAPSHOT_BYTES_MAX, &bytes, &count);
    if (err != WL_OK) {
        return wl_fault(fault, err, self->path, "%s", wl_err_text(err));
    }
    err = wl_presence_set_load(bytes, count, ret_set, ret_seen, fault);
    wl_free(bytes);
    return err;
}

static void *writer_main(void *arg) {
    wl_presence_disk_t *self = arg;
    self->err = wl_blob_file_write(self->path, self->blob, self->blob_bytes);
    atomic_store(&self->written, true);
    return NULL;
}

wl_err_t wl_presence_disk_save(wl_presence_disk_t *self, wl_presence_set_t *set,
                               const uint64_t *seen, uint32_t seen_count) {
    WL_ASSERT(self != NULL && set != NULL);
    if (self->writing) {
        return WL_ERR_BUSY;
    }
    self->seen = wl_realloc_array(self->seen, seen_count, sizeof *self->seen);
    self->seen_count = seen_count;
    memcpy(self->seen, seen, seen_count * sizeof *seen);
    wl_presence_set_save(set, seen, seen_count, &self->blob, &self->blob_bytes);
    atomic_store(&self->written, false);
    self->writing = true;
    self->threaded = pthread_create(&self->writer, NULL, writer_main, self) == 0;
    if (!self->threaded) { /* no thread to be had: rather a stall than no snapshot */
        (void)writer_main(self);
    }
    return WL_OK;
}

bool wl_presence_disk_saved(wl_presence_disk_t *self, bool wait, wl_presence_saved_t *ret) {
    if (!self->writing || (!wait && !atomic_load(&self->written))) {
        return false;
    }
    if (self->threaded) {
        (void)pthread_join(self->writer, NULL);
    }
    self->writing = false;
    wl_free(self->blob);
    self->blob = NULL;
    *ret = (wl_presence_saved_t){self->err, self->seen, self->seen_count};
    return true;
}

void wl_presence_disk_destroy(wl_presence_disk_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_presence_saved_t saved;
    (void)wl_presence_disk_saved(*self, true, &saved);
    wl_free((*self)->seen);
    wl_free(*self);
    *self = NULL;
}
