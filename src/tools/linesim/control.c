#include "control.h"

#include "asset_json.h"
#include "base/alloc.h"

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

static json_t *line_stats(const sim_line_t *line) {
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:s}", "calls", (json_int_t)line->calls, "users",
                     (json_int_t)line->users_asked, "concurrent_max",
                     (json_int_t)line->concurrent_max, "faults_injected",
                     (json_int_t)line->faults_injected, "unsigned",
                     (json_int_t)line->unsigned_calls, "fault", sim_fault_name(line->fault));
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
        for (uint64_t user = 0; user < sim->users; user++) {
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

static const char *fault_set(control_t *self, const json_t *body) {
    const char *id = json_string_value(json_object_get(body, "line"));
    const char *name = json_string_value(json_object_get(body, "fault"));
    const json_t *rate = json_object_get(body, "rate");
    sim_fault_t fault = SIM_FAULT_NONE;
    if (id == NULL || name == NULL || !sim_fault_parse(name, &fault)) {
        return "{\"error\":\"line and fault are needed\"}";
    }
    bool found = false;
    (void)pthread_mutex_lock(&self->sim->lock);
    for (uint32_t i = 0; i < self->sim->line_count; i++) {
        sim_line_t *line = &self->sim->lines[i];
        if (id[0] == '\0' || strcmp(line->id, id) == 0) {
            line->fault = fault;
            line->fault_rate = json_is_number(rate) ? json_number_value(rate) : 1.0;
            found = true;
        }
    }
    (void)pthread_cond_broadcast(&self->sim->changed);
    (void)pthread_mutex_unlock(&self->sim->lock);
    return found ? NULL : "{\"error\":\"no such line\"}";
}

static const char *burst_start(control_t *self, const json_t *body) {
    const json_t *changes = json_object_get(body, "changes");
    const char *mode_text = json_string_value(json_object_get(body, "mode"));
    publish_mode_t mode = PUBLISH_REQ;
    if (self->publisher == NULL || !json_is_integer(changes) || json_integer_value(changes) < 0 ||
        (mode_text != NULL && !publish_mode_parse(mode_text, &mode))) {
        return "{\"error\":\"changes is needed, mode is req, pub or both, and linesim needs "
               "--writer or --pub\"}";
    }
    publisher_burst(self->publisher, (uint64_t)json_integer_value(changes), mode,
                    (uint32_t)json_integer_value(json_object_get(body, "rate")));
    return NULL;
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
    const char *error = "{\"error\":\"no such path\"}";
    if (strcmp(path, "/fault") == 0) {
        error = fault_set(self, body);
    } else if (strcmp(path, "/burst") == 0) {
        error = burst_start(self, body);
    }
    json_decref(body);
    char *text = wl_strdup(error == NULL ? "{}" : error);
    return respond(connection, error == NULL ? 200 : 400, text, strlen(text));
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
    if (strcmp(method, "POST") == 0) {
        return on_post(self, connection, path, upload);
    }
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
