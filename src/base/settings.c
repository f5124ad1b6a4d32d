#include "base/settings.h"

#include "base/alloc.h"
#include "base/check.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef enum { TYPE_TEXT, TYPE_CHOICE, TYPE_NUMBER, TYPE_BYTES, TYPE_BOOL } setting_type_t;

typedef struct {
    const char *section;
    const char *key;
    const char *name;  /* "section.key" */
    const char *value; /* default */
    const char *help;
    uint64_t min;
    uint64_t max;
    size_t offset;
    size_t bytes;
    setting_type_t type;
} setting_row_t;

static const setting_row_t setting_rows[] = {
#define S(t, s, k, v, lo, hi, h)            \
    {#s,                                    \
     #k,                                    \
     #s "." #k,                             \
     v,                                     \
     h,                                     \
     lo,                                    \
     hi,                                    \
     offsetof(wl_settings_t, s##_##k),      \
     sizeof(((wl_settings_t *)0)->s##_##k), \
     TYPE_##t},
#include "base/settings.def"
#undef S
};

enum { ROWS = WL_COUNT_OF(setting_rows) };

static const setting_row_t *setting_find(const char *name) {
    for (size_t i = 0; i < ROWS; i++) {
        if (strcmp(setting_rows[i].name, name) == 0) {
            return &setting_rows[i];
        }
    }
    return NULL;
}

static wl_err_t number_parse(const char *text, bool suffix, uint64_t *ret) {
    if (!isdigit((unsigned char)text[0])) {
        return WL_ERR_SETTINGS;
    }
    char *end = NULL;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (errno != 0) {
        return WL_ERR_OVERFLOW;
    }
    if (suffix && *end != '\0') {
        static const char suffixes[] = "KMGT";
        const char *at = strchr(suffixes, toupper((unsigned char)*end));
        unsigned shift = at == NULL ? 0 : 10u * (unsigned)(at - suffixes + 1);
        if (at == NULL || value > (UINT64_MAX >> shift)) {
            return WL_ERR_SETTINGS;
        }
        value <<= shift;
        end++;
    }
    if (*end != '\0') {
        return WL_ERR_SETTINGS;
    }
    *ret = value;
    return WL_OK;
}

static wl_err_t number_set(const setting_row_t *row, const char *value, uint64_t *into,
                           wl_fault_t *fault) {
    uint64_t number = 0;
    if (number_parse(value, row->type == TYPE_BYTES, &number) != WL_OK) {
        return wl_fault(fault, WL_ERR_SETTINGS, row->name, "\"%s\" is not a number%s", value,
                        row->type == TYPE_BYTES ? " of bytes such as 512K, 256M or 2G" : "");
    }
    if (number < row->min || number > row->max) {
        return wl_fault(fault, WL_ERR_SETTINGS, row->name, "%s is outside %llu..%llu", value,
                        (unsigned long long)row->min, (unsigned long long)row->max);
    }
    *into = number;
    return WL_OK;
}

static wl_err_t bool_set(const setting_row_t *row, const char *value, bool *into,
                         wl_fault_t *fault) {
    if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0) {
        return wl_fault(fault, WL_ERR_SETTINGS, row->name, "\"%s\" is neither yes nor no", value);
    }
    *into = value[0] == 'y';
    return WL_OK;
}

/* Is value one of the words between the braces of the help text? */
static bool choice_known(const setting_row_t *row, const char *value) {
    const char *at = strchr(row->help, '{');
    WL_ASSERT(at != NULL);
    size_t bytes = strlen(value);
    for (at++; *at != '}'; at += *at == ' ') {
        size_t word = strcspn(at, " }");
        if (word == bytes && strncmp(at, value, word) == 0) {
            return true;
        }
        at += word;
    }
    return false;
}

static wl_err_t text_set(const setting_row_t *row, const char *value, char *into,
                         wl_fault_t *fault) {
    size_t bytes = strlen(value);
    if (row->type == TYPE_CHOICE && !choice_known(row, value)) {
        return wl_fault(fault, WL_ERR_SETTINGS, row->name, "\"%s\" is not one of %s", value,
                        strchr(row->help, '{'));
    }
    if (row->type == TYPE_TEXT && (bytes < row->min || bytes > row->max)) {
        return wl_fault(fault, WL_ERR_SETTINGS, row->name, "%zu bytes are outside %llu..%llu",
                        bytes, (unsigned long long)row->min, (unsigned long long)row->max);
    }
    WL_ASSERT(bytes < row->bytes);
    memcpy(into, value, bytes + 1);
    return WL_OK;
}

static wl_err_t setting_set(wl_settings_t *settings, const setting_row_t *row, const char *value,
                            wl_fault_t *fault) {
    char *into = (char *)settings + row->offset;
    switch (row->type) {
    case TYPE_TEXT:
    case TYPE_CHOICE: return text_set(row, value, into, fault);
    case TYPE_NUMBER:
    case TYPE_BYTES: return number_set(row, value, (uint64_t *)(void *)into, fault);
    case TYPE_BOOL: return bool_set(row, value, (bool *)into, fault);
    }
    return WL_ERR_INTERNAL;
}

static wl_err_t setting_set_named(wl_settings_t *settings, const char *name, const char *value,
                                  wl_fault_t *fault) {
    const setting_row_t *row = setting_find(name);
    if (row != NULL) {
        return setting_set(settings, row, value, fault);
    }
    const char *names[ROWS];
    for (size_t i = 0; i < ROWS; i++) {
        names[i] = setting_rows[i].name;
    }
    const char *nearest = wl_nearest(name, names, ROWS);
    return wl_fault(fault, WL_ERR_SETTINGS, name, "unknown key%s%s%s",
                    nearest == NULL ? "" : ", did you mean \"", nearest == NULL ? "" : nearest,
                    nearest == NULL ? "" : "\"?");
}

void wl_settings_defaults(wl_settings_t *ret) {
    memset(ret, 0, sizeof *ret);
    for (size_t i = 0; i < ROWS; i++) {
        wl_err_t err = setting_set(ret, &setting_rows[i], setting_rows[i].value, NULL);
        WL_ASSERT(err == WL_OK);
    }
}

typedef struct {
    wl_settings_t *settings;
    wl_fault_t *fault;
    wl_err_t err;
    unsigned line;
} ini_walk_t;

/* inih calls this per pair; 0 makes ini_parse remember the line as an error. */
static int on_ini_pair(void *arg, const char *section, const char *key, const char *value) {
    ini_walk_t *walk = arg;
    char name[160];
    (void)snprintf(name, sizeof name, "%s%s%s", section, *section == '\0' ? "" : ".", key);
    if (walk->err == WL_OK) {
        walk->err = setting_set_named(walk->settings, name, value, walk->fault);
    }
    return walk->err == WL_OK;
}

wl_err_t wl_settings_file(wl_settings_t *settings, const char *path, wl_fault_t *fault) {
    wl_settings_t changed = *settings;
    ini_walk_t walk = {.settings = &changed, .fault = fault};
    int line = ini_parse(path, on_ini_pair, &walk);
    if (line == -1) {
        return wl_fault(fault, WL_ERR_NOT_FOUND, path, "cannot be opened: %s", strerror(errno));
    }
    if (line != 0) {
        if (walk.err == WL_OK) {
            walk.err = wl_fault(fault, WL_ERR_SETTINGS, "", "not an INI line");
        }
        if (fault != NULL) {
            fault->line = (unsigned)(line < 0 ? 0 : line);
        }
        return walk.err;
    }
    *settings = changed;
    return WL_OK;
}

/* "WALLET_FRONTEND_REQUESTS_MAX" to "frontend.requests_max". */
static void environment_name(const char *variable, size_t bytes, char ret_name[160]) {
    size_t used = 0;
    bool dotted = false;
    for (size_t i = 0; i < bytes && used < 159; i++) {
        char c = (char)tolower((unsigned char)variable[i]);
        ret_name[used] = c;
        if (c == '_' && !dotted) {
            ret_name[used] = '.';
        }
        used++;
        dotted = dotted || c == '_';
    }
    ret_name[used] = '\0';
}

/* Does "section.key" name one of our sections? */
static bool section_known(const char *name) {
    size_t bytes = strcspn(name, ".");
    for (size_t i = 0; i < ROWS; i++) {
        if (strlen(setting_rows[i].section) == bytes &&
            memcmp(setting_rows[i].section, name, bytes) == 0) {
            return true;
        }
    }
    return false;
}

wl_err_t wl_settings_environment(wl_settings_t *settings, char *const *environment,
                                 wl_fault_t *fault) {
    static const char prefix[] = "WALLET_";
    for (; *environment != NULL; environment++) {
        const char *variable = *environment;
        const char *equals = strchr(variable, '=');
        if (equals == NULL || strncmp(variable, prefix, sizeof prefix - 1) != 0) {
            continue;
        }
        char name[160];
        variable += sizeof prefix - 1;
        environment_name(variable, (size_t)(equals - variable), name);
        if (!section_known(name) || strcmp(name, "server.key") == 0) {
            /* Clients have WALLET_SERVER_KEY, Kubernetes sets WALLET_SERVICE_HOST for a service
             * called "wallet". */
            continue;
        }
        wl_err_t err = setting_set_named(settings, name, equals + 1, fault);
        if (err != WL_OK) {
            return err;
        }
    }
    return WL_OK;
}

wl_err_t wl_settings_assign(wl_settings_t *settings, const char *assignment, wl_fault_t *fault) {
    const char *equals = strchr(assignment, '=');
    char name[160];
    if (equals == NULL || (size_t)(equals - assignment) >= sizeof name) {
        return wl_fault(fault, WL_ERR_SETTINGS, assignment, "expected section.key=value");
    }
    memcpy(name, assignment, (size_t)(equals - assignment));
    name[equals - assignment] = '\0';
    return setting_set_named(settings, name, equals + 1, fault);
}

void wl_settings_document(FILE *out) {
    const char *section = "";
    for (size_t i = 0; i < ROWS; i++) {
        const setting_row_t *row = &setting_rows[i];
        if (strcmp(section, row->section) != 0) {
            section = row->section;
            (void)fprintf(out, "%s[%s]\n", i == 0 ? "" : "\n", section);
        }
        (void)fprintf(out, "# %s", row->help);
        if (row->type == TYPE_NUMBER || row->type == TYPE_BYTES) {
            (void)fprintf(out, " (%llu..%llu)", (unsigned long long)row->min,
                          (unsigned long long)row->max);
        }
        (void)fprintf(out, "\n%s = %s\n", row->key, row->value);
    }
}

void wl_settings_table(FILE *out) {
    for (size_t i = 0; i < ROWS; i++) {
        const setting_row_t *row = &setting_rows[i];
        (void)fprintf(out, "| `%s` | %s | ", row->name, row->value);
        if (row->type == TYPE_NUMBER || row->type == TYPE_BYTES) {
            (void)fprintf(out, "%llu..%llu", (unsigned long long)row->min,
                          (unsigned long long)row->max);
        }
        (void)fprintf(out, " | %s |\n", row->help);
    }
}

bool wl_settings_list_item(const char *list, uint32_t index, char *ret_item, size_t bytes) {
    for (const char *at = list; *at != '\0'; at += *at == ',') {
        size_t item = strcspn(at, ",");
        const char *from = at;
        const char *to = at + item;
        at = to;
        while (from < to && isspace((unsigned char)*from)) {
            from++;
        }
        while (to > from && isspace((unsigned char)to[-1])) {
            to--;
        }
        if (from == to) {
            continue;
        }
        if (index-- == 0) {
            (void)snprintf(ret_item, bytes, "%.*s", (int)(to - from), from);
            return true;
        }
    }
    return false;
}

uint32_t wl_settings_list_count(const char *list) {
    char item[8];
    uint32_t count = 0;
    while (wl_settings_list_item(list, count, item, sizeof item)) {
        count++;
    }
    return count;
}
