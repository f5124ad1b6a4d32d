/* linesim: a business line for demos, tests and load. One process can be several lines, over HTTP
 * and ZeroMQ. The truth is a pure function of the seed, so a run repeats exactly; it can be dumped
 * and compared with what walletd serves. */
#include "base/actor.h"
#include "base/alloc.h"
#include "linesim/control.h"
#include "linesim/director.h"
#include "linesim/http_line.h"
#include "linesim/publisher.h"
#include "linesim/wire.h"
#include "linesim/zmq_line.h"

#include <czmq.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>

enum { EXIT_GOOD = 0, EXIT_BAD = 1, EXIT_USAGE = 2 };

static const char usage[] =
    "usage: linesim --line ID,KEY=VALUE,... [--line ...] [OPTION...]\n"
    "\n"
    "A line: id, then kind=cash|activity|cashback|coupon|coin, unit=CNY, scale=2,\n"
    "shape=standard|foreign, and http=PORT or zmq=PORT; details=no, summary=no when it\n"
    "does not offer them; fault=NAME, share=0..1, ms=N (see below); as=ID: another\n"
    "endpoint of that line; told=no: --rate and /burst leave it alone; give_up=MS: how\n"
    "long callers wait for an answer, which a ZeroMQ line needs to know to count the\n"
    "calls under way while it does not answer.\n"
    "\n"
    "  --users N          users of each line (1000)\n"
    "  --first-uid N      the first of them (1)\n"
    "  --owners SHARE     of them own something at start (0.4)\n"
    "  --details N        bookings of each user and line (40), at even steps of time before...\n"
    "  --details-end MS   ...this, ms since 1970 (2026-07-01)\n"
    "  --seed N           everything follows from it (1)\n"
    "  --writer ENDPOINTS tell walletd there, acknowledged (tcp://127.0.0.1:7701); of several,\n"
    "                     comma-separated, the next when one is silent\n"
    "  --pub ENDPOINTS    or there by PUB (tcp://127.0.0.1:7702), to all of them\n"
    "  --rate N           changes a second; 0 = only when asked through --control\n"
    "  --changes N        stop changing after so many (no bound)\n"
    "  --mode MODE        req, pub or both in turn (req)\n"
    "  --batch N          most changes of one message (50)\n"
    "  --dup SHARE        messages sent twice\n"
    "  --reorder SHARE    messages sent after their successor\n"
    "  --error-rate SHARE calls that fail\n"
    "  --keep             delete nothing: no asset is ever gone\n"
    "  --latency-ms N     before each answer\n"
    "  --secret-file FILE refuse calls that are not signed with the key in it\n"
    "  --key FILE         our keys for walletd, NAME.key_secret, or $WALLET_KEY\n"
    "  --server-key FILE  walletd's public key, NAME.key, or $WALLET_SERVER_KEY\n"
    "  --journal FILE     append \"line uid version\" of each acknowledged change\n"
    "  --truth FILE       write every asset there at the end, one JSON object a line\n"
    "  --scenario FILE    faults by the clock, JSON: [{\"at_ms\": 5000, \"line\": \"cash\",\n"
    "                     \"fault\": \"busy\", \"share\": 0.5, \"ms\": 2000}, ...]; at_ms from "
    "the\n"
    "                     start, line \"\" or absent = all, share and ms may be absent\n"
    "  --control PORT     HTTP: /stats /reset /truth /truth.ndjson /fault /burst /change\n"
    "                     /details/add /details/delete\n"
    "  --help             print this\n"
    "\n"
    "A line answers POST /assets, GET /details and GET /summary, over ZeroMQ the methods\n"
    "assets, details and summary. It ends on SIGTERM or SIGINT. Exit codes: 0 ok, 1 failed,\n"
    "2 usage. Faults, of all calls or a share of them:\n"
    "\n";

static const char usage_end[] =
    "\n"
    "Over ZeroMQ drip, half-open and rst are faults of whole connections: of each new one,\n"
    "and of those that stand. No fault is without a meaning there.\n";

typedef struct {
    sim_t sim;
    publisher_options_t publisher;
    double owners;
    uint64_t changes;
    uint32_t rate;
    publish_mode_t mode;
    uint16_t control_port;
    const char *truth;
    scenario_t *scenario; /* owned, NULL = none */
} options_t;

typedef struct {
    http_line_t *http[SIM_LINES_MAX];
    wl_actor_t *zmq;
    wire_t *wire;
    wl_actor_t *director;
    publisher_t *publisher;
    control_t *control;
} running_t;

/* A number between 0 and max, or the end of the program with a message. */
static double number_of(const char *option, const char *text, double max) {
    char *end = NULL;
    errno = 0;
    double value = strtod(text, &end);
    if (errno != 0 || end == text || *end != '\0' || !(value >= 0.0) || value > max) {
        (void)fprintf(stderr, "linesim: --%s: \"%s\" is not a number from 0 to %.0f\n", option,
                      text, max);
        exit(EXIT_USAGE);
    }
    return value;
}

/* The first line of a file, or the end of the program: a key has no place on a command line. */
static const char *secret_read(const char *path) {
    static char secret[256];
    FILE *file = fopen(path, "r");
    if (file == NULL || fgets(secret, sizeof secret, file) == NULL || secret[0] == '\n') {
        (void)fprintf(stderr, "linesim: --secret-file: %s holds no key\n", path);
        exit(EXIT_USAGE);
    }
    (void)fclose(file);
    secret[strcspn(secret, "\r\n")] = '\0';
    return secret;
}

typedef enum {
    OPTION_LINE = 256,
    OPTION_USERS,
    OPTION_FIRST_UID,
    OPTION_OWNERS,
    OPTION_SEED,
    OPTION_WRITER,
    OPTION_PUB,
    OPTION_RATE,
    OPTION_CHANGES,
    OPTION_MODE,
    OPTION_BATCH,
    OPTION_DUP,
    OPTION_REORDER,
    OPTION_ERROR_RATE,
    OPTION_KEEP,
    OPTION_LATENCY,
    OPTION_SECRET,
    OPTION_KEY,
    OPTION_SERVER_KEY,
    OPTION_JOURNAL,
    OPTION_TRUTH,
    OPTION_SCENARIO,
    OPTION_DETAILS,
    OPTION_DETAILS_END,
    OPTION_CONTROL,
    OPTION_HELP
} option_t;

static const struct option long_options[] = {
    {"line", required_argument, NULL, OPTION_LINE},
    {"users", required_argument, NULL, OPTION_USERS},
    {"first-uid", required_argument, NULL, OPTION_FIRST_UID},
    {"owners", required_argument, NULL, OPTION_OWNERS},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"writer", required_argument, NULL, OPTION_WRITER},
    {"pub", required_argument, NULL, OPTION_PUB},
    {"rate", required_argument, NULL, OPTION_RATE},
    {"changes", required_argument, NULL, OPTION_CHANGES},
    {"mode", required_argument, NULL, OPTION_MODE},
    {"batch", required_argument, NULL, OPTION_BATCH},
    {"dup", required_argument, NULL, OPTION_DUP},
    {"reorder", required_argument, NULL, OPTION_REORDER},
    {"error-rate", required_argument, NULL, OPTION_ERROR_RATE},
    {"latency-ms", required_argument, NULL, OPTION_LATENCY},
    {"keep", no_argument, NULL, OPTION_KEEP},
    {"secret-file", required_argument, NULL, OPTION_SECRET},
    {"key", required_argument, NULL, OPTION_KEY},
    {"server-key", required_argument, NULL, OPTION_SERVER_KEY},
    {"journal", required_argument, NULL, OPTION_JOURNAL},
    {"truth", required_argument, NULL, OPTION_TRUTH},
    {"scenario", required_argument, NULL, OPTION_SCENARIO},
    {"details", required_argument, NULL, OPTION_DETAILS},
    {"details-end", required_argument, NULL, OPTION_DETAILS_END},
    {"control", required_argument, NULL, OPTION_CONTROL},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

static scenario_t *scenario_read(const char *path) {
    wl_fault_t fault = {0};
    scenario_t *scenario = scenario_load(path, &fault);
    if (scenario == NULL) {
        (void)fprintf(stderr, "linesim: --scenario %s: %s\n", path, fault.message);
        exit(EXIT_USAGE);
    }
    return scenario;
}

/* Every line that the scenario names has to be there. */
static void scenario_check(options_t *self) {
    const scenario_step_t *step = NULL;
    for (uint32_t i = 0;
         self->scenario != NULL && (step = scenario_step(self->scenario, i)) != NULL; i++) {
        if (step->line[0] != '\0' && sim_line_find(&self->sim, step->line) == NULL) {
            (void)fprintf(stderr, "linesim: --scenario: there is no line %s\n", step->line);
            exit(EXIT_USAGE);
        }
    }
}

static void usage_print(FILE *out) {
    char room[400];
    (void)fputs(usage, out);
    for (unsigned i = 0; sim_fault_help(i, room, sizeof room) != NULL; i++) {
        (void)fprintf(out, "%s\n", room);
    }
    (void)fputs(usage_end, out);
}

/* Options about the lines and their users. false: not one of them. */
static bool sim_option(options_t *self, int option, const char *value) {
    sim_t *sim = &self->sim;
    wl_fault_t fault = {0};
    switch (option) {
    case OPTION_LINE:
        if (sim_line_add(sim, value, &fault) != WL_OK) {
            (void)fprintf(stderr, "linesim: %s: %s\n", fault.where, fault.message);
            exit(EXIT_USAGE);
        }
        return true;
    case OPTION_USERS: sim->users = (uint64_t)number_of("users", value, 1e9); return true;
    case OPTION_FIRST_UID: sim->first_uid = strtoull(value, NULL, 10); return true;
    case OPTION_OWNERS: self->owners = number_of("owners", value, 1); return true;
    case OPTION_SEED: sim->seed = (uint64_t)number_of("seed", value, 1e15); return true;
    case OPTION_KEEP: sim->keep = true; return true;
    case OPTION_ERROR_RATE: sim->error_rate = number_of("error-rate", value, 1); return true;
    case OPTION_LATENCY:
        sim->latency_ms = (uint32_t)number_of("latency-ms", value, 60000);
        return true;
    case OPTION_SECRET: sim->secret = secret_read(value); return true;
    case OPTION_TRUTH: self->truth = value; return true;
    case OPTION_SCENARIO: self->scenario = scenario_read(value); return true;
    case OPTION_DETAILS:
        sim->details_each = (uint32_t)number_of("details", value, DETAILS_EACH_MAX);
        return true;
    case OPTION_DETAILS_END:
        sim->details_end_ms = (int64_t)number_of("details-end", value, 1e13);
        return true;
    case OPTION_CONTROL:
        self->control_port = (uint16_t)number_of("control", value, 65535);
        return true;
    default: return false;
    }
}

/* Options about telling walletd. */
static bool publisher_option(options_t *self, int option, const char *value) {
    publisher_options_t *publisher = &self->publisher;
    switch (option) {
    case OPTION_WRITER: publisher->writer = value; return true;
    case OPTION_PUB: publisher->publish = value; return true;
    case OPTION_KEY: publisher->key_file = value; return true;
    case OPTION_SERVER_KEY: publisher->server_key_file = value; return true;
    case OPTION_JOURNAL: publisher->journal = value; return true;
    case OPTION_RATE: self->rate = (uint32_t)number_of("rate", value, 1e7); return true;
    case OPTION_CHANGES: self->changes = (uint64_t)number_of("changes", value, 1e15); return true;
    case OPTION_BATCH: publisher->batch_max = (uint32_t)number_of("batch", value, 200); return true;
    case OPTION_DUP: publisher->duplicates = number_of("dup", value, 1); return true;
    case OPTION_REORDER: publisher->reorder = number_of("reorder", value, 1); return true;
    case OPTION_MODE: return publish_mode_parse(value, &self->mode);
    default: return false;
    }
}

static void options_read(int argc, char **argv, options_t *self) {
    sim_init(&self->sim);
    self->owners = 0.4;
    self->changes = UINT64_MAX;
    self->publisher.sim = &self->sim;
    self->publisher.batch_max = 50;
    self->publisher.key_file = getenv("WALLET_KEY");
    self->publisher.server_key_file = getenv("WALLET_SERVER_KEY");
    for (int option = 0; (option = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        if (option == OPTION_HELP) {
            usage_print(stdout);
            exit(EXIT_GOOD);
        }
        if (!sim_option(self, option, optarg) && !publisher_option(self, option, optarg)) {
            (void)fputs("linesim: see linesim --help\n", stderr);
            exit(EXIT_USAGE);
        }
    }
    if (optind < argc || self->sim.line_count == 0 || self->publisher.batch_max == 0 ||
        self->sim.users == 0) {
        usage_print(stderr);
        exit(EXIT_USAGE);
    }
    scenario_check(self);
}

static wl_err_t running_start(running_t *self, options_t *options, wl_fault_t *fault) {
    sim_t *sim = &options->sim;
    for (uint32_t i = 0; i < sim->line_count; i++) {
        if (sim->lines[i].http_port != 0 &&
            http_line_open(sim, &sim->lines[i], &self->http[i]) != WL_OK) {
            return wl_fault(fault, WL_ERR_BIND, sim->lines[i].id, "port %u is taken",
                            sim->lines[i].http_port);
        }
    }
    if (wl_actor_start("zmq_lines", zmq_lines_run, &sim, &self->zmq, NULL) != WL_OK ||
        wire_start(sim, &self->wire) != WL_OK) {
        return wl_fault(fault, WL_ERR_BIND, "zmq", "a port is taken");
    }
    if (options->publisher.writer != NULL || options->publisher.publish != NULL) {
        self->publisher = publisher_start(&options->publisher, fault);
        if (self->publisher == NULL) {
            return WL_ERR_SETTINGS;
        }
        if (options->rate > 0) {
            publisher_burst(self->publisher, options->changes, options->mode, options->rate);
        }
    }
    if (options->control_port != 0 &&
        control_open(sim, self->publisher, options->control_port, &self->control) != WL_OK) {
        return wl_fault(fault, WL_ERR_BIND, "--control", "port %u is taken", options->control_port);
    }
    director_options_t director = {.sim = sim, .scenario = options->scenario};
    return options->scenario == NULL
               ? WL_OK
               : wl_actor_start("director", director_run, &director, &self->director, fault);
}

static void running_stop(running_t *self, sim_t *sim) {
    (void)pthread_mutex_lock(&sim->lock);
    sim->ending = true;
    (void)pthread_mutex_unlock(&sim->lock);
    wl_actor_destroy(&self->director);
    control_close(&self->control);
    publisher_stop(&self->publisher);
    wire_stop(&self->wire);
    wl_actor_destroy(&self->zmq);
    for (uint32_t i = 0; i < SIM_LINES_MAX; i++) {
        http_line_close(&self->http[i]);
    }
}

static int truth_write(options_t *options) {
    FILE *out = options->truth == NULL ? NULL : fopen(options->truth, "w");
    if (options->truth != NULL && out == NULL) {
        perror(options->truth);
        return EXIT_BAD;
    }
    if (out != NULL) {
        control_write_truth(&options->sim, out);
        (void)fclose(out);
    }
    return EXIT_GOOD;
}

int main(int argc, char **argv) {
    static options_t options;
    options_read(argc, argv, &options);
    sigset_t ends;
    (void)sigemptyset(&ends);
    (void)sigaddset(&ends, SIGTERM);
    (void)sigaddset(&ends, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &ends, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    zsys_handler_set(NULL);
    sim_users_open(&options.sim, options.owners);

    running_t running = {0};
    wl_fault_t fault = {0};
    int exit_code = EXIT_GOOD;
    if (running_start(&running, &options, &fault) == WL_OK) {
        int number = 0;
        (void)sigwait(&ends, &number);
        exit_code = truth_write(&options);
    } else {
        (void)fprintf(stderr, "linesim: %s: %s\n", fault.where, fault.message);
        exit_code = EXIT_BAD;
    }
    running_stop(&running, &options.sim);
    scenario_destroy(&options.scenario);
    sim_close(&options.sim);
    return exit_code;
}
