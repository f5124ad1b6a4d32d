/* sql_text.h: a growing SQL text. Values go in as numbers or as literals that need no escaping:
 * what is not plain letters, digits and `_-.` is written as hexadecimal, so neither the character
 * set nor the sql_mode of a connection can turn data into SQL. One thread. Only src/store includes
 * it. */
#ifndef WL_STORE_SQL_TEXT_H
#define WL_STORE_SQL_TEXT_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    char *at; /* owned; not NUL-terminated */
    size_t used;
    size_t capacity;
} wl_sql_text_t;

void wl_sql_text_clear(wl_sql_text_t *self);   /* empties it, keeps its memory */
void wl_sql_text_destroy(wl_sql_text_t *self); /* frees what it holds, leaves it empty */

void wl_sql_add(wl_sql_text_t *self, const char *sql); /* trusted text, as it is */
void wl_sql_unsigned(wl_sql_text_t *self, uint64_t value);
void wl_sql_signed(wl_sql_text_t *self, int64_t value);
void wl_sql_text(wl_sql_text_t *self, const char *value); /* 'cash' or x'...' */
/* x'...', NULL when bytes is 0 */
void wl_sql_bytes(wl_sql_text_t *self, const uint8_t *value, size_t bytes);

#endif
