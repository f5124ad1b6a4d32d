#include "tools/walletctl/line_ask.h"

#include "base/alloc.h"
#include "base/check.h"

#include <string.h>

enum { LOOK_MS = 5, PAGE_ITEMS = 20, HTTP_TOO_MANY = 429, HTTP_SERVER_ERROR = 500 };

typedef struct {
    ctl_line_answer_t *answer; /* borrowed */
    bool ended;
} wait_t;

void ctl_line_answer_release(ctl_line_answer_t *self) {
    wl_free(self->body);
    wl_free(self->page);
    *self = (ctl_line_answer_t){.err = WL_OK};
}

static void *copy_of(const void *bytes, size_t count) {
    char *copy = bytes == NULL ? NULL : wl_alloc(count + 1);
    if (copy != NULL) {
        memcpy(copy, bytes, count);
        copy[count] = '\0';
    }
    return copy;
}

/* A line that is away may come back by itself; one that refuses us will not. */
static ctl_line_outcome_t outcome_of(const wl_answer_t *answer) {
    bool answered = answer->err == WL_OK || answer->body != NULL || answer->err == WL_ERR_TOO_BIG;
    bool status = answer->http_status != 0 && answer->http_status != 200;
    bool error = strncmp(answer->reason, "error ", 6) == 0; /* of a ZeroMQ line */
    bool later = answer->retry_after_ms > 0 || answer->http_status == HTTP_TOO_MANY ||
                 answer->http_status >= HTTP_SERVER_ERROR ||
                 (error && (strcmp(answer->reason + 6, "busy") == 0 ||
                            strcmp(answer->reason + 6, "unavailable") == 0));
    if (answered) {
        return CTL_LINE_ANSWERED;
    }
    return (status || error) && !later ? CTL_LINE_REFUSED : CTL_LINE_AWAY;
}

static void on_answer(const wl_answer_t *answer, void *arg) {
    wait_t *wait = arg;
    ctl_line_answer_t *into = wait->answer;
    *into = (ctl_line_answer_t){
        .outcome = outcome_of(answer),
        .err = answer->err,
        .http_status = answer->http_status,
        .retry_after_ms = answer->retry_after_ms,
        .elapsed_ms = answer->elapsed_ms,
        .body = copy_of(answer->body, answer->body_bytes),
        .body_bytes = answer->body_bytes,
        .page = copy_of(answer->page, answer->page_bytes),
        .page_bytes = answer->page_bytes,
    };
    memcpy(into->reason, answer->reason, sizeof into->reason);
    wait->ended = true;
}

/* Ends the loop: answers come without a way to do so. */
static int on_look(zloop_t *loop, int timer, void *arg) {
    (void)loop;
    (void)timer;
    const wait_t *wait = arg;
    return wait->ended ? -1 : 0;
}

static void wait_for(zloop_t *loop, wait_t *wait) {
    int timer = zloop_timer(loop, LOOK_MS, 0, on_look, wait);
    WL_ASSERT(timer != -1);
    while (!wait->ended) {
        (void)zloop_start(loop); /* ends early when the program was stopped and goes on */
    }
}

wl_err_t ctl_line_ask(const wl_line_t *line, const char *secrets, const uint64_t *uids,
                      uint32_t uid_count, uint32_t url_index, ctl_line_answer_t *ret) {
    wait_t wait = {.answer = ret};
    zloop_t *loop = zloop_new();
    wl_caller_t *caller = wl_caller_new(loop, secrets, on_answer, &wait);
    *ret = (ctl_line_answer_t){.err = WL_OK};
    wl_err_t err = wl_caller_ask(caller, line, uids, uid_count, 1, wl_wall_now(), url_index);
    if (err == WL_OK) {
        wait_for(loop, &wait);
    }
    wl_caller_destroy(&caller);
    zloop_destroy(&loop);
    return err;
}

wl_err_t ctl_line_page(const wl_line_t *line, const char *secrets, wl_page_kind_t kind,
                       uint64_t uid, ctl_line_answer_t *ret) {
    wait_t wait = {.answer = ret};
    zloop_t *loop = zloop_new();
    wl_caller_t *caller = wl_caller_new(loop, secrets, on_answer, &wait);
    wl_page_ask_t ask = {.kind = kind, .uid = uid, .limit = PAGE_ITEMS};
    *ret = (ctl_line_answer_t){.err = WL_OK};
    wl_err_t err = wl_caller_page(caller, line, &ask, 1);
    if (err == WL_OK) {
        wait_for(loop, &wait);
    }
    wl_caller_destroy(&caller);
    zloop_destroy(&loop);
    return err;
}
