#include "process.h"

#include "actors/config_load.h"
#include "base/log.h"
#include "store/mysql_tool.h"
#include "topology.h"

#include <curl/curl.h>
#include <czmq.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SOCKETS_MAX = 8192 }; /* czmq's own bound is 1,024 */

extern char **environ;

static const char usage[] =
    "usage: walletd [-c FILE] [-s SECTION.KEY=VALUE]... [--check | --settings | --version]\n"
    "\n"
    "  -c, --config FILE   bootstrap settings, see conf/walletd.ini\n"
    "  -s, --set S.K=V     one setting; stronger than WALLET_S_K, which is stronger than FILE\n"
    "      --check         say whether FILE and the runtime configuration are valid, then end\n"
    "      --settings      print every setting with its default and bounds\n"
    "      --version       print the version\n"
    "      --help          print this\n"
    "\n"
    "Signals: TERM and INT end after the requests under way, HUP reads the runtime configuration\n"
    "again. Exit codes: 0 ok, 1 failed, 2 usage, 6 check failed.\n";

typedef enum { ACT_SERVE, ACT_CHECK, ACT_DONE, ACT_USAGE } act_t;

typedef struct {
    const char *file;
    const char *assignments[64];
    uint32_t assignment_count;
    act_t act;
} arguments_t;

static void arguments_read(int argc, char **argv, arguments_t *self) {
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"set", required_argument, NULL, 's'},
        {"check", no_argument, NULL, 'k'},
        {"settings", no_argument, NULL, 'p'},
        {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    for (int c = 0; (c = getopt_long(argc, argv, "c:s:h", options, NULL)) != -1;) {
        if (c == 'c') {
            self->file = optarg;
        } else if (c == 's' && self->assignment_count < 64) {
            self->assignments[self->assignment_count++] = optarg;
        } else if (c == 'k') {
            self->act = ACT_CHECK;
        } else if (c == 'p') {
            wl_settings_document(stdout);
            self->act = ACT_DONE;
        } else if (c == 'v') {
            (void)printf("walletd %s\n", WL_VERSION);
            self->act = ACT_DONE;
        } else if (c == 'h') {
            (void)fputs(usage, stdout);
            self->act = ACT_DONE;
        } else {
            self->act = ACT_USAGE;
        }
    }
    if (optind < argc) {
        (void)fprintf(stderr, "walletd: unexpected argument \"%s\"\n", argv[optind]);
        self->act = ACT_USAGE;
    }
}

/* Prints "FILE:LINE: section.key: message". */
static void fault_print(const char *file, const wl_fault_t *fault) {
    (void)fprintf(stderr, "walletd: %s", file);
    if (fault->line > 0) {
        (void)fprintf(stderr, ":%u", fault->line);
    }
    if (fault->column > 0) {
        (void)fprintf(stderr, ":%u", fault->column);
    }
    (void)fprintf(stderr, ": %s%s%s\n", fault->where, fault->where[0] == '\0' ? "" : ": ",
                  fault->message);
}

/* A name that no other process has, unless the operator gave one. */
static void settings_name(wl_settings_t *settings) {
    char host[40] = "";
    if (settings->server_name[0] == '\0') {
        if (gethostname(host, sizeof host - 1) == -1) { /* a longer one is cut */
            (void)snprintf(host, sizeof host, "walletd");
        }
        (void)snprintf(settings->server_name, sizeof settings->server_name, "%s:%ld", host,
                       (long)getpid());
    }
}

/* Flags > environment > file > defaults. */
static wl_err_t settings_gather(const arguments_t *arguments, wl_settings_t *settings) {
    wl_fault_t fault = {0};
    const char *source = arguments->file;
    wl_settings_defaults(settings);
    wl_err_t err = source == NULL ? WL_OK : wl_settings_file(settings, source, &fault);
    if (err == WL_OK) {
        source = "environment";
        err = wl_settings_environment(settings, environ, &fault);
    }
    for (uint32_t i = 0; err == WL_OK && i < arguments->assignment_count; i++) {
        source = "--set";
        err = wl_settings_assign(settings, arguments->assignments[i], &fault);
    }
    if (err == WL_OK) {
        source = arguments->file == NULL ? "settings" : arguments->file;
        err = wl_topology_check(settings, &fault);
        settings_name(settings);
    }
    if (err != WL_OK) {
        fault_print(source, &fault);
    }
    return err;
}

static void on_refused(const char *path, const wl_fault_t *fault, void *arg) {
    uint32_t *refused = arg;
    (*refused)++;
    fault_print(path, fault);
}

static int check(const arguments_t *arguments, const wl_settings_t *settings) {
    wl_config_loaded_t loaded = {0};
    wl_fault_t fault = {0};
    uint32_t refused = 0;
    wl_err_t err =
        wl_config_load(settings->server_config_dir, on_refused, &refused, &loaded, &fault);
    if (err != WL_OK && refused == 0) {
        fault_print(settings->server_config_dir, &fault);
    }
    if (err == WL_OK && refused == 0) {
        (void)printf("walletd: %s is valid; runtime configuration %s from %s is valid\n",
                     arguments->file == NULL ? "the default" : arguments->file,
                     loaded.config->version, settings->server_config_dir);
    }
    wl_config_loaded_release(&loaded);
    return err == WL_OK && refused == 0 ? WL_EXIT_OK : WL_EXIT_CHECK;
}

bool wl_process_arguments(int argc, char **argv, wl_settings_t *ret, int *ret_exit) {
    arguments_t arguments = {0};
    arguments_read(argc, argv, &arguments);
    if (arguments.act == ACT_USAGE) {
        (void)fputs(usage, stderr);
        *ret_exit = WL_EXIT_USAGE;
        return false;
    }
    if (arguments.act == ACT_DONE) {
        *ret_exit = WL_EXIT_OK;
        return false;
    }
    if (settings_gather(&arguments, ret) != WL_OK) {
        *ret_exit = arguments.act == ACT_CHECK ? WL_EXIT_CHECK : WL_EXIT_USAGE;
        return false;
    }
    if (arguments.act == ACT_CHECK) {
        *ret_exit = check(&arguments, ret);
        return false;
    }
    wl_log_level_t level = WL_LOG_INFO;
    if (wl_log_level_parse(ret->server_log_level, &level)) {
        wl_log_level_set(level);
    }
    return true;
}

static wl_err_t folder_lock(const char *folder, int *ret_lock, wl_fault_t *fault) {
    if (mkdir(folder, 0700) == -1 && errno != EEXIST) {
        return wl_fault(fault, WL_ERR_IO, "server.data_dir", "%s: %s", folder, strerror(errno));
    }
    char path[600];
    (void)snprintf(path, sizeof path, "%s/lock", folder);
    int lock = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (lock == -1) {
        return wl_fault(fault, WL_ERR_IO, "server.data_dir", "%s: %s", path, strerror(errno));
    }
    if (flock(lock, LOCK_EX | LOCK_NB) == -1) {
        (void)close(lock);
        return wl_fault(fault, WL_ERR_CONFLICT, "server.data_dir",
                        "%s is in use by another walletd", folder);
    }
    *ret_lock = lock;
    return WL_OK;
}

static void files_raise(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

wl_err_t wl_process_open(wl_process_t *ret, const wl_settings_t *settings, wl_fault_t *fault) {
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL); /* before any thread: all inherit it */
    (void)signal(SIGPIPE, SIG_IGN);
    files_raise();
    zsys_handler_set(NULL); /* czmq would end every loop on a signal, in no order */
    if (sodium_init() == -1 || zsys_init() == NULL) {
        return wl_fault(fault, WL_ERR_INTERNAL, "", "libsodium or libzmq does not start");
    }
    zsys_set_max_sockets(SOCKETS_MAX);
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    wl_mysql_library_init(); /* before any thread as well */
    ret->signals = signalfd(-1, &set, SFD_CLOEXEC);
    if (ret->signals == -1) {
        return wl_fault(fault, WL_ERR_INTERNAL, "", "signalfd: %s", strerror(errno));
    }
    return folder_lock(settings->server_data_dir, &ret->lock, fault);
}

int wl_process_wait(wl_process_t *self, int timeout_ms) {
    struct signalfd_siginfo info;
    struct pollfd item = {.fd = self->signals, .events = POLLIN};
    if (poll(&item, 1, timeout_ms) <= 0) {
        return 0;
    }
    while (read(self->signals, &info, sizeof info) != (ssize_t)sizeof info) {
    }
    return (int)info.ssi_signo;
}

void wl_process_close(wl_process_t *self) {
    (void)close(self->signals);
    (void)close(self->lock);
    curl_global_cleanup();
    wl_mysql_library_end();
    zsys_shutdown();
}
