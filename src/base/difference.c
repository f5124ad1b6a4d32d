#include "base/difference.h"

#include <string.h>

static const char *const names[WL_DIFFERENCE_KINDS] = {
#define WL_DIFFERENCE_NAME(NAME, text, doc) [WL_DIFFERENCE_##NAME] = text,
    WL_DIFFERENCES(WL_DIFFERENCE_NAME)
#undef WL_DIFFERENCE_NAME
};

const char *wl_difference_name(wl_difference_kind_t kind) {
    return (unsigned)kind < WL_DIFFERENCE_KINDS ? names[kind] : "?";
}

bool wl_difference_parse(const char *text, wl_difference_kind_t *ret) {
    for (unsigned i = 0; i < WL_DIFFERENCE_KINDS; i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret = (wl_difference_kind_t)i;
            return true;
        }
    }
    return false;
}

const char *wl_repair_name(wl_repair_t repair) {
    switch (repair) {
    case WL_REPAIR_DROP: return "drop";
    case WL_REPAIR_RESTORE: return "restore";
    case WL_REPAIR_MARK: return "mark";
    }
    return "?";
}
