#include "http_line.h"

#include "asset_json.h"
#include "base/alloc.h"
#include "lines/sign.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

enum {
    BODY_MAX = 1 << 20,
    HUGE_BYTES = 100000000,
    SLOW_MS = 3000,
    CONNECTIONS = 256,
};

struct http_line {
    sim_t *sim;                /* borrowed */
    sim_line_t *line;          /* borrowed */
    struct MHD_Daemon *daemon; /* owned */
};

/* The body of one request as it arrives. */
typedef struct {
    char *bytes;
    size_t count;
} upload_t;

static enum MHD_Result respond(struct MHD_Connection *connection, unsigned status, void *bytes,
                               size_t count, enum MHD_ResponseMemoryMode mode) {
    struct MHD_Response *response = MHD_create_response_from_buffer(count, bytes, mode);
    (void)MHD_add_response_header(response, "Content-Type", "application/json");
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result respond_text(struct MHD_Connection *connection, unsigned status,
                                    const char *text) {
    return respond(connection, status, wl_strdup(text), strlen(text), MHD_RESPMEM_MUST_FREE);
}

static const char *header(struct MHD_Connection *connection, const char *name) {
    const char *value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
    return value == NULL ? "" : value;
}

static bool signature_good(const http_line_t *self, struct MHD_Connection *connection,
                           const char *path, const upload_t *upload) {
    char expected[65];
    wl_sign_request_t request = {
        .method = "POST",
        .path = path,
        .query = "",
        .time = header(connection, "X-Wallet-Time"),
        .nonce = header(connection, "X-Wallet-Nonce"),
        .body = upload->bytes,
        .body_bytes = upload->count,
    };
    wl_sign(self->sim->secret, strlen(self->sim->secret), &request, expected);
    return strcmp(expected, header(connection, "X-Wallet-Signature")) == 0 &&
           strcmp(self->line->id, header(connection, "X-Wallet-Line")) == 0;
}

/* The answer about the users in `uids`; the caller frees the text. */
static char *answer_text(const http_line_t *self, const json_t *uids, sim_fault_t fault) {
    json_t *list = json_array();
    size_t index = 0;
    const json_t *uid = NULL;
    (void)pthread_mutex_lock(&self->sim->lock);
    json_array_foreach(uids, index, uid) {
        wl_asset_t asset;
        uint64_t number = json_is_string(uid) ? strtoull(json_string_value(uid), NULL, 10)
                                              : (uint64_t)json_integer_value(uid);
        if (fault != SIM_FAULT_EMPTY && sim_asset(self->sim, self->line, number, &asset)) {
            (void)json_array_append_new(list, self->line->foreign
                                                  ? asset_json_foreign(&asset)
                                                  : asset_json_standard(&asset, fault));
        }
    }
    (void)pthread_mutex_unlock(&self->sim->lock);
    json_t *document = self->line->foreign ? json_pack("{s:{s:o}}", "data", "list", list)
                                           : json_pack("{s:o}", "assets", list);
    char *text = json_dumps(document, JSON_COMPACT);
    json_decref(document);
    return text;
}

static enum MHD_Result misbehave(http_line_t *self, struct MHD_Connection *connection,
                                 sim_fault_t fault) {
    static char garbage[] = "\x1f\x8b{\"assets\": [[[[ \xff\xfe not JSON";
    if (fault == SIM_FAULT_ERROR) {
        return respond_text(connection, 500, "{\"error\":\"injected\"}");
    }
    if (fault == SIM_FAULT_GARBAGE) {
        return respond(connection, 200, garbage, sizeof garbage - 1, MHD_RESPMEM_PERSISTENT);
    }
    if (fault == SIM_FAULT_HUGE) {
        char *huge = wl_alloc(HUGE_BYTES);
        memset(huge, ' ', HUGE_BYTES);
        return respond(connection, 200, huge, HUGE_BYTES, MHD_RESPMEM_MUST_FREE);
    }
    sim_hold(self->sim, self->line, 0); /* HANG: until the fault is taken back */
    return MHD_NO;
}

static enum MHD_Result serve(http_line_t *self, struct MHD_Connection *connection, const char *path,
                             const upload_t *upload) {
    if (self->sim->secret != NULL && !signature_good(self, connection, path, upload)) {
        (void)pthread_mutex_lock(&self->sim->lock);
        self->line->unsigned_calls++;
        (void)pthread_mutex_unlock(&self->sim->lock);
        return respond_text(connection, 401, "{\"error\":\"signature\"}");
    }
    json_t *request = json_loadb(upload->bytes, upload->count, 0, NULL);
    const json_t *uids = json_object_get(request, "uids");
    if (!json_is_array(uids)) {
        json_decref(request);
        return respond_text(connection, 400, "{\"error\":\"uids\"}");
    }
    sim_fault_t fault = sim_call_begin(self->sim, self->line, json_array_size(uids));
    enum MHD_Result result = MHD_NO;
    uint32_t wait_ms = self->sim->latency_ms + (fault == SIM_FAULT_SLOW ? SLOW_MS : 0);
    if (wait_ms > 0) {
        sim_hold(self->sim, self->line, wait_ms);
    }
    if (fault == SIM_FAULT_HANG || fault == SIM_FAULT_ERROR || fault == SIM_FAULT_GARBAGE ||
        fault == SIM_FAULT_HUGE) {
        result = misbehave(self, connection, fault);
    } else {
        char *text = answer_text(self, uids, fault);
        result = respond(connection, 200, text, strlen(text), MHD_RESPMEM_MUST_FREE);
    }
    sim_call_end(self->sim, self->line);
    json_decref(request);
    return result;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *bytes,
                                  size_t *count, void **state) {
    (void)version;
    upload_t *upload = *state;
    if (upload == NULL) {
        *state = wl_alloc_zero(1, sizeof *upload);
        return MHD_YES;
    }
    if (*count > 0) {
        if (upload->count + *count > BODY_MAX) {
            return MHD_NO;
        }
        upload->bytes = wl_realloc(upload->bytes, upload->count + *count);
        memcpy(upload->bytes + upload->count, bytes, *count);
        upload->count += *count;
        *count = 0;
        return MHD_YES;
    }
    if (strcmp(method, "POST") != 0) {
        return respond_text(connection, 405, "{\"error\":\"POST\"}");
    }
    return serve(arg, connection, path, upload);
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code) {
    (void)arg;
    (void)connection;
    (void)code;
    upload_t *upload = *state;
    if (upload != NULL) {
        wl_free(upload->bytes);
        wl_free(upload);
    }
}

wl_err_t http_line_open(sim_t *sim, sim_line_t *line, http_line_t **ret) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(line->http_port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    http_line_t *self = wl_alloc_zero(1, sizeof *self);
    self->sim = sim;
    self->line = line;
    self->daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION, line->http_port, NULL,
        NULL, on_request, self, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS,
        MHD_OPTION_CONNECTION_TIMEOUT, 60, MHD_OPTION_END);
    if (self->daemon == NULL) {
        wl_free(self);
        return WL_ERR_BIND;
    }
    *ret = self;
    return WL_OK;
}

void http_line_close(http_line_t **pointer) {
    http_line_t *self = *pointer;
    if (self != NULL) {
        MHD_stop_daemon(self->daemon);
        wl_free(self);
        *pointer = NULL;
    }
}
