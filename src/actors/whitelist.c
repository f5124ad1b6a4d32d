#include "actors/whitelist.h"

#include "base/alloc.h"
#include "base/check.h"
#include "domain/rollout.h"
#include "store/blob_file.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum {
    AGAIN_MS = 1000, /* what could not be read is tried again */
    SET_BYTES_MAX = 64 << 20,
    OLD_MAX = 2, /* the set at hand, and one that was read when another one was wanted already */
};

/* What the thread has to do. It is the thread's own from its start to its end. */
typedef struct {
    char digest[WL_DIGEST_HEX + 1]; /* to read, "" = nothing */
    char *path;                     /* owned; of that file */
    wl_uid_set_t *old[OLD_MAX];     /* owned; to free */
    wl_uid_set_t *set;              /* owned; was read */
    wl_err_t err;
    wl_fault_t fault;
} job_t;

struct wl_whitelist {
    char *folder;                   /* owned */
    char wanted[WL_DIGEST_HEX + 1]; /* "" = none */
    char at_hand[WL_DIGEST_HEX + 1];
    wl_uid_set_t *set;          /* owned; NULL: none */
    wl_uid_set_t *old[OLD_MAX]; /* owned; for the next job */
    int64_t again_at;           /* monotonic ms */
    job_t job;
    bool busy; /* a job is under way */
    bool threaded;
    pthread_t thread;
    atomic_bool ended;
};

/* ---- on the thread --------------------------------------------------------------------------- */

static void job_read(job_t *self) {
    void *blob = NULL;
    size_t bytes = 0;
    self->err = wl_blob_file_read(self->path, SET_BYTES_MAX, &blob, &bytes);
    if (self->err == WL_OK) {
        self->err = wl_uid_set_load(blob, bytes, &self->set, &self->fault);
    }
    wl_free(blob);
}

static void *job_main(void *arg) {
    wl_whitelist_t *whitelist = arg;
    job_t *self = &whitelist->job;
    for (uint32_t i = 0; i < OLD_MAX; i++) {
        wl_uid_set_destroy(&self->old[i]);
    }
    if (self->digest[0] != '\0') {
        job_read(self);
    }
    (void)malloc_trim(0); /* a bitmap of scattered users held 20 times as much for a moment */
    atomic_store(&whitelist->ended, true);
    return NULL;
}

/* ---- life ------------------------------------------------------------------------------------ */

wl_whitelist_t *wl_whitelist_new(const char *data_dir) {
    wl_whitelist_t *self = wl_alloc_zero(1, sizeof *self);
    size_t bytes = strlen(data_dir) + sizeof "/config/blobs";
    self->folder = wl_alloc(bytes);
    (void)snprintf(self->folder, bytes, "%s/config/blobs", data_dir);
    return self;
}

static void job_join(wl_whitelist_t *self) {
    if (self->threaded) {
        (void)pthread_join(self->thread, NULL);
    }
    self->threaded = false;
    self->busy = false;
    wl_free(self->job.path);
    self->job.path = NULL;
}

void wl_whitelist_destroy(wl_whitelist_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    if ((*self)->busy) {
        job_join(*self);
    }
    wl_uid_set_destroy(&(*self)->job.set);
    wl_uid_set_destroy(&(*self)->set);
    for (uint32_t i = 0; i < OLD_MAX; i++) {
        wl_uid_set_destroy(&(*self)->old[i]);
    }
    wl_free((*self)->folder);
    wl_free(*self);
    *self = NULL;
}

/* ---- sets ------------------------------------------------------------------------------------ */

/* Left to the next job. */
static void set_retire(wl_whitelist_t *self, wl_uid_set_t **set) {
    uint32_t at = 0;
    if (*set == NULL) {
        return;
    }
    while (at < OLD_MAX && self->old[at] != NULL) {
        at++;
    }
    WL_ASSERT(at < OLD_MAX);
    self->old[at] = *set;
    *set = NULL;
}

const wl_uid_set_t *wl_whitelist_set(const wl_whitelist_t *self) {
    return self->set;
}

void wl_whitelist_want(wl_whitelist_t *self, const char *digest, bool keep) {
    if (strcmp(self->wanted, digest) == 0) {
        return;
    }
    (void)snprintf(self->wanted, sizeof self->wanted, "%s", digest);
    self->again_at = 0;
    if (!keep || digest[0] == '\0') {
        set_retire(self, &self->set);
        self->at_hand[0] = '\0';
    }
}

static bool whitelist_reads(const wl_whitelist_t *self, int64_t now) {
    return self->wanted[0] != '\0' && strcmp(self->wanted, self->at_hand) != 0 &&
           now >= self->again_at;
}

static void job_begin(wl_whitelist_t *self, bool wait, int64_t now) {
    job_t *job = &self->job;
    memset(job, 0, sizeof *job);
    memcpy(job->old, self->old, sizeof job->old);
    memset(self->old, 0, sizeof self->old);
    if (whitelist_reads(self, now)) {
        size_t bytes = strlen(self->folder) + sizeof self->wanted + 1;
        memcpy(job->digest, self->wanted, sizeof job->digest);
        job->path = wl_alloc(bytes);
        (void)snprintf(job->path, bytes, "%s/%s", self->folder, job->digest);
    }
    atomic_store(&self->ended, false);
    self->busy = true;
    self->threaded = !wait && pthread_create(&self->thread, NULL, job_main, self) == 0;
    if (!self->threaded) {
        (void)job_main(self);
    }
}

static wl_err_t job_end(wl_whitelist_t *self, int64_t now, wl_fault_t *fault) {
    job_t *job = &self->job;
    job_join(self);
    if (job->digest[0] == '\0' || strcmp(job->digest, self->wanted) != 0) {
        set_retire(self, &job->set); /* another one is wanted by now */
        return WL_OK;
    }
    set_retire(self, &self->set);
    self->at_hand[0] = '\0';
    if (job->err != WL_OK) {
        self->again_at = now + AGAIN_MS;
        if (fault != NULL) {
            *fault = job->fault;
        }
        return job->err;
    }
    self->set = job->set;
    job->set = NULL;
    memcpy(self->at_hand, job->digest, sizeof self->at_hand);
    return WL_OK;
}

wl_err_t wl_whitelist_step(wl_whitelist_t *self, bool wait, int64_t now, wl_fault_t *fault) {
    wl_err_t err = WL_OK;
    if (self->busy && (wait || atomic_load(&self->ended))) {
        err = job_end(self, now, fault);
    }
    bool old = self->old[0] != NULL || self->old[1] != NULL;
    if (!self->busy && (old || whitelist_reads(self, now))) {
        job_begin(self, wait, now);
        if (wait) {
            err = job_end(self, now, fault);
        }
    }
    return err;
}
