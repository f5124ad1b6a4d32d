#include "tools/walletctl/keys.h"

#include "base/check.h"
#include "base/key_file.h"
#include "domain/scope.h"
#include "tools/walletctl/text_table.h"

#include <dirent.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <zmq.h>

enum { PATH_BYTES = 1024 };

static bool name_ends(const char *name, const char *ending) {
    size_t bytes = strlen(name);
    size_t tail = strlen(ending);
    return bytes > tail && strcmp(name + bytes - tail, ending) == 0;
}

/* "FILE:LINE: field message" */
static ctl_exit_t file_complain(ctl_exit_t code, const char *path, const wl_fault_t *fault) {
    char line[16] = "";
    if (fault->line > 0) {
        (void)snprintf(line, sizeof line, ":%u", fault->line);
    }
    return ctl_complain(code, "%s%s: %s%s%s", path, line, fault->where,
                        fault->where[0] == '\0' ? "" : " ", fault->message);
}

/* ---- keys new ------------------------------------------------------------------------------- */

/* All --scope words in their one written form; none is allowed, for a process that only serves. */
static bool scope_join(const ctl_options_t *options, char ret[WL_KEY_SCOPE_MAX + 1]) {
    char text[2 * WL_KEY_SCOPE_MAX] = "";
    wl_scopes_t scopes;
    wl_fault_t fault = {.where = ""};
    for (uint32_t i = 0; i < options->scope_count; i++) {
        size_t used = strlen(text);
        (void)snprintf(text + used, sizeof text - used, " %s", options->scopes[i]);
    }
    ret[0] = '\0';
    if (options->scope_count == 0) {
        return true;
    }
    if (wl_scopes_parse(text, &scopes, &fault) != WL_OK) {
        (void)ctl_complain(CTL_EXIT_USAGE, "--scope: %s", fault.message);
        return false;
    }
    wl_scopes_format(&scopes, ret, WL_KEY_SCOPE_MAX + 1);
    return true;
}

static void advice_tell(const char *dir, const wl_key_file_t *key) {
    (void)ctl_complain(CTL_EXIT_OK,
                       "%s/%s.key_secret stays with its owner (mode 600), nobody else needs it",
                       dir, key->name);
    if (key->scope[0] == '\0') {
        (void)ctl_complain(CTL_EXIT_OK,
                           "without --scope it may connect nowhere: use it as curve.key_file of a "
                           "walletd, and give %s/%s.key to those who connect to it",
                           dir, key->name);
    } else {
        (void)ctl_complain(CTL_EXIT_OK,
                           "%s/%s.key goes into the folder curve.clients of each walletd that it "
                           "may come to (\"%s\"), and works there within 2 seconds",
                           dir, key->name, key->scope);
        (void)ctl_complain(CTL_EXIT_OK,
                           "to connect: --key %s/%s.key_secret --server-key NAME.key, the public "
                           "key of that walletd's curve.key_file",
                           dir, key->name);
    }
}

ctl_exit_t ctl_keys_new(const ctl_options_t *options, int count, char **words) {
    WL_ASSERT(count == 1);
    const char *dir = options->dir == NULL ? "." : options->dir;
    char scope[WL_KEY_SCOPE_MAX + 1];
    wl_key_file_t key;
    wl_fault_t fault = {.where = ""};
    if (!wl_key_name_valid(words[0])) {
        return ctl_complain(CTL_EXIT_USAGE,
                            "\"%s\" is no name of a key: a-z, 0-9, _ . -, at most %d", words[0],
                            WL_KEY_NAME_MAX);
    }
    if (!scope_join(options, scope)) {
        return CTL_EXIT_USAGE;
    }
    if (sodium_init() == -1) {
        return ctl_complain(CTL_EXIT_REFUSED, "libsodium does not start");
    }
    if (mkdir(dir, 0700) == -1 && errno != EEXIST) {
        return ctl_complain(CTL_EXIT_REFUSED, "%s: %s", dir, strerror(errno));
    }
    time_t now = time(NULL);
    struct tm utc;
    wl_key_file_new(&key);
    (void)snprintf(key.name, sizeof key.name, "%s", words[0]);
    memcpy(key.scope, scope, sizeof scope);
    (void)strftime(key.created, sizeof key.created, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    wl_err_t err = wl_key_file_write(dir, &key, &fault);
    if (err == WL_OK) {
        (void)printf("%s/%s.key_secret\n%s/%s.key\n", dir, key.name, dir, key.name);
        advice_tell(dir, &key);
    }
    wl_key_file_forget(&key);
    return err == WL_OK
               ? CTL_EXIT_OK
               : ctl_complain(err == WL_ERR_CONFLICT ? CTL_EXIT_CONFLICT : CTL_EXIT_REFUSED,
                              "%s %s", fault.where, fault.message);
}

/* ---- keys list, keys show ------------------------------------------------------------------- */

static json_t *key_json(const char *path, const wl_key_file_t *key) {
    char text[WL_KEY_TEXT_BYTES];
    char fingerprint[17];
    json_t *json = json_object();
    wl_key_fingerprint(key->public_key, fingerprint);
    (void)zmq_z85_encode(text, key->public_key, WL_KEY_BYTES);
    (void)json_object_set_new(json, "file", json_string(path));
    (void)json_object_set_new(json, "name", json_string(key->name));
    (void)json_object_set_new(json, "scope", json_string(key->scope));
    (void)json_object_set_new(json, "created", json_string(key->created));
    (void)json_object_set_new(json, "fingerprint", json_string(fingerprint));
    (void)json_object_set_new(json, "public_key", json_string(text));
    return json;
}

/* What a walletd would make of the file. */
static wl_err_t client_key_read(const char *path, wl_key_file_t *key, wl_fault_t *fault) {
    wl_scopes_t scopes;
    wl_err_t err = wl_key_file_read(path, WL_KEY_PUBLIC, key, fault);
    if (err == WL_OK && key->name[0] == '\0') {
        return wl_fault(fault, WL_ERR_SETTINGS, "name", "is missing");
    }
    return err == WL_OK ? wl_scopes_parse(key->scope, &scopes, fault) : err;
}

static int is_key(const struct dirent *entry) {
    return entry->d_name[0] != '.' &&
           (name_ends(entry->d_name, ".key") || name_ends(entry->d_name, ".key_secret"));
}

/* Returns the keys that can be used; the others are complained about and counted. */
static json_t *folder_read(const char *dir, uint32_t *ret_bad) {
    struct dirent **entries = NULL;
    json_t *keys = json_array();
    int count = scandir(dir, &entries, is_key, alphasort);
    for (int i = 0; i < count; i++) {
        char path[PATH_BYTES];
        wl_key_file_t key;
        wl_fault_t fault = {.where = ""};
        (void)snprintf(path, sizeof path, "%s/%s", dir, entries[i]->d_name);
        wl_err_t err =
            name_ends(path, ".key_secret")
                ? wl_fault(&fault, WL_ERR_SETTINGS, "", "is a secret key: it does not belong here")
                : client_key_read(path, &key, &fault);
        if (err == WL_OK) {
            (void)json_array_append_new(keys, key_json(path, &key));
        } else {
            (void)file_complain(CTL_EXIT_CHECK_FAILED, path, &fault);
            (*ret_bad)++;
        }
        free(entries[i]);
    }
    free(entries);
    if (count < 0) {
        json_decref(keys);
        return NULL;
    }
    return keys;
}

ctl_exit_t ctl_keys_list(const ctl_options_t *options, int count, char **words) {
    WL_ASSERT(count == 1);
    static const char *const columns[] = {"name", "scope", "created", "fingerprint"};
    uint32_t bad = 0;
    json_t *keys = folder_read(words[0], &bad);
    if (keys == NULL) {
        return ctl_complain(CTL_EXIT_NOT_FOUND, "%s: %s", words[0], strerror(errno));
    }
    if (options->json) {
        ctl_print_json(keys);
    } else {
        ctl_table_t *table = ctl_table_new("llll");
        size_t index = 0;
        json_t *key = NULL;
        json_array_foreach(keys, index, key) {
            for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
                ctl_table_cell(table, i == 0 ? CTL_STYLE_BOLD : CTL_STYLE_PLAIN,
                               json_string_value(json_object_get(key, columns[i])));
            }
        }
        ctl_table_print(table, 0, options->color, stdout);
        ctl_table_destroy(&table);
    }
    json_decref(keys);
    return bad == 0 ? CTL_EXIT_OK : CTL_EXIT_CHECK_FAILED;
}

ctl_exit_t ctl_keys_show(const ctl_options_t *options, int count, char **words) {
    WL_ASSERT(count == 1);
    wl_key_file_t key;
    wl_fault_t fault = {.where = ""};
    wl_key_part_t part = name_ends(words[0], ".key_secret") ? WL_KEY_SECRET : WL_KEY_PUBLIC;
    wl_err_t err = wl_key_file_read(words[0], part, &key, &fault);
    if (err != WL_OK) {
        return file_complain(err == WL_ERR_NOT_FOUND ? CTL_EXIT_NOT_FOUND : CTL_EXIT_CHECK_FAILED,
                             words[0], &fault);
    }
    json_t *json = key_json(words[0], &key);
    wl_key_file_forget(&key);
    if (options->json) {
        ctl_print_json(json);
    } else {
        const char *name = NULL;
        json_t *value = NULL;
        json_object_foreach(json, name, value) {
            (void)printf("%s\t%s\n", name, json_string_value(value));
        }
    }
    json_decref(json);
    return CTL_EXIT_OK;
}
