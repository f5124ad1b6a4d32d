#include "domain/marks.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/table.h"
#include "domain/line_names.h"

#include <string.h>

typedef struct {
    uint64_t seq;  /* the newest notice that set it */
    uint8_t line;  /* number in names */
    uint8_t state; /* wl_mark_state_t, never NONE */
} mark_t;

typedef struct {
    uint64_t uid;     /* the key */
    mark_t *at;       /* owned */
    uint8_t count;    /* >= 1, one per line */
    uint8_t capacity; /* marks that fit into at */
    UT_hash_handle hh;
} marks_user_t;

struct wl_marks {
    marks_user_t *users;    /* uthash by uid */
    wl_line_names_t *names; /* owned; each mark holds its line */
    uint32_t users_max;
};

wl_marks_t *wl_marks_new(uint32_t users_max) {
    wl_marks_t *self = wl_alloc_zero(1, sizeof *self);
    self->names = wl_line_names_new();
    self->users_max = users_max;
    return self;
}

static marks_user_t *marks_user_find(const wl_marks_t *self, uint64_t uid) {
    marks_user_t *user = NULL;
    if (self->users != NULL) { /* mostly nobody is marked: do not even hash */
        HASH_FIND(hh, self->users, &uid, sizeof uid, user);
    }
    return user;
}

static mark_t *marks_find(const wl_marks_t *self, const marks_user_t *user, const char *line) {
    uint8_t number = 0;
    if (user == NULL || !wl_line_names_find(self->names, line, &number)) {
        return NULL;
    }
    for (uint8_t i = 0; i < user->count; i++) {
        if (user->at[i].line == number) {
            return &user->at[i];
        }
    }
    return NULL;
}

static void marks_user_free(wl_marks_t *self, marks_user_t *user) {
    HASH_DEL(self->users, user);
    wl_free(user->at);
    wl_free(user);
}

static void marks_forget(wl_marks_t *self, marks_user_t *user, mark_t *mark) {
    (void)wl_line_names_drop(self->names, mark->line);
    user->count--;
    *mark = user->at[user->count];
    if (user->count == 0) {
        marks_user_free(self, user);
    }
}

/* The first mark of this line for the user, who may be new (NULL). */
static wl_err_t marks_append(wl_marks_t *self, marks_user_t *user, uint64_t uid, const char *line,
                             mark_t mark) {
    if (user == NULL && HASH_COUNT(self->users) >= self->users_max) {
        return WL_ERR_FULL;
    }
    wl_err_t err = wl_line_names_hold(self->names, line, &mark.line);
    if (err != WL_OK) {
        return err;
    }
    if (user == NULL) {
        user = wl_alloc_zero(1, sizeof *user);
        user->uid = uid;
        HASH_ADD(hh, self->users, uid, sizeof user->uid, user);
    }
    WL_ASSERT(user->count < WL_LINE_NAMES_MAX); /* one per held line */
    if (user->count == user->capacity) {
        user->capacity = (uint8_t)(user->capacity == 0 ? 1 : user->capacity + 4);
        user->at = wl_realloc_array(user->at, user->capacity, sizeof *user->at);
    }
    user->at[user->count++] = mark;
    return WL_OK;
}

wl_err_t wl_marks_set(wl_marks_t *self, uint64_t uid, const char *line, uint64_t seq,
                      wl_mark_state_t state) {
    WL_ASSERT(self != NULL && line != NULL);
    WL_ASSERT(state <= WL_MARK_FAILING);
    marks_user_t *user = marks_user_find(self, uid);
    mark_t *mark = marks_find(self, user, line);
    if (mark == NULL) {
        return state == WL_MARK_NONE ? WL_OK
                                     : marks_append(self, user, uid, line,
                                                    (mark_t){.seq = seq, .state = (uint8_t)state});
    }
    if (seq < mark->seq) {
        return WL_OK;
    }
    if (state == WL_MARK_NONE) {
        marks_forget(self, user, mark);
    } else {
        mark->seq = seq;
        mark->state = (uint8_t)state;
    }
    return WL_OK;
}

void wl_marks_clear(wl_marks_t *self, uint64_t uid, const char *line, uint64_t seq) {
    WL_ASSERT(self != NULL && line != NULL);
    marks_user_t *user = marks_user_find(self, uid);
    mark_t *mark = marks_find(self, user, line);
    if (mark != NULL && mark->seq <= seq) {
        marks_forget(self, user, mark);
    }
}

wl_mark_state_t wl_marks_get(const wl_marks_t *self, uint64_t uid, const char *line) {
    WL_ASSERT(self != NULL && line != NULL);
    const mark_t *mark = marks_find(self, marks_user_find(self, uid), line);
    return mark == NULL ? WL_MARK_NONE : (wl_mark_state_t)mark->state;
}

bool wl_marks_any(const wl_marks_t *self, uint64_t uid) {
    WL_ASSERT(self != NULL);
    return marks_user_find(self, uid) != NULL;
}

uint32_t wl_marks_users(const wl_marks_t *self) {
    return HASH_COUNT(self->users);
}

uint32_t wl_marks_drop(wl_marks_t *self, bool (*drop)(void *arg, uint64_t uid), void *arg) {
    WL_ASSERT(self != NULL && drop != NULL);
    uint32_t dropped = 0;
    marks_user_t *user = NULL;
    marks_user_t *next = NULL;
    HASH_ITER(hh, self->users, user, next) {
        if (drop(arg, user->uid)) {
            for (uint8_t i = 0; i < user->count; i++) {
                (void)wl_line_names_drop(self->names, user->at[i].line);
            }
            marks_user_free(self, user);
            dropped++;
        }
    }
    return dropped;
}

static uint32_t bits_reverse(uint32_t bits) {
    uint32_t reversed = 0;
    for (uint32_t i = 0; i < 32; i++) {
        reversed = reversed << 1 | (bits >> i & 1);
    }
    return reversed;
}

/* The cursor counts with its bits reversed, as that of the Redis command SCAN does: when the table
 * doubles between two calls, the two halves of a bucket that was visited are both behind it. */
static uint32_t cursor_next(uint32_t cursor, uint32_t buckets) {
    return bits_reverse(bits_reverse(cursor | ~(buckets - 1)) + 1);
}

uint32_t wl_marks_scan(const wl_marks_t *self, uint32_t cursor, uint32_t marks,
                       wl_marks_visit_fn *visit, void *arg) {
    WL_ASSERT(self != NULL && visit != NULL);
    if (self->users == NULL) {
        return 0;
    }
    const UT_hash_table *table = self->users->hh.tbl;
    uint32_t visited = 0;
    do {
        const UT_hash_handle *at = table->buckets[cursor & (table->num_buckets - 1)].hh_head;
        for (; at != NULL; at = at->hh_next) {
            const marks_user_t *user = ELMT_FROM_HH(table, at);
            for (uint8_t i = 0; i < user->count; i++) {
                const mark_t *mark = &user->at[i];
                visit(arg, user->uid, wl_line_names_text(self->names, mark->line), mark->seq,
                      (wl_mark_state_t)mark->state);
            }
            visited += user->count;
        }
        visited++; /* empty buckets cost time too */
        cursor = cursor_next(cursor, table->num_buckets);
    } while (cursor != 0 && visited < marks);
    return cursor;
}

size_t wl_marks_text(const wl_marks_t *self, uint64_t uid, char *into, size_t max) {
    WL_ASSERT(self != NULL && (into != NULL || max == 0));
    const marks_user_t *user = marks_user_find(self, uid);
    size_t used = 0;
    for (uint8_t i = 0; user != NULL && i < user->count; i++) {
        const char *line = wl_line_names_text(self->names, user->at[i].line);
        size_t bytes = strlen(line);
        if (bytes + 3 > max - used) {
            continue; /* a shorter one may still fit */
        }
        memcpy(into + used, line, bytes);
        into[used + bytes] = '=';
        into[used + bytes + 1] = (char)('0' + user->at[i].state);
        into[used + bytes + 2] = ',';
        used += bytes + 3;
    }
    return used;
}

wl_mark_state_t wl_marks_text_get(const void *text, size_t bytes, const char *line) {
    WL_ASSERT(line != NULL);
    const char *at = text;
    size_t line_bytes = strlen(line);
    while (bytes > 0) {
        const char *comma = memchr(at, ',', bytes);
        if (comma == NULL) {
            return WL_MARK_NONE;
        }
        size_t item = (size_t)(comma - at);
        if (item == line_bytes + 2 && at[line_bytes] == '=' && memcmp(at, line, line_bytes) == 0) {
            switch (at[line_bytes + 1]) {
            case '1': return WL_MARK_PENDING;
            case '2': return WL_MARK_FAILING;
            default: return WL_MARK_NONE;
            }
        }
        at += item + 1;
        bytes -= item + 1;
    }
    return WL_MARK_NONE;
}

void wl_marks_destroy(wl_marks_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    marks_user_t *user = NULL;
    marks_user_t *next = NULL;
    HASH_ITER(hh, (*self)->users, user, next) {
        marks_user_free(*self, user);
    }
    wl_line_names_destroy(&(*self)->names);
    wl_free(*self);
    *self = NULL;
}
