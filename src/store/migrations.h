/* migrations.h: the tables of walletd's SQLite files, as numbered steps that are only ever added
 * to. schema_version holds the steps that a file has seen. Only src/store includes it. */
#ifndef WL_STORE_MIGRATIONS_H
#define WL_STORE_MIGRATIONS_H

#include "base/err.h"

#include <sqlite3.h>
#include <stdint.h>

typedef struct {
    uint32_t number;  /* 1, 2, 3...: no gaps */
    const char *name; /* "001_asset", kept in schema_version for people */
    const char *sql;  /* several statements; runs inside one transaction */
} wl_migration_t;

typedef struct {
    uint32_t application_id; /* tells an asset database from a queue and from foreign files */
    uint32_t count;
    const wl_migration_t *at; /* in order of their numbers */
} wl_schema_t;

extern const wl_schema_t wl_schema_asset_db;
extern const wl_schema_t wl_schema_queue;
extern const wl_schema_t wl_schema_reports;
extern const wl_schema_t wl_schema_trail;

/* Brings the file up to schema->count, each step in its own transaction, so a killed process leaves
 * a whole step or none. Several handles may do this at once. WL_ERR_SETTINGS: the file has seen
 * steps that this program does not know. fault may be NULL; fault->where is `path`. */
WL_MUST_USE wl_err_t wl_schema_migrate(sqlite3 *db, const wl_schema_t *schema, const char *path,
                                       wl_fault_t *fault);

#endif
