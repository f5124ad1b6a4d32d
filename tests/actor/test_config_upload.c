/* Sets of users in pieces, from clients that stop, come back, or mean no good. */
#include "config_stage.h"
#include "domain/presence_set.h"

#include <time.h>
#include <utime.h>

static void *blob;
static size_t blob_bytes;
static char blob_digest[WL_DIGEST_HEX + 1];

static void blob_make(wl_presence_mode_t mode, uint64_t members) {
    WL_AUTO(wl_presence_set) set = wl_presence_set_new(mode, 34);
    for (uint64_t i = 0; i < members; i++) {
        wl_presence_set_mark(set, 1 + i * 977);
    }
    wl_free(blob);
    wl_presence_set_save(set, NULL, 0, &blob, &blob_bytes);
    wl_config_digest(blob, blob_bytes, blob_digest);
}

static void upload_open(void) {
    stage_open();
    blob_make(WL_PRESENCE_EXACT, 3000);
}

static void upload_close(void) {
    wl_free(blob);
    blob = NULL;
    stage_close();
}

TestSuite(config_upload, .init = upload_open, .fini = upload_close);

static const char *part_path(const char *digest) {
    static char path[300];
    (void)snprintf(path, sizeof path, "%s/data/config/upload-%s.part", stage.folder, digest);
    return path;
}

static bool there(const char *path) {
    struct stat about;
    return stat(path, &about) == 0;
}

static bool blob_kept(const char *folder) {
    char path[300];
    (void)snprintf(path, sizeof path, "%s/%s/blobs/%s", stage.folder, folder, blob_digest);
    return there(path);
}

/* One request; count bytes of `bytes`, NULL: of the blob. */
static json_t *piece(const char *digest, uint64_t total, uint64_t offset, const void *bytes,
                     size_t count, wl_err_t *ret_err) {
    msgpack_sbuffer packed;
    msgpack_packer packer;
    msgpack_sbuffer_init(&packed);
    msgpack_packer_init(&packer, &packed, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 4);
    msgpack_pack_str_with_body(&packer, "digest", 6);
    msgpack_pack_str_with_body(&packer, digest, strlen(digest));
    msgpack_pack_str_with_body(&packer, "total", 5);
    msgpack_pack_uint64(&packer, total);
    msgpack_pack_str_with_body(&packer, "offset", 6);
    msgpack_pack_uint64(&packer, offset);
    msgpack_pack_str_with_body(&packer, "bytes", 5);
    msgpack_pack_bin_with_body(&packer, bytes != NULL ? bytes : (const char *)blob + offset, count);
    json_t *said = stage_ask_packed(wl_config_view_upload, packed.data, packed.size, ret_err);
    msgpack_sbuffer_destroy(&packed);
    return said;
}

/* How much is there afterwards; -1 and stage.fault: it was refused. */
static int64_t have_after(uint64_t offset, size_t count) {
    wl_err_t err = WL_OK;
    json_t *said = piece(blob_digest, blob_bytes, offset, NULL, count, &err);
    int64_t have = err == WL_OK ? number_at(said, "have") : -1;
    json_decref(said);
    return have;
}

Test(config_upload, goes_piece_by_piece_and_says_how_many_users_it_has) {
    size_t half = blob_bytes / 2;
    wl_err_t err = WL_OK;
    json_t *said = piece(blob_digest, blob_bytes, 0, NULL, half, &err);
    cr_assert_eq(err, WL_OK, "%s", stage.fault.message);
    cr_expect_str_eq(text_at(said, "digest"), blob_digest);
    cr_expect_eq(number_at(said, "have"), (int64_t)half);
    cr_expect_eq(number_at(said, "total"), (int64_t)blob_bytes);
    cr_expect_null(at(said, "members"));
    json_decref(said);
    said = piece(blob_digest, blob_bytes, half, NULL, blob_bytes - half, &err);
    cr_assert_eq(err, WL_OK, "%s", stage.fault.message);
    cr_expect_eq(number_at(said, "have"), (int64_t)blob_bytes);
    cr_expect_eq(number_at(said, "members"), 3000);
    json_decref(said);
    cr_expect(blob_kept("data/config") && blob_kept("store"));
    cr_expect_not(there(part_path(blob_digest)));
}

Test(config_upload, goes_on_where_it_stopped) {
    cr_expect_eq(have_after(0, 100), 100);
    cr_expect_eq(have_after(0, 200), 100, "it has that already");
    cr_expect_eq(have_after(300, 50), 100, "there would be a hole");
    cr_expect_eq(have_after(0, 0), 100, "a question");
    wl_config_sources_destroy(&stage.self.sources); /* a restart */
    cr_assert_eq(wl_config_sources_new(&stage.settings, &stage.self.sources, &stage.fault), WL_OK);
    cr_expect_eq(have_after(100, blob_bytes - 100), (int64_t)blob_bytes);
    cr_expect(blob_kept("store"));
}

Test(config_upload, what_is_here_already_need_not_be_sent_again) {
    cr_expect_eq(have_after(0, blob_bytes), (int64_t)blob_bytes);
    wl_err_t err = WL_OK;
    json_t *said = piece(blob_digest, blob_bytes, 0, NULL, 0, &err);
    cr_expect_eq(number_at(said, "have"), (int64_t)blob_bytes);
    cr_expect_eq(number_at(said, "members"), 3000);
    json_decref(said);
    cr_expect_not(there(part_path(blob_digest)));
}

Test(config_upload, a_store_that_is_away_keeps_the_part_until_it_is_back) {
    char path[300];
    char aside[300];
    (void)snprintf(path, sizeof path, "%s/store", stage.folder);
    (void)snprintf(aside, sizeof aside, "%s/aside", stage.folder);
    cr_assert_eq(rename(path, aside), 0);
    stage_write("store", "not a folder");
    cr_expect_eq(have_after(0, blob_bytes), -1);
    cr_expect(there(part_path(blob_digest)));
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(rename(aside, path), 0);
    cr_expect_eq(have_after(blob_bytes, 0), (int64_t)blob_bytes);
    cr_expect(blob_kept("store"));
}

/* ---- no good --------------------------------------------------------------------------------- */

static void expect_refused(wl_err_t got, wl_err_t error, const char *part) {
    cr_expect_eq(got, error, "%s: %s", wl_err_name(got), stage.fault.message);
    cr_expect_not_null(strstr(stage.fault.message, part), "\"%s\" is not in \"%s\"", part,
                       stage.fault.message);
}

Test(config_upload, bytes_of_another_hash_are_dropped_and_can_be_sent_again) {
    WL_AUTO_FREE char *wrong = wl_alloc(blob_bytes);
    memcpy(wrong, blob, blob_bytes);
    wrong[blob_bytes / 2] ^= 1;
    wl_err_t err = WL_OK;
    cr_expect_null(piece(blob_digest, blob_bytes, 0, wrong, blob_bytes, &err));
    expect_refused(err, WL_ERR_BAD_REQUEST, "upload them again from offset 0");
    cr_expect_not(blob_kept("data/config"));
    cr_expect_not(there(part_path(blob_digest)));
    cr_expect_eq(have_after(0, blob_bytes), (int64_t)blob_bytes);
}

Test(config_upload, only_exact_sets_of_somebody_are_kept) {
    wl_err_t err = WL_OK;
    char digest[WL_DIGEST_HEX + 1];
    wl_config_digest("7\n8\n", 4, digest);
    cr_expect_null(piece(digest, 4, 0, "7\n8\n", 4, &err));
    expect_refused(err, WL_ERR_BAD_REQUEST, "these are no set of users");
    cr_expect_not(there(part_path(digest)));
    blob_make(WL_PRESENCE_HASHED, 100);
    cr_expect_eq(have_after(0, blob_bytes), -1);
    expect_refused(WL_ERR_BAD_REQUEST, WL_ERR_BAD_REQUEST, "not exact");
    blob_make(WL_PRESENCE_EXACT, 0);
    cr_expect_eq(have_after(0, blob_bytes), -1);
    expect_refused(WL_ERR_BAD_REQUEST, WL_ERR_BAD_REQUEST, "there is nobody in the set");
    cr_expect_not(blob_kept("data/config"));
}

Test(config_upload, arguments_out_of_bounds_are_refused) {
    static const char *const digests[] = {
        "", "abc", "../../../../../../../../../../../../../../../../../../etc/passwd",
        "ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789"};
    wl_err_t err = WL_OK;
    for (size_t i = 0; i < sizeof digests / sizeof digests[0]; i++) {
        cr_expect_null(piece(digests[i], 10, 0, "x", 1, &err));
        expect_refused(err, WL_ERR_BAD_REQUEST, "digest: must be the SHA-256");
    }
    cr_expect_null(piece(blob_digest, 0, 0, "", 0, &err));
    expect_refused(err, WL_ERR_BAD_REQUEST, "total: must be 1 to");
    cr_expect_null(piece(blob_digest, (64u << 20) + 1, 0, "x", 1, &err));
    expect_refused(err, WL_ERR_BAD_REQUEST, "total: must be 1 to");
    cr_expect_null(piece(blob_digest, 10, 8, "xyz", 3, &err));
    expect_refused(err, WL_ERR_BAD_REQUEST, "reach beyond the total");
    cr_expect_null(piece(blob_digest, 10, UINT64_MAX, "xyz", 3, &err));
    expect_refused(err, WL_ERR_BAD_REQUEST, "reach beyond the total");
    REFUSED(wl_config_view_upload, "{}", WL_ERR_BAD_REQUEST, "digest: is missing");
    json_t *args = json_pack("{s:s, s:i, s:i, s:i}", "digest", blob_digest, "total", 5, "offset", 0,
                             "bytes", 7);
    stage_refused(wl_config_view_upload, args, WL_ERR_BAD_REQUEST, "bytes: must be a piece");
    cr_expect_not(there(part_path(blob_digest)));
}

Test(config_upload, a_part_that_is_longer_than_the_whole_is_begun_anew) {
    cr_expect_eq(have_after(0, 500), 500);
    wl_err_t err = WL_OK;
    json_t *said = piece(blob_digest, 100, 0, "abc", 3, &err);
    cr_expect_eq(number_at(said, "have"), 3);
    json_decref(said);
}

Test(config_upload, a_link_in_the_place_of_a_part_is_not_followed) {
    char target[300];
    (void)snprintf(target, sizeof target, "%s/precious", stage.folder);
    stage_write("precious", "precious");
    cr_assert_eq(symlink(target, part_path(blob_digest)), 0);
    cr_expect_eq(have_after(0, 10), -1);
    struct stat about;
    cr_expect(stat(target, &about) == 0 && about.st_size == 8);
}

Test(config_upload, uploads_that_nobody_goes_on_with_make_room_for_others) {
    char digests[5][WL_DIGEST_HEX + 1];
    wl_err_t err = WL_OK;
    for (int i = 0; i < 5; i++) {
        wl_config_digest(&i, sizeof i, digests[i]);
        json_decref(piece(digests[i], 10, 0, "abc", 3, &err));
        cr_expect_eq(err, i < 4 ? WL_OK : WL_ERR_BUSY, "%d: %s", i, wl_err_name(err));
    }
    json_decref(piece(digests[0], 10, 3, "d", 1, &err));
    cr_expect_eq(err, WL_OK, "those under way go on");
    struct utimbuf old = {time(NULL) - 3700, time(NULL) - 3700};
    cr_assert_eq(utime(part_path(digests[1]), &old), 0);
    json_decref(piece(digests[4], 10, 0, "abc", 3, &err));
    cr_expect_eq(err, WL_OK);
    cr_expect_not(there(part_path(digests[1])));
    cr_expect(there(part_path(digests[2])));
}
