#include "base/slot_move.h"

static const char *const words[WL_MOVE_STATES_COUNT] = {
#define WL_MOVE_WORD(NAME, word) word,
    WL_MOVE_STATES(WL_MOVE_WORD)
#undef WL_MOVE_WORD
};

const char *wl_move_state_word(wl_move_state_t state) {
    return (unsigned)state < WL_MOVE_STATES_COUNT ? words[state] : "?";
}

bool wl_move_ended(wl_move_state_t state) {
    return state == WL_MOVE_DONE || state == WL_MOVE_UNDONE;
}
