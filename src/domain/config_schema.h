/* config_schema.h: every key of the runtime configuration as one table of rows. The rows drive the
 * parser (type, bounds, default, where the value goes), the refusal of unknown keys and the table
 * of docs/CONFIG.md. Static data, any thread. Private to the config_*.c files. */
#ifndef WL_DOMAIN_CONFIG_SCHEMA_H
#define WL_DOMAIN_CONFIG_SCHEMA_H

#include "domain/config.h"

#include <stddef.h>

/* Objects of the two documents: name, path of the document page. */
#define WL_CONFIG_OBJECTS(O)                                     \
    O(INTEGRATION, "integration")                                \
    O(LINE, "integration/lines/<id>")                            \
    O(SANITY, "integration/lines/<id>/sanity")                   \
    O(MAPPING, "integration/lines/<id>/mapping")                 \
    O(DETAILS_MAPPING, "integration/lines/<id>/details_mapping") \
    O(SUMMARY_MAPPING, "integration/lines/<id>/summary_mapping") \
    O(PRESENTATION, "presentation")                              \
    O(GOLDEN, "presentation/golden/<n>")                         \
    O(GOLDEN_CAMPAIGN, "presentation/golden/<n>/campaigns/<n>")  \
    O(SECTION, "presentation/sections/<n>")                      \
    O(SECTION_CAMPAIGN, "presentation/sections/<n>/campaigns/<n>")

typedef enum {
#define WL_CONFIG_OBJECT_ENUM(name, path) WL_CONFIG_##name,
    WL_CONFIG_OBJECTS(WL_CONFIG_OBJECT_ENUM)
#undef WL_CONFIG_OBJECT_ENUM
        WL_CONFIG_OBJECT_COUNT
} wl_config_object_t;

typedef enum {
    WL_CONFIG_NUMBER,  /* a JSON integer into u8, u32 or u64 */
    WL_CONFIG_FLAG,    /* true or false into bool */
    WL_CONFIG_TEXT,    /* text without control characters into char[size]; each character outside
                          ASCII counts as four bytes, so that a JSON Schema can say the same */
    WL_CONFIG_ID,      /* text of wl_line_id_valid() into char[size] */
    WL_CONFIG_POINTER, /* "" or a JSON pointer (RFC 6901) into char[size], counted like TEXT */
    WL_CONFIG_URL,     /* printable ASCII without blanks into char[size] */
    WL_CONFIG_PATH,    /* likewise, "" or with a '/' first */
    WL_CONFIG_AMOUNT, /* decimal text of a whole number into i64 or u64: JSON numbers lose digits */
    WL_CONFIG_CHOICE, /* one of `choices` into an enum */
    WL_CONFIG_TIME,   /* RFC 3339 text with its zone, 1970 and later, into i64: ms since 1970 */
    WL_CONFIG_OBJECT, /* read by rows of its own */
    WL_CONFIG_LIST,   /* with `choice`: distinct ones of `max` choices, choice i into u32 as bit i;
                         with `element`: texts that are checked and read by code of their own;
                         without them: read by code of its own */
    WL_CONFIG_JSON,   /* any JSON value, read by code of its own */
    WL_CONFIG_TYPE_COUNT
} wl_config_type_t;

typedef struct {
    wl_config_object_t object;
    wl_config_type_t type;
    const char *key;
    const char *doc;
    const char *fallback_text; /* default for people where `fallback` does not say it, or NULL */
    const char *(*choice)(unsigned index); /* name of a choice; CHOICE, and LIST of choices */
    wl_config_type_t element;              /* of a LIST of ID or URL, none of them empty */
    int64_t fallback; /* default of NUMBER, FLAG, AMOUNT, CHOICE, TIME; texts default to "" */
    int64_t min;      /* of NUMBER and AMOUNT */
    int64_t max;      /* likewise; number of choices; elements of OBJECT and LIST: a list of choices
                         has none twice, so that this is both */
    size_t offset;    /* into the struct of the object */
    size_t size;      /* of the field, of an element's text in bytes, 0 = not stored by the row */
    bool required;
    bool nullable; /* elements of a LIST may be null */
} wl_config_row_t;

enum {
    WL_CONFIG_WIDE_BYTES = 4, /* what a character outside ASCII counts in a text */
};

/* What the top of a document holds beside its lists. */
typedef struct {
    uint64_t version; /* 1 .. 2^53 - 1, so that a console in JavaScript keeps it exact */
} wl_config_top_t;

/* Path of an object such as "presentation/golden/<n>": <id> is any key, <n> any index. */
const char *wl_config_object_path(wl_config_object_t object);
/* Row number `index` of an object, NULL past the last. */
const wl_config_row_t *wl_config_row(wl_config_object_t object, size_t index);
/* NULL when the object has no such key. */
const wl_config_row_t *wl_config_row_find(wl_config_object_t object, const char *key);

#endif
