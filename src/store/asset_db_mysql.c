#include "store/asset_db_ops.h"

wl_err_t wl_asset_db_mysql_open(const wl_asset_db_options_t *options, wl_asset_db_t **ret,
                                wl_fault_t *fault) {
    (void)ret;
    return wl_fault(fault, WL_ERR_SETTINGS, options->mysql.at, "MySQL is not supported yet");
}
