/* mysql_schema.h: the tables of a shard's MySQL database, as numbered steps that are only ever
 * added to, and whose database it is. The SQLite counterpart is migrations.h. Only src/store
 * includes it, in the thread of the connection. */
#ifndef WL_STORE_MYSQL_SCHEMA_H
#define WL_STORE_MYSQL_SCHEMA_H

#include "store/mysql_tool.h"

enum { WL_MYSQL_SCHEMA = 5 }; /* steps that this program knows */

/* Brings the tables up to WL_MYSQL_SCHEMA. Several processes may do this at once: they take turns.
 * A server cannot undo a step that was cut off, so each can be done again. WL_ERR_SETTINGS: the
 * database has seen steps that this program does not know; fault is never NULL. */
WL_MUST_USE wl_err_t wl_mysql_migrate(wl_mysql_t *self, wl_fault_t *fault);
/* For those who only read: WL_ERR_UNAVAILABLE while no writer has done it. */
WL_MUST_USE wl_err_t wl_mysql_migrated(wl_mysql_t *self, wl_fault_t *fault);

typedef struct {
    uint32_t shard;
    uint32_t shards; /* of the whole database; 0 = not checked */
    bool mapped;     /* slots are given to shards one by one, so shards may be added */
} wl_mysql_shard_t;

/* Is this the database of that shard? make: writes it down when nobody has yet; else that is
 * WL_ERR_UNAVAILABLE. WL_ERR_SETTINGS: it is another's, or of another number of shards. */
WL_MUST_USE wl_err_t wl_mysql_shard_check(wl_mysql_t *self, const wl_mysql_shard_t *ours, bool make,
                                          wl_fault_t *fault);

#endif
