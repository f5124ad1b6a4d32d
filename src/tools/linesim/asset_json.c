#include "asset_json.h"

#include "domain/asset_rules.h"

#include <inttypes.h>
#include <stdio.h>

static json_t *number_text(uint64_t number) {
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRIu64, number);
    return json_string(text);
}

static json_t *amount_text(int64_t amount) {
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRId64, amount);
    return json_string(text);
}

json_t *asset_json_standard(const wl_asset_t *asset, sim_fault_t fault) {
    json_t *object = json_object();
    (void)json_object_set_new(object, "uid", number_text(asset->uid));
    (void)json_object_set_new(object, "version", number_text(asset->version));
    (void)json_object_set_new(object, "kind", json_string(wl_kind_name((wl_kind_t)asset->kind)));
    json_t *amount = amount_text(asset->amount);
    if (fault == SIM_FAULT_LIE_FLOAT) {
        json_decref(amount);
        amount = json_real((double)asset->amount + 0.5);
    } else if (fault == SIM_FAULT_LIE_BIG) {
        json_decref(amount);
        amount = json_string("99999999999999999999");
    }
    (void)json_object_set_new(object, "amount", amount);
    (void)json_object_set_new(object, "pending", amount_text(asset->pending));
    if (asset->unit[0] != '\0') {
        (void)json_object_set_new(object, "unit", json_string(asset->unit));
        (void)json_object_set_new(object, "scale", json_integer(asset->scale));
    }
    (void)json_object_set_new(object, "count", json_integer(asset->count));
    (void)json_object_set_new(object, "state",
                              json_string(wl_state_name((wl_state_t)asset->state)));
    (void)json_object_set_new(object, "expires_at", json_integer(asset->expires_at));
    (void)json_object_set_new(object, "changed_at", json_integer(asset->changed_at));
    (void)json_object_set_new(object, "title", json_string("sample"));
    return object;
}

json_t *asset_json_foreign(const wl_asset_t *asset) {
    json_t *object = json_object();
    char text[32];
    (void)json_object_set_new(object, "user_id", number_text(asset->uid));
    wl_amount_format(asset->amount, asset->scale, text);
    (void)json_object_set_new(object, "balance", json_string(text));
    wl_amount_format(asset->pending, asset->scale, text);
    (void)json_object_set_new(object, "on_the_way", json_string(text));
    (void)json_object_set_new(object, "updated_ms", json_integer(asset->changed_at));
    (void)json_object_set_new(object, "name", json_string("sample"));
    return object;
}
