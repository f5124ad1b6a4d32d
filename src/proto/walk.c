#include "proto/walk.h"

#include "base/check.h"

#include <stddef.h>

/* msgpack-c itself gives up at 32, so a deeper limit would promise what cannot be kept. */
enum { WALK_STACK = 32 };

typedef enum { FORM_FIXED, FORM_SIZED, FORM_ARRAY, FORM_MAP, FORM_NEVER } form_t;

typedef struct {
    uint8_t form;  /* form_t */
    uint8_t width; /* bytes of the big-endian size or count behind the first byte */
    uint8_t more;  /* further bytes that always follow */
} shape_t;

/* First bytes 0xc0 .. 0xdf; the others carry their size in themselves. */
static const shape_t shapes[32] = {
    {FORM_FIXED, 0, 0},  {FORM_NEVER, 0, 0}, {FORM_FIXED, 0, 0}, {FORM_FIXED, 0, 0}, /* nil bool */
    {FORM_SIZED, 1, 0},  {FORM_SIZED, 2, 0}, {FORM_SIZED, 4, 0},                     /* bin */
    {FORM_SIZED, 1, 1},  {FORM_SIZED, 2, 1}, {FORM_SIZED, 4, 1},                     /* ext */
    {FORM_FIXED, 0, 4},  {FORM_FIXED, 0, 8},                                         /* float */
    {FORM_FIXED, 0, 1},  {FORM_FIXED, 0, 2}, {FORM_FIXED, 0, 4}, {FORM_FIXED, 0, 8}, /* uint */
    {FORM_FIXED, 0, 1},  {FORM_FIXED, 0, 2}, {FORM_FIXED, 0, 4}, {FORM_FIXED, 0, 8}, /* int */
    {FORM_FIXED, 0, 2},  {FORM_FIXED, 0, 3}, {FORM_FIXED, 0, 5}, {FORM_FIXED, 0, 9}, /* fixext */
    {FORM_FIXED, 0, 17}, {FORM_SIZED, 1, 0}, {FORM_SIZED, 2, 0}, {FORM_SIZED, 4, 0}, /* str */
    {FORM_ARRAY, 2, 0},  {FORM_ARRAY, 4, 0}, {FORM_MAP, 2, 0},   {FORM_MAP, 4, 0},
};

/* One object's head, with the body of a scalar. */
typedef struct {
    uint64_t bytes;    /* to skip */
    uint64_t children; /* objects that follow inside it */
    bool nests;        /* an array or a map, maybe an empty one */
} head_t;

static uint64_t big_endian(const uint8_t *at, unsigned width) {
    uint64_t value = 0;
    for (unsigned i = 0; i < width; i++) {
        value = value << 8 | at[i];
    }
    return value;
}

static head_t head_of_first_byte(uint8_t first) {
    if (first < 0x80 || first >= 0xe0) {
        return (head_t){1, 0, false};
    }
    if (first < 0x90) {
        return (head_t){1, 2u * (first & 0x0fu), true};
    }
    if (first < 0xa0) {
        return (head_t){1, first & 0x0fu, true};
    }
    return (head_t){1u + (first & 0x1fu), 0, false};
}

/* false: truncated or 0xc1. left >= 1. */
static bool head_read(const uint8_t *at, size_t left, head_t *ret) {
    if (at[0] < 0xc0 || at[0] >= 0xe0) {
        *ret = head_of_first_byte(at[0]);
        return ret->bytes <= left;
    }
    shape_t shape = shapes[at[0] - 0xc0];
    uint64_t bytes = 1u + shape.width;
    if (shape.form == FORM_NEVER || bytes > left) {
        return false;
    }
    uint64_t size = big_endian(at + 1, shape.width);
    uint64_t inside = shape.form == FORM_SIZED ? size : 0;
    bool nests = shape.form == FORM_ARRAY || shape.form == FORM_MAP;
    uint64_t children = !nests ? 0 : shape.form == FORM_MAP ? 2 * size : size;
    *ret = (head_t){bytes + shape.more + inside, children, nests};
    return ret->bytes <= left;
}

wl_err_t wl_walk(const void *bytes, size_t count, const wl_walk_limits_t *limits,
                 uint32_t *ret_objects) {
    WL_ASSERT(limits->depth_max <= WALK_STACK);
    WL_ASSERT(limits->objects_max >= 1);
    const uint8_t *at = bytes;
    size_t left = count;
    uint64_t open[WALK_STACK + 1] = {1}; /* objects still to come at each level */
    uint32_t depth = 0;
    uint64_t owed = 1; /* their sum: each is at least one byte, so it never exceeds left */
    uint64_t seen = 0;
    while (owed > 0) {
        head_t head;
        if (left == 0 || !head_read(at, left, &head)) {
            return WL_ERR_MALFORMED;
        }
        at += head.bytes;
        left -= (size_t)head.bytes;
        while (open[depth] == 0) {
            depth--;
        }
        open[depth]--;
        owed += head.children - 1;
        seen++;
        if (head.nests) {
            if (depth == limits->depth_max) {
                return WL_ERR_TOO_BIG;
            }
            if (owed > left) {
                return WL_ERR_MALFORMED;
            }
            if (seen + owed > limits->objects_max) {
                return WL_ERR_TOO_BIG;
            }
            open[++depth] = head.children;
        }
    }
    if (left != 0) {
        return WL_ERR_MALFORMED;
    }
    if (ret_objects != NULL) {
        *ret_objects = (uint32_t)seen;
    }
    return WL_OK;
}
