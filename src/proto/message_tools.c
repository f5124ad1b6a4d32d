/* Equality and printing, one function per field kind; the rest comes from messages.def. */
#include "proto/messages.h"

#include <inttypes.h>
#include <string.h>

const char *wl_msg_name(wl_msg_id_t id) {
    switch (id) {
#define NAME_CASE(NAME, name, number, route, doc) \
    case WL_MSG_##NAME: return #NAME;
        WL_MESSAGES(NAME_CASE)
#undef NAME_CASE
    }
    return "?";
}

/* Equality. */

static bool equal_U64(uint64_t a, uint64_t b) {
    return a == b;
}

static bool equal_I64(int64_t a, int64_t b) {
    return a == b;
}

static bool equal_TEXT(const char *a, const char *b) {
    return strcmp(a, b) == 0;
}

static bool equal_BYTES(wl_bytes_t a, wl_bytes_t b) {
    return a.count == b.count && (a.count == 0 || memcmp(a.at, b.at, a.count) == 0);
}

static bool equal_U64S(wl_u64_list_t a, wl_u64_list_t b) {
    return a.count == b.count && (a.count == 0 || memcmp(a.at, b.at, a.count * sizeof *a.at) == 0);
}

#define equal_U8 equal_U64
#define equal_U32 equal_U64
#define equal_BOOL equal_U64
#define EQUAL_FIELD(kind, name, max, doc) &&equal_##kind(a->name, b->name)

static bool hint_equal(const wl_hint_t *a, const wl_hint_t *b) {
    return true WL_HINT_FIELDS(EQUAL_FIELD);
}

static bool equal_HINTS(wl_hint_list_t a, wl_hint_list_t b) {
    bool equal = a.count == b.count;
    for (uint32_t i = 0; i < a.count && equal; i++) {
        equal = hint_equal(&a.at[i], &b.at[i]);
    }
    return equal;
}

bool wl_asset_equal(const wl_asset_t *a, const wl_asset_t *b) {
    return equal_BYTES((wl_bytes_t){a->extra, a->extra_bytes},
                       (wl_bytes_t){b->extra, b->extra_bytes}) WL_ASSET_FIELDS(EQUAL_FIELD);
}

static bool equal_ASSETS(wl_asset_list_t a, wl_asset_list_t b) {
    bool equal = a.count == b.count;
    for (uint32_t i = 0; i < a.count && equal; i++) {
        equal = wl_asset_equal(&a.at[i], &b.at[i]);
    }
    return equal;
}

#define EQUAL_FUNCTIONS(NAME, name, id, route, doc)                                           \
    static bool name##_head_equal(const wl_##name##_head_t *a, const wl_##name##_head_t *b) { \
        (void)a, (void)b;                                                                     \
        return true WL_HEAD_##NAME(EQUAL_FIELD);                                              \
    }                                                                                         \
    static bool name##_item_equal(const wl_##name##_item_t *a, const wl_##name##_item_t *b) { \
        return true WL_ITEM_##NAME(EQUAL_FIELD);                                              \
    }
WL_MESSAGES(EQUAL_FUNCTIONS)

#define EQUAL_CASE(NAME, name, number, route, doc)                           \
    case WL_MSG_##NAME:                                                      \
        equal = name##_head_equal(&a->head.name, &b->head.name);             \
        for (uint32_t i = 0; i < a->count && equal; i++) {                   \
            equal = name##_item_equal(&a->items.name[i], &b->items.name[i]); \
        }                                                                    \
        break;

bool wl_msg_equal(const wl_msg_t *a, const wl_msg_t *b) {
    if (a->id != b->id || a->count != b->count) {
        return false;
    }
    bool equal = false;
    switch (a->id) { WL_MESSAGES(EQUAL_CASE) }
    return equal;
}

/* Printing. */

static void print_U64(FILE *out, const char *name, uint64_t value) {
    (void)fprintf(out, " %s=%" PRIu64, name, value);
}

static void print_I64(FILE *out, const char *name, int64_t value) {
    (void)fprintf(out, " %s=%" PRId64, name, value);
}

static void print_BOOL(FILE *out, const char *name, bool value) {
    (void)fprintf(out, " %s=%s", name, value ? "yes" : "no");
}

/* Texts come from strangers: what a terminal might obey is shown as a dot. */
static void print_TEXT(FILE *out, const char *name, const char *value) {
    (void)fprintf(out, " %s=\"", name);
    for (const char *at = value; *at != '\0'; at++) {
        bool shown = *at >= ' ' && *at <= '~' && *at != '"';
        (void)fputc(shown ? *at : '.', out);
    }
    (void)fputc('"', out);
}

static void print_BYTES(FILE *out, const char *name, wl_bytes_t value) {
    (void)fprintf(out, " %s=<%zu bytes>", name, value.count);
}

static void print_U64S(FILE *out, const char *name, wl_u64_list_t value) {
    (void)fprintf(out, " %s=[%" PRIu32 "]", name, value.count);
}

#define print_U8 print_U64
#define print_U32 print_U64
#define PRINT_FIELD(kind, name, max, doc) print_##kind(out, #name, from->name);

static void print_HINTS(FILE *out, const char *name, wl_hint_list_t value) {
    (void)fprintf(out, " %s=[", name);
    for (uint32_t i = 0; i < value.count; i++) {
        const wl_hint_t *from = &value.at[i];
        (void)fputs(" {", out);
        WL_HINT_FIELDS(PRINT_FIELD)
        (void)fputs(" }", out);
    }
    (void)fputs(" ]", out);
}

static void print_ASSETS(FILE *out, const char *name, wl_asset_list_t value) {
    (void)fprintf(out, " %s=[%" PRIu32 "]", name, value.count);
}

#define PRINT_FUNCTIONS(NAME, name, id, route, doc)                            \
    static void name##_head_print(FILE *out, const wl_##name##_head_t *from) { \
        (void)out, (void)from;                                                 \
        WL_HEAD_##NAME(PRINT_FIELD)                                            \
    }                                                                          \
    static void name##_item_print(FILE *out, const wl_##name##_item_t *from) { \
        WL_ITEM_##NAME(PRINT_FIELD)                                            \
    }
WL_MESSAGES(PRINT_FUNCTIONS)

#define PRINT_CASE(NAME, name, number, route, doc)               \
    case WL_MSG_##NAME:                                          \
        (void)fprintf(out, #NAME " items=%" PRIu32, msg->count); \
        name##_head_print(out, &msg->head.name);                 \
        (void)fputc('\n', out);                                  \
        for (uint32_t i = 0; i < msg->count; i++) {              \
            (void)fputc(' ', out);                               \
            name##_item_print(out, &msg->items.name[i]);         \
            (void)fputc('\n', out);                              \
        }                                                        \
        break;

void wl_msg_print(const wl_msg_t *msg, FILE *out) {
    switch (msg->id) { WL_MESSAGES(PRINT_CASE) }
}
