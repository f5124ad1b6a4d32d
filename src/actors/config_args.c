#include "actors/config_args.h"

#include "base/alloc.h"
#include "domain/config_read.h"

#include <string.h>

enum { DOCUMENT_NAME_MAX = 40 }; /* of a document, as asked for */

wl_err_t wl_config_arg_needed(wl_err_t err, const char *key, wl_fault_t *fault) {
    return err == WL_ERR_NOT_FOUND ? wl_fault(fault, WL_ERR_BAD_REQUEST, key, "%s: is missing", key)
                                   : err;
}

wl_err_t wl_config_arg_optional(wl_err_t err) {
    return err == WL_ERR_NOT_FOUND ? WL_OK : err;
}

wl_err_t wl_config_arg_bytes(const msgpack_object *args, const char *key, const char *what,
                             const char **ret, size_t *ret_bytes, wl_fault_t *fault) {
    const msgpack_object *value = NULL;
    wl_err_t err = wl_args_find(args, key, &value);
    if (err != WL_OK) {
        return err;
    }
    bool bin = value->type == MSGPACK_OBJECT_BIN;
    if (!bin && value->type != MSGPACK_OBJECT_STR) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, key, "%s: must be %s, got %s", key, what,
                        wl_value_type_name(value));
    }
    *ret = bin ? value->via.bin.ptr : value->via.str.ptr;
    *ret_bytes = bin ? value->via.bin.size : value->via.str.size;
    return WL_OK;
}

wl_err_t wl_config_document_named(const char *name, wl_document_t *ret, wl_fault_t *fault) {
    for (wl_document_t d = 0; d < WL_DOCUMENT_COUNT; d++) {
        if (strcmp(name, wl_document_name(d)) == 0) {
            *ret = d;
            return WL_OK;
        }
    }
    char shown[WL_CONFIG_SHOWN_MAX + 1];
    return wl_fault(fault, WL_ERR_BAD_REQUEST, "document",
                    "document: must be integration or presentation, got \"%s\"",
                    wl_config_shown(name, shown));
}

wl_err_t wl_config_arg_document(const msgpack_object *args, wl_document_t *ret, wl_fault_t *fault) {
    char name[DOCUMENT_NAME_MAX + 1];
    wl_err_t err = wl_args_text(args, "document", name, DOCUMENT_NAME_MAX, fault);
    err = wl_config_arg_needed(err, "document", fault);
    return err == WL_OK ? wl_config_document_named(name, ret, fault) : err;
}

json_t *wl_config_text_json(const char *text) {
    json_t *value = json_string(text);
    if (value != NULL) {
        return value;
    }
    WL_AUTO_FREE char *plain = wl_strdup(text);
    for (char *at = plain; *at != '\0'; at++) {
        *at = (unsigned char)*at < 0x80 ? *at : '?';
    }
    return json_string(plain);
}
