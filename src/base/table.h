/* table.h: uthash with our choices. Tables are keyed by numbers that clients choose, so the hash
 * is keyed with a secret of the process: nobody can aim at one bucket. A table has one owner
 * thread. Use HASH_FIND / HASH_ADD with a key that is a u64 or a packed struct without padding. */
#ifndef WL_BASE_TABLE_H
#define WL_BASE_TABLE_H

#include <stddef.h>
#include <stdint.h>

/* 32 bits of XXH3-64 of the key, seeded once per process by the kernel. Any thread. */
uint32_t wl_table_hash(const void *key, size_t bytes);

#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = wl_table_hash((keyptr), (keylen)))
#define uthash_fatal(message) abort()

#include <uthash.h>

#endif
