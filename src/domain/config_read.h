/* config_read.h: reads one JSON document by the rows of config_schema.h and says where it is
 * wrong: path, line and column. A reader is used by one thread for one document and borrows text
 * and fault. Private to the config_*.c files. */
#ifndef WL_DOMAIN_CONFIG_READ_H
#define WL_DOMAIN_CONFIG_READ_H

#include "domain/config_schema.h"
#include "domain/json_locate.h"

#include <jansson.h>

enum {
    WL_CONFIG_DEPTH_MAX = 8,   /* objects and lists around a key */
    WL_CONFIG_NESTED_MAX = 16, /* nested objects and lists of a document: samples bring their own */
};

typedef struct {
    const char *name; /* "integration" or "presentation" */
    const char *text; /* borrowed, not NUL-terminated */
    size_t bytes;
    wl_fault_t *fault;                         /* borrowed, may be NULL */
    json_t *root;                              /* owned */
    bool alone;                                /* only what a JSON Schema of the document can say */
    uint32_t depth;                            /* steps in use */
    wl_json_step_t steps[WL_CONFIG_DEPTH_MAX]; /* from the root to where we are */
} wl_config_reader_t;

/* Parses the text. WL_ERR_TOO_BIG, WL_ERR_SETTINGS; close in either case. */
WL_MUST_USE wl_err_t wl_config_reader_open(wl_config_reader_t *self, const char *name,
                                           const char *text, size_t bytes, wl_fault_t *fault);
void wl_config_reader_close(wl_config_reader_t *self);

/* Steps into a key (borrowed) or element, and back. */
void wl_config_reader_enter(wl_config_reader_t *self, const char *key);
void wl_config_reader_enter_index(wl_config_reader_t *self, size_t index);
void wl_config_reader_leave(wl_config_reader_t *self);

/* Fills the fault with the current place, or that of `key` inside it when key is not NULL.
 * Returns WL_ERR_SETTINGS. */
wl_err_t wl_config_reader_fault(wl_config_reader_t *self, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Reads the object at the current place: refuses unknown keys, missing required ones, wrong types
 * and values out of bounds; stores values and defaults into the struct of the object. Nested
 * objects and lists are only checked to be such: the caller reads them from json_object_get(). */
WL_MUST_USE wl_err_t wl_config_reader_object(wl_config_reader_t *self, const json_t *value,
                                             wl_config_object_t object, void *into);

/* Remembers the candidate nearest to `text` by edit distance, to be asked for every candidate.
 * Distances above 3 or above half of the text are too far. Start with {.distance = 0}. */
typedef struct {
    const char *nearest; /* borrowed from the caller, NULL = none so far */
    size_t distance;
} wl_config_guess_t;
void wl_config_guess(wl_config_guess_t *self, const char *text, const char *candidate);

/* A copy of untrusted text for a message: at most 40 bytes, anything but printable ASCII as '?'. */
enum { WL_CONFIG_SHOWN_MAX = 40 };
const char *wl_config_shown(const char *text, char into[WL_CONFIG_SHOWN_MAX + 1]);

#endif
