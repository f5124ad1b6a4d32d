#include "domain/shard_map.h"

#include "base/slot.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

TestSuite(shard_map);

Test(shard_map, empty_text_means_equal_ranges) {
    uint8_t map[WL_SLOTS];
    for (uint32_t shards = 1; shards <= 256; shards++) {
        cr_assert_eq(wl_shard_map_parse(shards % 2 == 0 ? "" : " ", shards, map, NULL), WL_OK);
        for (uint32_t slot = 0; slot < WL_SLOTS; slot++) {
            cr_assert_eq(map[slot], wl_slot_owner(slot, shards));
        }
    }
}

Test(shard_map, gives_each_range_to_its_shard_in_any_order) {
    uint8_t map[WL_SLOTS];
    cr_assert_eq(wl_shard_map_parse(" 1024-2047:2,2048-4094:1\t0-1023:0  4095:2 ", 4, map, NULL),
                 WL_OK);
    for (uint32_t slot = 0; slot < WL_SLOTS; slot++) {
        uint8_t wanted = slot < 1024 ? 0 : slot < 2048 || slot == 4095 ? 2 : 1;
        cr_assert_eq(map[slot], wanted, "slot %u", slot);
    }
}

Test(shard_map, refuses_what_is_no_map_and_says_why) {
    static const struct {
        const char *text;
        const char *says;
    } bad[] = {
        {"0-2047:0", "slot 2048 has no shard"},
        {"1-4095:0", "slot 0 has no shard"},
        {"0-2048:0 2048-4095:1", "slot 2048 is given twice"},
        {"0-4095:0 7:0", "slot 7 is given twice"},
        {"0-4095:2", "no shard 2"},
        {"0-4096:0", "0-4096 is not a range"},
        {"9-8:0 0-4095:0", "9-8 is not a range"},
        {"0-4095", "expected first-last:shard"},
        {"0-4095:", "expected first-last:shard"},
        {"0-:0", "expected first-last:shard"},
        {"-4095:0", "expected first-last:shard"},
        {"0-4095:0x", "expected first-last:shard"},
        {"0-4095:0;", "expected first-last:shard"},
        {"0-2047:0 2048-4095:1 garbage", "byte 21"},
        {"0-99999999999999999999:0", "expected first-last:shard"},
        {"0-4095:4294967296", "expected first-last:shard"},
    };
    uint8_t map[WL_SLOTS];
    memset(map, 77, sizeof map);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        wl_fault_t fault = {0};
        cr_assert_eq(wl_shard_map_parse(bad[i].text, 2, map, &fault), WL_ERR_SETTINGS, "%s",
                     bad[i].text);
        cr_assert_str_eq(fault.where, "shard.map");
        cr_assert_not_null(strstr(fault.message, bad[i].says), "%s: %s", bad[i].text,
                           fault.message);
        cr_assert_eq(wl_shard_map_parse(bad[i].text, 2, map, NULL), WL_ERR_SETTINGS);
    }
    for (uint32_t slot = 0; slot < WL_SLOTS; slot++) {
        cr_assert_eq(map[slot], 77, "a refused map changes nothing");
    }
}
