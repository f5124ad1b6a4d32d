#include "proto/document.h"

#include "base/alloc.h"
#include "base/counters.h"
#include "base/err.h"
#include "proto/message_limits.h"
#include "proto/methods.h"

#include <string.h>

/* A cell of a markdown table: a bar would end it. */
static void cell(FILE *out, const char *text) {
    (void)fputs("| ", out);
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '|') {
            (void)fputc('\\', out);
        }
        (void)fputc(*at, out);
    }
    (void)fputc(' ', out);
}

static void cell_code(FILE *out, const char *text) {
    if (text[0] == '\0') {
        (void)fputs("| ", out);
    } else {
        (void)fprintf(out, "| `%s` ", text);
    }
}

static void cell_number(FILE *out, unsigned long long number) {
    if (number == 0) {
        (void)fputs("| ", out);
    } else {
        (void)fprintf(out, "| %llu ", number);
    }
}

static void row_end(FILE *out) {
    (void)fputs("|\n", out);
}

static void field_row(FILE *out, const char *where, const char *name, const char *kind,
                      unsigned long max, const char *doc) {
    cell(out, where);
    cell_code(out, name);
    cell(out, kind);
    cell_number(out, max);
    cell(out, doc);
    row_end(out);
}

static void fields_begin(FILE *out) {
    (void)fputs("| in | field | kind | max | meaning |\n|---|---|---|---|---|\n", out);
}

#define HEAD_ROW(kind, name, max, doc) field_row(out, "head", #name, #kind, (max), doc);
#define ITEM_ROW(kind, name, max, doc) field_row(out, "item", #name, #kind, (max), doc);
#define LIST_ROW(kind, name, max, doc) field_row(out, "element", #name, #kind, (max), doc);

#define MESSAGE_SECTION(NAME, name, id, route, doc)                               \
    static void name##_document(FILE *out) {                                      \
        (void)fprintf(out, "#### %d %s\n\n%s: %s.\n\n", (id), #NAME, route, doc); \
        fields_begin(out);                                                        \
        WL_HEAD_##NAME(HEAD_ROW) WL_ITEM_##NAME(ITEM_ROW)(void) fputc('\n', out); \
    }
WL_MESSAGES(MESSAGE_SECTION)

void wl_messages_document(FILE *out) {
#define MESSAGE_CALL(NAME, name, id, route, doc) name##_document(out);
    WL_MESSAGES(MESSAGE_CALL)
#undef MESSAGE_CALL
    (void)fputs("#### Element of ASSETS\n\n", out);
    fields_begin(out);
    WL_ASSET_FIELDS(LIST_ROW)
    field_row(out, "element", "extra", "BYTES", WL_EXTRA_BYTES_MAX, "a MessagePack map, or empty");
    (void)fputs("\n#### Element of HINTS\n\n", out);
    fields_begin(out);
    WL_HINT_FIELDS(LIST_ROW)
    (void)fputc('\n', out);
}

void wl_methods_document(FILE *out) {
    (void)fputs("| method | port | cost | args | result |\n|---|---|---|---|---|\n", out);
    for (unsigned i = 0; i < WL_METHOD_COUNT; i++) {
        const wl_method_info_t *info = wl_method_info((wl_method_t)i);
        cell_code(out, info->name);
        cell(out, wl_port_name(info->port));
        (void)fprintf(out, "| %u ", info->cost);
        cell(out, info->args);
        cell_code(out, info->result);
        row_end(out);
    }
}

void wl_errors_document(FILE *out) {
    (void)fputs("| code | retryable | internal name | meaning |\n|---|---|---|---|\n", out);
    for (unsigned i = WL_OK + 1; i < WL_ERR_COUNT; i++) {
        wl_err_t err = (wl_err_t)i;
        cell_code(out, wl_err_wire_code(err));
        cell(out, wl_err_retryable(err) ? "yes" : "no");
        cell_code(out, wl_err_name(err));
        cell(out, wl_err_text(err));
        row_end(out);
    }
}

void wl_counters_document(FILE *out) {
    (void)fputs("| counter | kind | unit | meaning |\n|---|---|---|---|\n", out);
    for (unsigned i = 0; i < WL_COUNTERS; i++) {
        const wl_counter_info_t *info = wl_counter_info((wl_counter_t)i);
        cell_code(out, info->name);
        cell(out, info->kind == WL_COUNTER_KIND_GAUGE ? "gauge" : "counter");
        cell(out, info->unit);
        cell(out, info->help);
        row_end(out);
    }
}

typedef struct {
    const char *name;
    const char *doc;
    unsigned long long value;
} limit_row_t;

/* The numbers of limits.h that someone outside the code can meet. */
#define LIMIT(name, doc) \
    { #name, doc, name }
static const limit_row_t limit_rows[] = {
    LIMIT(WL_REQUEST_BYTES_MAX, "bytes of one request"),
    LIMIT(WL_CONFIG_REQUEST_BYTES_MAX, "bytes of one request of admin.config.*"),
    LIMIT(WL_WALK_DEPTH_MAX, "nested arrays and maps of any MessagePack"),
    LIMIT(WL_ROUTING_ID_MAX, "bytes of a client's routing id"),
    LIMIT(WL_MESSAGE_TEXT_MAX, "bytes of an error message"),
    LIMIT(WL_HAS_UIDS_MAX, "users of one wallet.has_assets"),
    LIMIT(WL_CHANGES_MAX, "changes of one notify.changed"),
    LIMIT(WL_PAYLOAD_ASSETS_MAX, "assets of one notify.assets"),
    LIMIT(WL_VERSION_MAX, "largest version of an asset"),
    LIMIT(WL_LINE_ID_MAX, "bytes of a line id"),
    LIMIT(WL_BUCKET_MAX, "bytes of a bucket"),
    LIMIT(WL_UNIT_MAX, "bytes of a unit"),
    LIMIT(WL_SCALE_MAX, "digits behind the decimal point"),
    LIMIT(WL_EXTRA_BYTES_MAX, "bytes of an asset's extra"),
    LIMIT(WL_USER_ASSETS_MAX, "live assets of one user"),
    LIMIT(WL_LINES_MAX, "lines of one configuration"),
    LIMIT(WL_SECTIONS_MAX, "sections of the home page"),
    LIMIT(WL_GOLDEN_SLOTS, "golden slots"),
    LIMIT(WL_TITLE_MAX, "bytes of a title"),
    LIMIT(WL_LINK_MAX, "bytes of a link"),
    LIMIT(WL_URL_MAX, "bytes of an endpoint"),
    LIMIT(WL_DOCUMENT_BYTES_MAX, "bytes of one runtime configuration document"),
    LIMIT(WL_PULL_UIDS_MAX, "users of one pull from a line"),
    LIMIT(WL_LINE_RESPONSE_BYTES_MAX, "bytes of one answer of a line, by default"),
    LIMIT(WL_SLOTS, "slots that users are spread over"),
    LIMIT(WL_BATCH_ITEMS_MAX, "items of one message between actors"),
    LIMIT(WL_MESSAGE_BYTES_MAX, "bytes of one message between actors"),
    LIMIT(WL_MESSAGE_OBJECTS_MAX, "MessagePack objects of one message between actors"),
    LIMIT(WL_MAILBOX_HWM, "messages in a mailbox, on each side"),
    LIMIT(WL_HINTS_MAX, "version hints kept per user and line"),
};

void wl_limits_document(FILE *out) {
    (void)fputs("| limit | value | meaning |\n|---|---|---|\n", out);
    for (size_t i = 0; i < WL_COUNT_OF(limit_rows); i++) {
        cell_code(out, limit_rows[i].name + strlen("WL_"));
        cell_number(out, limit_rows[i].value);
        cell(out, limit_rows[i].doc);
        row_end(out);
    }
}
