#include "store/queue_redis_rows.h"

#include "base/alloc.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* Answers are built by hiredis itself from the bytes of the protocol. */
static redisReply *reply_of(const char *bytes, size_t count) {
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    cr_assert_eq(redisReaderFeed(reader, bytes, count), REDIS_OK);
    cr_assert_eq(redisReaderGetReply(reader, &reply), REDIS_OK);
    cr_assert_not_null(reply);
    redisReaderFree(reader);
    return reply;
}

static redisReply *text_reply(const char *text) {
    char bytes[400];
    int count = snprintf(bytes, sizeof bytes, "$%zu\r\n%s\r\n", strlen(text), text);
    return reply_of(bytes, (size_t)count);
}

static void args_are(wl_queue_args_t *args, uint32_t index, const char *wanted) {
    const wl_redis_arg_t *arg = &wl_queue_args_all(args)[index];
    cr_assert_lt(index, wl_queue_args_count(args));
    cr_assert(arg->bytes == strlen(wanted) && memcmp(arg->at, wanted, arg->bytes) == 0, "%.*s",
              (int)arg->bytes, (const char *)arg->at);
}

Test(queue_redis_rows, keeps_borrowed_and_formatted_arguments_in_order_while_it_grows) {
    wl_queue_args_t *args = wl_queue_args_new();
    char long_text[600];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    for (unsigned i = 0; i < 300; i++) {
        wl_queue_args_word(args, "word");
        wl_queue_args_text(args, "%u %s", i, i == 7 ? long_text : "");
    }
    wl_queue_args_add(args, NULL, 0);
    cr_assert_eq(wl_queue_args_count(args), 601);
    args_are(args, 598, "word");
    args_are(args, 599, "299 ");
    args_are(args, 600, "");
    cr_assert_eq(wl_queue_args_all(args)[15].bytes, 511, "cut");
    wl_queue_args_clear(args);
    cr_assert(wl_queue_args_count(args) == 0 && wl_queue_args_bytes(args) == 0);
    wl_queue_args_destroy(&args);
    wl_queue_args_destroy(&args);
    wl_queue_args_destroy(NULL);
}

Test(queue_redis_rows, reads_the_retries_that_it_writes) {
    wl_retry_row_t row = {.uid = UINT64_MAX,
                          .line = "cash",
                          .attempts = UINT32_MAX,
                          .due_at = INT64_MIN,
                          .notified_at = INT64_MAX,
                          .reason = "404  not found "};
    wl_queue_args_t *args = wl_queue_args_new();
    wl_queue_row_retry_field(args, &row);
    wl_queue_row_retry_value(args, &row);
    args_are(args, 0, "cash/18446744073709551615");
    redisReply *field = text_reply("cash/18446744073709551615");
    redisReply *value =
        text_reply("4294967295 -9223372036854775808 9223372036854775807 404  not found ");
    args_are(args, 1, value->str);
    wl_retry_row_t back;
    cr_assert_eq(wl_queue_row_retry(field, value, &back), WL_OK);
    cr_assert(back.uid == row.uid && back.attempts == row.attempts && back.due_at == row.due_at &&
              back.notified_at == row.notified_at);
    cr_assert_str_eq(back.line, row.line);
    cr_assert_str_eq(back.reason, row.reason);
    freeReplyObject(field);
    freeReplyObject(value);
    wl_queue_args_destroy(&args);
}

Test(queue_redis_rows, refuses_what_is_no_retry) {
    static const char *const rows[][2] = {
        {"cash", "1 2 3 r"},
        {"/7", "1 2 3 r"},
        {"cash/", "1 2 3 r"},
        {"cash/7x", "1 2 3 r"},
        {"CASH/7", "1 2 3 r"},
        {"cash/18446744073709551616", "1 2 3 r"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/7", "1 2 3 r"},
        {"cash/7", ""},
        {"cash/7", "1 2 3"},
        {"cash/7", "1  2 3 r"},
        {"cash/7", "4294967296 2 3 r"},
        {"cash/7", "-1 2 3 r"},
        {"cash/7", "1 9223372036854775808 3 r"},
        {"cash/7", "1 -9223372036854775809 3 r"},
        {"cash/7", "1 - 3 r"},
    };
    for (size_t i = 0; i < WL_COUNT_OF(rows); i++) {
        redisReply *field = text_reply(rows[i][0]);
        redisReply *value = text_reply(rows[i][1]);
        wl_retry_row_t row;
        cr_assert_eq(wl_queue_row_retry(field, value, &row), WL_ERR_DAMAGED, "%s %s", rows[i][0],
                     rows[i][1]);
        freeReplyObject(field);
        freeReplyObject(value);
    }
}

static wl_err_t entry_of(const char *bytes, wl_queue_entry_t *ret, redisReply **ret_reply) {
    *ret_reply = reply_of(bytes, strlen(bytes));
    return wl_queue_row_entry(*ret_reply, ret);
}

Test(queue_redis_rows, hands_on_entries_that_are_not_ours_and_refuses_what_is_none) {
    static const struct {
        const char *bytes;
        wl_err_t err;
        int kind;
        const char *line;
        size_t body_bytes;
    } rows[] = {
        {"*2\r\n$3\r\n7-0\r\n*4\r\n$4\r\nhead\r\n$9\r\n1 -5 cash\r\n$4\r\nbody\r\n$2\r\nab\r\n",
         WL_OK, 1, "cash", 2},
        {"*2\r\n$3\r\n7-0\r\n*4\r\n$4\r\nbody\r\n$0\r\n\r\n$4\r\nhead\r\n$8\r\n9 5 CASH\r\n", WL_OK,
         9, "", 0},
        {"*2\r\n$3\r\n7-0\r\n*2\r\n$4\r\nhead\r\n$8\r\n1 5 cash\r\n", WL_OK, 0, "", 8},
        {"*2\r\n$3\r\n7-0\r\n*2\r\n$4\r\nbody\r\n$1\r\nx\r\n", WL_OK, 0, "", 1},
        {"*2\r\n$3\r\n7-0\r\n*0\r\n", WL_OK, 0, "", 0},
        {"*2\r\n$3\r\n7-0\r\n*-1\r\n", WL_ERR_DAMAGED, 0, "", 0},
        {"*2\r\n$3\r\nx-0\r\n*0\r\n", WL_ERR_DAMAGED, 0, "", 0},
        {"*1\r\n$3\r\n7-0\r\n", WL_ERR_DAMAGED, 0, "", 0},
        {":7\r\n", WL_ERR_DAMAGED, 0, "", 0},
    };
    for (size_t i = 0; i < WL_COUNT_OF(rows); i++) {
        wl_queue_entry_t entry;
        redisReply *reply = NULL;
        cr_assert_eq(entry_of(rows[i].bytes, &entry, &reply), rows[i].err, "%zu", i);
        if (rows[i].err == WL_OK) {
            cr_assert(entry.id == 7 && (int)entry.kind == rows[i].kind, "%zu", i);
            cr_assert_str_eq(entry.line, rows[i].line);
            cr_assert(entry.body != NULL && entry.body_bytes == rows[i].body_bytes, "%zu", i);
        }
        freeReplyObject(reply);
    }
}

Test(queue_redis_rows, reads_letters_with_fields_missing_and_refuses_foreign_numbers) {
    static const char some[] =
        "*2\r\n$3\r\n7-0\r\n*6\r\n$3\r\nuid\r\n$1\r\n5\r\n$2\r\nat\r\n$2\r\n-9\r\n"
        "$8\r\nattempts\r\n$11\r\n99999999999\r\n";
    static const char huge[] = "*2\r\n$22\r\n18446744073709551615-0\r\n*0\r\n";
    wl_dead_letter_t letter;
    redisReply *reply = reply_of(some, sizeof some - 1);
    cr_assert_eq(wl_queue_row_letter(reply, 3, &letter), WL_OK);
    cr_assert(letter.id == 7 * 16 + 3 && letter.uid == 5 && letter.at == -9);
    cr_assert(letter.attempts == UINT32_MAX && letter.body == NULL && letter.line[0] == '\0');
    freeReplyObject(reply);
    reply = reply_of(huge, sizeof huge - 1);
    cr_assert_eq(wl_queue_row_letter(reply, 3, &letter), WL_ERR_DAMAGED);
    freeReplyObject(reply);
}
