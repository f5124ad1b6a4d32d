/* server_info.h: the results of sys.ping and sys.info. Pure; any thread. */
#ifndef WL_ACTORS_SERVER_INFO_H
#define WL_ACTORS_SERVER_INFO_H

#include "base/settings.h"
#include "domain/config.h"

#include <msgpack.h>

typedef struct {
    const wl_settings_t *settings;
    const wl_config_t *config; /* NULL = not configured yet: state "starting" */
    const char *config_source; /* wl_config_source_name() */
    uint64_t config_seq;       /* of the newest change that is live here */
    uint64_t rollout;          /* under way, 0 = none */
    bool draining;             /* state "draining" */
    int64_t uptime_ms;
} wl_server_info_t;

/* Each appends one MessagePack map to `into`. */
void wl_server_ping_write(msgpack_sbuffer *into);
void wl_server_info_write(const wl_server_info_t *info, msgpack_sbuffer *into);

#endif
