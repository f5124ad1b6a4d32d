/* A merged list over lines that insert and delete between the pages, against a model: what was
 * there throughout is shown once, in order. */
#include "domain/timeline.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static wl_timeline_key_t key_of(int64_t time, const char *id) {
    wl_timeline_key_t key = {.time = time};
    (void)snprintf(key.id, sizeof key.id, "%s", id);
    return key;
}

Test(timeline, orders_newest_first_and_equal_times_by_id) {
    wl_timeline_key_t new_b = key_of(2, "b");
    wl_timeline_key_t new_a = key_of(2, "a");
    wl_timeline_key_t old = key_of(1, "z");
    cr_assert_lt(wl_timeline_compare(&new_b, &new_a), 0);
    cr_assert_lt(wl_timeline_compare(&new_a, &old), 0);
    cr_assert_gt(wl_timeline_compare(&old, &new_b), 0);
    cr_assert_eq(wl_timeline_compare(&old, &old), 0);
}

Test(timeline, waits_for_a_line_that_may_have_more) {
    wl_timeline_key_t key = key_of(5, "x");
    wl_timeline_source_t sources[3] = {{&key, true}, {NULL, true}, {NULL, false}};
    cr_assert_eq(wl_timeline_next(sources, 3), WL_TIMELINE_WAIT);
    sources[1].more = false;
    cr_assert_eq(wl_timeline_next(sources, 3), 0);
    sources[0] = (wl_timeline_source_t){NULL, false};
    cr_assert_eq(wl_timeline_next(sources, 3), WL_TIMELINE_END);
    cr_assert_eq(wl_timeline_next(NULL, 0), WL_TIMELINE_END);
}

Test(timeline, of_equal_times_the_earlier_line_goes_first) {
    wl_timeline_key_t a = key_of(5, "a");
    wl_timeline_key_t z = key_of(5, "z");
    wl_timeline_source_t sources[2] = {{&a, false}, {&z, false}};
    cr_assert_eq(wl_timeline_next(sources, 2), 0);
}

enum { LINES = 3, ITEMS = 400, PAGE = 7, LINE_PAGE = 5 };

typedef struct {
    wl_timeline_key_t key;
    bool there;
    bool throughout; /* never inserted late, never deleted */
    int shown;
} item_t;

static item_t items[LINES][ITEMS]; /* sorted, newest first */

static int item_compare(const void *a, const void *b) {
    return wl_timeline_compare(&((const item_t *)a)->key, &((const item_t *)b)->key);
}

static void items_make(void) {
    for (int line = 0; line < LINES; line++) {
        for (int i = 0; i < ITEMS; i++) {
            item_t *item = &items[line][i];
            *item = (item_t){.there = rand() % 4 != 0};
            item->throughout = item->there;
            item->key.time = rand() % 150; /* many equal times */
            (void)snprintf(item->key.id, sizeof item->key.id, "%03d", i);
        }
        qsort(items[line], ITEMS, sizeof **items, item_compare);
    }
}

static void items_change(void) {
    for (int i = 0; i < 5; i++) {
        item_t *item = &items[rand() % LINES][rand() % ITEMS];
        item->there = !item->there;
        item->throughout = false;
    }
}

/* The line's own page: what is there behind the place, at most LINE_PAGE. */
static int line_page(int line, const wl_timeline_place_t *place, item_t **into) {
    int count = 0;
    for (int i = 0; i < ITEMS && count < LINE_PAGE; i++) {
        if (items[line][i].there && wl_timeline_behind(place, &items[line][i].key)) {
            into[count++] = &items[line][i];
        }
    }
    return count;
}

/* One page of the merged list; returns its items, in order. */
static int merged_page(wl_timeline_place_t *places, item_t **into, bool failing) {
    int count = 0;
    while (count < PAGE) {
        item_t *heads[LINES][LINE_PAGE];
        wl_timeline_source_t sources[LINES];
        for (int line = 0; line < LINES; line++) {
            bool silent = failing && line == 1;
            int found = silent ? 0 : line_page(line, &places[line], heads[line]);
            sources[line] = (wl_timeline_source_t){found > 0 ? &heads[line][0]->key : NULL, false};
        }
        int next = wl_timeline_next(sources, LINES);
        if (next == WL_TIMELINE_END) {
            break;
        }
        item_t *item = heads[next][0];
        for (int line = 0; line < LINES; line++) {
            if (!failing || line != 1) {
                wl_timeline_reached(&places[line], item->key.time);
            }
        }
        wl_timeline_shown(&places[next], &item->key);
        item->shown++;
        into[count++] = item;
    }
    return count;
}

Test(timeline, shows_each_item_once_while_lines_change_and_fail) {
    for (int run = 0; run < 40; run++) {
        srand((unsigned)run);
        items_make();
        wl_timeline_place_t places[LINES] = {0};
        item_t *page[PAGE];
        bool fails = run % 2 == 1;
        int64_t last = INT64_MAX;
        for (int turn = 0;; turn++) {
            bool failing = fails && turn % 5 == 3;
            int count = merged_page(places, page, failing);
            for (int i = 1; i < count; i++) {
                cr_assert_geq(page[i - 1]->key.time, page[i]->key.time, "in order");
            }
            if (count > 0) { /* what a failed line has missed comes late */
                cr_assert(fails || page[0]->key.time <= last, "in order over the pages");
                last = page[count - 1]->key.time;
            }
            if (count == 0 && !failing) {
                break;
            }
            items_change();
        }
        for (int line = 0; line < LINES; line++) {
            for (int i = 0; i < ITEMS; i++) {
                cr_assert_leq(items[line][i].shown, 1, "never twice");
                cr_assert(!items[line][i].throughout || items[line][i].shown == 1, "never skipped");
            }
        }
    }
}
