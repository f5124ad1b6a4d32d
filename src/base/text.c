#include "base/text.h"

#include <string.h>

size_t wl_utf8_bytes(const unsigned char *at) {
    if (at[0] < 0x80) {
        return 1;
    }
    size_t bytes = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    if (at[0] < 0xc2 || at[0] > 0xf4) {
        return 0;
    }
    for (size_t i = 1; i < bytes; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    bool surrogate = at[0] == 0xed && at[1] >= 0xa0;
    bool beyond = at[0] == 0xf4 && at[1] >= 0x90;
    return overlong || surrogate || beyond ? 0 : bytes;
}

bool wl_text_valid(const char *text, size_t size) {
    if (memchr(text, '\0', size) == NULL) {
        return false;
    }
    const unsigned char *at = (const unsigned char *)text;
    while (*at != '\0') {
        size_t bytes = *at < 0x20 || *at == 0x7f ? 0 : wl_utf8_bytes(at);
        if (bytes == 0) {
            return false;
        }
        at += bytes;
    }
    return true;
}
