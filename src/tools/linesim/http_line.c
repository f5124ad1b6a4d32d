#include "http_line.h"

#include "asset_json.h"
#include "base/alloc.h"
#include "details_json.h"
#include "http_fault.h"
#include "lines/sign.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

enum {
    BODY_MAX = 1 << 20,
    CONNECTIONS = 256,
};

struct http_line {
    sim_t *sim;                /* borrowed */
    sim_line_t *line;          /* borrowed */
    struct MHD_Daemon *daemon; /* owned */
};

/* One request as it arrives. */
typedef struct {
    char *uri; /* owned, as it was sent */
    bool begun;
    char *bytes; /* owned, of the body */
    size_t count;
} request_t;

static enum MHD_Result respond_text(struct MHD_Connection *connection, unsigned status,
                                    const char *text) {
    return http_respond(connection, status, wl_strdup(text));
}

static const char *header(struct MHD_Connection *connection, const char *name) {
    const char *value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
    return value == NULL ? "" : value;
}

static const char *argument(struct MHD_Connection *connection, const char *name) {
    const char *value = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, name);
    return value == NULL ? "" : value;
}

static bool signature_good(const http_line_t *self, struct MHD_Connection *connection,
                           const char *method, const char *path, const request_t *request) {
    const char *query = strchr(request->uri, '?');
    const char *id = self->line->id;
    const char *truth = self->sim->lines[self->line->truth].id;
    const char *line = header(connection, "X-Wallet-Line");
    char expected[65];
    wl_sign_request_t sign = {
        .method = method,
        .path = path,
        .query = query == NULL ? "" : query + 1,
        .time = header(connection, "X-Wallet-Time"),
        .nonce = header(connection, "X-Wallet-Nonce"),
        .body = request->bytes,
        .body_bytes = request->count,
    };
    wl_sign(self->sim->secret, strlen(self->sim->secret), &sign, expected);
    return strcmp(expected, header(connection, "X-Wallet-Signature")) == 0 &&
           (strcmp(id, line) == 0 || strcmp(truth, line) == 0) &&
           sim_call_in_time(self->sim, self->line, sign.time);
}

/* The answer about the users; the caller frees the text. */
static char *assets_text(const http_line_t *self, const sim_call_t *call, const uint64_t *uids,
                         size_t count) {
    json_t *list = json_array();
    (void)pthread_mutex_lock(&self->sim->lock);
    for (size_t i = 0; i < count && call->fault != SIM_FAULT_EMPTY; i++) {
        wl_asset_t asset;
        if (sim_asset(self->sim, self->line, uids[i], &asset)) {
            sim_call_twist(call, &asset);
            (void)json_array_append_new(list, self->line->foreign
                                                  ? asset_json_foreign(&asset)
                                                  : asset_json_standard(&asset, call->fault));
        }
    }
    (void)pthread_mutex_unlock(&self->sim->lock);
    json_t *document = self->line->foreign ? json_pack("{s:{s:o}}", "data", "list", list)
                                           : json_pack("{s:o}", "assets", list);
    char *text = json_dumps(document, JSON_COMPACT);
    json_decref(document);
    return text;
}

/* Calls wait first: the latency of the line, and its slowness. false: the caller has hung up. */
static bool wait_first(http_line_t *self, const sim_call_t *call,
                       struct MHD_Connection *connection) {
    int64_t ms = self->sim->latency_ms + (call->fault == SIM_FAULT_SLOW ? call->ms : 0);
    return ms == 0 || http_fault_hold(self->sim, call, connection, ms);
}

static enum MHD_Result serve_uids(http_line_t *self, struct MHD_Connection *connection,
                                  const json_t *uids) {
    size_t count = json_array_size(uids);
    WL_AUTO_FREE uint64_t *numbers = wl_alloc_zero(count + 1, sizeof *numbers);
    for (size_t i = 0; i < count; i++) {
        const json_t *uid = json_array_get(uids, i);
        numbers[i] = json_is_string(uid) ? strtoull(json_string_value(uid), NULL, 10)
                                         : (uint64_t)json_integer_value(uid);
    }
    sim_asked_t asked = {.what = SIM_ASSETS,
                         .uids = numbers,
                         .uid_count = count,
                         .fd = http_connection_fd(connection)};
    sim_call_t call = sim_call_begin(self->sim, self->line, &asked);
    if (!wait_first(self, &call, connection)) {
        sim_call_end(self->sim, &call);
        return MHD_NO;
    }
    return http_fault_answer(self->sim, &call, connection,
                             assets_text(self, &call, numbers, count));
}

static enum MHD_Result serve_assets(http_line_t *self, struct MHD_Connection *connection,
                                    const request_t *request) {
    json_t *document = json_loadb(request->bytes, request->count, 0, NULL);
    const json_t *uids = json_object_get(document, "uids");
    enum MHD_Result result = json_is_array(uids)
                                 ? serve_uids(self, connection, uids)
                                 : respond_text(connection, 400, "{\"error\":\"uids\"}");
    json_decref(document);
    return result;
}

/* uid, month, cursor and limit of the query. false: they cannot be used. */
static bool question_read(struct MHD_Connection *connection, question_t *ret) {
    const char *uid = argument(connection, "uid");
    const char *month = argument(connection, "month");
    const char *cursor = argument(connection, "cursor");
    const char *limit = argument(connection, "limit");
    char *uid_end = NULL;
    char *limit_end = NULL;
    ret->uid = strtoull(uid, &uid_end, 10);
    unsigned long most = strtoul(limit, &limit_end, 10);
    ret->limit = most > DETAILS_PAGE_MAX ? DETAILS_PAGE_MAX : (uint32_t)most;
    if (ret->uid == 0 || *uid_end != '\0' || *limit_end != '\0' ||
        (limit[0] != '\0' && most == 0) || strlen(month) > QUESTION_MONTH_MAX ||
        strlen(cursor) > QUESTION_CURSOR_MAX) {
        return false;
    }
    memcpy(ret->month, month, strlen(month) + 1);
    memcpy(ret->cursor, cursor, strlen(cursor) + 1);
    return true;
}

static enum MHD_Result serve_question(http_line_t *self, struct MHD_Connection *connection,
                                      sim_what_t what) {
    question_t question = {.what = what};
    if (!question_read(connection, &question)) {
        return respond_text(connection, 400, "{\"error\":\"uid or limit\"}");
    }
    sim_asked_t asked = {
        .what = what, .uids = &question.uid, .uid_count = 1, .fd = http_connection_fd(connection)};
    sim_call_t call = sim_call_begin(self->sim, self->line, &asked);
    json_t *document = NULL;
    wl_err_t err = WL_ERR_UNAVAILABLE;
    bool there = wait_first(self, &call, connection);
    if (there) {
        err = details_answer(self->sim, &call, &question, &document);
    }
    if (err == WL_OK) {
        char *text = json_dumps(document, JSON_COMPACT);
        json_decref(document);
        return http_fault_answer(self->sim, &call, connection, text);
    }
    sim_call_end(self->sim, &call);
    if (!there) {
        return MHD_NO;
    }
    return err == WL_ERR_NOT_FOUND
               ? respond_text(connection, 404, "{\"error\":\"not offered\"}")
               : respond_text(connection, 400, "{\"error\":\"month or cursor\"}");
}

static enum MHD_Result serve(http_line_t *self, struct MHD_Connection *connection,
                             const char *method, const char *path, const request_t *request) {
    if (self->sim->secret != NULL && !signature_good(self, connection, method, path, request)) {
        (void)pthread_mutex_lock(&self->sim->lock);
        self->line->calls.unsigned_calls++;
        (void)pthread_mutex_unlock(&self->sim->lock);
        return respond_text(connection, 401, "{\"error\":\"signature\"}");
    }
    if (strcmp(method, "POST") == 0) {
        return serve_assets(self, connection, request);
    }
    if (strcmp(method, "GET") == 0 && strcmp(path, "/details") == 0) {
        return serve_question(self, connection, SIM_DETAILS);
    }
    if (strcmp(method, "GET") == 0 && strcmp(path, "/summary") == 0) {
        return serve_question(self, connection, SIM_SUMMARY);
    }
    return respond_text(connection, 404, "{\"error\":\"no such path\"}");
}

/* Called first, with the address as it was sent: what it returns is the request's from now on. */
static void *on_uri(void *arg, const char *uri, struct MHD_Connection *connection) {
    (void)arg;
    (void)connection;
    request_t *request = wl_alloc_zero(1, sizeof *request);
    request->uri = wl_strdup(uri);
    return request;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *bytes,
                                  size_t *count, void **state) {
    (void)version;
    request_t *request = *state;
    if (!request->begun) {
        request->begun = true;
        return MHD_YES;
    }
    if (*count > 0) {
        if (request->count + *count > BODY_MAX) {
            return MHD_NO;
        }
        request->bytes = wl_realloc(request->bytes, request->count + *count);
        memcpy(request->bytes + request->count, bytes, *count);
        request->count += *count;
        *count = 0;
        return MHD_YES;
    }
    return serve(arg, connection, method, path, request);
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code) {
    (void)arg;
    (void)connection;
    (void)code;
    request_t *request = *state;
    if (request != NULL) {
        wl_free(request->uri);
        wl_free(request->bytes);
        wl_free(request);
        *state = NULL;
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
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_URI_LOG_CALLBACK, on_uri, NULL,
        MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, 60,
        MHD_OPTION_END);
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
