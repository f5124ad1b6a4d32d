/* random.h: unpredictable numbers (czmq seeds random() with the time, so never use that).
 * Any thread. */
#ifndef WL_BASE_RANDOM_H
#define WL_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

uint64_t wl_random_u64(void);
uint32_t wl_random_below(uint32_t bound); /* uniform in [0, bound), 0 for bound 0 */
void wl_random_bytes(void *ret_bytes, size_t count);

#endif
