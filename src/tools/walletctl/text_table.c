#include "tools/walletctl/text_table.h"

#include "base/alloc.h"
#include "base/check.h"

#include <string.h>
#include <wchar.h>

enum { GAP = 2 }; /* blanks between columns */

typedef struct {
    char *text;        /* owned */
    size_t width;      /* terminal columns */
    ctl_style_t style; /* how it is shown */
} cell_t;

struct ctl_table {
    char *columns;   /* owned: a letter each */
    size_t width;    /* how many columns */
    cell_t *cells;   /* row by row */
    size_t count;    /* cells in use */
    size_t capacity; /* cells there is room for */
};

/* Walks over one character. Returns its bytes and, through ret_width, its terminal columns; a
 * character that must not be printed has width 1 and *ret_plain false. */
static size_t character_take(const char *text, size_t *ret_width, bool *ret_plain) {
    mbstate_t state = {0};
    wchar_t character = 0;
    size_t bytes = mbrtowc(&character, text, strlen(text), &state);
    int width = bytes >= (size_t)-2 ? -1 : wcwidth(character);
    *ret_plain = width >= 0;
    *ret_width = width >= 0 ? (size_t)width : 1;
    return bytes >= (size_t)-2 || bytes == 0 ? 1 : bytes;
}

size_t ctl_text_width(const char *text) {
    size_t columns = 0;
    while (*text != '\0') {
        size_t width = 0;
        bool plain = false;
        text += character_take(text, &width, &plain);
        columns += width;
    }
    return columns;
}

static void text_clean(const char *text, FILE *out) {
    while (*text != '\0') {
        size_t width = 0;
        bool plain = false;
        size_t bytes = character_take(text, &width, &plain);
        (void)fwrite(plain ? text : "?", 1, plain ? bytes : 1, out);
        text += bytes;
    }
}

void ctl_text_print(const char *text, ctl_style_t style, bool color, FILE *out) {
    static const char *const codes[] = {"", "1", "2", "32", "33", "31"};
    WL_ASSERT((unsigned)style < WL_COUNT_OF(codes));
    bool dress = color && style != CTL_STYLE_PLAIN;
    if (dress) {
        (void)fprintf(out, "\033[%sm", codes[style]);
    }
    text_clean(text, out);
    if (dress) {
        (void)fputs("\033[0m", out);
    }
}

ctl_table_t *ctl_table_new(const char *columns) {
    WL_ASSERT(columns[0] != '\0');
    ctl_table_t *self = wl_alloc_zero(1, sizeof *self);
    self->columns = wl_strdup(columns);
    self->width = strlen(columns);
    return self;
}

void ctl_table_destroy(ctl_table_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    for (size_t i = 0; i < (*self)->count; i++) {
        wl_free((*self)->cells[i].text);
    }
    wl_free((*self)->cells);
    wl_free((*self)->columns);
    wl_free(*self);
    *self = NULL;
}

void ctl_table_cell(ctl_table_t *self, ctl_style_t style, const char *text) {
    WL_ASSERT(text != NULL);
    if (self->count == self->capacity) {
        self->capacity = self->capacity == 0 ? 64 : self->capacity * 2;
        self->cells = wl_realloc_array(self->cells, self->capacity, sizeof *self->cells);
    }
    self->cells[self->count++] =
        (cell_t){.text = wl_strdup(text), .width = ctl_text_width(text), .style = style};
}

static size_t table_column_width(const ctl_table_t *self, size_t column, size_t rows) {
    size_t widest = 0;
    for (size_t row = 0; row < rows; row++) {
        size_t width = self->cells[row * self->width + column].width;
        widest = width > widest ? width : widest;
    }
    return widest;
}

static void blanks_print(size_t count, FILE *out) {
    (void)fprintf(out, "%*s", (int)count, "");
}

void ctl_table_print(const ctl_table_t *self, unsigned indent, bool color, FILE *out) {
    size_t rows = self->count / self->width;
    size_t *widths = wl_alloc_zero(self->width, sizeof *widths);
    for (size_t column = 0; column < self->width; column++) {
        widths[column] = table_column_width(self, column, rows);
    }
    for (size_t row = 0; row < rows; row++) {
        size_t owed = indent; /* blanks are written only when something follows them */
        for (size_t column = 0; column < self->width; column++) {
            const cell_t *cell = &self->cells[row * self->width + column];
            size_t rest = widths[column] - cell->width;
            bool right = self->columns[column] == 'r';
            if (cell->width > 0) {
                blanks_print(owed + (right ? rest : 0), out);
                ctl_text_print(cell->text, cell->style, color, out);
                owed = right ? 0 : rest;
            } else {
                owed += rest;
            }
            owed += widths[column] > 0 ? GAP : 0;
        }
        (void)fputc('\n', out);
    }
    wl_free(widths);
}
