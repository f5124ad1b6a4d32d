/* wl_docgen: prints a generated section of the documents by its name, so that tables in docs/ are
 * what the code says. */
#include "base/alloc.h"
#include "base/settings.h"
#include "domain/config.h"
#include "domain/config_json_schema.h"
#include "proto/document.h"

#include <string.h>

typedef struct {
    const char *name;
    void (*print)(FILE *out);
} section_t;

/* One tab-separated row as a row of a markdown table, its first cell as code. */
static void config_row(const char *row, void *arg) {
    FILE *out = arg;
    size_t cell = strcspn(row, "\t");
    (void)fprintf(out, "| `%.*s` |", (int)cell, row);
    while (row[cell] != '\0') {
        row += cell + 1;
        cell = strcspn(row, "\t");
        (void)fprintf(out, " %.*s |", (int)cell, row);
    }
    (void)fputc('\n', out);
}

static void config_print(FILE *out) {
    (void)fputs("| key | type | default | bounds | meaning |\n| --- | --- | --- | --- | --- |\n",
                out);
    wl_config_document(config_row, out);
}

static void settings_print(FILE *out) {
    (void)fputs("| setting | default | bounds | meaning |\n| --- | --- | --- | --- |\n", out);
    wl_settings_table(out);
}

static void schema_print(FILE *out, wl_document_t document) {
    json_t *schema = wl_config_json_schema(document);
    (void)json_dumpf(schema, out, JSON_INDENT(1));
    (void)fputc('\n', out);
    json_decref(schema);
}

static void integration_print(FILE *out) {
    schema_print(out, WL_DOCUMENT_INTEGRATION);
}

static void presentation_print(FILE *out) {
    schema_print(out, WL_DOCUMENT_PRESENTATION);
}

static const section_t sections[] = {
    {"messages", wl_messages_document},
    {"methods", wl_methods_document},
    {"errors", wl_errors_document},
    {"counters", wl_counters_document},
    {"limits", wl_limits_document},
    {"config", config_print},
    {"settings", settings_print},
    {"integration-schema", integration_print},
    {"presentation-schema", presentation_print},
};

int main(int argc, char **argv) {
    for (size_t i = 0; argc == 2 && i < WL_COUNT_OF(sections); i++) {
        if (strcmp(argv[1], sections[i].name) == 0) {
            sections[i].print(stdout);
            return fflush(stdout) == 0 ? 0 : 1;
        }
    }
    (void)fputs("usage: wl_docgen messages|methods|errors|counters|limits|config|settings|"
                "integration-schema|presentation-schema\n",
                stderr);
    return 2;
}
