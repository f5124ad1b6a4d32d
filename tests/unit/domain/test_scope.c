#include "domain/scope.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static wl_scopes_t parsed(const char *text) {
    wl_scopes_t scopes;
    wl_fault_t fault = {.where = ""};
    cr_assert_eq(wl_scopes_parse(text, &scopes, &fault), WL_OK, "%s: %s", text, fault.message);
    return scopes;
}

Test(scope, nothing_is_implied) {
    wl_scopes_t admin = parsed("admin");
    cr_expect(admin.admin && !admin.read && !admin.peer && !wl_scopes_notify_some(&admin));
    wl_scopes_t all = parsed("notify:*");
    cr_expect(!all.admin && !all.read && !all.peer && wl_scopes_notify(&all, "cash"));
    wl_scopes_t read = parsed("read");
    cr_expect(!wl_scopes_notify(&read, "cash") && !read.admin && !read.consent);
    wl_scopes_t consent = parsed("consent");
    cr_expect(consent.consent && !consent.read);
    cr_expect(wl_scopes_enter(&consent, WL_DOOR_READ) &&
              !wl_scopes_enter(&consent, WL_DOOR_INTAKE) &&
              !wl_scopes_enter(&consent, WL_DOOR_TIER));
}

Test(scope, a_line_covers_itself_alone) {
    wl_scopes_t scopes = parsed(" read  notify:cash,coin notify:coupon ");
    cr_expect(wl_scopes_notify(&scopes, "cash"));
    cr_expect(wl_scopes_notify(&scopes, "coin"));
    cr_expect(wl_scopes_notify(&scopes, "coupon"));
    cr_expect_not(wl_scopes_notify(&scopes, "cas"));
    cr_expect_not(wl_scopes_notify(&scopes, "cash2"));
    cr_expect_not(wl_scopes_notify(&scopes, ""));
    cr_expect_not(wl_scopes_notify(&scopes, "*"));
}

Test(scope, what_is_not_a_scope_is_refused) {
    static const char *const bad[] = {
        "",
        " ",
        "reed",
        "read,admin",
        "read read",
        "notify",
        "notify:",
        "notify:,",
        "notify:a,",
        "notify:,a",
        "notify:A",
        "notify:a,a",
        "notify:a*",
        "notify:* notify:*",
        "notify:a notify:*",
        "admin admin",
        "consent consent",
        "peer peer",
        "Read",
        "read\tadmin",
        "read\nadmin",
        "notify:a-line-id-that-is-longer-than-32-bytes",
        "notify:../x",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        wl_scopes_t scopes = {.line_count = 77};
        wl_fault_t fault = {.where = ""};
        cr_expect_neq(wl_scopes_parse(bad[i], &scopes, &fault), WL_OK, "\"%s\"", bad[i]);
        cr_expect_eq(scopes.line_count, 77, "written on failure: \"%s\"", bad[i]);
        cr_expect_neq(fault.message[0], '\0');
    }
}

Test(scope, the_written_form_reads_as_the_same) {
    static const char *const texts[] = {
        "read",    "read consent notify:cash,coin admin peer", "notify:* admin", "peer", "consent",
        "notify:a"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        wl_scopes_t scopes = parsed(texts[i]);
        char text[256];
        wl_scopes_format(&scopes, text, sizeof text);
        cr_expect_str_eq(text, texts[i]);
    }
    wl_scopes_t mixed = parsed("peer notify:b notify:a read");
    char text[256];
    wl_scopes_format(&mixed, text, sizeof text);
    cr_expect_str_eq(text, "read notify:b,a peer");
}

Test(scope, sixty_four_lines_fit_and_no_more) {
    char text[64 * 40] = "notify:";
    for (int i = 0; i < 64; i++) {
        size_t used = strlen(text);
        (void)snprintf(text + used, sizeof text - used, "%sline-%027d", i == 0 ? "" : ",", i);
    }
    wl_scopes_t scopes = parsed(text);
    char back[2300];
    wl_scopes_format(&scopes, back, sizeof back);
    cr_expect_str_eq(back, text);
    strncat(text, ",one-more", sizeof text - strlen(text) - 1);
    cr_expect_neq(wl_scopes_parse(text, &scopes, NULL), WL_OK);
}

Test(scope, a_door_opens_for_what_is_behind_it) {
    static const struct {
        const char *scope;
        bool read, intake, publish, tier;
    } rows[] = {
        {"read", true, true, false, false},     {"admin", false, true, false, false},
        {"notify:a", false, true, true, false}, {"notify:*", false, true, true, false},
        {"peer", false, false, false, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wl_scopes_t scopes = parsed(rows[i].scope);
        cr_expect_eq(wl_scopes_enter(&scopes, WL_DOOR_READ), rows[i].read, "%s", rows[i].scope);
        cr_expect_eq(wl_scopes_enter(&scopes, WL_DOOR_INTAKE), rows[i].intake, "%s", rows[i].scope);
        cr_expect_eq(wl_scopes_enter(&scopes, WL_DOOR_PUBLISH), rows[i].publish);
        cr_expect_eq(wl_scopes_enter(&scopes, WL_DOOR_TIER), rows[i].tier, "%s", rows[i].scope);
    }
}

Test(scope, doors_are_found_by_their_names) {
    for (unsigned i = 0; i < WL_DOOR_COUNT; i++) {
        wl_door_t door = WL_DOOR_COUNT;
        cr_expect(wl_door_find(wl_door_name((wl_door_t)i), &door));
        cr_expect_eq(door, (wl_door_t)i);
    }
    wl_door_t door;
    cr_expect_not(wl_door_find("", &door));
    cr_expect_not(wl_door_find("global", &door));
    cr_expect_str_eq(wl_door_name(WL_DOOR_COUNT), "?");
}
