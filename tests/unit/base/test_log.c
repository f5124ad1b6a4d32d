#include "base/log.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Runs `body` with stderr in a file and returns the file's text. */
static char *captured(void (*body)(void)) {
    char path[] = "/tmp/wl_log_XXXXXX";
    int fd = mkstemp(path);
    int saved = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
    body();
    dup2(saved, STDERR_FILENO);
    close(saved);
    off_t size = lseek(fd, 0, SEEK_END);
    char *text = calloc(1, (size_t)size + 1);
    cr_assert_eq(pread(fd, text, (size_t)size, 0), size);
    close(fd);
    unlink(path);
    return text;
}

static void write_hostile(void) {
    wl_log(WL_LOG_WARN, "test.0", "hostile", "quote \" backslash \\ newline \n tab \t bell \a");
}

Test(log, a_line_is_json_whatever_the_text) {
    char *text = captured(write_hostile);
    json_t *line = json_loads(text, 0, NULL);
    cr_assert_not_null(line, "%s", text);
    cr_expect_str_eq(json_string_value(json_object_get(line, "text")),
                     "quote \" backslash \\ newline \n tab \t bell \a");
    cr_expect_str_eq(json_string_value(json_object_get(line, "level")), "warn");
    json_decref(line);
    free(text);
}

static void write_many(void) {
    for (int i = 0; i < 1000; i++) {
        wl_log(WL_LOG_WARN, "test.0", "flood", "again %d", i);
    }
    wl_log(WL_LOG_DEBUG, "test.0", "quiet", "below the level");
}

Test(log, a_flood_of_one_code_is_collapsed) {
    char *text = captured(write_many);
    int lines = 0;
    for (char *at = text; (at = strchr(at, '\n')) != NULL; at++) {
        lines++;
    }
    cr_expect_eq(lines, 10);
    cr_expect_null(strstr(text, "below the level"));
    free(text);
}

static void write_long(void) {
    char text[4096];
    memset(text, '"', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    wl_log(WL_LOG_ERROR, "test.0", "long", "%s", text);
}

Test(log, a_long_text_is_cut_and_still_json) {
    char *text = captured(write_long);
    json_t *line = json_loads(text, 0, NULL);
    cr_expect_not_null(line, "%s", text);
    json_decref(line);
    free(text);
}

static void write_to_full_pipe(void) {
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    int saved = dup(STDERR_FILENO);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    char block[4096] = {0};
    while (write(ends[1], block, sizeof block) > 0) {
    }
    dup2(ends[1], STDERR_FILENO);
    wl_log(WL_LOG_ERROR, "test.0", "full", "nobody reads this");
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[0]);
    close(ends[1]);
}

Test(log, a_full_stderr_drops_the_line_and_counts_it) {
    uint64_t before = wl_log_dropped();
    write_to_full_pipe();
    cr_expect_eq(wl_log_dropped(), before + 1);
}

Test(log, a_uid_is_never_written_raw) {
    char a[16];
    char b[16];
    wl_log_uid(123456789, a);
    wl_log_uid(123456789, b);
    cr_expect_str_eq(a, b);
    cr_expect_null(strstr(a, "123456789"));
}
