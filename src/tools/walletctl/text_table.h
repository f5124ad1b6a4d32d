/* text_table.h: aligned columns for people. Cells come from the wire, so control characters are
 * shown as '?' and never reach the terminal; widths count columns of a terminal, not bytes (a
 * Chinese title takes two columns a character). One thread; needs setlocale(LC_CTYPE) before. */
#ifndef WL_TOOLS_WALLETCTL_TEXT_TABLE_H
#define WL_TOOLS_WALLETCTL_TEXT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

typedef enum {
    CTL_STYLE_PLAIN,
    CTL_STYLE_BOLD,
    CTL_STYLE_DIM,
    CTL_STYLE_GOOD,
    CTL_STYLE_WARN,
    CTL_STYLE_BAD
} ctl_style_t;

typedef struct ctl_table ctl_table_t;

/* `columns` describes each column by one letter: 'l' left, 'r' right. */
ctl_table_t *ctl_table_new(const char *columns);
void ctl_table_destroy(ctl_table_t **self); /* NULL and *NULL are accepted */

/* Appends the next cell, row by row from left to right; text is copied. */
void ctl_table_cell(ctl_table_t *self, ctl_style_t style, const char *text);

/* Prints complete rows with `indent` blanks before each. An empty table prints nothing. */
void ctl_table_print(const ctl_table_t *self, unsigned indent, bool color, FILE *out);

/* Prints one text with a style, cleaned like a cell. */
void ctl_text_print(const char *text, ctl_style_t style, bool color, FILE *out);

/* Terminal columns of a text. */
size_t ctl_text_width(const char *text);

#endif
