/* truth.h: what the lines of the soak hold, shared by its threads. A value is a pure function of
 * (line, user, version), so every value that anybody sees can be judged. Part of soak.c. */
#ifndef WL_TESTS_SOAK_TRUTH_H
#define WL_TESTS_SOAK_TRUTH_H

#include "base/slot.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

enum { LINES = 2, USERS = 2000, SHOWN_MAX = 10 };

static const char *const line_ids[LINES] = {"cash", "coin"};
static const char *const line_units[LINES] = {"CNY", "bean"};
static const unsigned line_scales[LINES] = {2, 0};

typedef struct {
    _Atomic uint64_t versions[LINES][USERS + 1]; /* 0 = owns nothing; only grow */
    atomic_bool writing;                         /* writers go on */
    atomic_bool reading;                         /* readers and operators go on */
    atomic_bool stopping;    /* walletd is being stopped: no reply is no fault */
    atomic_int ports[LINES]; /* where the lines answer */
    _Atomic uint64_t mismatches;
    _Atomic uint64_t acknowledged; /* changes */
    _Atomic uint64_t reads;
    _Atomic uint64_t pulls;
    _Atomic uint64_t operations;
} truth_t;

static truth_t truth;

static inline int64_t truth_amount(unsigned line, uint64_t uid, uint64_t version) {
    return (int64_t)(wl_mix64(wl_mix64(uid * LINES + line) ^ version) % 10000000);
}

/* Counts what must not be, and says the first few. */
__attribute__((format(printf, 1, 2))) static void mismatch(const char *format, ...) {
    if (atomic_fetch_add(&truth.mismatches, 1) >= SHOWN_MAX) {
        return;
    }
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)fprintf(stderr, "soak: %s\n", text);
}

/* splitmix64; each thread has a state of its own. */
static inline uint64_t draw(uint64_t *state) {
    *state += 0x9e3779b97f4a7c15u;
    return wl_mix64(*state);
}

#endif
