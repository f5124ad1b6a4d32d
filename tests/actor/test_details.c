/* The details actor with the test as its lines: what was there throughout is shown once, in order,
 * while the lines insert, delete and fail; sums; what is kept and when it is dropped. */
#include "actors/details.h"

#include "actors/details_state.h"
#include "read_path.h"

#include <stdlib.h>

enum { UID = 42, ITEMS_MAX = 5000, LINES = 3 };

static const char details_integration[] =
    "{\"version\":1,\"lines\":{"
    "\"a\":{\"kind\":\"cash\",\"url\":\"http://127.0.0.1:1\",\"unit\":\"CNY\",\"scale\":2,"
    "\"details\":true,\"details_fresh_ms\":0},"
    "\"b\":{\"kind\":\"coin\",\"url\":\"http://127.0.0.1:1\",\"unit\":\"bean\",\"details\":true,"
    "\"details_fresh_ms\":0},"
    "\"c\":{\"kind\":\"coin\",\"url\":\"http://127.0.0.1:1\",\"unit\":\"bean\",\"details\":true,"
    "\"summary\":true,\"details_fresh_ms\":60000}}}";

static const char *const line_ids[LINES] = {"a", "b", "c"};

/* What one line holds: newest first. */
typedef struct {
    wl_page_item_t items[ITEMS_MAX];
    uint32_t count;
    uint32_t asked; /* questions so far */
    wl_err_t error; /* of every answer */
    bool silent;    /* does not answer at all */
} line_t;

typedef struct {
    stage_t stage;
    neighbour_t presence;
    neighbour_t frontend;
    neighbour_t dispatcher;
    line_t lines[LINES];
    msgpack_sbuffer body;              /* of an answer */
    msgpack_unpacked reply;            /* of the last request */
    wl_err_t error;                    /* its error */
    char text[WL_MESSAGE_TEXT_MAX + 1];                    /* and what that says */
    char next[WL_CURSOR_TEXT_MAX + 1]; /* its cursor, "" = none */
    uint64_t ticket;
    uint64_t rollout; /* that requests name */
} world_t;

static void world_open(world_t *self) {
    memset(self, 0, sizeof *self);
    stage_open(&self->stage);
    self->presence = neighbour_open(WL_ACTOR_PRESENCE, 0);
    self->frontend = neighbour_open(WL_ACTOR_FRONTEND, 0);
    self->dispatcher = neighbour_open(WL_ACTOR_DISPATCHER, 0);
    stage_start(&self->stage, WL_ACTOR_DETAILS, wl_details_run);
    static const char none[] = "{\"version\":1}";
    wl_config_item_t item = {
        .integration = {(const uint8_t *)details_integration, sizeof details_integration - 1},
        .presentation = {(const uint8_t *)none, sizeof none - 1}};
    wl_config_begin(self->stage.encoder, &(wl_config_head_t){.version = "1.1"});
    wl_config_add(self->stage.encoder, &item);
    stage_send(&self->stage);
    msgpack_sbuffer_init(&self->body);
    msgpack_unpacked_init(&self->reply);
}

static void world_close(world_t *self) {
    (void)stage_stop(&self->stage);
    neighbour_close(&self->presence);
    neighbour_close(&self->frontend);
    neighbour_close(&self->dispatcher);
    stage_close(&self->stage);
    msgpack_sbuffer_destroy(&self->body);
    msgpack_unpacked_destroy(&self->reply);
}

static wl_timeline_key_t key_of(const wl_page_item_t *item) {
    wl_timeline_key_t key = {.time = item->time};
    memcpy(key.id, item->id, sizeof item->id);
    return key;
}

static int item_compare(const void *a, const void *b) {
    wl_timeline_key_t left = key_of(a);
    wl_timeline_key_t right = key_of(b);
    return wl_timeline_compare(&left, &right);
}

static void line_add(line_t *line, int64_t time, const char *id, int64_t amount, bool money) {
    wl_page_item_t *item = &line->items[line->count++];
    *item = (wl_page_item_t){.time = time, .amount = amount, .scale = money ? 2 : 0};
    (void)snprintf(item->id, sizeof item->id, "%s", id);
    (void)snprintf(item->unit, sizeof item->unit, "%s", money ? "CNY" : "bean");
    qsort(line->items, line->count, sizeof *line->items, item_compare);
}

static void line_remove(line_t *line, uint32_t index) {
    memmove(&line->items[index], &line->items[index + 1],
            (line->count - index - 1) * sizeof *line->items);
    line->count--;
}

/* The page behind the cursor, which is the key of the item before it: "time/id". */
static void line_page(const line_t *line, const wl_live_item_t *asked, wl_page_t *page) {
    wl_timeline_place_t place = {.begun = asked->cursor.count > 0};
    char cursor[WL_TIMELINE_CURSOR_MAX + 1] = "";
    memcpy(cursor, asked->cursor.at == NULL ? (const uint8_t *)"" : asked->cursor.at,
           asked->cursor.count);
    if (place.begun) {
        char *slash = strchr(cursor, '/');
        cr_assert_not_null(slash, "a cursor that the line has not given");
        place.last.time = strtoll(cursor, NULL, 10);
        (void)snprintf(place.last.id, sizeof place.last.id, "%s", slash + 1);
    }
    memset(page, 0, sizeof *page);
    uint32_t i = 0;
    for (; i < line->count && page->count < asked->limit; i++) {
        wl_timeline_key_t key = key_of(&line->items[i]);
        if (wl_timeline_behind(&place, &key)) {
            page->items[page->count++] = line->items[i];
        }
    }
    if (i < line->count && page->count > 0) {
        const wl_page_item_t *last = &page->items[page->count - 1];
        page->next_bytes = (uint32_t)snprintf((char *)page->next, sizeof page->next, "%lld/%s",
                                              (long long)last->time, last->id);
    }
}

/* A page, whatever the line holds. */
static void lived_send(world_t *self, const wl_live_head_t *head, const wl_live_item_t *asked,
                       const wl_page_t *page) {
    wl_lived_head_t lived = {.asker = head->asker, .instance = head->instance};
    memcpy(lived.line, head->line, sizeof lived.line);
    msgpack_sbuffer_clear(&self->body);
    wl_page_encode(page, &self->body);
    wl_lived_item_t item = {
        .ticket = asked->ticket,
        .uid = asked->uid,
        .what = asked->what,
        .at = wl_wall_now().ms,
        .body = {(const uint8_t *)self->body.data, self->body.size},
    };
    wl_lived_begin(self->stage.encoder, &lived);
    wl_lived_add(self->stage.encoder, &item);
    stage_send(&self->stage);
}

static void answer(world_t *self, const wl_live_head_t *head, const wl_live_item_t *asked) {
    static wl_page_t page;
    line_t *line = NULL;
    for (int i = 0; i < LINES; i++) {
        line = strcmp(head->line, line_ids[i]) == 0 ? &self->lines[i] : line;
    }
    cr_assert_not_null(line);
    line->asked++;
    if (line->silent) {
        return;
    }
    wl_lived_head_t lived = {.asker = head->asker, .instance = head->instance};
    memcpy(lived.line, head->line, sizeof lived.line);
    wl_lived_item_t item = {.ticket = asked->ticket,
                            .uid = asked->uid,
                            .what = asked->what,
                            .error = (uint32_t)line->error,
                            .at = wl_wall_now().ms};
    msgpack_sbuffer_clear(&self->body);
    if (line->error != WL_OK) {
        (void)snprintf(item.reason, sizeof item.reason, "the line is down");
    } else if (asked->what == WL_LIVE_SUMMARY) {
        wl_sums_encode(&(wl_sums_t){.in = 700, .out = 300, .count = 3, .unit = "bean"},
                       &self->body);
    } else {
        line_page(line, asked, &page);
        wl_page_encode(&page, &self->body);
    }
    item.body = (wl_bytes_t){(const uint8_t *)self->body.data, self->body.size};
    wl_lived_begin(self->stage.encoder, &lived);
    wl_lived_add(self->stage.encoder, &item);
    stage_send(&self->stage);
}

static void ask(world_t *self, wl_method_t method, const char *line, const char *month,
                uint32_t limit, const char *cursor, int64_t budget_ms) {
    wl_statement_item_t item = {
        .ticket = ++self->ticket,
        .uid = UID,
        .deadline_at = wl_mono_now().ms + budget_ms,
        .method = (uint8_t)method,
        .kind = WL_KIND_COUNT,
        .limit = limit,
        .cursor = {(const uint8_t *)cursor, strlen(cursor)},
        .rollout = self->rollout,
    };
    (void)snprintf(item.line, sizeof item.line, "%s", line);
    (void)snprintf(item.month, sizeof item.month, "%s", month);
    wl_statement_begin(self->stage.encoder, &(wl_statement_head_t){.frontend = 0});
    wl_statement_add(self->stage.encoder, &item);
    stage_send(&self->stage);
}

static const msgpack_object *reply_value(world_t *self, const char *key) {
    const msgpack_object *value = NULL;
    cr_assert_eq(wl_args_find(&self->reply.data, key, &value), WL_OK, "no %s", key);
    return value;
}

static void take_reply(world_t *self, const wl_reply_item_t *reply) {
    cr_assert_eq(reply->ticket, self->ticket);
    cr_assert_eq(reply->uid, (uint64_t)UID);
    self->error = (wl_err_t)reply->error;
    self->next[0] = '\0';
    (void)snprintf(self->text, sizeof self->text, "%s", reply->text);
    if (reply->error != WL_OK) {
        return;
    }
    msgpack_unpacked_destroy(&self->reply);
    msgpack_unpacked_init(&self->reply);
    cr_assert_eq(
        msgpack_unpack_next(&self->reply, (const char *)reply->body.at, reply->body.count, NULL),
        MSGPACK_UNPACK_SUCCESS);
    wl_err_t err = wl_args_text(&self->reply.data, "next", self->next, WL_CURSOR_TEXT_MAX, NULL);
    cr_assert(err == WL_OK || err == WL_ERR_NOT_FOUND);
}

/* Plays the lines until the request is answered. */
static void play(world_t *self) {
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    wl_msg_t msg;
    while (wl_mono_now().ms < until) {
        if (neighbour_next(&self->frontend, &msg, 0)) {
            cr_assert_eq(msg.id, WL_MSG_REPLY);
            take_reply(self, &msg.items.reply[0]);
            return;
        }
        if (neighbour_next(&self->presence, &msg, 1)) {
            cr_assert_eq(msg.id, WL_MSG_LIVE);
            for (uint32_t i = 0; i < msg.count; i++) {
                cr_assert_eq(msg.items.live[i].uid, (uint64_t)UID);
                answer(self, &msg.head.live, &msg.items.live[i]);
            }
        }
    }
    cr_assert_fail("no reply came");
}

static uint32_t reply_items(world_t *self) {
    return reply_value(self, "items")->via.array.size;
}

static bool reply_names(world_t *self, const char *key, const char *line) {
    const msgpack_object *list = reply_value(self, key);
    for (uint32_t i = 0; i < list->via.array.size; i++) {
        char name[64] = "";
        cr_assert_eq(wl_value_text(&list->via.array.ptr[i], name, sizeof name - 1), WL_OK);
        if (strcmp(name, line) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- lists ------------------------------------------------------------------------------------ */

/* Where an item that was there throughout was shown: its number over the whole list. */
typedef struct {
    char id[16];
    bool touched; /* inserted or deleted meanwhile */
    uint32_t shown;
} fate_t;

static fate_t fates[LINES][ITEMS_MAX];
static uint32_t fate_count[LINES];

static fate_t *fate_find(int line, const char *id) {
    for (uint32_t i = 0; i < fate_count[line]; i++) {
        if (strcmp(fates[line][i].id, id) == 0) {
            return &fates[line][i];
        }
    }
    return NULL;
}

static fate_t *fate_new(int line, bool touched) {
    fate_t *fate = &fates[line][fate_count[line]];
    *fate = (fate_t){.touched = touched};
    (void)snprintf(fate->id, sizeof fate->id, "%c%05u", 'a' + line, fate_count[line]++);
    return fate;
}

static uint32_t drawn; /* the state of draw() */

/* Below 32,768: rand() of C, which other threads draw from, too. */
static uint32_t draw(void) {
    drawn = drawn * 1103515245u + 12345u;
    return drawn / 65536u % 32768u;
}

static void lines_fill(world_t *self, uint32_t each) {
    for (int line = 0; line < LINES; line++) {
        for (uint32_t i = 0; i < each; i++) {
            line_add(&self->lines[line], 1000000 + draw() % 2000, fate_new(line, false)->id, 1,
                     line == 0);
        }
    }
}

static void lines_change(world_t *self) {
    int line = (int)(draw() % LINES);
    line_t *at = &self->lines[line];
    uint32_t gone = draw() % at->count;
    fate_find(line, at->items[gone].id)->touched = true;
    line_remove(at, gone);
    line_add(at, 1000000 + draw() % 2000, fate_new(line, true)->id, 1, line == 0);
}

static void page_judge(world_t *self, int64_t *last, bool order) {
    const msgpack_object *items = reply_value(self, "items");
    for (uint32_t i = 0; i < items->via.array.size; i++) {
        const msgpack_object *item = &items->via.array.ptr[i];
        char line[33];
        char id[65];
        int64_t time = 0;
        cr_assert_eq(wl_args_text(item, "line", line, 32, NULL), WL_OK);
        cr_assert_eq(wl_args_text(item, "id", id, 64, NULL), WL_OK);
        cr_assert_eq(wl_args_i64(item, "time", &time, NULL), WL_OK);
        cr_assert(!order || time <= *last, "in order");
        *last = time;
        fate_find(line[0] - 'a', id)->shown++;
    }
}

static void fates_judge(void) {
    for (int line = 0; line < LINES; line++) {
        for (uint32_t i = 0; i < fate_count[line]; i++) {
            cr_assert_leq(fates[line][i].shown, 1u, "%s twice", fates[line][i].id);
            cr_assert(fates[line][i].touched || fates[line][i].shown == 1u, "%s skipped",
                      fates[line][i].id);
        }
    }
}

static void follow_changing_lines(uint32_t seed) {
    static world_t self;
    int64_t last = INT64_MAX;
    uint32_t pages = 0;
    drawn = seed;
    memset(fate_count, 0, sizeof fate_count);
    world_open(&self);
    lines_fill(&self, 300);
    do {
        char cursor[WL_CURSOR_TEXT_MAX + 1];
        memcpy(cursor, self.next, sizeof cursor);
        ask(&self, WL_METHOD_DETAILS, "", "", 17, cursor, 4000);
        play(&self);
        cr_assert_eq(self.error, WL_OK, "%s", self.text);
        cr_assert(self.next[0] == '\0' || reply_items(&self) == 17);
        page_judge(&self, &last, true);
        for (int change = 0; change < 8; change++) {
            lines_change(&self);
        }
        pages++;
    } while (self.next[0] != '\0');
    cr_assert_gt(pages, 30u);
    fates_judge();
    world_close(&self);
}

Test(details, shows_all_lines_as_one_list_while_they_change) {
    for (uint32_t seed = 1; seed <= 8; seed++) {
        follow_changing_lines(seed);
    }
}

Test(details, a_line_that_fails_loses_nothing) {
    static world_t self;
    int64_t last = INT64_MAX;
    drawn = 8;
    world_open(&self);
    lines_fill(&self, 120);
    for (int turn = 0; turn == 0 || self.next[0] != '\0'; turn++) {
        char cursor[WL_CURSOR_TEXT_MAX + 1];
        memcpy(cursor, self.next, sizeof cursor);
        self.lines[1].error = turn % 3 == 1 ? WL_ERR_UNAVAILABLE : WL_OK;
        ask(&self, WL_METHOD_DETAILS, "", "", 20, cursor, 4000);
        play(&self);
        cr_assert_eq(self.error, WL_OK, "%s", self.text);
        cr_assert(self.lines[1].error == WL_OK || self.next[0] != '\0');
        cr_assert_eq(reply_names(&self, "degraded", "b"),
                     self.lines[1].error != WL_OK &&
                         reply_value(&self, "degraded")->via.array.size > 0);
        page_judge(&self, &last, false);
        cr_assert_lt(turn, 100);
    }
    fates_judge();
    world_close(&self);
}

Test(details, says_why_when_no_line_answers) {
    static world_t self;
    world_open(&self);
    for (int i = 0; i < LINES; i++) {
        self.lines[i].error = WL_ERR_UNAVAILABLE;
    }
    ask(&self, WL_METHOD_DETAILS, "", "", 20, "", 4000);
    play(&self);
    cr_assert_eq(self.error, WL_ERR_UNAVAILABLE);
    cr_assert_str_eq(self.text, "the line is down");
    for (int i = 0; i < LINES; i++) {
        self.lines[i].error = WL_ERR_UNAUTHORIZED;
    }
    ask(&self, WL_METHOD_DETAILS, "a", "", 20, "", 4000);
    play(&self);
    cr_assert_eq(self.error, WL_ERR_UNAUTHORIZED);
    world_close(&self);
}

Test(details, a_line_without_consent_is_named) {
    static world_t self;
    world_open(&self);
    line_add(&self.lines[1], 5, "x", 1, false);
    self.lines[0].error = WL_ERR_UNAUTHORIZED;
    ask(&self, WL_METHOD_DETAILS, "", "", 20, "", 4000);
    play(&self);
    cr_assert_eq(self.error, WL_OK);
    cr_assert(reply_names(&self, "unauthorized", "a"));
    cr_assert_eq(reply_items(&self), 1u);
    cr_assert_str_eq(self.next, "", "nothing else is left");
    world_close(&self);
}

Test(details, is_cut_at_the_deadline) {
    static world_t self;
    world_open(&self);
    line_add(&self.lines[0], 5, "x", 1, true);
    self.lines[2].silent = true;
    int64_t begun = wl_mono_now().ms;
    ask(&self, WL_METHOD_DETAILS, "", "", 20, "", 300);
    play(&self);
    cr_assert_eq(self.error, WL_OK);
    cr_assert_geq(wl_mono_now().ms - begun, 250);
    cr_assert(reply_names(&self, "degraded", "c"));
    cr_assert_eq(reply_items(&self), 1u);
    cr_assert_str_neq(self.next, "");
    world_close(&self);
}

/* Line a costs more pages than one list may: b, which was silent until then, is cut, and the list is
 * shown without it. What b says after that comes too late: its items are newer. */
Test(details, a_line_that_was_left_out_does_not_come_back_into_the_same_page) {
    static world_t self;
    static wl_page_t page;
    wl_live_head_t b_head = {.line = ""};
    wl_live_item_t b_item = {.uid = 0};
    wl_msg_t msg;
    uint32_t asked_a = 0;
    world_open(&self);
    self.lines[1].silent = true;
    line_add(&self.lines[1], 2000, "b1", 1, false);
    ask(&self, WL_METHOD_DETAILS, "", "1970-01", 20, "", PATIENCE_MS);
    while (b_item.uid == 0 || asked_a < 64) {
        cr_assert(neighbour_next(&self.presence, &msg, PATIENCE_MS) && msg.id == WL_MSG_LIVE);
        if (strcmp(msg.head.live.line, "b") == 0) {
            b_head = msg.head.live;
            b_item = msg.items.live[0];
        } else if (strcmp(msg.head.live.line, "c") == 0) {
            answer(&self, &msg.head.live, &msg.items.live[0]);
        } else if (++asked_a < 64) { /* 62 pages of other months, then one with an item */
            memset(&page, 0, sizeof page);
            page.count = 1;
            page.items[0] = (wl_page_item_t){
                .id = "x", .time = asked_a < 63 ? INT64_MAX - asked_a : 1000, .unit = "CNY"};
            page.items[0].scale = 2;
            page.next_bytes = 4;
            memcpy(page.next, "more", 4);
            lived_send(&self, &msg.head.live, &msg.items.live[0], &page);
        }
    }
    self.lines[1].silent = false;
    b_item.cursor = (wl_bytes_t){NULL, 0};
    answer(&self, &b_head, &b_item);
    stage_expect_counter(&self.stage, rpc_late, 1);
    memset(&page, 0, sizeof page);
    lived_send(&self, &msg.head.live, &msg.items.live[0], &page);
    play(&self);
    cr_assert_eq(self.error, WL_OK, "%s", self.text);
    cr_expect_eq(reply_items(&self), 1u, "of a alone");
    cr_expect(reply_names(&self, "degraded", "b"));
    cr_expect_str_neq(self.next, "", "b's item comes with the next page");
    world_close(&self);
}

Test(details, refuses_cursors_of_others) {
    static world_t self;
    world_open(&self);
    for (int i = 0; i < 30; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "i%02d", i);
        line_add(&self.lines[0], i, id, 1, true);
    }
    ask(&self, WL_METHOD_DETAILS, "", "", 5, "", 4000);
    play(&self);
    cr_assert_str_neq(self.next, "");
    char cursor[WL_CURSOR_TEXT_MAX + 1];
    memcpy(cursor, self.next, sizeof cursor);
    ask(&self, WL_METHOD_DETAILS, "a", "", 5, cursor, 4000);
    play(&self);
    cr_assert_eq(self.error, WL_ERR_BAD_REQUEST, "of another list");
    cursor[40] = cursor[40] == 'A' ? 'B' : 'A';
    ask(&self, WL_METHOD_DETAILS, "", "", 5, cursor, 4000);
    play(&self);
    cr_assert_eq(self.error, WL_ERR_BAD_REQUEST, "touched");
    world_close(&self);
}

static void tell_notice(world_t *self, const char *line) {
    wl_notice_item_t notice = {.uid = UID, .seq = 1, .state = 1};
    (void)snprintf(notice.line, sizeof notice.line, "%s", line);
    wl_notice_begin(self->stage.encoder, &(wl_notice_head_t){.dispatcher = 0});
    wl_notice_add(self->stage.encoder, &notice);
    stage_send(&self->stage);
}

Test(details, keeps_first_pages_until_something_changes) {
    static world_t self;
    world_open(&self);
    line_add(&self.lines[2], 5, "x", 1, false);
    for (int i = 0; i < 3; i++) {
        ask(&self, WL_METHOD_DETAILS, "c", "", 20, "", 4000);
        play(&self);
        cr_assert_eq(reply_items(&self), 1u);
    }
    cr_assert_eq(self.lines[2].asked, 1u);
    tell_notice(&self, "a");
    ask(&self, WL_METHOD_DETAILS, "c", "", 20, "", 4000);
    play(&self);
    cr_assert_eq(self.lines[2].asked, 1u, "another line has changed");
    line_add(&self.lines[2], 6, "y", 1, false);
    tell_notice(&self, "c");
    ask(&self, WL_METHOD_DETAILS, "c", "", 20, "", 4000);
    play(&self);
    cr_assert_eq(self.lines[2].asked, 2u);
    cr_assert_eq(reply_items(&self), 2u);
    world_close(&self);
}

static void tell_cover(world_t *self, bool covered) {
    wl_cover_begin(self->stage.encoder, &(wl_cover_head_t){.covered = covered});
    wl_cover_add(self->stage.encoder, &(wl_cover_item_t){.partition = 0});
    stage_send(&self->stage);
}

static void expect_asked(world_t *self, uint32_t asked, const char *why) {
    ask(self, WL_METHOD_DETAILS, "c", "", 20, "", 4000);
    play(self);
    cr_expect_eq(self->lines[2].asked, asked, "%u instead of %u: %s", self->lines[2].asked, asked,
                 why);
}

Test(details, nothing_is_kept_while_changes_may_be_missed) {
    static world_t self;
    world_open(&self);
    line_add(&self.lines[2], 5, "x", 1, false);
    expect_asked(&self, 1, "nothing is known yet");
    expect_asked(&self, 1, "it was kept");
    tell_cover(&self, false);
    expect_asked(&self, 2, "a change may have been missed");
    expect_asked(&self, 3, "and may still be");
    tell_cover(&self, true);
    expect_asked(&self, 4, "what came meanwhile may be old");
    expect_asked(&self, 4, "it is kept again");
    wl_cover_begin(self.stage.encoder, &(wl_cover_head_t){.presence = 200});
    wl_cover_add(self.stage.encoder, &(wl_cover_item_t){.partition = 0});
    stage_send(&self.stage);
    stage_expect_counter(&self.stage, msg_malformed, 1);
    world_close(&self);
}

/* ---- sums ------------------------------------------------------------------------------------- */

static int64_t reply_number(world_t *self, const char *key) {
    int64_t number = 0;
    cr_assert_eq(wl_args_i64(&self->reply.data, key, &number, NULL), WL_OK);
    return number;
}

Test(details, sums_come_from_the_line_and_are_kept) {
    static world_t self;
    world_open(&self);
    for (int i = 0; i < 2; i++) {
        ask(&self, WL_METHOD_SUMMARY, "c", "2020-02", WL_DETAILS_MAX, "", 4000);
        play(&self);
        cr_assert_eq(self.error, WL_OK, "%s", self.text);
        cr_assert_eq(reply_number(&self, "in"), 700);
        cr_assert_eq(reply_number(&self, "out"), 300);
    }
    cr_assert_eq(self.lines[2].asked, 1u);
    tell_notice(&self, "c");
    ask(&self, WL_METHOD_SUMMARY, "c", "2020-02", WL_DETAILS_MAX, "", 4000);
    play(&self);
    cr_assert_eq(self.lines[2].asked, 2u);
    world_close(&self);
}

Test(details, sums_of_a_line_without_them_are_added_up_once) {
    static world_t self;
    wl_month_t month;
    world_open(&self);
    cr_assert(wl_month_parse("2026-02", &month));
    int64_t in = 0;
    int64_t out = 0;
    for (int i = 0; i < 450; i++) {
        char id[16];
        int64_t time = month.from.ms - 50000 + i * 1000;
        int64_t amount = i % 3 == 0 ? -i : i;
        (void)snprintf(id, sizeof id, "%04d", i);
        line_add(&self.lines[0], time, id, amount, true);
        if (wl_month_has(&month, time)) {
            in += amount > 0 ? amount : 0;
            out += amount < 0 ? -amount : 0;
        }
    }
    line_add(&self.lines[0], month.until.ms, "next", 77, true);
    for (int i = 0; i < 2; i++) {
        ask(&self, WL_METHOD_SUMMARY, "a", "2026-02", WL_DETAILS_MAX, "", 4000);
        play(&self);
        cr_assert_eq(self.error, WL_OK, "%s", self.text);
        cr_assert_eq(reply_number(&self, "in"), in);
        cr_assert_eq(reply_number(&self, "out"), out);
        cr_assert_eq(reply_number(&self, "count"), 400);
    }
    cr_assert_leq(self.lines[0].asked, 5u, "a past month is added up once");
    world_close(&self);
}

/* ---- consent ---------------------------------------------------------------------------------- */

Test(details, a_withdrawn_consent_takes_everything_along) {
    static world_t self;
    wl_msg_t msg;
    world_open(&self);
    line_add(&self.lines[2], 5, "x", 1, false);
    ask(&self, WL_METHOD_DETAILS, "c", "", 20, "", 4000);
    play(&self);
    ask(&self, WL_METHOD_DETAILS, "a", "", 20, "", 4000); /* under way meanwhile */
    (void)neighbour_expect(&self.presence, WL_MSG_LIVE, 1);
    static const char *const lines[] = {"c", "a"};
    for (int i = 0; i < 2; i++) {
        wl_stored_head_t head = {.dispatcher = 0};
        (void)snprintf(head.line, sizeof head.line, "%s", lines[i]);
        wl_asset_t gone = test_asset(UID, lines[i], 0, 9);
        gone.state = WL_STATE_GONE;
        (void)snprintf(gone.bucket, sizeof gone.bucket, "%s", WL_BUCKET_CONSENT);
        wl_stored_begin(self.stage.encoder, &head);
        wl_stored_add(self.stage.encoder,
                      &(wl_stored_item_t){.uid = UID, .seq = 3, .assets = {&gone, 1}});
        stage_send(&self.stage);
        if (i == 1) {
            msg = neighbour_expect(&self.frontend, WL_MSG_REPLY, 1);
            cr_assert_eq(msg.items.reply[0].error, (uint32_t)WL_ERR_UNAVAILABLE,
                         "the request under way begins anew");
        }
        msg = neighbour_expect(&self.frontend, WL_MSG_STORED, 1);
        cr_assert_str_eq(msg.head.stored.line, lines[i]);
        cr_assert_eq(msg.items.stored[0].seq, 3u);
    }
    ask(&self, WL_METHOD_DETAILS, "c", "", 20, "", 4000);
    play(&self);
    cr_assert_eq(self.lines[2].asked, 2u, "nothing is kept");
    world_close(&self);
}

Test(details, garbage_is_counted_and_harmless) {
    static world_t self;
    world_open(&self);
    stage_send_raw(&self.stage, "garbage", 7);
    wl_lived_begin(self.stage.encoder, &(wl_lived_head_t){.line = "a"});
    wl_lived_add(self.stage.encoder, &(wl_lived_item_t){.ticket = 999, .uid = 1});
    stage_send(&self.stage);
    stage_expect_counter(&self.stage, msg_malformed, 1);
    stage_expect_counter(&self.stage, rpc_late, 1);
    ask(&self, WL_METHOD_DETAILS, "", "", 20, "", 4000);
    play(&self);
    cr_assert_eq(self.error, WL_OK);
    cr_assert_eq(reply_items(&self), 0u);
    world_close(&self);
}

/* ---- variants --------------------------------------------------------------------------------- */

/* Without b; a has another unit, which nothing that its line says has. */
static const char details_candidate[] =
    "{\"version\":2,\"lines\":{"
    "\"c\":{\"kind\":\"coin\",\"url\":\"http://127.0.0.1:1\",\"unit\":\"bean\",\"details\":true,"
    "\"summary\":true,\"details_fresh_ms\":60000},"
    "\"a\":{\"kind\":\"cash\",\"url\":\"http://127.0.0.1:1\",\"unit\":\"USD\",\"scale\":3,"
    "\"details\":true,\"details_fresh_ms\":0}}}";

/* candidate NULL: without a rollout. */
static void configure(world_t *self, const char *rollout, const char *base, const char *candidate) {
    static const char none[] = "{\"version\":1}";
    wl_bytes_t page = {(const uint8_t *)none, sizeof none - 1};
    wl_config_head_t head = {.version = "1.1"};
    wl_config_item_t item = {
        .integration = {(const uint8_t *)base, (uint32_t)strlen(base)},
        .presentation = page};
    if (candidate != NULL) {
        head.rollout = (wl_bytes_t){(const uint8_t *)rollout, (uint32_t)strlen(rollout)};
        item.candidate_integration =
            (wl_bytes_t){(const uint8_t *)candidate, (uint32_t)strlen(candidate)};
        item.candidate_presentation = page;
    }
    wl_config_begin(self->stage.encoder, &head);
    wl_config_add(self->stage.encoder, &item);
    stage_send(&self->stage);
}

static bool reply_is_candidate(world_t *self) {
    char variant[16] = "";
    wl_err_t err = wl_args_text(&self->reply.data, "variant", variant, sizeof variant - 1, NULL);
    cr_expect_eq(err == WL_OK, strcmp(variant, "candidate") == 0);
    return err == WL_OK;
}

/* A list of all lines for that rollout: how many items. */
static uint32_t list_for(world_t *self, uint64_t rollout, bool candidate) {
    self->rollout = rollout;
    ask(self, WL_METHOD_DETAILS, "", "", 20, "", 4000);
    play(self);
    cr_assert_eq(self->error, WL_OK, "%s", self->text);
    cr_expect_eq(reply_is_candidate(self), candidate);
    return reply_items(self);
}

Test(details, a_list_has_the_lines_of_the_variant_that_the_request_names) {
    static world_t self;
    world_open(&self);
    for (int i = 0; i < LINES; i++) {
        line_add(&self.lines[i], 5, "x", 1, i == 0);
    }
    configure(&self, "{\"id\":9}", details_integration, details_candidate);
    cr_expect_eq(list_for(&self, 0, false), 3u);
    cr_expect_eq(list_for(&self, 9, true), 2u);
    cr_expect_eq(list_for(&self, 8, false), 3u, "another rollout");
    configure(&self, NULL, details_integration, NULL);
    cr_expect_eq(list_for(&self, 9, false), 3u, "it has left");
    configure(&self, "{\"id\":10}", details_candidate, details_integration);
    cr_expect_eq(list_for(&self, 0, false), 2u);
    cr_expect_eq(list_for(&self, 10, true), 3u, "with a line that the base does not have");
    world_close(&self);
}

/* A line is asked as the base says until the candidate is promoted. */
Test(details, sums_have_the_unit_in_which_their_line_is_asked) {
    static world_t self;
    char unit[WL_UNIT_MAX + 1];
    world_open(&self);
    line_add(&self.lines[0], 5, "x", 7, true);
    configure(&self, "{\"id\":9}", details_integration, details_candidate);
    for (int i = 0; i < 2; i++) {
        self.rollout = i == 0 ? 9 : 0; /* the second time it is kept from the first */
        ask(&self, WL_METHOD_SUMMARY, "a", "", WL_DETAILS_MAX, "", 4000);
        play(&self);
        cr_assert_eq(self.error, WL_OK, "%s", self.text);
        cr_expect_eq(reply_is_candidate(&self), self.rollout == 9);
        cr_expect_eq(reply_number(&self, "in"), 7);
        cr_expect_eq(reply_number(&self, "scale"), 2);
        cr_assert_eq(wl_args_text(&self.reply.data, "unit", unit, WL_UNIT_MAX, NULL), WL_OK);
        cr_expect_str_eq(unit, "CNY");
    }
    world_close(&self);
}

Test(details, a_candidate_may_leave_while_its_lines_are_asked) {
    static world_t self;
    world_open(&self);
    for (int i = 0; i < LINES; i++) {
        line_add(&self.lines[i], 5, "x", 1, i == 0);
    }
    configure(&self, "{\"id\":9}", details_integration, details_candidate);
    self.rollout = 9;
    ask(&self, WL_METHOD_DETAILS, "", "", 20, "", 4000);
    for (int i = 0; i < 2; i++) { /* asked, not answered */
        wl_msg_t msg = neighbour_expect(&self.presence, WL_MSG_LIVE, 1);
        wl_live_item_t asked = msg.items.live[0];
        wl_live_head_t head = msg.head.live;
        if (i == 0) {
            configure(&self, NULL, details_integration, NULL);
        }
        answer(&self, &head, &asked);
    }
    play(&self);
    cr_expect_eq(self.error, WL_OK, "%s", self.text);
    cr_expect_not(reply_is_candidate(&self));
    cr_expect_eq(reply_items(&self), 2u, "the list stays what it was");
    world_close(&self);
}
