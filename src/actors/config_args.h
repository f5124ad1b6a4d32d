/* config_args.h: arguments that several requests to the config actor share, read from what a
 * stranger sent. Pure, any thread. A fault's message begins with the name of the argument. */
#ifndef WL_ACTORS_CONFIG_ARGS_H
#define WL_ACTORS_CONFIG_ARGS_H

#include "domain/config_state.h"
#include "proto/args.h"

/* An argument that has to be there: NOT_FOUND becomes BAD_REQUEST, "seq: is missing". */
WL_MUST_USE wl_err_t wl_config_arg_needed(wl_err_t err, const char *key, wl_fault_t *fault);
/* One that need not: NOT_FOUND becomes WL_OK. */
WL_MUST_USE wl_err_t wl_config_arg_optional(wl_err_t err);

/* Text or bin, borrowed from args, not NUL-terminated. WL_ERR_NOT_FOUND: it is not there;
 * WL_ERR_BAD_REQUEST: it is something else; `what` says what it has to be. */
WL_MUST_USE wl_err_t wl_config_arg_bytes(const msgpack_object *args, const char *key,
                                         const char *what, const char **ret, size_t *ret_bytes,
                                         wl_fault_t *fault);
/* "document": integration or presentation, and needed. */
WL_MUST_USE wl_err_t wl_config_arg_document(const msgpack_object *args, wl_document_t *ret,
                                            wl_fault_t *fault);
/* The name of a document, or why it is none. */
WL_MUST_USE wl_err_t wl_config_document_named(const char *name, wl_document_t *ret,
                                              wl_fault_t *fault);

/* A text of a fault as JSON: such a text may be cut within a character, then all that is not ASCII
 * becomes "?". The caller owns the result. */
json_t *wl_config_text_json(const char *text);

#endif
