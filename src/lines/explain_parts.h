/* explain_parts.h: one record of explain.h: its fields with their sources, and hints. Private to
 * the explain*.c files. */
#ifndef WL_LINES_EXPLAIN_PARTS_H
#define WL_LINES_EXPLAIN_PARTS_H

#include "base/asset.h"
#include "base/clock.h"
#include "lines/record.h"

#include <msgpack.h>

typedef struct {
    const wl_line_t *line;   /* borrowed */
    wl_record_t record;      /* borrowed */
    const wl_asset_t *asset; /* borrowed; as far as it could be read */
    const json_t *failed;    /* borrowed; list of {field, reason} */
    wl_wall_ms_t now;
    bool hidden; /* somebody else's: values show their types only */
} wl_explained_t;

/* Lists of {field, from, raw, kept} and of texts. The caller owns them. */
json_t *wl_explain_fields(const wl_explained_t *self);
json_t *wl_explain_hints(const wl_explained_t *self);

/* True when one of the list has this field. */
bool wl_explain_failed(const json_t *failed, const char *field);

/* A JSON value that shows the same; never NULL. The caller owns it. */
json_t *wl_explain_json(const msgpack_object *value);

#endif
