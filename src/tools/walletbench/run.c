#include "tools/walletbench/run.h"

#include "base/check.h"

#include <czmq.h>
#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    QUICK_PAIRS = 3,
    QUICK_SIDE_MS = 700,
    FULL_PAIRS = 7,
    FULL_SIDE_MS = 2000,
    QUICK_LIMIT_MS = 120000, /* a benchmark that is not done by then never will be */
    FULL_LIMIT_MS = 600000,
    FOLDERS_OPEN = 16, /* file descriptors of the removal */
};

static int entry_remove(const char *path, const struct stat *status, int type, struct FTW *walk) {
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

_Noreturn static void worker_live(const bench_t *bench, const bench_setup_t *setup, int out,
                                  const sigset_t *mask, pid_t janitor) {
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != janitor) { /* it ended before the line above */
        _exit(1);
    }
    (void)sigprocmask(SIG_SETMASK, mask, NULL);
    zsys_handler_set(NULL); /* the janitor takes the signals */
    bench_result_t result = bench->run(setup);
    bool told = write(out, &result, sizeof result) == (ssize_t)sizeof result;
    exit(told ? 0 : 1);
}

/* Waits for the worker's figures. */
static bench_end_t worker_wait(int in, int signals, int limit_ms, const char *name,
                               bench_result_t *ret) {
    struct pollfd fds[2] = {{.fd = signals, .events = POLLIN}, {.fd = in, .events = POLLIN}};
    int rc;
    do {
        rc = poll(fds, 2, limit_ms);
    } while (rc == -1 && errno == EINTR);
    if (rc == 0) {
        (void)fprintf(stderr, "walletbench: %s is not done after %d s\n", name, limit_ms / 1000);
        return BENCH_FAILED;
    }
    if (rc == -1 || fds[0].revents != 0) {
        struct signalfd_siginfo taken; /* read, so that it does not come again when unblocked */
        (void)!read(signals, &taken, sizeof taken);
        return BENCH_INTERRUPTED;
    }
    return read(in, ret, sizeof *ret) == (ssize_t)sizeof *ret ? BENCH_DONE : BENCH_FAILED;
}

/* The whole group, and what its members left behind: a subreaper inherits orphans. */
static void worker_end(pid_t worker) {
    (void)kill(-worker, SIGKILL);
    (void)kill(worker, SIGKILL);
    while (waitpid(-1, NULL, 0) != -1 || errno == EINTR) {
        continue;
    }
}

bench_end_t bench_run(const bench_t *bench, const char *dir, bool quick, bench_result_t *ret) {
    char folder[512];
    int bytes = snprintf(folder, sizeof folder, "%s/walletbench-XXXXXX", dir);
    if (bytes < 0 || (size_t)bytes >= sizeof folder || mkdtemp(folder) == NULL) {
        (void)fprintf(stderr, "walletbench: no folder in %s: %s\n", dir, strerror(errno));
        return BENCH_FAILED;
    }
    bench_setup_t setup = {
        .folder = folder,
        .quick = quick,
        .pairs = quick ? QUICK_PAIRS : FULL_PAIRS,
        .side_ms = quick ? QUICK_SIDE_MS : FULL_SIDE_MS,
    };
    sigset_t caught;
    sigset_t before;
    (void)sigemptyset(&caught);
    (void)sigaddset(&caught, SIGINT);
    (void)sigaddset(&caught, SIGTERM);
    (void)sigaddset(&caught, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &caught, &before);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    int ends[2];
    int signals = signalfd(-1, &caught, SFD_CLOEXEC);
    bool piped = pipe(ends) == 0;
    WL_ASSERT(piped && signals != -1);
    (void)fflush(NULL);
    pid_t janitor = getpid();
    pid_t worker = fork();
    if (worker == 0) {
        (void)close(ends[0]);
        worker_live(bench, &setup, ends[1], &before, janitor);
    }
    (void)setpgid(worker, worker);
    (void)close(ends[1]);
    bench_end_t end = worker == -1
                          ? BENCH_FAILED
                          : worker_wait(ends[0], signals, quick ? QUICK_LIMIT_MS : FULL_LIMIT_MS,
                                        bench->name, ret);
    if (worker != -1) {
        worker_end(worker);
    }
    (void)nftw(folder, entry_remove, FOLDERS_OPEN, FTW_DEPTH | FTW_PHYS);
    (void)close(ends[0]);
    (void)close(signals);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return end;
}
