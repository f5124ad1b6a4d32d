#include "proto/document.h"

#include "base/counters.h"
#include "base/err.h"
#include "proto/messages.h"
#include "proto/methods.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static char *printed(void (*print)(FILE *out)) {
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    print(out);
    (void)fclose(out);
    return text;
}

/* Every line that begins with a bar ends with one and has as many cells as its table's first. */
static void check_tables(const char *text) {
    unsigned columns = 0;
    for (const char *line = text; *line != '\0';) {
        const char *end = strchr(line, '\n');
        cr_assert_not_null(end);
        unsigned bars = 0;
        for (const char *at = line; line[0] == '|' && at < end; at++) {
            bars += *at == '|' && (at == line || at[-1] != '\\');
        }
        cr_assert(bars == 0 || end[-1] == '|');
        cr_assert(bars == 0 || columns == 0 || bars == columns, "%.*s", (int)(end - line), line);
        columns = bars;
        line = end + 1;
    }
}

Test(document, prints_all_messages_methods_errors_counters_and_limits) {
    char *messages = printed(wl_messages_document);
    char *methods = printed(wl_methods_document);
    char *errors = printed(wl_errors_document);
    char *counters = printed(wl_counters_document);
    char *limits = printed(wl_limits_document);
    char *all[] = {messages, methods, errors, counters, limits};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        check_tables(all[i]);
    }
#define NAMED(NAME, name, id, route, doc) cr_assert_not_null(strstr(messages, #NAME));
    WL_MESSAGES(NAMED)
#undef NAMED
    for (unsigned i = 0; i < WL_METHOD_COUNT; i++) {
        cr_assert_not_null(strstr(methods, wl_method_info((wl_method_t)i)->name));
    }
    for (unsigned i = 1; i < WL_ERR_COUNT; i++) {
        cr_assert_not_null(strstr(errors, wl_err_name((wl_err_t)i)));
    }
    for (unsigned i = 0; i < WL_COUNTERS; i++) {
        cr_assert_not_null(strstr(counters, wl_counter_info((wl_counter_t)i)->name));
    }
    cr_assert_not_null(strstr(limits, "| `REQUEST_BYTES_MAX` | 65536 |"));
    cr_assert_not_null(strstr(limits, "| `VERSION_MAX` | 9223372036854775807 |"));
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        free(all[i]);
    }
}
