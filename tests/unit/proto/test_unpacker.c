#include "proto/unpacker.h"

#include "base/alloc.h"
#include "proto_random.h"

#include <criterion/criterion.h>

static const wl_walk_limits_t limits = {16, 400000};

Test(unpacker, gives_the_same_objects_as_msgpack_c_alone_message_after_message) {
    WL_AUTO(wl_unpacker) unpacker = wl_unpacker_new();
    rng_t rng = {41};
    for (unsigned round = 0; round < 500; round++) {
        msgpack_sbuffer buffer;
        msgpack_packer packer;
        msgpack_sbuffer_init(&buffer);
        msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
        pack_random(&rng, &packer, round % 6);
        const msgpack_object *object = NULL;
        cr_assert_eq(wl_unpacker_read(unpacker, buffer.data, buffer.size, &limits, &object), WL_OK);
        msgpack_unpacked alone;
        msgpack_unpacked_init(&alone);
        cr_assert_eq(msgpack_unpack_next(&alone, buffer.data, buffer.size, NULL),
                     MSGPACK_UNPACK_SUCCESS);
        cr_assert(msgpack_object_equal(*object, alone.data));
        msgpack_unpacked_destroy(&alone);
        uint32_t count = rng_below(&rng, 5000);
        uint64_t *numbers = wl_unpacker_alloc(unpacker, count, sizeof *numbers);
        cr_assert_eq(numbers == NULL, count == 0);
        for (uint32_t i = 0; i < count; i++) {
            cr_assert_eq(numbers[i], 0);
            numbers[i] = UINT64_MAX;
        }
        msgpack_sbuffer_destroy(&buffer);
    }
}

Test(unpacker, grows_for_a_large_message_and_goes_on_with_small_ones) {
    WL_AUTO(wl_unpacker) unpacker = wl_unpacker_new();
    const size_t count = 300000;
    uint8_t *bytes = wl_alloc_zero(1, count + 5);
    const msgpack_object *object = NULL;
    bytes[0] = 0xdd;
    bytes[2] = 0x04;
    bytes[3] = 0x93;
    bytes[4] = 0xe0; /* 300,000 */
    for (unsigned round = 0; round < 3; round++) {
        cr_assert_eq(wl_unpacker_read(unpacker, bytes, count + 5, &limits, &object), WL_OK);
        cr_assert_eq(object->via.array.size, count);
        cr_assert_eq(wl_unpacker_read(unpacker, "\x91\x07", 2, &limits, &object), WL_OK);
        cr_assert_eq(object->via.array.ptr[0].via.u64, 7);
        const msgpack_object *kept = object;
        cr_assert_eq(wl_unpacker_read(unpacker, "\x91", 1, &limits, &kept), WL_ERR_MALFORMED);
        cr_assert_eq(kept, object, "untouched on failure");
    }
    wl_free(bytes);
}

Test(unpacker, destroy_takes_nothing_twice) {
    wl_unpacker_t *unpacker = wl_unpacker_new();
    wl_unpacker_destroy(&unpacker);
    cr_assert_null(unpacker);
    wl_unpacker_destroy(&unpacker);
    wl_unpacker_destroy(NULL);
}
