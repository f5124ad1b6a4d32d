#include "http_fault.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { HUGE_BYTES = 100000000, TICK_MS = 50 };

/* A body that leaves in pieces. */
typedef struct {
    sim_t *sim;
    sim_call_t call;
    struct MHD_Connection *connection;
    char *text; /* owned */
    size_t bytes;
} pieces_t;

int http_connection_fd(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info == NULL ? -1 : info->connect_fd;
}

static bool plan_stands(sim_t *sim, const sim_call_t *call, bool any_plan) {
    (void)pthread_mutex_lock(&sim->lock);
    bool stands = !sim->ending && (any_plan || call->line->plan_number == call->plan_number);
    (void)pthread_mutex_unlock(&sim->lock);
    return stands;
}

bool http_fault_hold(sim_t *sim, const sim_call_t *call, struct MHD_Connection *connection,
                     int64_t ms) {
    struct pollfd look = {.fd = http_connection_fd(connection), .events = POLLRDHUP};
    int64_t end_ms = wl_mono_now().ms + ms;
    while (plan_stands(sim, call, ms >= 0)) {
        int64_t left_ms = ms < 0 ? TICK_MS : end_ms - wl_mono_now().ms;
        if (left_ms <= 0) {
            break;
        }
        if (poll(&look, 1, left_ms < TICK_MS ? (int)left_ms : TICK_MS) > 0) {
            return false;
        }
    }
    return true;
}

static enum MHD_Result respond(struct MHD_Connection *connection, unsigned status, void *bytes,
                               size_t count, const char *retry_after) {
    struct MHD_Response *response =
        MHD_create_response_from_buffer(count, bytes, MHD_RESPMEM_MUST_FREE);
    (void)MHD_add_response_header(response, "Content-Type", "application/json");
    if (retry_after != NULL) {
        (void)MHD_add_response_header(response, "Retry-After", retry_after);
    }
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

enum MHD_Result http_respond(struct MHD_Connection *connection, unsigned status, char *text) {
    return respond(connection, status, text, strlen(text), NULL);
}

static enum MHD_Result respond_error(struct MHD_Connection *connection, unsigned status,
                                     const char *retry_after) {
    char *text = wl_strdup("{\"error\":\"injected\"}");
    return respond(connection, status, text, strlen(text), retry_after);
}

/* connect() to nowhere takes a socket back to its beginning: the other side gets RST. */
static enum MHD_Result reset(struct MHD_Connection *connection) {
    struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    (void)connect(http_connection_fd(connection), &nowhere, sizeof nowhere);
    return MHD_NO;
}

/* One byte, then a pause. */
static ssize_t on_drip(void *arg, uint64_t at, char *into, size_t room) {
    pieces_t *self = arg;
    if (at == self->bytes || room == 0) {
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    if (!http_fault_hold(self->sim, &self->call, self->connection, self->call.ms)) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (!plan_stands(self->sim, &self->call, true)) {
        return MHD_CONTENT_READER_END_WITH_ERROR; /* linesim ends */
    }
    size_t left = self->bytes - (size_t)at;
    size_t count = plan_stands(self->sim, &self->call, false) ? 1 : left; /* healed: the rest */
    count = count < room ? count : room;
    memcpy(into, self->text + at, count);
    return (ssize_t)count;
}

static ssize_t on_truncated(void *arg, uint64_t at, char *into, size_t room) {
    const pieces_t *self = arg;
    size_t left = self->bytes / 2 - (size_t)at;
    if (left == 0) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    size_t count = left < room ? left : room;
    memcpy(into, self->text + at, count);
    return (ssize_t)count;
}

static void pieces_free(void *arg) {
    pieces_t *self = arg;
    if (self->call.fault == SIM_FAULT_DRIP) {
        sim_call_end(self->sim, &self->call);
    }
    wl_free(self->text);
    wl_free(self);
}

static enum MHD_Result respond_pieces(sim_t *sim, const sim_call_t *call,
                                      struct MHD_Connection *connection, char *text) {
    pieces_t *pieces = wl_alloc_zero(1, sizeof *pieces);
    *pieces = (pieces_t){
        .sim = sim, .call = *call, .connection = connection, .text = text, .bytes = strlen(text)};
    bool drip = call->fault == SIM_FAULT_DRIP;
    struct MHD_Response *response = MHD_create_response_from_callback(
        pieces->bytes, 4096, drip ? on_drip : on_truncated, pieces, pieces_free);
    (void)MHD_add_response_header(response, "Content-Type", "application/json");
    enum MHD_Result result = MHD_queue_response(connection, 200, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result respond_garbage(struct MHD_Connection *connection) {
    static const char garbage[] = "\x1f\x8b{\"assets\": [[[[ \xff\xfe not JSON";
    char *bytes = wl_alloc(sizeof garbage);
    memcpy(bytes, garbage, sizeof garbage);
    return respond(connection, 200, bytes, sizeof garbage - 1, NULL);
}

/* Blanks as long as somebody takes them: nobody has to hold them all. */
static ssize_t on_huge(void *arg, uint64_t at, char *into, size_t room) {
    (void)arg;
    (void)at;
    memset(into, ' ', room);
    return (ssize_t)room;
}

static enum MHD_Result respond_huge(struct MHD_Connection *connection) {
    struct MHD_Response *response =
        MHD_create_response_from_callback(HUGE_BYTES, 32768, on_huge, NULL, NULL);
    (void)MHD_add_response_header(response, "Content-Type", "application/json");
    enum MHD_Result result = MHD_queue_response(connection, 200, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result respond_busy(struct MHD_Connection *connection, int64_t ms) {
    char seconds[24];
    (void)snprintf(seconds, sizeof seconds, "%" PRId64, ms / 1000);
    return respond_error(connection, 429, seconds);
}

static enum MHD_Result stay_silent(sim_t *sim, const sim_call_t *call,
                                   struct MHD_Connection *connection) {
    bool there = http_fault_hold(sim, call, connection, -1);
    return there && call->fault == SIM_FAULT_HALF_OPEN ? reset(connection) : MHD_NO;
}

enum MHD_Result http_fault_answer(sim_t *sim, const sim_call_t *call,
                                  struct MHD_Connection *connection, char *text) {
    sim_fault_t fault = call->fault;
    if (fault == SIM_FAULT_DRIP) {
        return respond_pieces(sim, call, connection, text); /* ends the call itself */
    }
    if (fault == SIM_FAULT_HANG || fault == SIM_FAULT_HALF_OPEN) {
        wl_free(text);
        enum MHD_Result result = stay_silent(sim, call, connection);
        sim_call_end(sim, call);
        return result;
    }
    sim_call_end(sim, call);
    if (fault == SIM_FAULT_TRUNCATED) {
        return respond_pieces(sim, call, connection, text);
    }
    enum MHD_Result result = MHD_NO;
    if (fault == SIM_FAULT_RST) {
        result = reset(connection);
    } else if (fault == SIM_FAULT_ERROR) {
        result = respond_error(connection, 500, NULL);
    } else if (fault == SIM_FAULT_UNAVAILABLE) {
        result = respond_error(connection, 503, NULL);
    } else if (fault == SIM_FAULT_BUSY) {
        result = respond_busy(connection, call->ms);
    } else if (fault == SIM_FAULT_GARBAGE) {
        result = respond_garbage(connection);
    } else if (fault == SIM_FAULT_HUGE) {
        result = respond_huge(connection);
    } else {
        return http_respond(connection, 200, text);
    }
    wl_free(text);
    return result;
}
