#include "base/alloc.h"
#include "domain/config_diff.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

/* With ' for ". */
static json_t *json(const char *text) {
    WL_AUTO_FREE char *quoted = wl_strdup(text);
    for (char *each = quoted; *each != '\0'; each++) {
        *each = *each == '\'' ? '"' : *each;
    }
    json_error_t error;
    json_t *value = json_loads(quoted, 0, &error);
    cr_assert_not_null(value, "%s: %s", text, error.text);
    return value;
}

typedef struct {
    const char *base;
    const char *mine;
    const char *theirs;
    const char *paths;  /* of all differences, "!" behind a conflict, "~" behind an order */
    const char *merged; /* NULL = there are conflicts */
} row_t;

static void paths_print(const wl_config_diff_t *diff, char *into, size_t max) {
    into[0] = '\0';
    for (size_t i = 0; i < wl_config_diff_count(diff); i++) {
        const wl_config_difference_t *one = wl_config_diff_at(diff, i);
        size_t used = strlen(into);
        (void)snprintf(into + used, max - used, "%s%s%s%s", i == 0 ? "" : " ", one->path,
                       one->order ? "~" : "", one->conflict ? "!" : "");
    }
}

static void expect_row(const row_t *row) {
    json_t *base = json(row->base);
    json_t *mine = json(row->mine);
    json_t *theirs = json(row->theirs);
    char paths[512];
    WL_AUTO(wl_config_diff) diff = wl_config_diff(base, mine, theirs);
    paths_print(diff, paths, sizeof paths);
    cr_expect_str_eq(paths, row->paths, "%s %s %s: %s", row->base, row->mine, row->theirs, paths);
    json_t *merged = NULL;
    wl_err_t err = wl_config_merge(base, mine, theirs, &merged);
    cr_expect_eq(err, row->merged == NULL ? WL_ERR_CONFLICT : WL_OK, "%s %s", row->mine,
                 row->theirs);
    cr_expect_eq(err == WL_OK, wl_config_diff_conflicts(diff) == 0);
    json_t *wanted = row->merged == NULL ? NULL : json(row->merged);
    cr_expect(wanted == NULL || json_equal(merged, wanted), "%s", row->merged);
    json_decref(base);
    json_decref(mine);
    json_decref(theirs);
    json_decref(merged);
    json_decref(wanted);
}

Test(config_diff, values_and_objects) {
    static const row_t rows[] = {
        {"{'a':1}", "{'a':1}", "{'a':1}", "", "{'a':1}"},
        {"{'version':1,'a':1}", "{'version':2,'a':1}", "{'version':3,'a':1}", "",
         "{'version':3,'a':1}"},
        {"{'a':{'version':1}}", "{'a':{'version':2}}", "{'a':{'version':1}}", "/a/version",
         "{'a':{'version':2}}"},
        {"{'a':1,'b':1}", "{'a':2,'b':1}", "{'a':1,'b':2}", "/a /b", "{'a':2,'b':2}"},
        {"{'a':1}", "{'a':2}", "{'a':2}", "/a", "{'a':2}"},
        {"{'a':1}", "{'a':2}", "{'a':3}", "/a!", NULL},
        {"{'a':1}", "{}", "{'a':1,'b':1}", "/a /b", "{'b':1}"},
        {"{'a':{'x':1}}", "{}", "{'a':{'x':2}}", "/a!", NULL},
        {"{}", "{'a':{'x':1}}", "{'a':{'y':1}}", "/a!", NULL},
        {"{}", "{'a':{'x':1}}", "{'a':{'x':1}}", "/a", "{'a':{'x':1}}"},
        {"{'z':1,'a':{'y':1,'b':1}}", "{'z':2,'a':{'y':2,'b':2}}", "{'z':1,'a':{'y':1,'b':1}}",
         "/a/b /a/y /z", "{'z':2,'a':{'y':2,'b':2}}"},
        {"{'a/b~c':1}", "{'a/b~c':2}", "{'a/b~c':1}", "/a~1b~0c", "{'a/b~c':2}"},
        {"{'a':1}", "{'a':null}", "{'a':1}", "/a", "{'a':null}"},
        {"{'a':null}", "{}", "{'a':null}", "/a", "{}"},
        {"{'a':[]}", "{'a':{}}", "{'a':[]}", "/a", "{'a':{}}"},
        {"{'lines':{'a':{'rate':1,'url':'u'}}}", "{'lines':{'a':{'rate':2,'url':'u'},'b':{}}}",
         "{'lines':{'a':{'rate':1,'url':'v'},'c':{}}}",
         "/lines/a/rate /lines/a/url /lines/b /lines/c",
         "{'lines':{'a':{'rate':2,'url':'v'},'b':{},'c':{}}}"},
    };
    for (size_t i = 0; i < WL_COUNT_OF(rows); i++) {
        expect_row(&rows[i]);
    }
}

Test(config_diff, golden_slots_stand_at_their_positions) {
    static const row_t rows[] = {
        {"{'golden':[null,{'line':'a'}]}", "{'golden':[{'line':'b'},{'line':'a'}]}",
         "{'golden':[null,{'line':'a','title':'x'}]}", "/golden/0 /golden/1/title",
         "{'golden':[{'line':'b'},{'line':'a','title':'x'}]}"},
        /* another line in the slot: what they said of the one before is not put on it */
        {"{'golden':[{'line':'a','title':'x'}]}", "{'golden':[{'line':'b','title':'x'}]}",
         "{'golden':[{'line':'a','title':'y'}]}", "/golden/0!", NULL},
        {"{'golden':[{'line':'a'},{'line':'b'}]}", "{'golden':[{'line':'b'},{'line':'a'}]}",
         "{'golden':[{'line':'a'},{'line':'b'}]}", "/golden/0 /golden/1",
         "{'golden':[{'line':'b'},{'line':'a'}]}"},
        {"{'golden':[{'line':'a'}]}", "{'golden':[{'line':'a'},null]}",
         "{'golden':[{'line':'a','link':'l'}]}", "/golden/0/link /golden/1",
         "{'golden':[{'line':'a','link':'l'},null]}"},
        {"{'golden':[null,null]}", "{'golden':[null]}", "{'golden':[null,null,{'line':'a'}]}",
         "/golden!", NULL},
        {"{'golden':[null,null]}", "{'golden':[null]}", "{'golden':[null,{'line':'a'}]}",
         "/golden/1!", NULL},
    };
    for (size_t i = 0; i < WL_COUNT_OF(rows); i++) {
        expect_row(&rows[i]);
    }
}

Test(config_diff, elements_are_found_by_their_names) {
    static const row_t rows[] = {
        /* a section put before the others is one change */
        {"{'s':[{'kind':'cash','t':1},{'kind':'coin','t':1}]}",
         "{'s':[{'kind':'link','t':9},{'kind':'cash','t':1},{'kind':'coin','t':1}]}",
         "{'s':[{'kind':'cash','t':1},{'kind':'coin','t':2}]}", "/s/0 /s/2/t",
         "{'s':[{'kind':'link','t':9},{'kind':'cash','t':1},{'kind':'coin','t':2}]}"},
        {"{'s':[{'id':'a','t':1},{'id':'b','t':1}]}", "{'s':[{'id':'b','t':1},{'id':'a','t':1}]}",
         "{'s':[{'id':'a','t':2},{'id':'b','t':1}]}", "/s~ /s/1/t",
         "{'s':[{'id':'b','t':1},{'id':'a','t':2}]}"},
        {"{'s':[{'id':'a','t':1},{'id':'b'}]}", "{'s':[{'id':'b'}]}",
         "{'s':[{'id':'a','t':2},{'id':'b'}]}", "/s/0!", NULL},
        {"{'s':[{'id':'a'},{'id':'b'},{'id':'c'}]}", "{'s':[{'id':'b'},{'id':'a'},{'id':'c'}]}",
         "{'s':[{'id':'a'},{'id':'c'},{'id':'b'}]}", "/s~!", NULL},
        {"{'s':[{'id':'a'}]}", "{'s':[{'id':'a'},{'id':'x','t':1}]}",
         "{'s':[{'id':'a'},{'id':'x','t':2}]}", "/s/1!", NULL},
        /* two of a kind: they have no names, the list is one value */
        {"{'s':[{'kind':'a'},{'kind':'a'}]}", "{'s':[{'kind':'a'}]}",
         "{'s':[{'kind':'a'},{'kind':'a'}]}", "/s", "{'s':[{'kind':'a'}]}"},
        {"{'l':['a','b']}", "{'l':['a','b','c']}", "{'l':['b']}", "/l", "{'l':['b','c']}"},
        {"{'l':['a','b']}", "{'l':['b','a']}", "{'l':['b','a','c']}", "/l", "{'l':['b','a','c']}"},
        {"{'l':['a','b','c']}", "{'l':['b','a','c']}", "{'l':['a','c','b']}", "/l!", NULL},
        {"{'l':[1,2]}", "{'l':[1,2,3]}", "{'l':[0,1,2]}", "/l!", NULL},
    };
    for (size_t i = 0; i < WL_COUNT_OF(rows); i++) {
        expect_row(&rows[i]);
    }
}

Test(config_diff, as_json) {
    json_t *base = json("{'a':1,'s':[{'id':'a'},{'id':'b'}]}");
    json_t *mine = json("{'s':[{'id':'b'},{'id':'a'}]}");
    json_t *theirs = json("{'a':2,'s':[{'id':'a'},{'id':'b'}]}");
    WL_AUTO(wl_config_diff) diff = wl_config_diff(base, mine, theirs);
    json_t *found = wl_config_diff_json(diff);
    json_t *wanted = json("[{'path':'/a','base':1,'theirs':2,'conflict':true},"
                          " {'path':'/s','base':['a','b'],'mine':['b','a'],'theirs':['a','b'],"
                          "  'conflict':false,'order':true}]");
    cr_expect(json_equal(found, wanted));
    json_decref(base);
    json_decref(mine);
    json_decref(theirs);
    json_decref(found);
    json_decref(wanted);
}

/* ---- random documents ------------------------------------------------------------------------- */

static uint64_t random_state = 88172645463325252u;

static unsigned pick(unsigned count) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state % count);
}

static json_t *random_value(int depth);

static json_t *random_name(void) {
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    return json_string(names[pick(5)]);
}

static json_t *random_object(int depth, const char *name_key) {
    static const char *const keys[] = {"a", "b/c", "golden", "version", "t~", "lines"};
    json_t *object = json_object();
    if (name_key != NULL) {
        (void)json_object_set_new(object, name_key, random_name());
    }
    for (unsigned count = pick(4); count > 0; count--) {
        (void)json_object_set_new(object, keys[pick(6)], random_value(depth - 1));
    }
    return object;
}

static json_t *random_list(int depth) {
    static const char *const name_keys[] = {"id", "line", "kind"};
    const char *name_key = name_keys[pick(3)];
    unsigned shape = pick(3);
    json_t *list = json_array();
    for (unsigned count = pick(5); count > 0; count--) {
        (void)json_array_append_new(list, shape == 0   ? random_name()
                                          : shape == 1 ? random_object(depth - 1, name_key)
                                                       : random_value(depth - 1));
    }
    return list;
}

static json_t *random_value(int depth) {
    unsigned shape = depth <= 0 ? pick(3) : pick(7);
    return shape == 0   ? json_integer((json_int_t)pick(3))
           : shape == 1 ? random_name()
           : shape == 2 ? json_null()
           : shape < 5  ? random_object(depth, NULL)
                        : random_list(depth);
}

static json_t *random_document(void) {
    return random_object(4, NULL);
}

static void list_change(json_t *list);

/* A few changes anywhere. */
static void object_change(json_t *object) {
    const char *key = NULL;
    json_t *value = NULL;
    void *next = NULL;
    json_object_foreach_safe(object, next, key, value) {
        unsigned choice = pick(8);
        if (choice == 0) {
            (void)json_object_del(object, key);
        } else if (choice == 1) {
            (void)json_object_set_new(object, key, random_value(2));
        } else if (json_is_object(value)) {
            object_change(value);
        } else if (json_is_array(value)) {
            list_change(value);
        }
    }
    if (pick(8) == 0) {
        (void)json_object_set_new(object, "new", random_value(2));
    }
}

static void list_change(json_t *list) {
    size_t count = json_array_size(list);
    unsigned choice = pick(6);
    if (choice == 0) {
        (void)json_array_insert_new(list, pick((unsigned)count + 1), random_value(2));
    } else if (choice == 1 && count > 0) {
        (void)json_array_remove(list, pick((unsigned)count));
    } else if (choice == 2 && count > 0) { /* moved to the end */
        json_t *value = json_incref(json_array_get(list, 0));
        (void)json_array_remove(list, 0);
        (void)json_array_append_new(list, value);
    } else if (choice == 3) {
        size_t index = 0;
        json_t *value = NULL;
        json_array_foreach(list, index, value) {
            if (json_is_object(value)) {
                object_change(value);
            }
        }
    }
}

static json_t *changed(const json_t *document) {
    json_t *copy = json_deep_copy(document);
    object_change(copy);
    return copy;
}

static bool equal_but_version(const json_t *left, const json_t *right) {
    json_t *one = json_copy((json_t *)(uintptr_t)left);
    json_t *other = json_copy((json_t *)(uintptr_t)right);
    (void)json_object_del(one, "version");
    (void)json_object_del(other, "version");
    bool equal = json_equal(one, other) == 1;
    json_decref(one);
    json_decref(other);
    return equal;
}

static void expect_merge(const json_t *base, const json_t *mine, const json_t *theirs,
                         const json_t *wanted) {
    json_t *merged = NULL;
    cr_assert_eq(wl_config_merge(base, mine, theirs, &merged), WL_OK);
    cr_assert(equal_but_version(merged, wanted), "%s\n%s\n%s\n%s", json_dumps(base, JSON_COMPACT),
              json_dumps(mine, JSON_COMPACT), json_dumps(theirs, JSON_COMPACT),
              json_dumps(merged, JSON_COMPACT));
    json_decref(merged);
}

static size_t differences(const json_t *base, const json_t *mine, const json_t *theirs) {
    WL_AUTO(wl_config_diff) diff = wl_config_diff(base, mine, theirs);
    return wl_config_diff_count(diff);
}

static void expect_properties(const json_t *base, const json_t *mine, const json_t *theirs) {
    expect_merge(base, mine, base, mine);
    expect_merge(base, base, theirs, theirs);
    expect_merge(base, mine, mine, mine);
    cr_assert_eq(differences(base, mine, base) == 0, equal_but_version(base, mine));
    cr_assert_eq(differences(base, mine, theirs) == 0,
                 equal_but_version(base, mine) && equal_but_version(base, theirs));
    cr_assert_eq(differences(base, mine, theirs), differences(base, theirs, mine));
}

/* Both ways round a merge is possible or not, and has the same elements. */
static bool expect_both_ways(const json_t *base, const json_t *mine, const json_t *theirs) {
    json_t *here = NULL;
    json_t *there = NULL;
    wl_err_t err = wl_config_merge(base, mine, theirs, &here);
    cr_assert_eq(wl_config_merge(base, theirs, mine, &there), err);
    if (err == WL_OK) { /* nothing of either change is left to be done */
        WL_AUTO(wl_config_diff) diff = wl_config_diff(base, mine, here);
        char paths[1024];
        paths_print(diff, paths, sizeof paths);
        cr_assert_eq(wl_config_diff_conflicts(diff), 0, "%s\n%s\n%s\n%s\n%s", paths,
                     json_dumps(base, JSON_COMPACT), json_dumps(mine, JSON_COMPACT),
                     json_dumps(theirs, JSON_COMPACT), json_dumps(here, JSON_COMPACT));
    }
    json_decref(here);
    json_decref(there);
    return err == WL_OK;
}

Test(config_diff, keeps_its_promises_on_random_documents) {
    unsigned merged = 0;
    for (unsigned i = 0; i < 20000; i++) {
        json_t *base = random_document();
        json_t *mine = i % 4 == 0 ? random_document() : changed(base);
        json_t *theirs = changed(base);
        expect_properties(base, mine, theirs);
        merged += expect_both_ways(base, mine, theirs) ? 1 : 0;
        json_decref(base);
        json_decref(mine);
        json_decref(theirs);
    }
    cr_expect(merged > 4000 && merged < 19000, "%u", merged);
}
