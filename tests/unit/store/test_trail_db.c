/* The file of the trail: what is written, kept, deleted and erased, and what becomes of damage. */
#include "store/trail_db.h"

#include "base/alloc.h"
#include "private_folder.h"
#include "store/sqlite_tool.h"

TestSuite(trail_db, .init = folder_make, .fini = folder_remove);

enum { HEAD = 9, MANY = 1000000 };

static wl_trail_db_options_t options_of(uint64_t events_max) {
    return (wl_trail_db_options_t){.path = in_folder("trail.db"),
                                   .events_max = events_max,
                                   .bytes_max = UINT64_MAX,
                                   .keep_ms = INT64_MAX};
}

static wl_trail_db_t *db_open_with(const wl_trail_db_options_t *options, bool expect_aside) {
    wl_trail_db_t *db = NULL;
    bool aside = !expect_aside;
    wl_fault_t fault = {0};
    cr_assert_eq(wl_trail_db_open(options, 1000, &db, &aside, &fault), WL_OK, "%s", fault.message);
    cr_assert_eq(aside, expect_aside, "%s", fault.message);
    return db;
}

static wl_trail_db_t *db_open(void) {
    wl_trail_db_options_t options = options_of(MANY);
    return db_open_with(&options, false);
}

/* An event of `bytes` bytes behind the head, which hold a number. */
static void add(wl_trail_db_t *db, uint64_t uid, int64_t at, uint32_t number, uint8_t bytes) {
    uint8_t event[WL_TRAIL_DB_EVENT_MAX] = {bytes};
    for (unsigned i = 0; i < 8; i++) {
        event[1 + i] = (uint8_t)(uid >> (8 * i));
    }
    memcpy(&event[HEAD], &number, sizeof number);
    wl_trail_db_add(db, at, event, HEAD + (size_t)bytes);
}

static void flush(wl_trail_db_t *db, int64_t now) {
    uint64_t lost = 1;
    cr_assert_eq(wl_trail_db_flush(db, now, &lost), WL_OK, "%s", wl_trail_db_problem(db));
    cr_assert_eq(lost, 0u);
}

typedef struct {
    uint64_t uid;
    uint32_t count;
    uint32_t first; /* numbers of the first and the last one */
    uint32_t last;
    bool ordered;
} heard_t;

static void hear(const uint8_t *event, size_t count, void *arg) {
    heard_t *heard = arg;
    uint32_t number = 0;
    cr_assert_geq(count, HEAD + sizeof number);
    memcpy(&number, &event[HEAD], sizeof number);
    heard->ordered = heard->ordered && (heard->count == 0 || number > heard->last);
    heard->first = heard->count == 0 ? number : heard->first;
    heard->last = number;
    heard->count++;
}

static heard_t listen(wl_trail_db_t *db, uint64_t uid) {
    heard_t heard = {.uid = uid, .ordered = true};
    cr_assert_eq(wl_trail_db_read(db, uid, hear, &heard), WL_OK);
    return heard;
}

static int64_t number_of(const char *sql) {
    sqlite3 *db = NULL;
    int64_t number = -1;
    cr_assert_eq(sqlite3_open(in_folder("trail.db"), &db), SQLITE_OK);
    cr_assert_eq(wl_sqlite_number(db, sql, &number), WL_OK, "%s", sql);
    wl_sqlite_close(&db);
    return number;
}

Test(trail_db, tells_each_user_what_was_added_in_that_order) {
    wl_trail_db_t *db = db_open();
    uint64_t state = 3;
    uint32_t added[500] = {0};
    for (uint32_t number = 1; number <= 60000; number++) {
        uint32_t user = random_below(&state, 500);
        added[user]++;
        add(db, user, 2000 + number, number, (uint8_t)(10 + random_below(&state, 40)));
        if (number % 7919 == 0) {
            flush(db, 2000);
        }
    }
    for (uint32_t user = 0; user < 500; user++) { /* uid 0: everybody */
        heard_t heard = listen(db, user);
        cr_assert_eq(heard.count, added[user], "user %u", user);
        cr_assert(heard.ordered, "user %u", user);
    }
    wl_trail_db_stats_t stats;
    wl_trail_db_stats(db, &stats);
    cr_expect_eq(stats.events, 60000u);
    cr_expect_eq(stats.since, 1000);
    flush(db, 2000);
    wl_trail_db_close(&db);
    cr_assert_null(db);
    db = db_open();
    wl_trail_db_stats(db, &stats);
    cr_expect_eq(stats.events, 60000u);
    cr_expect_eq(stats.since, 1000, "not the moment of this opening");
    cr_expect_eq(listen(db, 77).count, added[77]);
    wl_trail_db_close(&db);
}

Test(trail_db, loses_only_what_was_not_flushed) {
    wl_trail_db_t *db = db_open();
    add(db, 5, 2000, 1, 10);
    flush(db, 2000);
    add(db, 5, 2001, 2, 10);
    cr_expect_eq(wl_trail_db_waiting(db), 1u);
    cr_expect_eq(listen(db, 5).count, 2u, "what waits is told as well");
    wl_trail_db_close(&db);
    db = db_open();
    heard_t heard = listen(db, 5);
    cr_expect_eq(heard.count, 1u);
    cr_expect_eq(heard.last, 1u);
    wl_trail_db_close(&db);
}

Test(trail_db, is_for_its_owner_alone) {
    static const char *const names[] = {"trail.db", "trail.db-wal", "trail.db-shm"};
    (void)umask(0);
    wl_trail_db_t *db = db_open();
    add(db, 5, 2000, 1, 10);
    flush(db, 2000);
    for (size_t i = 0; i < 3; i++) {
        struct stat about;
        cr_assert_eq(stat(in_folder(names[i]), &about), 0, "%s", names[i]);
        cr_expect_eq(about.st_mode & 0777, 0600u, "%s", names[i]);
    }
    wl_trail_db_close(&db);
}

Test(trail_db, keeps_as_many_as_allowed_and_says_since_when) {
    wl_trail_db_options_t options = options_of(5000);
    wl_trail_db_t *db = db_open_with(&options, false);
    wl_trail_db_stats_t stats;
    for (uint32_t number = 1; number <= 50000; number++) {
        add(db, 1 + number % 1000, 10000 + number, number, 20);
        if (number % 1000 == 0) {
            flush(db, 60000);
        }
    }
    for (int i = 0; i < 20; i++) { /* in small steps */
        flush(db, 60000);
    }
    wl_trail_db_stats(db, &stats);
    cr_expect_leq(stats.events, 5000u);
    cr_expect_geq(stats.events, 4500u, "%llu: no more than needed goes",
                  (unsigned long long)stats.events);
    cr_expect_gt(stats.since, 10000 + 44000);
    cr_expect_leq(stats.since, 10000 + 47000);
    heard_t heard = listen(db, 1);
    cr_expect(heard.ordered);
    cr_expect_eq(heard.last, 50000u);
    wl_trail_db_close(&db);
    cr_expect_eq(number_of("SELECT sum(events) = (SELECT events FROM meta) FROM block"), 1);
}

Test(trail_db, keeps_no_longer_than_allowed) {
    wl_trail_db_options_t options = options_of(MANY);
    options.keep_ms = 1000;
    wl_trail_db_t *db = db_open_with(&options, false);
    add(db, 7, 2000, 1, 20);
    flush(db, 2000);
    add(db, 8, 2600, 2, 20);
    flush(db, 2700);
    cr_expect_eq(listen(db, 7).count, 1u);
    flush(db, 3300);
    cr_expect_eq(listen(db, 7).count, 0u);
    cr_expect_eq(listen(db, 8).count, 1u);
    flush(db, 3700);
    cr_expect_eq(listen(db, 8).count, 0u);
    wl_trail_db_stats_t stats;
    wl_trail_db_stats(db, &stats);
    cr_expect_eq(stats.events, 0u);
    cr_expect_eq(stats.since, 2600);
    wl_trail_db_close(&db);
}

Test(trail_db, does_not_grow_beyond_its_size) {
    wl_trail_db_options_t options = options_of(MANY);
    options.bytes_max = 1 << 20;
    wl_trail_db_t *db = db_open_with(&options, false);
    wl_trail_db_stats_t stats;
    uint64_t most = 0;
    for (uint32_t number = 1; number <= 100000; number++) {
        add(db, number, 2000 + number, number, 40);
        if (number % 2000 == 0) {
            flush(db, 2000);
            wl_trail_db_stats(db, &stats);
            most = stats.bytes > most ? stats.bytes : most;
        }
    }
    flush(db, 2000);
    wl_trail_db_stats(db, &stats);
    cr_expect_leq(stats.bytes, (1u << 20) + (1u << 19));
    cr_expect_gt(stats.events, 5000u);
    cr_expect_leq(most, (1u << 20) + (1u << 19), "%llu", (unsigned long long)most);
    wl_trail_db_close(&db);
    cr_expect_leq(file_bytes(in_folder("trail.db")), (off_t)(2 << 20));
}

/* Is a number, which no other event has, somewhere in the file or its log? */
static bool file_has(const char *name, uint32_t number) {
    FILE *file = fopen(in_folder(name), "rb");
    if (file == NULL) {
        return false;
    }
    size_t room = 64u << 20;
    char *bytes = wl_alloc(room);
    size_t count = fread(bytes, 1, room, file);
    bool has = memmem(bytes, count, &number, sizeof number) != NULL;
    wl_free(bytes);
    (void)fclose(file);
    return has;
}

Test(trail_db, erases_a_user_from_memory_file_and_log) {
    enum { SECRET = 0x5ec4e7aa };
    wl_trail_db_t *db = db_open();
    uint64_t erased = 0;
    for (uint32_t number = 1; number <= 20000; number++) {
        add(db, number % 700 + 1, 2000, number, 20);
        if (number % 100 == 0) {
            add(db, 50000, 2000, SECRET, 20);
        }
        if (number % 3000 == 0) {
            flush(db, 2000);
        }
    }
    cr_assert(file_has("trail.db", SECRET) || file_has("trail.db-wal", SECRET));
    cr_assert_eq(wl_trail_db_erase(db, 50000, &erased), WL_OK, "%s", wl_trail_db_problem(db));
    cr_expect_eq(erased, 200u);
    cr_expect_eq(listen(db, 50000).count, 0u);
    cr_expect_not(file_has("trail.db", SECRET));
    cr_expect_not(file_has("trail.db-wal", SECRET));
    uint64_t others = 0;
    for (uint32_t uid = 1; uid <= 700; uid++) {
        others += listen(db, uid).count;
    }
    cr_expect_eq(others, 20000u, "nobody else lost anything");
    flush(db, 2000);
    cr_assert_eq(wl_trail_db_erase(db, 50000, &erased), WL_OK);
    cr_expect_eq(erased, 0u);
    wl_trail_db_stats_t stats;
    wl_trail_db_stats(db, &stats);
    cr_expect_eq(stats.events, 20000u);
    wl_trail_db_close(&db);
    cr_expect_not(file_has("trail.db", SECRET));
    cr_expect_eq(number_of("SELECT sum(events) = 20000 FROM block"), 1);
}

Test(trail_db, sets_aside_what_it_cannot_read) {
    wl_trail_db_t *db = db_open();
    add(db, 5, 2000, 1, 10);
    flush(db, 2000);
    wl_trail_db_close(&db);
    file_overwrite(in_folder("trail.db"), 0, 100, 'x');
    wl_trail_db_options_t options = options_of(MANY);
    db = db_open_with(&options, true);
    cr_expect_eq(listen(db, 5).count, 0u);
    add(db, 5, 2000, 2, 10);
    flush(db, 2000);
    wl_trail_db_close(&db);
    cr_expect_eq(access(in_folder("trail.db.damaged"), F_OK), 0);
    db = db_open();
    cr_expect_eq(listen(db, 5).last, 2u);
    wl_trail_db_close(&db);
}

Test(trail_db, sets_aside_files_of_others_and_of_newer_programs) {
    static const char *const spoils[] = {
        "PRAGMA application_id=77", "INSERT INTO schema_version VALUES(900, 'later', 1)",
        "DROP TABLE meta", "DELETE FROM meta", "ALTER TABLE block RENAME COLUMN bytes TO b"};
    for (size_t i = 0; i < sizeof spoils / sizeof *spoils; i++) {
        sqlite3 *file = NULL;
        wl_trail_db_t *db = NULL;
        bool aside = false;
        wl_trail_db_options_t options = options_of(MANY);
        cr_assert_eq(wl_trail_db_open(&options, 1000, &db, &aside, NULL), WL_OK);
        wl_trail_db_close(&db);
        cr_assert_eq(sqlite3_open(in_folder("trail.db"), &file), SQLITE_OK);
        cr_assert_eq(wl_sqlite_exec(file, spoils[i]), WL_OK, "%s", spoils[i]);
        wl_sqlite_close(&file);
        db = db_open_with(&options, true);
        add(db, 5, 2000, 1, 10);
        flush(db, 2000);
        wl_trail_db_close(&db);
    }
}

Test(trail_db, passes_over_damaged_blocks) {
    wl_trail_db_t *db = db_open();
    for (uint32_t number = 1; number <= 10; number++) {
        add(db, 5, 2000, number, 10);
    }
    flush(db, 2000);
    wl_trail_db_close(&db);
    static const char *const spoils[] = {
        "UPDATE block SET bytes = x'ffffffffffffffffffffff'", "UPDATE block SET bytes = x''",
        "UPDATE block SET bytes = 'text of some length, not a blob'",
        "UPDATE block SET events = -7, last_at = 'now'"};
    for (size_t i = 0; i < sizeof spoils / sizeof *spoils; i++) {
        sqlite3 *file = NULL;
        cr_assert_eq(sqlite3_open(in_folder("trail.db"), &file), SQLITE_OK);
        cr_assert_eq(wl_sqlite_exec(file, spoils[i]), WL_OK);
        wl_sqlite_close(&file);
        db = db_open();
        cr_expect_eq(listen(db, 5).count, 0u, "%s", spoils[i]);
        flush(db, 2000);
        uint64_t erased = 9;
        cr_expect_eq(wl_trail_db_erase(db, 5, &erased), WL_OK);
        cr_expect_eq(erased, 0u);
        wl_trail_db_close(&db);
    }
}

Test(trail_db, loses_what_a_full_disk_does_not_take_and_goes_on) {
    if (!folder_shrink(600)) {
        cr_skip_test("no private mounts here");
    }
    wl_trail_db_t *db = db_open();
    wl_err_t err = WL_OK;
    uint64_t lost = 0;
    uint32_t number = 0;
    uint64_t kept = 0;
    for (int round = 0; round < 100 && err == WL_OK; round++) {
        for (int i = 0; i < 1000; i++) {
            add(db, 9, 2000, ++number, 40);
        }
        err = wl_trail_db_flush(db, 2000, &lost);
        kept += err == WL_OK ? 1000 : 0;
    }
    cr_assert_eq(err, WL_ERR_NO_SPACE, "%s", wl_err_text(err));
    cr_expect_eq(lost, 1000u);
    cr_expect_eq(wl_trail_db_waiting(db), 0u);
    heard_t heard = listen(db, 9);
    cr_expect_eq(heard.count, kept);
    cr_expect(heard.ordered);
    wl_trail_db_stats_t stats;
    wl_trail_db_stats(db, &stats);
    cr_expect_eq(stats.events, kept);
    wl_trail_db_close(&db);
}
