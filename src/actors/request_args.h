/* request_args.h: what the methods of the reader port are asked for, read from args that a stranger
 * wrote. Pure; any thread. */
#ifndef WL_ACTORS_REQUEST_ARGS_H
#define WL_ACTORS_REQUEST_ARGS_H

#include "domain/config.h"
#include "domain/floors.h"
#include "domain/rollout.h"
#include "proto/rpc.h"

enum { WL_FILTER_BYTES_MAX = WL_LINES_MAX * (WL_LINE_ID_MAX + 1) };

typedef struct {
    uint64_t uid;
    size_t filter_bytes;              /* 0 = all lines */
    char filter[WL_FILTER_BYTES_MAX]; /* "cash,coin," */
    size_t floors_bytes;              /* 0 = any version will do */
    char floors[WL_FLOORS_BYTES_MAX]; /* "cash:12,coin:3," (domain/floors.h) */
} wl_wallet_args_t;

/* wallet.home, wallet.golden, wallet.assets, wallet.balance: uid; lines (array of line ids, empty =
 * all) of wallet.assets and line of wallet.balance, both as filter; of wallet.home min_version (map
 * of line ids to versions up to WL_VERSION_MAX) as floors. WL_ERR_BAD_REQUEST, or WL_ERR_NOT_FOUND
 * for a line that is not configured; fault->message is fit for the client. */
WL_MUST_USE wl_err_t wl_wallet_args_read(const wl_rpc_request_t *request, const wl_config_t *config,
                                         wl_wallet_args_t *ret, wl_fault_t *fault);

/* scene and app_version of any of these, "" = not said: what a rollout may ask for. A scene has at
 * most WL_SCENE_MAX bytes, a version one to four numbers between dots. WL_ERR_BAD_REQUEST. */
typedef struct {
    char scene[WL_SCENE_MAX + 1];
    char app_version[WL_APP_VERSION_MAX + 1];
} wl_asker_args_t;
WL_MUST_USE wl_err_t wl_asker_args_read(const msgpack_object *args, wl_asker_args_t *ret,
                                        wl_fault_t *fault);

/* wallet.has_assets: uids, at most WL_HAS_UIDS_MAX, each at least 1. */
WL_MUST_USE wl_err_t wl_has_args_read(const wl_rpc_request_t *request,
                                      uint64_t ret_uids[WL_HAS_UIDS_MAX], uint32_t *ret_count,
                                      wl_fault_t *fault);

#endif
