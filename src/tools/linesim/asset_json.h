/* asset_json.h: a simulated asset as JSON, in the standard contract or in the foreign shape. */
#ifndef WL_TOOLS_LINESIM_ASSET_JSON_H
#define WL_TOOLS_LINESIM_ASSET_JSON_H

#include "sim.h"

#include <jansson.h>

/* fault: LIE_FLOAT and LIE_BIG change how the amount is written. */
json_t *asset_json_standard(const wl_asset_t *asset, sim_fault_t fault);
json_t *asset_json_foreign(const wl_asset_t *asset);

#endif
