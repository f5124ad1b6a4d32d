/* What may be asked of a move, and what it makes of the map. */
#include "domain/slot_moves.h"

#include <criterion/criterion.h>
#include <string.h>

static uint8_t map[WL_SLOTS];

static void halves(void) {
    memset(map, 0, sizeof map);
    memset(map + 2048, 1, 2048);
}

Test(slot_moves, finds_the_one_shard_that_has_the_slots) {
    halves();
    uint32_t source = 9;
    wl_fault_t fault;
    cr_expect_eq(wl_move_source(map, 0, 2047, 2, &source, &fault), WL_OK);
    cr_expect_eq(source, 0u);
    cr_expect_eq(wl_move_source(map, 4095, 4095, 0, &source, &fault), WL_OK);
    cr_expect_eq(source, 1u);
    static const struct {
        uint32_t first, last, target;
        wl_err_t err;
        const char *says;
    } wrong[] = {
        {5, 4, 1, WL_ERR_BAD_REQUEST, "5-4 is not a range"},
        {0, 4096, 1, WL_ERR_BAD_REQUEST, "not a range of the slots 0 to 4095"},
        {2000, 2100, 2, WL_ERR_CONFLICT, "up to 2047 they belong to shard 0"},
        {0, 7, 0, WL_ERR_CONFLICT, "shard 0 has slot 0 already"},
        {2000, 2100, 1, WL_ERR_CONFLICT, "shard 1 has slot 2048 already"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        fault = (wl_fault_t){.where = ""};
        cr_expect_eq(
            wl_move_source(map, wrong[i].first, wrong[i].last, wrong[i].target, &source, &fault),
            wrong[i].err, "%zu", i);
        cr_expect_not_null(strstr(fault.message, wrong[i].says), "%zu: %s", i, fault.message);
    }
    cr_expect_eq(source, 1u, "untouched by refusals");
}

Test(slot_moves, gives_slots_and_writes_the_map_as_the_setting_has_it) {
    char text[65536];
    halves();
    wl_move_map(map, 1024, 2047, 2);
    wl_move_map(map, 7, 7, 255);
    wl_move_map_text(map, text, sizeof text);
    cr_expect_str_eq(text, "0-6:0 7:255 8-1023:0 1024-2047:2 2048-4095:1");
    for (uint32_t slot = 0; slot < WL_SLOTS; slot++) {
        map[slot] = (uint8_t)(100 + slot % 2);
    }
    wl_move_map_text(map, text, sizeof text);
    cr_expect_eq(strncmp(text, "0:100 1:101 2:100", 17), 0);
    cr_expect_str_eq(text + strlen(text) - 8, "4095:101");
    char small[16];
    wl_move_map_text(map, small, sizeof small);
    cr_expect_eq(strlen(small), sizeof small - 1, "cut, not beyond its end");
}

Test(slot_moves, says_what_may_be_wished_and_when) {
    wl_fault_t fault;
    for (unsigned state = 0; state < WL_MOVE_STATES_COUNT; state++) {
        wl_slot_move_t move = {.id = 3, .state = (wl_move_state_t)state, .flipped_at = 1000};
        bool back = state == WL_MOVE_COPY || state == WL_MOVE_COMPARE || state == WL_MOVE_FENCED ||
                    state == WL_MOVE_FOLLOWING;
        cr_expect_eq(wl_move_may(&move, WL_MOVE_WISH_BACK, 99999, &fault),
                     back ? WL_OK : WL_ERR_CONFLICT, "%u", state);
        cr_expect_eq(wl_move_may(&move, WL_MOVE_WISH_FINISH, 99999, &fault),
                     state == WL_MOVE_FOLLOWING ? WL_OK : WL_ERR_CONFLICT, "%u", state);
    }
    wl_slot_move_t move = {.id = 3, .state = WL_MOVE_FOLLOWING, .flipped_at = 1000};
    cr_expect_eq(wl_move_may(&move, WL_MOVE_WISH_FINISH, 10999, &fault), WL_ERR_CONFLICT);
    cr_expect_not_null(strstr(fault.message, "10 s ago"), "%s", fault.message);
    cr_expect_eq(wl_move_may(&move, WL_MOVE_WISH_FINISH, 11000, &fault), WL_OK);
    move.wish = WL_MOVE_WISH_BACK;
    cr_expect_eq(wl_move_may(&move, WL_MOVE_WISH_FINISH, 11000, &fault), WL_ERR_CONFLICT);
    cr_expect_not_null(strstr(fault.message, "already to go back"), "%s", fault.message);
    cr_expect_eq(wl_move_may(&move, WL_MOVE_WISH_BACK, 11000, &fault), WL_OK, "said again");
}
