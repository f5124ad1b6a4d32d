/* Moves of slots as rows: one open at a time, one writer at each, another when it dies. */
#include "store/move_db.h"

#include "base/alloc.h"
#include "mysql_world.h"

#include <poll.h>

TestSuite(move_db, .init = world_open, .fini = world_close, .timeout = 60);

enum { LONG_MS = 60000 };

static wl_move_db_t *moves_open(const char *name) {
    wl_move_db_t *self = NULL;
    wl_fault_t fault = {0};
    wl_mysql_options_t options = world_options();
    cr_assert_eq(wl_move_db_open(&options, name, &self, &fault), WL_OK, "%s", fault.message);
    return self;
}

static wl_slot_move_t a_move(void) {
    return (wl_slot_move_t){.first = 2048,
                            .last = 4095,
                            .source = 0,
                            .target = 1,
                            .rate = 500,
                            .asked_by = "o'brien",
                            .note = "disk is full; \"soon\""};
}

static wl_slot_move_t newest(wl_move_db_t *db) {
    wl_slot_move_t move;
    uint32_t count = 0;
    cr_assert_eq(wl_move_db_list(db, &move, 1, &count), WL_OK);
    cr_assert_eq(count, 1u);
    return move;
}

static void end_move(wl_move_db_t *db, wl_move_state_t state) {
    wl_slot_move_t move;
    wl_move_wish_t wish;
    cr_assert_eq(wl_move_db_claim(db, LONG_MS, &move), WL_OK);
    move.state = state;
    cr_assert_eq(wl_move_db_save(db, &move, LONG_MS, &wish), WL_OK);
}

Test(move_db, one_move_is_open_and_versions_leave_room_for_its_way_back) {
    wl_move_db_t *db = moves_open("writer");
    wl_slot_move_t move = a_move();
    uint64_t id = 0;
    uint32_t count = 9;
    cr_assert_eq(wl_move_db_list(db, &move, 1, &count), WL_OK);
    cr_expect_eq(count, 0u);
    move = a_move();
    cr_assert_eq(wl_move_db_begin(db, &move, &id), WL_OK);
    cr_expect_eq(id, 1u);
    cr_expect_eq(wl_move_db_begin(db, &move, &id), WL_ERR_CONFLICT);
    wl_slot_move_t row = newest(db);
    cr_expect(row.version == 1 && row.first == 2048 && row.last == 4095 && row.target == 1);
    cr_expect(row.state == WL_MOVE_COPY && row.rate == 500 && row.started_at > 0);
    cr_expect_str_eq(row.asked_by, "o'brien");
    cr_expect_str_eq(row.note, "disk is full; \"soon\"");
    end_move(db, WL_MOVE_UNDONE);
    cr_assert_eq(wl_move_db_begin(db, &move, &id), WL_OK);
    cr_expect_eq(newest(db).version, 3u, "2 was the way back's");
    end_move(db, WL_MOVE_DONE);
    static uint8_t map[WL_SLOTS];
    map[7] = 1;
    cr_assert_eq(wl_move_db_map_put(db, 9, map), WL_OK);
    cr_assert_eq(wl_move_db_begin(db, &move, &id), WL_OK);
    cr_expect_eq(newest(db).version, 10u, "newer than any map");
    wl_move_db_close(&db);
    wl_move_db_close(&db);
}

Test(move_db, one_writer_holds_it_until_it_lets_go_or_is_silent) {
    wl_move_db_t *a = moves_open("a");
    wl_move_db_t *b = moves_open("b");
    wl_slot_move_t move = a_move();
    wl_slot_move_t mine;
    wl_slot_move_t other;
    wl_move_wish_t wish = WL_MOVE_WISH_NONE;
    uint64_t id = 0;
    cr_expect_eq(wl_move_db_claim(a, LONG_MS, &mine), WL_ERR_NOT_FOUND);
    cr_assert_eq(wl_move_db_begin(a, &move, &id), WL_OK);
    cr_assert_eq(wl_move_db_claim(a, 700, &mine), WL_OK);
    cr_expect_eq(wl_move_db_claim(b, LONG_MS, &other), WL_ERR_NOT_FOUND);
    mine.state = WL_MOVE_FOLLOWING;
    mine.cursor = UINT64_MAX;
    mine.users = 12;
    mine.pause_ms = 34;
    cr_assert_eq(wl_move_db_wish(b, id, WL_MOVE_WISH_BACK), WL_OK);
    cr_assert_eq(wl_move_db_save(a, &mine, 300, &wish), WL_OK);
    cr_expect_eq(wish, WL_MOVE_WISH_BACK);
    wl_err_t err = WL_ERR_NOT_FOUND;
    for (int i = 0; err == WL_ERR_NOT_FOUND && i < 2000; i++) {
        err = wl_move_db_claim(b, LONG_MS, &other);
        (void)poll(NULL, 0, 10);
    }
    cr_assert_eq(err, WL_OK, "its hold has ended");
    cr_expect(other.state == WL_MOVE_FOLLOWING && other.cursor == UINT64_MAX && other.users == 12);
    cr_expect(other.pause_ms == 34 && other.wish == WL_MOVE_WISH_BACK);
    cr_expect_eq(other.epoch, mine.epoch + 1);
    cr_expect_eq(wl_move_db_save(a, &mine, LONG_MS, &wish), WL_ERR_CONFLICT, "too late");
    cr_assert_eq(wl_move_db_release(a, id), WL_OK);
    cr_expect_eq(wl_move_db_claim(a, LONG_MS, &mine), WL_ERR_NOT_FOUND, "not ours to release");
    cr_assert_eq(wl_move_db_release(b, id), WL_OK);
    cr_expect_eq(wl_move_db_claim(a, LONG_MS, &mine), WL_OK);
    mine.state = WL_MOVE_DONE;
    cr_assert_eq(wl_move_db_save(a, &mine, LONG_MS, &wish), WL_OK);
    cr_expect_eq(wl_move_db_wish(b, id, WL_MOVE_WISH_FINISH), WL_ERR_NOT_FOUND, "it has ended");
    cr_expect_eq(wl_move_db_claim(b, LONG_MS, &other), WL_ERR_NOT_FOUND);
    wl_move_db_close(&a);
    wl_move_db_close(&b);
}

Test(move_db, keeps_the_newest_map_and_a_hundred_moves) {
    wl_move_db_t *db = moves_open("writer");
    static uint8_t map[WL_SLOTS];
    static uint8_t read[WL_SLOTS];
    uint64_t version = 0;
    uint64_t id = 0;
    cr_expect_eq(wl_move_db_map(db, &version, read), WL_ERR_NOT_FOUND);
    map[0] = 3;
    cr_assert_eq(wl_move_db_map_put(db, 5, map), WL_OK);
    map[0] = 4;
    cr_assert_eq(wl_move_db_map_put(db, 4, map), WL_OK);
    cr_assert_eq(wl_move_db_map(db, &version, read), WL_OK);
    cr_expect(version == 5 && read[0] == 3, "an older one changes nothing");
    for (int i = 0; i < 103; i++) {
        wl_slot_move_t move = a_move();
        cr_assert_eq(wl_move_db_begin(db, &move, &id), WL_OK);
        end_move(db, WL_MOVE_DONE);
    }
    cr_expect_eq(world_number("SELECT count(*) FROM slot_move"), 101);
    wl_move_db_close(&db);
}

Test(move_db, nonsense_in_its_rows_is_damage) {
    static const char *const nonsense[] = {
        "UPDATE slot_move SET state = 99",   "UPDATE slot_move SET wish = 9",
        "UPDATE slot_move SET first = 4096", "UPDATE slot_move SET first = 9, last = 8",
        "UPDATE slot_move SET target = 300", "UPDATE slot_move SET target = source"};
    wl_move_db_t *db = moves_open("writer");
    for (size_t i = 0; i < WL_COUNT_OF(nonsense); i++) {
        wl_slot_move_t move = a_move();
        uint64_t id = 0;
        uint32_t count = 0;
        world_sql("DELETE FROM slot_move");
        cr_assert_eq(wl_move_db_begin(db, &move, &id), WL_OK);
        world_sql(nonsense[i]);
        cr_expect_eq(wl_move_db_list(db, &move, 1, &count), WL_ERR_DAMAGED, "%zu", i);
    }
    world_sql("UPDATE slot_map SET version = 3, map = 'short'");
    static uint8_t map[WL_SLOTS];
    uint64_t version = 0;
    cr_expect_eq(wl_move_db_map(db, &version, map), WL_ERR_DAMAGED);
    wl_move_db_close(&db);
}
