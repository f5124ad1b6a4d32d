/* process.h: what a Unix server process needs around its actors: arguments, signals, data folder,
 * limits. Main's thread only. */
#ifndef WL_PROCESS_H
#define WL_PROCESS_H

#include "base/err.h"
#include "base/settings.h"

/* Exit codes of walletd. */
enum { WL_EXIT_OK = 0, WL_EXIT_FAILED = 1, WL_EXIT_USAGE = 2, WL_EXIT_CHECK = 6 };

/* Reads flags, environment and file into *ret. false: there is nothing to serve (help, version,
 * check or an error, already printed) and *ret_exit is the exit code. */
bool wl_process_arguments(int argc, char **argv, wl_settings_t *ret, int *ret_exit);

typedef struct {
    int signals; /* signalfd */
    int lock;    /* the data folder's lock file: two processes never share one */
} wl_process_t;

/* Blocks SIGTERM, SIGINT and SIGHUP before any thread exists, keeps czmq from handling them,
 * ignores SIGPIPE, raises the file limit, creates and locks the data folder. */
WL_MUST_USE wl_err_t wl_process_open(wl_process_t *ret, const wl_settings_t *settings,
                                     wl_fault_t *fault);
/* Waits for one of the signals and returns its number; 0: timeout_ms passed. */
int wl_process_wait(wl_process_t *self, int timeout_ms);
void wl_process_close(wl_process_t *self);

#endif
