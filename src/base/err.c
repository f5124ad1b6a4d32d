#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

typedef struct {
    const char *name;
    const char *code;
    const char *text;
    bool retryable;
} err_row_t;

static const err_row_t err_rows[WL_ERR_COUNT] = {
#define WL_ERR_ROW(name, code, retryable, text) {#name, code, text, retryable},
    WL_ERRORS(WL_ERR_ROW)
#undef WL_ERR_ROW
};

static const err_row_t *err_row(wl_err_t err) {
    return (unsigned)err < WL_ERR_COUNT ? &err_rows[err] : &err_rows[WL_ERR_INTERNAL];
}

const char *wl_err_name(wl_err_t err) {
    return err_row(err)->name;
}

const char *wl_err_wire_code(wl_err_t err) {
    return err_row(err)->code;
}

const char *wl_err_text(wl_err_t err) {
    return err_row(err)->text;
}

bool wl_err_retryable(wl_err_t err) {
    return err_row(err)->retryable;
}

wl_err_t wl_fault(wl_fault_t *fault, wl_err_t err, const char *where, const char *format, ...) {
    if (fault == NULL) {
        return err;
    }
    (void)snprintf(fault->where, sizeof fault->where, "%s", where == NULL ? "" : where);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(fault->message, sizeof fault->message, format, args);
    va_end(args);
    return err;
}
