/* Differences between documents for people. */
#include "tools/walletctl/config_ask.h"
#include "tools/walletctl/config_show.h"
#include "tools/walletctl/text_table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ONE_LINE_MAX = 84, HEAD_ROOM = 160 };

/* A value with a mark before each of its lines. */
static void value_show(char mark, const json_t *value, ctl_style_t style, bool color, FILE *out) {
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    if (text != NULL && strlen(text) > ONE_LINE_MAX) {
        free(text);
        text = json_dumps(value, JSON_ENCODE_ANY | JSON_INDENT(2));
    }
    char *rest = text;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        char begin[] = {mark, ' ', '\0'};
        (void)fputs("    ", out);
        ctl_text_print(begin, style, color, out);
        ctl_text_print(line, style, color, out);
        (void)fputc('\n', out);
    }
    free(text);
}

static void before_and_after(const json_t *before, const json_t *after, bool color, FILE *out) {
    if (before != NULL) {
        value_show('-', before, CTL_STYLE_BAD, color, out);
    }
    if (after != NULL) {
        value_show('+', after, CTL_STYLE_GOOD, color, out);
    }
}

static void place_show(const char *path, const char *note, ctl_style_t note_style, bool color,
                       FILE *out) {
    (void)fputs("  ", out);
    ctl_text_print(path, CTL_STYLE_BOLD, color, out);
    if (note[0] != '\0') {
        (void)fputs("  ", out);
        ctl_text_print(note, note_style, color, out);
    }
    (void)fputc('\n', out);
}

static bool same(const json_t *left, const json_t *right) {
    return left == right || (left != NULL && right != NULL && json_equal(left, right) == 1);
}

/* three: theirs was looked at as well. */
static void difference_show(const json_t *change, bool three, bool color, FILE *out) {
    const json_t *base = json_object_get(change, "base");
    const json_t *mine = json_object_get(change, "mine");
    const json_t *theirs = json_object_get(change, "theirs");
    const char *path = ctl_config_text(change, "path");
    const char *order = json_is_true(json_object_get(change, "order")) ? "order" : "";
    if (json_is_true(json_object_get(change, "conflict"))) {
        place_show(path, "conflict: both changed it; - before, + yours, ! live now", CTL_STYLE_WARN,
                   color, out);
        before_and_after(base, mine, color, out);
        if (theirs != NULL) {
            value_show('!', theirs, CTL_STYLE_WARN, color, out);
        } else {
            (void)fputs("    ", out);
            ctl_text_print("! removed", CTL_STYLE_WARN, color, out);
            (void)fputc('\n', out);
        }
    } else if (three && same(mine, base)) {
        place_show(path, "changed by others meanwhile", CTL_STYLE_DIM, color, out);
        before_and_after(base, theirs, color, out);
    } else if (three && same(mine, theirs)) {
        place_show(path, "is live already", CTL_STYLE_DIM, color, out);
        before_and_after(base, mine, color, out);
    } else {
        place_show(path, order, CTL_STYLE_DIM, color, out);
        before_and_after(base, mine, color, out);
    }
}

void ctl_config_show_diff(const json_t *diff, bool color, FILE *out) {
    char head[HEAD_ROOM];
    const json_t *changes = json_object_get(diff, "changes");
    const char *from_file = ctl_config_text(diff, "file");
    uint64_t base = ctl_config_number(diff, "base");
    uint64_t seq = ctl_config_number(diff, "seq");
    bool three = from_file[0] != '\0' && base != seq && base != 0;
    size_t index = 0;
    const json_t *change = NULL;
    ctl_text_print(ctl_config_text(diff, "document"), CTL_STYLE_BOLD, color, out);
    if (from_file[0] != '\0') {
        (void)snprintf(head, sizeof head, "  change %" PRIu64 " -> %.100s", base, from_file);
    } else {
        (void)snprintf(head, sizeof head, "  change %" PRIu64 " -> %" PRIu64, base, seq);
    }
    ctl_text_print(head, CTL_STYLE_DIM, color, out);
    if (three) {
        (void)snprintf(head, sizeof head, ", live is change %" PRIu64, seq);
        ctl_text_print(head, CTL_STYLE_DIM, color, out);
    }
    (void)fputs(json_array_size(changes) == 0 ? ": no difference\n" : "\n", out);
    json_array_foreach(changes, index, change) {
        difference_show(change, three, color, out);
    }
    uint64_t conflicts = ctl_config_number(diff, "conflicts");
    if (conflicts > 0) {
        (void)snprintf(head, sizeof head, "%" PRIu64 " %s", conflicts,
                       conflicts == 1 ? "conflict" : "conflicts");
        ctl_text_print(head, CTL_STYLE_WARN, color, out);
        (void)fputc('\n', out);
    }
}

void ctl_config_show_changes(const json_t *reply, bool color, FILE *out) {
    size_t index = 0;
    const json_t *change = NULL;
    const char *document = "";
    json_array_foreach(json_object_get(reply, "changes"), index, change) {
        if (strcmp(document, ctl_config_text(change, "document")) != 0) {
            document = ctl_config_text(change, "document");
            ctl_text_print(document, CTL_STYLE_BOLD, color, out);
            (void)fputc('\n', out);
        }
        place_show(ctl_config_text(change, "path"), "", CTL_STYLE_DIM, color, out);
        before_and_after(json_object_get(change, "before"), json_object_get(change, "after"), color,
                         out);
    }
}
