#include "store/queue_redis_scripts.h"

/* take(stream, field, bits, count, least): the first of so many numbers never used before, above
 * `least`. Without a remembered number (the state was deleted) those in the stream count. */
#define LUA_TAKE                                                                       \
    "local function take(stream, field, bits, count, least)\n"                         \
    "  local last = tonumber(redis.call('HGET', KEYS[2], field))\n"                    \
    "  if not last then\n"                                                             \
    "    last = 0\n"                                                                   \
    "    if redis.call('EXISTS', stream) == 1 then\n"                                  \
    "      local info = redis.call('XINFO', 'STREAM', stream)\n"                       \
    "      for i = 1, #info, 2 do\n"                                                   \
    "        if info[i] == 'last-generated-id' then\n"                                 \
    "          last = tonumber(string.match(info[i + 1], '^%d+')) + 1\n"               \
    "        end\n"                                                                    \
    "      end\n"                                                                      \
    "    end\n"                                                                        \
    "  end\n"                                                                          \
    "  local time = redis.call('TIME')\n"                                              \
    "  local seconds = tonumber(time[1]) - 1577836800 + tonumber(time[2]) / 1000000\n" \
    "  local clock = math.floor(seconds * 2 ^ bits)\n"                                 \
    "  last = math.max(last, clock, least)\n"                                          \
    "  redis.call('HSET', KEYS[2], field, string.format('%.0f', last + count))\n"      \
    "  return last + 1\n"                                                              \
    "end\n"                                                                            \
    "local function text(number) return string.format('%.0f', number) end\n"

/* ARGV[1] is the caller's epoch. A newer one shuts it out; an older or no one is replaced. Numbers
 * are compared as text: they may be beyond a double. */
#define LUA_FENCE                                                          \
    "local held = redis.call('HGET', KEYS[2], 'epoch') or '0'\n"           \
    "if #held > #ARGV[1] or (#held == #ARGV[1] and held > ARGV[1]) then\n" \
    "  return redis.status_reply('STALE')\n"                               \
    "end\n"                                                                \
    "if held ~= ARGV[1] then redis.call('HSET', KEYS[2], 'epoch', ARGV[1]) end\n"

/* The group is missing when nobody has read yet, or somebody deleted it or the stream. */
#define LUA_GROUP                                                                            \
    "local function group_create()\n"                                                        \
    "  redis.pcall('XGROUP', 'CREATE', KEYS[1], '" WL_QUEUE_GROUP "', '0', 'MKSTREAM')\n"    \
    "end\n"                                                                                  \
    "local function is_no_group(got)\n"                                                      \
    "  return type(got) == 'table' and got.err and string.sub(got.err, 1, 7) == 'NOGROUP'\n" \
    "end\n"

#define LUA_AUDIT                                                                     \
    "local function audit(key, count)\n"                                              \
    "  if count > 0 then\n"                                                           \
    "    redis.call('LPUSH', key, ARGV[1] .. ' count=' .. count .. ' ' .. ARGV[2])\n" \
    "    redis.call('LTRIM', key, 0, tonumber(ARGV[3]) - 1)\n"                        \
    "  end\n"                                                                         \
    "end\n"

/* The numbers of letters of each class, in the state. Letters without a class are older than them
 * and were never counted. */
#define LUA_CLASS                                                          \
    "local function class_count(state, class, by)\n"                       \
    "  if class and class ~= '' then\n"                                    \
    "    redis.call('HINCRBY', state, '" WL_QUEUE_DEAD "' .. class, by)\n" \
    "  end\n"                                                              \
    "end\n"                                                                \
    "local function field(fields, name)\n"                                 \
    "  for i = 1, #fields, 2 do\n"                                         \
    "    if fields[i] == name then return fields[i + 1] end\n"             \
    "  end\n"                                                              \
    "end\n"                                                                \
    "local function letter_remove(dead, state, number)\n"                  \
    "  local row = redis.call('XRANGE', dead, number, number)[1]\n"        \
    "  if not row then return 0 end\n"                                     \
    "  redis.call('XDEL', dead, row[1])\n"                                 \
    "  class_count(state, field(row[2], 'class'), -1)\n"                   \
    "  return 1\n"                                                         \
    "end\n"

const char wl_queue_script_append[] =
    LUA_TAKE "local first = take(KEYS[1], 'last', 22, #ARGV / 2, 0)\n"
             "local number = first\n"
             "for i = 1, #ARGV, 2 do\n"
             "  redis.call('XADD', KEYS[1], text(number), 'head', ARGV[i], 'body', ARGV[i + 1])\n"
             "  number = number + 1\n"
             "end\n"
             "return text(first)\n";

const char wl_queue_script_claim[] = LUA_FENCE LUA_GROUP
    "if ARGV[3] == '' then return '0-0' end\n"
    "local function claim()\n"
    "  return redis.pcall('XAUTOCLAIM', KEYS[1], '" WL_QUEUE_GROUP "', ARGV[2], 0, ARGV[3],\n"
    "                     'COUNT', ARGV[4], 'JUSTID')\n"
    "end\n"
    "local got = claim()\n"
    "if is_no_group(got) then\n"
    "  group_create()\n"
    "  got = claim()\n"
    "end\n"
    "if got.err then return got end\n"
    "return got[1]\n";

/* XGROUP DELCONSUMER drops what the consumer has in hand without a word: only empty ones go.
 * Reading begins at the first entry again, so that nothing depends on what the group believes was
 * read. */
const char wl_queue_script_claimed[] = LUA_FENCE
    "for _, one in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], '" WL_QUEUE_GROUP "')) do\n"
    "  local about = {}\n"
    "  for i = 1, #one, 2 do about[one[i]] = one[i + 1] end\n"
    "  if about.name ~= ARGV[2] and about.pending == 0 then\n"
    "    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], '" WL_QUEUE_GROUP "', about.name)\n"
    "  end\n"
    "end\n"
    "return redis.call('XGROUP', 'SETID', KEYS[1], '" WL_QUEUE_GROUP "', '0')\n";

/* After a lost answer the group believes in more than was told, and is set back. It is never set
 * forward: after a failover that lost entries, new ones may stand below what was read before. */
const char wl_queue_script_read[] = LUA_TAKE LUA_FENCE LUA_GROUP
    "local function fresh()\n"
    "  return redis.pcall('XREADGROUP', 'GROUP', '" WL_QUEUE_GROUP "', ARGV[2],\n"
    "                     'COUNT', ARGV[3], 'STREAMS', KEYS[1], '>')\n"
    "end\n"
    "local seen = tonumber(ARGV[4])\n"
    "if ARGV[5] == 'again' and redis.call('EXISTS', KEYS[1]) == 1 then\n"
    "  for _, one in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do\n"
    "    local about = {}\n"
    "    for i = 1, #one, 2 do about[one[i]] = one[i + 1] end\n"
    "    if about.name == '" WL_QUEUE_GROUP "' and\n"
    "       tonumber(string.match(about['last-delivered-id'], '^%d+')) > seen then\n"
    "      redis.call('XGROUP', 'SETID', KEYS[1], about.name, ARGV[4])\n"
    "    end\n"
    "  end\n"
    "end\n"
    "local got = fresh()\n"
    "if is_no_group(got) then\n"
    "  group_create()\n"
    "  got = fresh()\n"
    "end\n"
    "if not got then return {} end\n"
    "if got.err then return got end\n"
    "local keep, move = {}, {}\n"
    "for _, entry in ipairs(got[1][2]) do\n"
    "  local number, rest = string.match(entry[1], '^(%d+)-(%d+)$')\n"
    "  local ours = rest == '0' and #number < 17 and tonumber(number) > seen\n"
    "  table.insert(ours and keep or move, entry)\n"
    "end\n"
    "if #move > 0 then\n"
    "  local number = take(KEYS[1], 'last', 22, #move, seen)\n"
    "  for _, entry in ipairs(move) do\n"
    "    local fields = entry[2]\n"
    "    if #fields > 100 then fields = {fields[1], fields[2]} end\n"
    "    redis.call('XADD', KEYS[1], text(number), unpack(fields))\n"
    "    redis.call('XACK', KEYS[1], '" WL_QUEUE_GROUP "', entry[1])\n"
    "    redis.call('XDEL', KEYS[1], entry[1])\n"
    "    number = number + 1\n"
    "  end\n"
    "end\n"
    "return keep\n";

/* Only what was in hand is deleted: after a failover that lost entries, a new one may bear the
 * number of a lost one whose work has just ended. */
const char wl_queue_script_settle[] = LUA_TAKE LUA_FENCE LUA_CLASS
    "local retries, ends = tonumber(ARGV[2]), tonumber(ARGV[3])\n"
    "local letters, acks = tonumber(ARGV[4]), tonumber(ARGV[5])\n"
    "local at = 6\n"
    "for _ = 1, retries do\n"
    "  redis.call('HSET', KEYS[3], ARGV[at], ARGV[at + 1])\n"
    "  at = at + 2\n"
    "end\n"
    "local number = letters > 0 and take(KEYS[4], 'letter', 18, letters, 0)\n"
    "for _ = 1, letters do\n"
    "  local fields = {'uid', ARGV[at], 'line', ARGV[at + 1], 'attempts', ARGV[at + 2],\n"
    "                  'at', ARGV[at + 3], 'reason', ARGV[at + 4], 'class', ARGV[at + 7]}\n"
    "  if ARGV[at + 5] == 'b' then\n"
    "    table.insert(fields, 'body')\n"
    "    table.insert(fields, ARGV[at + 6])\n"
    "  end\n"
    "  if ARGV[at + 8] ~= '' then\n"
    "    table.insert(fields, 'history')\n"
    "    table.insert(fields, ARGV[at + 8])\n"
    "  end\n"
    "  redis.call('XADD', KEYS[4], text(number), unpack(fields))\n"
    "  class_count(KEYS[2], ARGV[at + 7], 1)\n"
    "  number = number + 1\n"
    "  at = at + 9\n"
    "end\n"
    "for i = at, at + ends - 1 do redis.call('HDEL', KEYS[3], ARGV[i]) end\n"
    "at = at + ends\n"
    "local gone = {}\n"
    "for i = at, at + acks - 1 do\n"
    "  if redis.call('XACK', KEYS[1], '" WL_QUEUE_GROUP "', ARGV[i]) == 1 then\n"
    "    table.insert(gone, ARGV[i])\n"
    "  end\n"
    "end\n"
    "if #gone > 0 then redis.call('XDEL', KEYS[1], unpack(gone)) end\n"
    "return #gone\n";

const char wl_queue_script_stats[] =
    "local held = redis.pcall('XPENDING', KEYS[1], '" WL_QUEUE_GROUP "')\n"
    "local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]\n"
    "return {redis.call('XLEN', KEYS[1]), held.err and 0 or held[1],\n"
    "        redis.call('HLEN', KEYS[2]), redis.call('XLEN', KEYS[3]),\n"
    "        oldest and oldest[2][2] or ''}\n";

const char wl_queue_script_redrive[] = LUA_TAKE LUA_AUDIT LUA_CLASS
    "local there = {}\n"
    "for i = 4, #ARGV, 4 do\n"
    "  if #redis.call('XRANGE', KEYS[3], ARGV[i], ARGV[i]) == 1 then table.insert(there, i) end\n"
    "end\n"
    "if #there == 0 then return 0 end\n"
    "local number = take(KEYS[1], 'last', 22, #there, 0)\n"
    "for _, i in ipairs(there) do\n"
    "  local fields = {'head', ARGV[i + 1], 'body', ARGV[i + 2]}\n"
    "  if ARGV[i + 3] ~= '' then\n"
    "    table.insert(fields, 'history')\n"
    "    table.insert(fields, ARGV[i + 3])\n"
    "  end\n"
    "  redis.call('XADD', KEYS[1], text(number), unpack(fields))\n"
    "  letter_remove(KEYS[3], KEYS[2], ARGV[i])\n"
    "  number = number + 1\n"
    "end\n"
    "audit(KEYS[4], #there)\n"
    "return #there\n";

const char wl_queue_script_discard[] = LUA_AUDIT LUA_CLASS
    "local count = 0\n"
    "for i = 4, #ARGV do count = count + letter_remove(KEYS[1], KEYS[3], ARGV[i]) end\n"
    "audit(KEYS[2], count)\n"
    "return count\n";

const char wl_queue_script_forget[] =
    LUA_CLASS "local rows = redis.call('XRANGE', KEYS[1], ARGV[3], '+', 'COUNT', ARGV[4])\n"
              "local count = 0\n"
              "for _, row in ipairs(rows) do\n"
              "  if field(row[2], 'uid') == ARGV[1] and field(row[2], 'line') == ARGV[2] then\n"
              "    redis.call('XDEL', KEYS[1], row[1])\n"
              "    class_count(KEYS[2], field(row[2], 'class'), -1)\n"
              "    count = count + 1\n"
              "  end\n"
              "end\n"
              "return {#rows > 0 and rows[#rows][1] or '', count}\n";

/* Without letters nothing is counted: what another program left there is put right. */
const char wl_queue_script_classes[] =
    "local answer = {redis.call('XLEN', KEYS[1])}\n"
    "for i = 1, #ARGV do\n"
    "  local name = '" WL_QUEUE_DEAD "' .. ARGV[i]\n"
    "  if answer[1] == 0 then redis.call('HDEL', KEYS[2], name) end\n"
    "  answer[i + 1] = tonumber(redis.call('HGET', KEYS[2], name) or '0')\n"
    "end\n"
    "return answer\n";

const char wl_queue_script_info[] = "return redis.call('INFO', ARGV[1])\n";

const char wl_queue_script_job[] = "if ARGV[1] ~= '' then\n" LUA_FENCE "end\n"
                                   "if ARGV[3] == '' then\n"
                                   "  return redis.call('HDEL', KEYS[1], ARGV[2])\n"
                                   "end\n"
                                   "return redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])\n";
