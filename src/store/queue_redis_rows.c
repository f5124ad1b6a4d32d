#include "store/queue_redis_rows.h"

#include "base/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LETTER_BITS = 4 }; /* of a letter's id, for the partition */

/* A text that is read from its begin on. */
typedef struct {
    const char *at;
    size_t left;
} cursor_t;

static cursor_t cursor_of(const redisReply *text) {
    bool is_text = text->type == REDIS_REPLY_STRING || text->type == REDIS_REPLY_STATUS;
    return (cursor_t){is_text ? text->str : "", is_text ? text->len : 0};
}

static bool cursor_u64(cursor_t *self, uint64_t *ret) {
    uint64_t value = 0;
    size_t digits = 0;
    while (digits < self->left && self->at[digits] >= '0' && self->at[digits] <= '9') {
        uint64_t digit = (uint64_t)(self->at[digits] - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
        digits++;
    }
    self->at += digits;
    self->left -= digits;
    *ret = value;
    return digits > 0;
}

static bool cursor_char(cursor_t *self, char expected) {
    if (self->left == 0 || self->at[0] != expected) {
        return false;
    }
    self->at++;
    self->left--;
    return true;
}

static bool cursor_i64(cursor_t *self, int64_t *ret) {
    bool negative = cursor_char(self, '-');
    uint64_t value = 0;
    if (!cursor_u64(self, &value) || value > (uint64_t)INT64_MAX + (negative ? 1 : 0)) {
        return false;
    }
    *ret = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

/* What is left, cut to the room. False: it was cut or holds a NUL. */
static bool cursor_rest(const cursor_t *self, char *ret, size_t room) {
    size_t bytes = self->left < room ? self->left : room - 1;
    memcpy(ret, self->at, bytes);
    ret[bytes] = '\0';
    return bytes == self->left && memchr(ret, '\0', bytes) == NULL;
}

bool wl_queue_row_number(const redisReply *text, char end, uint64_t *ret) {
    cursor_t cursor = cursor_of(text);
    uint64_t value = 0;
    if (!cursor_u64(&cursor, &value) || !(cursor.left == 0 || cursor.at[0] == end)) {
        return false;
    }
    *ret = value;
    return true;
}

/* ---- entries --------------------------------------------------------------------------------- */

void wl_queue_row_head(wl_queue_args_t *args, int64_t at, wl_entry_kind_t kind, const char *line) {
    wl_queue_args_text(args, "%d %" PRId64 " %s", (int)kind, at, line);
}

static bool head_read(const redisReply *head, wl_queue_entry_t *ret) {
    cursor_t cursor = cursor_of(head);
    uint64_t kind = 0;
    bool read = cursor_u64(&cursor, &kind) && kind <= INT32_MAX && cursor_char(&cursor, ' ') &&
                cursor_i64(&cursor, &ret->at) && cursor_char(&cursor, ' ');
    ret->kind = read ? (wl_entry_kind_t)kind : (wl_entry_kind_t)0;
    if (!read || !cursor_rest(&cursor, ret->line, sizeof ret->line) ||
        !wl_line_id_valid(ret->line)) {
        ret->line[0] = '\0';
    }
    return read;
}

int64_t wl_queue_row_head_at(const redisReply *head) {
    wl_queue_entry_t entry = {.at = 0};
    return head_read(head, &entry) ? entry.at : 0;
}

/* The value of a field, NULL when there is none. */
static const redisReply *field_find(const redisReply *fields, const char *name) {
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        const redisReply *field = fields->element[i];
        if (field->type == REDIS_REPLY_STRING && field->len == strlen(name) &&
            memcmp(field->str, name, field->len) == 0 &&
            fields->element[i + 1]->type == REDIS_REPLY_STRING) {
            return fields->element[i + 1];
        }
    }
    return NULL;
}

static bool is_entry(const redisReply *reply) {
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
           reply->element[0]->type == REDIS_REPLY_STRING &&
           reply->element[1]->type == REDIS_REPLY_ARRAY;
}

wl_err_t wl_queue_row_entry(const redisReply *reply, wl_queue_entry_t *ret) {
    *ret = (wl_queue_entry_t){.body = ""};
    if (!is_entry(reply) || !wl_queue_row_number(reply->element[0], '-', &ret->id)) {
        return WL_ERR_DAMAGED;
    }
    const redisReply *fields = reply->element[1];
    const redisReply *head = field_find(fields, "head");
    const redisReply *body = field_find(fields, "body");
    if (head == NULL || body == NULL || !head_read(head, ret)) {
        ret->kind = (wl_entry_kind_t)0;
    }
    const redisReply *history = field_find(fields, "history");
    if (history != NULL && history->len <= WL_HISTORY_BYTES_MAX) {
        ret->history = history->str;
        ret->history_bytes = history->len;
    }
    if (body == NULL && fields->elements > 1 && fields->element[1]->type == REDIS_REPLY_STRING) {
        body = fields->element[1];
    }
    if (body != NULL) {
        ret->body = body->str;
        ret->body_bytes = body->len < WL_MESSAGE_BYTES_MAX ? body->len : WL_MESSAGE_BYTES_MAX;
    }
    return WL_OK;
}

/* ---- retries --------------------------------------------------------------------------------- */

void wl_queue_row_retry_field(wl_queue_args_t *args, const wl_retry_row_t *row) {
    wl_queue_args_text(args, "%s/%" PRIu64, row->line, row->uid);
}

void wl_queue_row_retry_value(wl_queue_args_t *args, const wl_retry_row_t *row) {
    wl_queue_args_text(args, "%" PRIu32 " %" PRId64 " %" PRId64 " %s", row->attempts, row->due_at,
                       row->notified_at, row->reason);
    if (row->history_bytes > 0) { /* behind a NUL, where an older program reads the reason's end */
        wl_queue_args_tail(args, "", 1);
        wl_queue_args_tail(args, row->history, row->history_bytes);
    }
}

wl_err_t wl_queue_row_retry(const redisReply *field, const redisReply *value, wl_retry_row_t *ret) {
    *ret = (wl_retry_row_t){.uid = 0};
    cursor_t key = cursor_of(field);
    const char *slash = key.left == 0 ? NULL : memchr(key.at, '/', key.left);
    if (slash == NULL || slash == key.at || slash - key.at > WL_LINE_ID_MAX) {
        return WL_ERR_DAMAGED;
    }
    size_t bytes = (size_t)(slash - key.at);
    memcpy(ret->line, key.at, bytes);
    key.at += bytes + 1;
    key.left -= bytes + 1;
    cursor_t rest = cursor_of(value);
    uint64_t attempts = 0;
    bool read = wl_line_id_valid(ret->line) && cursor_u64(&key, &ret->uid) && key.left == 0 &&
                cursor_u64(&rest, &attempts) && attempts <= UINT32_MAX && cursor_char(&rest, ' ') &&
                cursor_i64(&rest, &ret->due_at) && cursor_char(&rest, ' ') &&
                cursor_i64(&rest, &ret->notified_at) && cursor_char(&rest, ' ');
    ret->attempts = (uint32_t)attempts;
    const char *end = rest.left == 0 ? NULL : memchr(rest.at, '\0', rest.left);
    size_t behind = end == NULL ? 0 : rest.left - (size_t)(end - rest.at) - 1;
    if (behind > 0 && behind <= WL_HISTORY_BYTES_MAX) {
        ret->history = end + 1;
        ret->history_bytes = behind;
    }
    rest.left = end == NULL ? rest.left : (size_t)(end - rest.at);
    (void)cursor_rest(&rest, ret->reason, sizeof ret->reason);
    return read ? WL_OK : WL_ERR_DAMAGED;
}

/* ---- letters --------------------------------------------------------------------------------- */

void wl_queue_row_letter_args(wl_queue_args_t *args, const wl_dead_letter_t *letter) {
    wl_queue_args_text(args, "%" PRIu64, letter->uid);
    wl_queue_args_word(args, letter->line);
    wl_queue_args_text(args, "%" PRIu32, letter->attempts);
    wl_queue_args_text(args, "%" PRId64, letter->at);
    wl_queue_args_word(args, letter->reason);
    wl_queue_args_word(args, letter->body == NULL ? "" : "b");
    wl_queue_args_add(args, letter->body, letter->body_bytes);
    wl_queue_args_word(args, wl_failure_word(letter->failure != 0
                                                 ? letter->failure
                                                 : wl_failure_of(letter->reason, false)));
    wl_queue_args_add(args, letter->history, letter->history_bytes);
}

static uint64_t field_u64(const redisReply *fields, const char *name) {
    const redisReply *value = field_find(fields, name);
    uint64_t number = 0;
    return value != NULL && wl_queue_row_number(value, '\0', &number) ? number : 0;
}

static void field_text(const redisReply *fields, const char *name, char *ret, size_t room) {
    const redisReply *value = field_find(fields, name);
    if (value != NULL) {
        cursor_t cursor = cursor_of(value);
        (void)cursor_rest(&cursor, ret, room);
    }
}

wl_err_t wl_queue_row_letter(const redisReply *reply, uint32_t partition, wl_dead_letter_t *ret) {
    uint64_t number = 0;
    if (!is_entry(reply) || !wl_queue_row_number(reply->element[0], '-', &number) ||
        number > (uint64_t)INT64_MAX >> LETTER_BITS) {
        return WL_ERR_DAMAGED;
    }
    const redisReply *fields = reply->element[1];
    *ret = (wl_dead_letter_t){.id = number << LETTER_BITS | partition,
                              .uid = field_u64(fields, "uid")};
    uint64_t attempts = field_u64(fields, "attempts");
    ret->attempts = attempts > UINT32_MAX ? UINT32_MAX : (uint32_t)attempts;
    field_text(fields, "line", ret->line, sizeof ret->line);
    field_text(fields, "reason", ret->reason, sizeof ret->reason);
    const redisReply *at = field_find(fields, "at");
    if (at != NULL) {
        cursor_t cursor = cursor_of(at);
        (void)cursor_i64(&cursor, &ret->at);
    }
    const redisReply *body = field_find(fields, "body");
    if (body != NULL) {
        ret->body = body->str;
        ret->body_bytes = body->len;
    }
    const redisReply *history = field_find(fields, "history");
    if (history != NULL && history->len > 0 && history->len <= WL_HISTORY_BYTES_MAX) {
        ret->history = history->str;
        ret->history_bytes = history->len;
    }
    char word[24] = "";
    wl_failure_t failure = WL_FAILURE_OTHER;
    field_text(fields, "class", word, sizeof word);
    if (word[0] == '\0') { /* of a program before classes */
        failure = wl_failure_of(ret->reason, false);
    } else if (!wl_failure_parse(word, &failure)) {
        failure = WL_FAILURE_OTHER; /* of a newer program */
    }
    ret->failure = (uint8_t)failure;
    return WL_OK;
}
