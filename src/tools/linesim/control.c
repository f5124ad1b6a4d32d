#include "control.h"

#include "asset_json.h"
#include "base/alloc.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_MAX = 65536 };

struct control {
    sim_t *sim;
    publisher_t *publisher;
    struct MHD_Daemon *daemon;
};

typedef struct {
    char bytes[BODY_MAX];
    size_t count;
} upload_t;

static json_t *line_stats(sim_line_t *line) {
    calls_t *calls = &line->calls;
    uint64_t total = 0;
    json_t *stats = json_object();
    for (unsigned i = 0; i < SIM_WHAT_COUNT; i++) {
        total += calls->count[i];
        (void)json_object_set_new(stats, sim_what_name((sim_what_t)i),
                                  json_integer((json_int_t)calls->count[i]));
    }
    json_t *more =
        json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:s}", "calls", (json_int_t)total, "users",
                  (json_int_t)calls->users, "concurrent",
                  (json_int_t)calls_under_way(calls, wl_mono_now().ms), "concurrent_max",
                  (json_int_t)calls->concurrent_max, "peak_1s", (json_int_t)calls->window.peak,
                  "early", (json_int_t)calls->early, "repeated", (json_int_t)calls->repeated,
                  "faults_injected", (json_int_t)calls->faults, "unsigned",
                  (json_int_t)calls->unsigned_calls, "fault", sim_fault_name(line->plan.fault));
    (void)json_object_update(stats, more);
    json_decref(more);
    return stats;
}

static char *stats_text(control_t *self) {
    publisher_stats_t stats = {.idle = true};
    if (self->publisher != NULL) {
        stats = publisher_stats(self->publisher);
    }
    json_t *lines = json_object();
    (void)pthread_mutex_lock(&self->sim->lock);
    for (uint32_t i = 0; i < self->sim->line_count; i++) {
        (void)json_object_set_new(lines, self->sim->lines[i].id, line_stats(&self->sim->lines[i]));
    }
    (void)pthread_mutex_unlock(&self->sim->lock);
    json_t *all = json_pack("{s:I,s:I,s:I,s:I,s:I,s:b,s:o}", "changes", (json_int_t)stats.changes,
                            "messages", (json_int_t)stats.messages, "acked",
                            (json_int_t)stats.acked, "resent", (json_int_t)stats.resent, "refused",
                            (json_int_t)stats.refused, "idle", (int)stats.idle, "lines", lines);
    char *text = json_dumps(all, JSON_COMPACT);
    json_decref(all);
    return text;
}

static void asset_print(const wl_asset_t *asset, FILE *out) {
    json_t *object = asset_json_standard(asset, SIM_FAULT_NONE);
    (void)json_object_set_new(object, "line", json_string(asset->line));
    (void)json_dumpf(object, out, JSON_COMPACT);
    (void)fputc('\n', out);
    json_decref(object);
}

void control_write_truth(sim_t *sim, FILE *out) {
    (void)pthread_mutex_lock(&sim->lock);
    for (uint32_t i = 0; i < sim->line_count; i++) {
        for (uint64_t user = sim->lines[i].truth == i ? 0 : sim->users; user < sim->users; user++) {
            wl_asset_t asset;
            if (sim_asset(sim, &sim->lines[i], sim->first_uid + user, &asset)) {
                asset_print(&asset, out);
            }
        }
    }
    (void)pthread_mutex_unlock(&sim->lock);
}

/* The asset that ?line= and ?uid= name, or every asset; the caller frees the text. */
static char *truth_text(control_t *self, struct MHD_Connection *connection, bool all,
                        size_t *ret_bytes) {
    char *text = NULL;
    FILE *out = open_memstream(&text, ret_bytes);
    if (all) {
        control_write_truth(self->sim, out);
    } else {
        const char *line = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "line");
        const char *uid = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "uid");
        wl_asset_t asset;
        (void)pthread_mutex_lock(&self->sim->lock);
        sim_line_t *found = line == NULL ? NULL : sim_line_find(self->sim, line);
        if (found != NULL && uid != NULL &&
            sim_asset(self->sim, found, strtoull(uid, NULL, 10), &asset)) {
            asset_print(&asset, out);
        }
        (void)pthread_mutex_unlock(&self->sim->lock);
    }
    (void)fclose(out);
    return text;
}

/* Returns NULL, or an error document. The texts that these functions return are the caller's. */
static char *error_text(const char *where, const char *message) {
    json_t *document = json_pack("{s:s++}", "error", where, " ", message);
    char *text = json_dumps(document, JSON_COMPACT);
    json_decref(document);
    return text;
}

static char *fault_set(control_t *self, const json_t *body) {
    const char *id = json_string_value(json_object_get(body, "line"));
    fault_plan_t plan;
    wl_fault_t fault = {0};
    if (fault_plan_read(body, &plan, &fault) != WL_OK) {
        return error_text(fault.where, fault.message);
    }
    return sim_plan_set(self->sim, id == NULL ? "" : id, &plan)
               ? NULL
               : error_text("line", "is not known");
}

static char *stats_reset(control_t *self, const json_t *body) {
    const char *id = json_string_value(json_object_get(body, "line"));
    (void)pthread_mutex_lock(&self->sim->lock);
    for (uint32_t i = 0; i < self->sim->line_count; i++) {
        if (id == NULL || id[0] == '\0' || strcmp(id, self->sim->lines[i].id) == 0) {
            calls_reset(&self->sim->lines[i].calls);
        }
    }
    (void)pthread_mutex_unlock(&self->sim->lock);
    return NULL;
}

static char *burst_start(control_t *self, const json_t *body) {
    const json_t *changes = json_object_get(body, "changes");
    const char *mode_text = json_string_value(json_object_get(body, "mode"));
    publish_mode_t mode = PUBLISH_REQ;
    if (self->publisher == NULL || !json_is_integer(changes) || json_integer_value(changes) < 0 ||
        (mode_text != NULL && !publish_mode_parse(mode_text, &mode))) {
        return error_text("changes", "is needed, mode is req, pub or both, and linesim needs "
                                     "--writer or --pub");
    }
    publisher_burst(self->publisher, (uint64_t)json_integer_value(changes), mode,
                    (uint32_t)json_integer_value(json_object_get(body, "rate")));
    return NULL;
}

static const char *argument(struct MHD_Connection *connection, const char *name) {
    const char *value = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, name);
    return value == NULL ? "" : value;
}

/* A whole number, or `fallback` when there is none. */
static int64_t argument_number(struct MHD_Connection *connection, const char *name,
                               int64_t fallback) {
    const char *text = argument(connection, name);
    char *end = NULL;
    int64_t value = strtoll(text, &end, 10);
    return *text == '\0' || *end != '\0' ? fallback : value;
}

/* /details/add and /details/delete; *ret_status is the HTTP status. */
static char *details_edit(control_t *self, struct MHD_Connection *connection, bool add,
                          unsigned *ret_status) {
    uint64_t uid = strtoull(argument(connection, "uid"), NULL, 10);
    detail_t item = {.amount = argument_number(connection, "amount", 100)};
    char *text = NULL;
    *ret_status = 404;
    (void)pthread_mutex_lock(&self->sim->lock);
    sim_line_t *line = sim_line_find(self->sim, argument(connection, "line"));
    if (line == NULL || uid == 0) {
        text = error_text("line, uid", "are needed");
    } else if (add) {
        const char *title = argument(connection, "title");
        details_add(self->sim->lines[line->truth].bookings, uid,
                    argument_number(connection, "time", wl_wall_now().ms), item.amount,
                    title[0] == '\0' ? "Added" : title, &item);
        json_t *document = json_pack("{s:s,s:I}", "id", item.id, "time", (json_int_t)item.time_ms);
        text = json_dumps(document, JSON_COMPACT);
        json_decref(document);
        *ret_status = 200;
    } else if (details_delete(self->sim->lines[line->truth].bookings, uid,
                              argument(connection, "id")) == WL_OK) {
        text = wl_strdup("{}");
        *ret_status = 200;
    } else {
        text = error_text("id", "is not known");
    }
    (void)pthread_mutex_unlock(&self->sim->lock);
    return text;
}

/* /change; *ret_status is the HTTP status. */
static char *asset_change(control_t *self, struct MHD_Connection *connection,
                          unsigned *ret_status) {
    uint64_t uid = strtoull(argument(connection, "uid"), NULL, 10);
    (void)pthread_mutex_lock(&self->sim->lock);
    sim_line_t *line = sim_line_find(self->sim, argument(connection, "line"));
    uint64_t version = line == NULL ? 0 : sim_change(self->sim, line, uid);
    (void)pthread_mutex_unlock(&self->sim->lock);
    *ret_status = version == 0 ? 404 : 200;
    if (version == 0) {
        return error_text("line, uid", "are not known");
    }
    json_t *document = json_pack("{s:I}", "version", (json_int_t)version);
    char *text = json_dumps(document, JSON_COMPACT);
    json_decref(document);
    return text;
}

static enum MHD_Result respond(struct MHD_Connection *connection, unsigned status, char *text,
                               size_t bytes) {
    struct MHD_Response *response =
        MHD_create_response_from_buffer(bytes, text, MHD_RESPMEM_MUST_FREE);
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result on_post(control_t *self, struct MHD_Connection *connection, const char *path,
                               const upload_t *upload) {
    json_t *body = json_loadb(upload->bytes, upload->count, 0, NULL);
    char *error = NULL;
    if (strcmp(path, "/fault") == 0) {
        error = fault_set(self, body);
    } else if (strcmp(path, "/burst") == 0) {
        error = burst_start(self, body);
    } else if (strcmp(path, "/reset") == 0) {
        error = stats_reset(self, body);
    } else {
        error = error_text("path", "is not known");
    }
    json_decref(body);
    unsigned status = error == NULL ? 200 : 400;
    char *text = error == NULL ? wl_strdup("{}") : error;
    return respond(connection, status, text, strlen(text));
}

static enum MHD_Result on_get(control_t *self, struct MHD_Connection *connection,
                              const char *path) {
    size_t length = 0;
    char *text = NULL;
    if (strcmp(path, "/stats") == 0) {
        text = stats_text(self);
        length = strlen(text);
    } else if (strncmp(path, "/truth", 6) == 0) {
        text = truth_text(self, connection, strcmp(path, "/truth.ndjson") == 0, &length);
    }
    return text == NULL ? respond(connection, 404, wl_strdup("{}"), 2)
                        : respond(connection, 200, text, length);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *bytes,
                                  size_t *count, void **state) {
    (void)version;
    control_t *self = arg;
    upload_t *upload = *state;
    if (upload == NULL) {
        *state = wl_alloc_zero(1, sizeof *upload);
        return MHD_YES;
    }
    if (*count > 0) {
        if (upload->count + *count > BODY_MAX) {
            return MHD_NO;
        }
        memcpy(upload->bytes + upload->count, bytes, *count);
        upload->count += *count;
        *count = 0;
        return MHD_YES;
    }
    bool add = strcmp(path, "/details/add") == 0;
    bool change = strcmp(path, "/change") == 0;
    if (add || change || strcmp(path, "/details/delete") == 0) {
        unsigned status = 0;
        char *text = change ? asset_change(self, connection, &status)
                            : details_edit(self, connection, add, &status);
        return respond(connection, status, text, strlen(text));
    }
    return strcmp(method, "POST") == 0 ? on_post(self, connection, path, upload)
                                       : on_get(self, connection, path);
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code) {
    (void)arg;
    (void)connection;
    (void)code;
    wl_free(*state);
}

wl_err_t control_open(sim_t *sim, publisher_t *publisher, uint16_t port, control_t **ret) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    control_t *self = wl_alloc_zero(1, sizeof *self);
    self->sim = sim;
    self->publisher = publisher;
    self->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, port, NULL, NULL, on_request,
                                    self, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address,
                                    MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
                                    MHD_OPTION_CONNECTION_LIMIT, 32, MHD_OPTION_END);
    if (self->daemon == NULL) {
        wl_free(self);
        return WL_ERR_BIND;
    }
    *ret = self;
    return WL_OK;
}

void control_close(control_t **pointer) {
    control_t *self = *pointer;
    if (self != NULL) {
        MHD_stop_daemon(self->daemon);
        wl_free(self);
        *pointer = NULL;
    }
}
