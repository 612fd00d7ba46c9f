"""What happens atomically in Redis, in Lua. Changes of presence publish their announcement in the same script.

Every script has one key (for a Cluster to find the slot) and takes the root of all names as its first argument. Keys
below the root:

    leases            sorted set  node -> end of its lease
    nodes             hash        node -> what it tells of itself
    joined            hash        node -> since when it has its connection
    sequence          counter     gives members their order in a room
    room:ROOM         sorted set  member -> order of coming
    node:NODE         hash        member -> room, of the members of one node
    dying             set         nodes that are dead, and whose members are being taken out
    dead:NODE         string      a dead node, for a day: it may not have been dead but cut off
    cache:KEY         hash        v(alue), c(reated), e(xpires), r(ead)
    cacheExpiry       sorted set  key -> end of its time
    cacheUse          sorted set  key -> last use

A first write that takes memory comes first of all: out of memory, a script then has done nothing. Times are Redis's.
"""

from __future__ import annotations

import hashlib

NOT_ALIVE = -1
"""The answer to a node that holds no lease."""

LATE = -2
"""The answer to what was asked so long ago that it was given up meanwhile: it has not been done."""

_NOW = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
"""

# Members change in time or not at all: what a frozen Redis finds in its sockets when it thaws has been refused.
_IN_TIME = (
    _NOW
    + """
if now > tonumber(ARGV[4]) then return -2 end
"""
)

# ARGV: root, node, publish, deadline, member, room, announcement
_ENTER = (
    _IN_TIME
    + """
local root, node = ARGV[1], ARGV[2]
if not redis.call('ZSCORE', root .. 'leases', node) then return -1 end
redis.call('HSET', root .. 'node:' .. node, ARGV[5], ARGV[6])
redis.call('ZADD', root .. 'room:' .. ARGV[6], redis.call('INCR', root .. 'sequence'), ARGV[5])
if ARGV[7] ~= '' then redis.call(ARGV[3], root .. 'say:' .. ARGV[6], ARGV[7]) end
return 1
"""
)

# ARGV: root, node, publish, deadline, member, origin, target, left, entered
_MOVE = (
    _IN_TIME
    + """
local root, node, member = ARGV[1], ARGV[2], ARGV[5]
local origin, target = ARGV[6], ARGV[7]
if not redis.call('ZSCORE', root .. 'leases', node) then return -1 end
if redis.call('HGET', root .. 'node:' .. node, member) ~= origin then return -1 end
redis.call('HSET', root .. 'node:' .. node, member, target)
redis.call('ZREM', root .. 'room:' .. origin, member)
redis.call('ZADD', root .. 'room:' .. target, redis.call('INCR', root .. 'sequence'), member)
if ARGV[8] ~= '' then redis.call(ARGV[3], root .. 'say:' .. origin, ARGV[8]) end
if ARGV[9] ~= '' then redis.call(ARGV[3], root .. 'say:' .. target, ARGV[9]) end
return 1
"""
)

# ARGV: root, node, publish, deadline, member, room, announcement
_LEAVE = (
    _IN_TIME
    + """
local root, node, member, room = ARGV[1], ARGV[2], ARGV[5], ARGV[6]
if redis.call('HGET', root .. 'node:' .. node, member) ~= room then return 0 end
redis.call('HDEL', root .. 'node:' .. node, member)
redis.call('ZREM', root .. 'room:' .. room, member)
if ARGV[7] ~= '' then redis.call(ARGV[3], root .. 'say:' .. room, ARGV[7]) end
return 1
"""
)

# ARGV: root, node, lease, what it tells. Answers {"kept" | "reaped" | "lost", {member, room, …}, now}
_JOIN = (
    _NOW
    + """
local root, node = ARGV[1], ARGV[2]
local state = 'lost'
if redis.call('ZSCORE', root .. 'leases', node) then state = 'kept'
elseif redis.call('EXISTS', root .. 'dead:' .. node) == 1 then state = 'reaped' end
redis.call('ZADD', root .. 'leases', now + ARGV[3], node)
redis.call('HSET', root .. 'nodes', node, ARGV[4])
redis.call('HSET', root .. 'joined', node, string.format('%.0f', now))
redis.call('DEL', root .. 'dead:' .. node)
redis.call('SREM', root .. 'dying', node)
return {state, redis.call('HGETALL', root .. 'node:' .. node), string.format('%.0f', now)}
"""
)

# ARGV: root, node, lease, when this node lost its connection, its state of joining, the nodes it knew then
# Answers those of them that do not hear again. One does that has joined after the loss, or renewed its lease after this
# node has joined: both go by the connection that it hears on. One without a lease is gone, if Redis has forgotten none.
_ABSENT = """
local root, absent = ARGV[1], {}
local since = tonumber(redis.call('HGET', root .. 'joined', ARGV[2]) or '0')
for i = 6, #ARGV do
  local lease = redis.call('ZSCORE', root .. 'leases', ARGV[i])
  local joined = tonumber(redis.call('HGET', root .. 'joined', ARGV[i]) or '0')
  local gone = not lease and ARGV[5] ~= 'lost'
  local renewed = lease and lease - ARGV[3] >= since
  if not (gone or renewed or joined >= tonumber(ARGV[4])) then absent[#absent + 1] = ARGV[i] end
end
return absent
"""

# Takes up to `limit` members of a dead node out of their rooms; whether some are left.
_TAKE = """
local function take(root, node, publish, left, limit)
  local key = root .. 'node:' .. node
  local cursor, found = '0', {}
  repeat
    local page = redis.call('HSCAN', key, cursor, 'COUNT', limit)
    cursor, found = page[1], page[2]
  until #found > 0 or cursor == '0'
  for i = 1, math.min(#found, 2 * limit), 2 do
    local member, room = found[i], found[i + 1]
    redis.call('HDEL', key, member)
    redis.call('ZREM', root .. 'room:' .. room, member)
    if left ~= '' then
      local quoted = cjson.encode(member)
      redis.call(publish, root .. 'say:' .. room,
        '["' .. node .. '",0,' .. quoted .. ',0]\\n{"message":' .. left .. ',"room":' .. cjson.encode(room) ..
        ',"from":' .. quoted .. ',"context":"user","sentAt":' .. string.format('%.0f', now) .. '}')
    end
  end
  return redis.call('EXISTS', key) == 1
end
"""

# ARGV: root, node, publish, deadline, lease, what it tells, may reap, left as JSON, limit
# Answers {1, whether members are left to take, now, {node that was found dead, …}, {node that is alive, …}}
_TICK = (
    _NOW
    + _TAKE
    + """
local root, node = ARGV[1], ARGV[2]
if now > tonumber(ARGV[4]) then return {-2, 0, '0', {}, {}} end
if not redis.call('ZSCORE', root .. 'leases', node) then return {-1, 0, '0', {}, {}} end
redis.call('ZADD', root .. 'leases', now + ARGV[5], node)
redis.call('HSET', root .. 'nodes', node, ARGV[6])
local found = {}
local alive = redis.call('ZRANGEBYSCORE', root .. 'leases', string.format('%.0f', now), '+inf')
local answer = {1, 0, string.format('%.0f', now), found, alive}
if ARGV[7] ~= '1' then return answer end
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', root .. 'leases', '-inf', '(' .. string.format('%.0f', now))) do
  redis.call('ZREM', root .. 'leases', dead)
  redis.call('HDEL', root .. 'nodes', dead)
  redis.call('HDEL', root .. 'joined', dead)
  redis.call('SADD', root .. 'dying', dead)
  redis.call('SET', root .. 'dead:' .. dead, '1', 'PX', '86400000')
  found[#found + 1] = dead
end
local dying = redis.call('SRANDMEMBER', root .. 'dying')
if dying then
  if not take(root, dying, ARGV[3], ARGV[8], tonumber(ARGV[9])) then redis.call('SREM', root .. 'dying', dying) end
  if redis.call('EXISTS', root .. 'dying') == 1 then answer[2] = 1 end
end
return answer
"""
)

# ARGV: root, node, publish, left as JSON, limit. Answers whether members are left to take.
_RETIRE = (
    _NOW
    + _TAKE
    + """
local root, node = ARGV[1], ARGV[2]
redis.call('ZREM', root .. 'leases', node)
redis.call('HDEL', root .. 'nodes', node)
redis.call('HDEL', root .. 'joined', node)
if take(root, node, ARGV[3], ARGV[4], tonumber(ARGV[5])) then
  redis.call('SADD', root .. 'dying', node)
  return 1
end
redis.call('SREM', root .. 'dying', node)
return 0
"""
)

_CACHE = (
    _NOW
    + """
local root = ARGV[1]
local function forget(key)
  redis.call('DEL', root .. 'cache:' .. key)
  redis.call('ZREM', root .. 'cacheUse', key)
  return redis.call('ZREM', root .. 'cacheExpiry', key)
end
for _, key in ipairs(redis.call('ZRANGEBYSCORE', root .. 'cacheExpiry', '-inf', string.format('%.0f', now),
    'LIMIT', 0, 1000)) do
  forget(key)
end
"""
)

# ARGV: root, key, value, time to live or '', most entries
_SAVE = (
    _CACHE
    + """
local key, place = ARGV[2], root .. 'cache:' .. ARGV[2]
local expires = '+inf'
if ARGV[4] ~= '' then
  if tonumber(ARGV[4]) <= 0 then forget(key) return 1 end
  expires = string.format('%.0f', now + ARGV[4])
end
redis.call('HSET', place, 'v', ARGV[3], 'c', string.format('%.0f', now), 'e', expires, 'r', '')
if ARGV[4] ~= '' then redis.call('PEXPIREAT', place, expires) else redis.call('PERSIST', place) end
redis.call('ZADD', root .. 'cacheExpiry', expires, key)
redis.call('ZADD', root .. 'cacheUse', string.format('%.0f', now), key)
local over = redis.call('ZCARD', root .. 'cacheExpiry') - ARGV[5]
if over > 0 then
  for _, old in ipairs(redis.call('ZRANGE', root .. 'cacheUse', 0, over - 1)) do forget(old) end
end
return 1
"""
)

# ARGV: root, key. Answers {value, created, expires, read before} or nothing.
_LOAD = (
    _CACHE
    + """
local key, place = ARGV[2], root .. 'cache:' .. ARGV[2]
local found = redis.call('HMGET', place, 'v', 'c', 'e', 'r')
if not found[1] then forget(key) return nil end
redis.call('HSET', place, 'r', string.format('%.0f', now))
redis.call('ZADD', root .. 'cacheUse', string.format('%.0f', now), key)
return found
"""
)

# ARGV: root, key
_DESTROY = _CACHE + "return forget(ARGV[2])"

# ARGV: root
_SIZE = _CACHE + "return redis.call('ZCARD', root .. 'cacheExpiry')"


class Script:
    """A script and the name by which Redis knows it once it is loaded."""

    def __init__(self, text: str) -> None:
        self.text = text.strip().encode()
        self.sha = hashlib.sha1(self.text, usedforsecurity=False).hexdigest().encode()


ENTER, MOVE, LEAVE = Script(_ENTER), Script(_MOVE), Script(_LEAVE)
JOIN, ABSENT, TICK, RETIRE = Script(_JOIN), Script(_ABSENT), Script(_TICK), Script(_RETIRE)
SAVE, LOAD, DESTROY, SIZE = Script(_SAVE), Script(_LOAD), Script(_DESTROY), Script(_SIZE)
ALL = (ENTER, MOVE, LEAVE, JOIN, ABSENT, TICK, RETIRE, SAVE, LOAD, DESTROY, SIZE)
