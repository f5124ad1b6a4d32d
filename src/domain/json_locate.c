#include "domain/json_locate.h"

#include <string.h>

/* A position in the text; at == end means that it ran out. */
typedef struct {
    const char *text;
    const char *at;
    const char *end;
} scan_t;

static wl_json_place_t scan_place(const scan_t *scan, const char *at) {
    wl_json_place_t place = {1, 1};
    for (const char *each = scan->text; each < at; each++) {
        if (*each == '\n') {
            place.line++;
            place.column = 1;
        } else if (((unsigned char)*each & 0xc0) != 0x80) {
            place.column++; /* continuation bytes belong to the character before */
        }
    }
    return place;
}

static bool scan_more(const scan_t *scan) {
    return scan->at < scan->end;
}

static void scan_blanks(scan_t *scan) {
    while (scan_more(scan) && memchr(" \t\r\n", *scan->at, 4) != NULL) {
        scan->at++;
    }
}

/* Steps over one character when it is the given one. */
static bool scan_take(scan_t *scan, char wanted) {
    scan_blanks(scan);
    if (scan_more(scan) && *scan->at == wanted) {
        scan->at++;
        return true;
    }
    return false;
}

/* From an opening quote to behind the closing one. */
static void scan_string(scan_t *scan) {
    scan->at++;
    while (scan_more(scan) && *scan->at != '"') {
        scan->at += *scan->at == '\\' && scan->end - scan->at > 1 ? 2 : 1;
    }
    if (scan_more(scan)) {
        scan->at++;
    }
}

/* Over one value of any shape, to the comma or bracket behind it. */
static void scan_value(scan_t *scan) {
    uint32_t depth = 0;
    while (scan_more(scan)) {
        char here = *scan->at;
        if (here == '"') {
            scan_string(scan);
            continue;
        }
        if (depth == 0 && (here == ',' || here == '}' || here == ']')) {
            return;
        }
        if (here == '{' || here == '[') {
            depth++;
        } else if (here == '}' || here == ']') {
            depth--;
        }
        scan->at++;
    }
}

/* Inside the braces of an object: moves to the value of key. *ret_at = the key itself. */
static bool scan_to_key(scan_t *scan, const char *key, const char **ret_at) {
    size_t key_bytes = strlen(key);
    if (!scan_take(scan, '{')) {
        return false;
    }
    do {
        scan_blanks(scan);
        if (!scan_more(scan) || *scan->at != '"') {
            return false;
        }
        const char *quote = scan->at;
        scan_string(scan);
        size_t quoted_bytes = (size_t)(scan->at - quote);
        bool same = quoted_bytes == key_bytes + 2 && memcmp(quote + 1, key, key_bytes) == 0;
        if (!scan_take(scan, ':')) {
            return false;
        }
        if (same) {
            *ret_at = quote;
            return true;
        }
        scan_value(scan);
    } while (scan_take(scan, ','));
    return false;
}

/* Inside the brackets of a list: moves to the element. */
static bool scan_to_index(scan_t *scan, uint32_t index, const char **ret_at) {
    if (!scan_take(scan, '[')) {
        return false;
    }
    for (uint32_t i = 0; i < index; i++) {
        scan_value(scan);
        if (!scan_take(scan, ',')) {
            return false;
        }
    }
    scan_blanks(scan);
    *ret_at = scan->at;
    return scan_more(scan) && *scan->at != ']';
}

wl_json_place_t wl_json_locate(const char *text, size_t bytes, const wl_json_step_t *steps,
                               size_t step_count) {
    scan_t scan = {.text = text, .at = text, .end = text + bytes};
    scan_blanks(&scan);
    const char *found = scan.at;
    for (size_t i = 0; i < step_count; i++) {
        const char *at = found;
        bool there = steps[i].key != NULL ? scan_to_key(&scan, steps[i].key, &at)
                                          : scan_to_index(&scan, steps[i].index, &at);
        if (!there) {
            break;
        }
        found = at;
    }
    return scan_place(&scan, found);
}

bool wl_json_deeper_than(const char *text, size_t bytes, uint32_t depth_max,
                         wl_json_place_t *ret_place) {
    scan_t scan = {.text = text, .at = text, .end = text + bytes};
    uint32_t depth = 0;
    while (scan_more(&scan)) {
        char here = *scan.at;
        if (here == '"') {
            scan_string(&scan);
            continue;
        }
        if (here == '{' || here == '[') {
            depth++;
            if (depth > depth_max) {
                *ret_place = scan_place(&scan, scan.at);
                return true;
            }
        } else if ((here == '}' || here == ']') && depth > 0) {
            depth--; /* an unbalanced one is the parser's to refuse */
        }
        scan.at++;
    }
    return false;
}
