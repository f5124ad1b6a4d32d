/* marks.h: which (uid, line) copies are known to be behind: a change is on its way (PENDING) or its
 * pull failed (FAILING). A wallet shown meanwhile says "refreshing" or "stale" instead of passing
 * an old number or a zero for the truth. Owned by one cache actor; bounded: at users_max users a
 * new mark is refused (counted by the caller) and only the label is lost, never data. */
#ifndef WL_DOMAIN_MARKS_H
#define WL_DOMAIN_MARKS_H

#include "base/err.h"
#include "base/limits.h"

#include <stddef.h>
#include <stdint.h>

typedef enum { WL_MARK_NONE = 0, WL_MARK_PENDING = 1, WL_MARK_FAILING = 2 } wl_mark_state_t;

typedef struct wl_marks wl_marks_t;

wl_marks_t *wl_marks_new(uint32_t users_max);
void wl_marks_destroy(wl_marks_t **self);

/* Notice `seq` sets the state of (uid, line); an older seq than the one known is ignored. NONE
 * forgets it. WL_ERR_FULL at the bound of users or of lines (domain/line_names.h). */
WL_MUST_USE wl_err_t wl_marks_set(wl_marks_t *self, uint64_t uid, const char *line, uint64_t seq,
                                  wl_mark_state_t state);
/* Every notice up to seq is in effect: forgets the mark unless a newer notice set it. */
void wl_marks_clear(wl_marks_t *self, uint64_t uid, const char *line, uint64_t seq);
wl_mark_state_t wl_marks_get(const wl_marks_t *self, uint64_t uid, const char *line);
bool wl_marks_any(const wl_marks_t *self, uint64_t uid); /* any line of this user */
uint32_t wl_marks_users(const wl_marks_t *self);

/* Forgets the marks of all users of whom `drop` says so; returns how many users. */
uint32_t wl_marks_drop(wl_marks_t *self, bool (*drop)(void *arg, uint64_t uid), void *arg);

/* Visits some marks and returns where to go on; begin with 0, which also says the end. A mark that
 * is there from the first call to the last is visited at least once, whatever is set, cleared or
 * dropped between two calls (never inside `visit`). About `marks` of them, more in a full
 * bucket. */
typedef void(wl_marks_visit_fn)(void *arg, uint64_t uid, const char *line, uint64_t seq,
                                wl_mark_state_t state);
uint32_t wl_marks_scan(const wl_marks_t *self, uint32_t cursor, uint32_t marks,
                       wl_marks_visit_fn *visit, void *arg);

/* The marks of one user as text "cash=1,coin=2," for a READ that goes on to the query actor.
 * Returns the bytes written, at most max; marks that do not fit are left out. */
size_t wl_marks_text(const wl_marks_t *self, uint64_t uid, char *into, size_t max);
/* Looks a line up in such a text (untrusted: unknown shapes yield NONE). */
wl_mark_state_t wl_marks_text_get(const void *text, size_t bytes, const char *line);

#endif
