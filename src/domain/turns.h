/* turns.h: who goes next when several want the same scarce thing: stride scheduling (Waldspurger
 * and Weihl 1995). Each class has a weight; while a class is ready it gets at least its share,
 * weight by sum of weights, so the heavy ones go first and none starves. Who was not ready saves
 * nothing up. Pure; a plain struct, one owner thread. */
#ifndef WL_DOMAIN_TURNS_H
#define WL_DOMAIN_TURNS_H

#include <stdbool.h>
#include <stdint.h>

enum { WL_TURNS_MAX = 8, WL_TURNS_WEIGHT_MAX = 1024 };

typedef struct {
    uint32_t count;
    uint64_t now;                  /* pass of the class that went last */
    uint64_t stride[WL_TURNS_MAX]; /* how far one turn takes a class */
    uint64_t pass[WL_TURNS_MAX];   /* the class that is least far goes next */
} wl_turns_t;

/* count 1 .. WL_TURNS_MAX weights of 1 .. WL_TURNS_WEIGHT_MAX. */
void wl_turns_init(wl_turns_t *self, const uint32_t *weights, uint32_t count);
/* The class that goes next of those whose bit is set in ready (bit 0 = class 0); at least one is.
 * The first of equals. Changes nothing. */
uint32_t wl_turns_next(const wl_turns_t *self, uint32_t ready);
/* The class has had its turn. */
void wl_turns_took(wl_turns_t *self, uint32_t class);

#endif
