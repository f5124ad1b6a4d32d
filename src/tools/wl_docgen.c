/* wl_docgen: prints a generated section of the documents by its name, so that tables in docs/ are
 * what the code says. */
#include "base/alloc.h"
#include "proto/document.h"

#include <string.h>

typedef struct {
    const char *name;
    void (*print)(FILE *out);
} section_t;

static const section_t sections[] = {
    {"messages", wl_messages_document}, {"methods", wl_methods_document},
    {"errors", wl_errors_document},     {"counters", wl_counters_document},
    {"limits", wl_limits_document},
};

int main(int argc, char **argv) {
    for (size_t i = 0; argc == 2 && i < WL_COUNT_OF(sections); i++) {
        if (strcmp(argv[1], sections[i].name) == 0) {
            sections[i].print(stdout);
            return fflush(stdout) == 0 ? 0 : 1;
        }
    }
    (void)fputs("usage: wl_docgen messages|methods|errors|counters|limits\n", stderr);
    return 2;
}
