/* libcurl tells which sockets it waits for and when it wants to be woken:
 *
 *     curl multi --socket_changed--> epoll <--timer_changed-- curl multi
 *                                      |
 *                             one poller on the zloop
 *                                      |
 *                     on_ready: curl_multi_socket_action, then finished transfers
 *
 * The epoll between curl and zloop is there because zloop ends its pass and builds its table anew
 * whenever a poller or timer comes or goes, and curl does that several times a call. This way the
 * loop sees one descriptor for ever. */
#include "lines/http_caller.h"

#include "base/alloc.h"
#include "base/check.h"
#include "lines/address.h"
#include "lines/http_request.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    EVENTS_PER_TURN = 64,     /* sockets served per wake-up, so that other readers get a turn */
    CONNECTIONS_KEPT = 256,   /* idle ones, for reuse */
    BODY_BYTES_MIN = 4096,    /* first piece of an answer's buffer */
    RETRY_AFTER_S_MAX = 3600, /* longer is a mistake of the line */
    NS_PER_MS = 1000000,
};

typedef struct {
    wl_call_t *call;           /* owned until ended() */
    CURL *easy;                /* owned */
    wl_http_request_t request; /* owned; curl borrows it */
    char *body;                /* owned, the answer so far */
    size_t body_bytes;
    size_t body_capacity;
    bool too_big;                /* longer than the line's response_bytes_max */
    bool address_refused;        /* the host has no address that we connect to */
    char error[CURL_ERROR_SIZE]; /* curl's own words */
} transfer_t;

struct wl_http_caller {
    zloop_t *loop; /* borrowed */
    wl_call_end_fn ended;
    void *arg;                           /* of ended */
    CURLM *multi;                        /* owned */
    int epoll;                           /* owned; what curl waits for */
    int timer;                           /* owned, in epoll; when curl wants to be woken */
    transfer_t *transfers[WL_CALLS_MAX]; /* owned, by the slot of the call */
};

/* One transfer. */

static void transfer_destroy(transfer_t **pointer) {
    transfer_t *self = *pointer;
    curl_easy_cleanup(self->easy);
    wl_http_request_close(&self->request);
    wl_call_destroy(&self->call);
    wl_free(self->body);
    wl_free(self);
    *pointer = NULL;
}

static long transfer_status(const transfer_t *self) {
    long status = 0;
    (void)curl_easy_getinfo(self->easy, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* Only what may become an answer is kept; returning less than was given ends the transfer. */
static size_t on_body(char *bytes, size_t size, size_t count, void *arg) {
    transfer_t *self = arg;
    size_t fresh = size * count;
    size_t most = self->call->line.response_bytes_max;
    if (transfer_status(self) != 200) {
        return 0;
    }
    if (fresh > most - self->body_bytes) {
        self->too_big = true;
        return 0;
    }
    if (self->body_bytes + fresh > self->body_capacity) {
        size_t capacity = self->body_capacity == 0 ? BODY_BYTES_MIN : self->body_capacity;
        while (capacity < self->body_bytes + fresh) {
            capacity *= 2;
        }
        self->body = wl_realloc(self->body, capacity);
        self->body_capacity = capacity;
    }
    memcpy(self->body + self->body_bytes, bytes, fresh);
    self->body_bytes += fresh;
    return fresh;
}

/* The last gate, behind the resolver: a name may lead to an address that the URL did not show. */
static curl_socket_t on_open_socket(void *arg, curlsocktype purpose,
                                    struct curl_sockaddr *address) {
    transfer_t *self = arg;
    (void)purpose;
    if (!wl_address_allowed(&address->addr)) {
        self->address_refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static void transfer_set_limits(transfer_t *self) {
    const wl_line_t *line = &self->call->line;
    long timeout_ms = (long)line->timeout_ms;
    (void)curl_easy_setopt(self->easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(self->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(self->easy, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(self->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(self->easy, CURLOPT_PROXY, ""); /* whatever the environment says */
    (void)curl_easy_setopt(self->easy, CURLOPT_TIMEOUT_MS, timeout_ms);
    (void)curl_easy_setopt(self->easy, CURLOPT_CONNECTTIMEOUT_MS,
                           timeout_ms > 1 ? timeout_ms / 2 : 1L);
    (void)curl_easy_setopt(self->easy, CURLOPT_MAXFILESIZE_LARGE,
                           (curl_off_t)line->response_bytes_max);
    (void)curl_easy_setopt(self->easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    (void)curl_easy_setopt(self->easy, CURLOPT_OPENSOCKETDATA, self);
}

static void transfer_set_request(transfer_t *self) {
    (void)curl_easy_setopt(self->easy, CURLOPT_PRIVATE, self);
    (void)curl_easy_setopt(self->easy, CURLOPT_ERRORBUFFER, self->error);
    (void)curl_easy_setopt(self->easy, CURLOPT_URL, self->request.url);
    (void)curl_easy_setopt(self->easy, CURLOPT_HTTPHEADER, self->request.headers);
    if (self->request.body != NULL) { /* else GET */
        (void)curl_easy_setopt(self->easy, CURLOPT_POST, 1L);
        (void)curl_easy_setopt(self->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                               (curl_off_t)self->request.body_bytes);
        (void)curl_easy_setopt(self->easy, CURLOPT_POSTFIELDS, self->request.body);
    }
    (void)curl_easy_setopt(self->easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(self->easy, CURLOPT_WRITEDATA, self);
}

/* How a transfer ended. */

static int64_t retry_after_ms(const transfer_t *self) {
    curl_off_t seconds = 0; /* curl reads both forms, seconds and date */
    (void)curl_easy_getinfo(self->easy, CURLINFO_RETRY_AFTER, &seconds);
    seconds = seconds < 0 ? 0 : seconds;
    return 1000 * (int64_t)(seconds < RETRY_AFTER_S_MAX ? seconds : RETRY_AFTER_S_MAX);
}

/* Curl's own words, or what we know better. */
static void end_reason(const transfer_t *self, CURLcode code, wl_call_end_t *end) {
    if (self->address_refused && code == CURLE_COULDNT_CONNECT) {
        (void)snprintf(end->reason, sizeof end->reason, "the address is not one to connect to");
        return;
    }
    (void)snprintf(end->reason, sizeof end->reason, "%.95s",
                   self->error[0] != '\0' ? self->error : curl_easy_strerror(code));
    for (char *letter = end->reason; *letter != '\0'; letter++) {
        if (*letter < ' ' || *letter > '~') {
            *letter = '?';
        }
    }
}

static wl_call_end_t transfer_end(const transfer_t *self, CURLcode code) {
    wl_call_end_t end = {.err = WL_ERR_UNAVAILABLE, .http_status = (int)transfer_status(self)};
    bool too_big = self->too_big || code == CURLE_FILESIZE_EXCEEDED;
    if (code == CURLE_OPERATION_TIMEDOUT) {
        end.err = WL_ERR_DEADLINE;
        (void)snprintf(end.reason, sizeof end.reason, "no answer within %u ms",
                       (unsigned)self->call->line.timeout_ms);
    } else if (end.http_status != 0 && end.http_status != 200) {
        bool page = self->call->kind != WL_CALL_ASSETS;
        end.err = page && end.http_status == 404 ? WL_ERR_NOT_FOUND : WL_ERR_UNAVAILABLE;
        end.retry_after_ms = retry_after_ms(self);
        (void)snprintf(end.reason, sizeof end.reason, "HTTP %d", end.http_status);
    } else if (too_big) {
        end.err = WL_ERR_TOO_BIG;
        (void)snprintf(end.reason, sizeof end.reason, "the answer is longer than %u bytes",
                       (unsigned)self->call->line.response_bytes_max);
    } else if (code != CURLE_OK || end.http_status != 200) {
        end_reason(self, code, &end);
    } else {
        end.err = WL_OK;
        end.body = self->body_bytes > 0 ? self->body : "";
        end.body_bytes = self->body_bytes;
    }
    return end;
}

/* Finished transfers leave before ended() is called, which may start the next one. */
static void transfers_finish(wl_http_caller_t *self) {
    int left = 0;
    for (CURLMsg *message = curl_multi_info_read(self->multi, &left); message != NULL;
         message = curl_multi_info_read(self->multi, &left)) {
        transfer_t *transfer = NULL;
        CURLcode code = message->data.result;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        WL_ASSERT(transfer != NULL && message->msg == CURLMSG_DONE);
        (void)curl_multi_remove_handle(self->multi, transfer->easy);
        self->transfers[transfer->call->slot] = NULL;
        wl_call_end_t end = transfer_end(transfer, code);
        self->ended(transfer->call, &end, self->arg);
        transfer_destroy(&transfer);
    }
}

/* Curl's sockets and timer. */

static int on_socket_changed(CURL *easy, curl_socket_t socket, int what, void *arg,
                             void *of_socket) {
    wl_http_caller_t *self = arg;
    (void)easy;
    (void)of_socket;
    if (what == CURL_POLL_REMOVE) {
        (void)epoll_ctl(self->epoll, EPOLL_CTL_DEL, socket, NULL);
        return 0;
    }
    struct epoll_event event = {.data.fd = socket};
    event.events = (what != CURL_POLL_OUT ? EPOLLIN : 0u) | (what != CURL_POLL_IN ? EPOLLOUT : 0u);
    if (epoll_ctl(self->epoll, EPOLL_CTL_MOD, socket, &event) == -1) {
        int rc = epoll_ctl(self->epoll, EPOLL_CTL_ADD, socket, &event);
        return rc == 0 ? 0 : -1; /* no memory in the kernel: curl fails the transfers */
    }
    return 0;
}

static int on_timer_changed(CURLM *multi, long timeout_ms, void *arg) {
    wl_http_caller_t *self = arg;
    (void)multi;
    struct itimerspec when = {{0, 0}, {0, 0}}; /* zero turns it off */
    if (timeout_ms >= 0) {
        when.it_value.tv_sec = timeout_ms / 1000;
        when.it_value.tv_nsec = timeout_ms == 0 ? 1 : timeout_ms % 1000 * NS_PER_MS;
    }
    int rc = timerfd_settime(self->timer, 0, &when, NULL);
    WL_ASSERT(rc == 0);
    return 0;
}

static void serve(wl_http_caller_t *self, const struct epoll_event *event) {
    int running = 0;
    if (event->data.fd == self->timer) {
        uint64_t expirations = 0;
        if (read(self->timer, &expirations, sizeof expirations) == sizeof expirations) {
            (void)curl_multi_socket_action(self->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        }
        return;
    }
    bool broken = (event->events & (EPOLLERR | EPOLLHUP)) != 0;
    int what = ((event->events & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0) |
               ((event->events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
               (broken ? CURL_CSELECT_ERR : 0);
    (void)curl_multi_socket_action(self->multi, event->data.fd, what, &running);
}

static int on_ready(zloop_t *loop, zmq_pollitem_t *item, void *arg) {
    (void)loop;
    (void)item;
    wl_http_caller_t *self = arg;
    struct epoll_event events[EVENTS_PER_TURN];
    int count = epoll_wait(self->epoll, events, EVENTS_PER_TURN, 0);
    for (int i = 0; i < count; i++) {
        serve(self, &events[i]);
    }
    transfers_finish(self);
    return 0;
}

/* Life. */

static void curl_start(void) {
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void multi_open(wl_http_caller_t *self) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, curl_start); /* counted by curl: main may do it as well */
    self->multi = curl_multi_init();
    WL_ASSERT(self->multi != NULL);
    (void)curl_multi_setopt(self->multi, CURLMOPT_SOCKETFUNCTION, on_socket_changed);
    (void)curl_multi_setopt(self->multi, CURLMOPT_SOCKETDATA, self);
    (void)curl_multi_setopt(self->multi, CURLMOPT_TIMERFUNCTION, on_timer_changed);
    (void)curl_multi_setopt(self->multi, CURLMOPT_TIMERDATA, self);
    (void)curl_multi_setopt(self->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
}

wl_http_caller_t *wl_http_caller_new(zloop_t *loop, wl_call_end_fn ended, void *arg) {
    wl_http_caller_t *self = wl_alloc_zero(1, sizeof *self);
    self->loop = loop;
    self->ended = ended;
    self->arg = arg;
    self->epoll = epoll_create1(EPOLL_CLOEXEC);
    self->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    WL_ASSERT(self->epoll != -1 && self->timer != -1);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = self->timer};
    int rc = epoll_ctl(self->epoll, EPOLL_CTL_ADD, self->timer, &event);
    WL_ASSERT(rc == 0);
    multi_open(self);
    zmq_pollitem_t item = {.fd = self->epoll, .events = ZMQ_POLLIN};
    rc = zloop_poller(loop, &item, on_ready, self);
    WL_ASSERT(rc == 0);
    return self;
}

wl_err_t wl_http_caller_start(wl_http_caller_t *self, wl_call_t *call, wl_call_key_t key) {
    WL_ASSERT(self->transfers[call->slot] == NULL);
    wl_http_request_t request;
    wl_err_t err = wl_http_request_open(&request, call, key);
    if (err != WL_OK) {
        return err;
    }
    transfer_t *transfer = wl_alloc_zero(1, sizeof *transfer);
    transfer->call = call;
    transfer->request = request;
    transfer->easy = curl_easy_init();
    WL_ASSERT(transfer->easy != NULL);
    transfer_set_limits(transfer);
    transfer_set_request(transfer);
    self->transfers[call->slot] = transfer;
    CURLMcode code = curl_multi_add_handle(self->multi, transfer->easy);
    WL_ASSERT(code == CURLM_OK); /* starts nothing yet: curl asks for a timer of 0 ms */
    return WL_OK;
}

void wl_http_caller_cancel(wl_http_caller_t *self, const wl_call_t *call) {
    transfer_t **transfer = &self->transfers[call->slot];
    WL_ASSERT(*transfer != NULL && (*transfer)->call == call);
    (void)curl_multi_remove_handle(self->multi, (*transfer)->easy);
    transfer_destroy(transfer); /* also when it has finished, but was not read yet */
}

void wl_http_caller_destroy(wl_http_caller_t **pointer) {
    wl_http_caller_t *self = pointer == NULL ? NULL : *pointer;
    if (self == NULL) {
        return;
    }
    for (uint32_t i = 0; i < WL_CALLS_MAX; i++) {
        if (self->transfers[i] != NULL) {
            (void)curl_multi_remove_handle(self->multi, self->transfers[i]->easy);
            transfer_destroy(&self->transfers[i]);
        }
    }
    (void)curl_multi_cleanup(self->multi);
    zmq_pollitem_t item = {.fd = self->epoll, .events = ZMQ_POLLIN};
    zloop_poller_end(self->loop, &item);
    (void)close(self->timer);
    (void)close(self->epoll);
    wl_free(self);
    *pointer = NULL;
}
