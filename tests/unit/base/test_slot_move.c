#include "base/slot_move.h"

#include <criterion/criterion.h>

Test(slot_move, states_have_words_and_two_of_them_are_ends) {
    cr_expect_str_eq(wl_move_state_word(WL_MOVE_COPY), "copy");
    cr_expect_str_eq(wl_move_state_word(WL_MOVE_UNDONE), "undone");
    cr_expect_str_eq(wl_move_state_word(WL_MOVE_STATES_COUNT), "?");
    unsigned ended = 0;
    for (unsigned i = 0; i < WL_MOVE_STATES_COUNT; i++) {
        ended += wl_move_ended((wl_move_state_t)i);
    }
    cr_expect_eq(ended, 2u);
    cr_expect(wl_move_ended(WL_MOVE_DONE) && wl_move_ended(WL_MOVE_UNDONE));
}
