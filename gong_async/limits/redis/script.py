"""The script that keeps one company's limits in Redis, on the clock of the Redis server.

One script with several actions, so that there is one to load:

* `ask`: take the slot that was booked and is due, else book the next one and say how long it is.
* `look`: change nothing but what is handed in with every call; say who waits elsewhere.
* `refuse`: Gong's limit refused a request: hold everybody.
* `learn`: write the learned pace, if nobody else wrote it since it was read.
* `undo`: a call that was granted and counted was cancelled before it went out.

Slots are booked as points in time. A process that dies leaves its one slot unused, and nothing
else. An interactive call gets the first slot that is booked for a bulk call, and each bulk call
gets the slot of the one behind it.
"""

from __future__ import annotations

from hashlib import sha1

SCRIPT = """
local gate, line, day, crowd = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local action, me, lane, rate = ARGV[1], ARGV[2], ARGV[3], ARGV[5]
local per_day, reserve, share = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local PROBE_LEASE, KEPT, EARLY = 120, 172800, 0.0005

local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local function text(number) return string.format('%.6f', number) end

local known = redis.call('HMGET', gate, 'held', 'probe', 'prober', 'probed_at', 'next', 'bulk',
  'learned', 'version:' .. rate, 'pace:' .. rate, 'interval:' .. rate, 'epoch:' .. rate,
  'accepted:' .. rate)
local held, probe = tonumber(known[1] or 0), tonumber(known[2] or 0)
local prober, probed_at = known[3] or '', tonumber(known[4] or 0)
local next_slot, next_bulk = tonumber(known[5] or 0), tonumber(known[6] or 0)
local learned, version = tonumber(known[7] or 0), tonumber(known[8] or 0)
local pace, interval = known[9] or '', tonumber(known[10] or ARGV[4])
local epoch, accepted = known[11] or '', tonumber(known[12] or 0)

local horizon = math.min(30, math.max(5, 16 * interval))
local late = math.max(interval / 4, 0.002)
-- A slot is granted so much ahead that the way to this server makes nobody late.
local lead = math.min(interval / 3, 0.01)
local changes = {}
local function put(name, value)
  changes[#changes + 1] = name
  changes[#changes + 1] = value
end

-- A clock that was set back (or that of another server) must not make anybody wait for it.
if next_slot > now + 2 * horizon + 2 * interval then
  next_slot = 0
  redis.call('DEL', line)
end
if next_bulk > now + 2 * horizon + 2 * interval / (1 - share) then next_bulk = 0 end
if probe > now + PROBE_LEASE + 1 then probe = 0 end
if held > now + KEPT then held = 0 end

-- The day: buckets of a minute, oldest first, and their sum.
local book = redis.call('HMGET', day, 'first', 'last', 'used')
local first, last, used = tonumber(book[1] or 1), tonumber(book[2] or 0), tonumber(book[3] or 0)
local function began(bucket) return tonumber(redis.call('HGET', day, 's' .. bucket) or 0) end
local gone = ARGV[9] == '' and now - 86460 or tonumber(ARGV[9])
local oldest = first <= last and began(first) or 0
if first <= last and oldest <= gone then
  while first <= last and oldest <= gone do
    used = used - tonumber(redis.call('HGET', day, 'c' .. first) or 0)
    redis.call('HDEL', day, 's' .. first, 'c' .. first)
    first = first + 1
    oldest = first <= last and began(first) or 0
  end
  redis.call('HSET', day, 'first', first, 'last', last, 'used', used)
end
local function count(calls)
  local latest = first <= last and began(last) or nil
  if not latest or now >= latest + 60 then
    last = last + 1
    if not latest then oldest = now end
    redis.call('HSET', day, 'first', first, 'last', last, 's' .. last, text(now))
  end
  redis.call('HINCRBY', day, 'c' .. last, calls)
  used = redis.call('HINCRBY', day, 'used', calls)
  redis.call('EXPIRE', day, KEPT)
end

-- What every call hands in: accepted calls, calls counted elsewhere, a probe that came back.
if tonumber(ARGV[11]) > 0 and ARGV[12] == epoch then
  accepted = accepted + tonumber(ARGV[11])
  put('accepted:' .. rate, accepted)
end
if tonumber(ARGV[13]) > 0 then count(tonumber(ARGV[13])) end
if tonumber(ARGV[15]) > math.max(now, held) then
  held = tonumber(ARGV[15])
  put('held', text(held))
end
local function end_probe()
  if prober ~= me then return end
  probe, prober = 0, ''
  put('probe', 0)
  put('prober', '')
end
if ARGV[14] ~= '' then
  local mine = prober == me
  end_probe()
  if mine and ARGV[14] == '1' and held <= now then
    held = 0
    put('held', 0)
  end
end

-- Who waits: a report for each event loop. What was not renewed is that of a dead process.
local FORGOTTEN, waits = 10, {0, 0, 0}
if ARGV[16] == '0 0 0' then
  redis.call('HDEL', crowd, me)
elseif ARGV[16] ~= '' then
  redis.call('HSET', crowd, me, text(now) .. ' ' .. ARGV[16])
  redis.call('EXPIRE', crowd, FORGOTTEN)
end
if action == 'look' or ARGV[16] ~= '' then
  local told = redis.call('HGETALL', crowd)
  for at = 1, #told, 2 do
    local said = {string.match(told[at + 1], '(%S+) (%d+) (%d+) (%d+)')}
    if not said[1] or math.abs(now - tonumber(said[1])) > FORGOTTEN then
      redis.call('HDEL', crowd, told[at])
    elseif told[at] ~= me then
      for kind = 1, 3 do waits[kind] = waits[kind] + tonumber(said[kind + 1]) end
    end
  end
end

local function book_general()
  local due = math.max(now, next_slot)
  if due - now > horizon then return nil, due - now - horizon / 2 end
  next_slot = due + interval
  put('next', text(next_slot))
  return due
end

-- Take the first slot of the bulk lane; everybody in that lane moves one slot back.
local function overtake()
  local booked, lane_members, slots = redis.call('ZRANGE', line, 0, -1, 'WITHSCORES'), {}, {}
  for at = 1, #booked, 2 do
    if string.sub(booked[at], 1, 2) == 'b:' then
      lane_members[#lane_members + 1] = booked[at]
      slots[#slots + 1] = booked[at + 1]
    end
  end
  if #slots == 0 then return book_general() end
  for at = 1, #slots do
    if lane_members[at] == 'b:' .. me then
      redis.call('ZREM', line, lane_members[at])
      return tonumber(slots[1])
    end
    local behind = slots[at + 1]
    if not behind then
      behind = text(math.max(now, next_slot))
      next_slot = tonumber(behind) + interval
      put('next', text(next_slot))
    end
    redis.call('ZADD', line, behind, lane_members[at])
  end
  return tonumber(slots[1])
end

-- A bulk call waits for its place in its share of each second before it asks for a slot.
local function bulk_wait()
  if lane ~= 'bulk' or share == 0 then return 0 end
  local due = tonumber(redis.call('ZSCORE', line, 's:' .. me) or 0)
  if due == 0 then
    due = math.max(now, next_bulk)
    if due - now > horizon then return due - now - horizon / 2 end
    next_bulk = due + interval / (1 - share)
    put('bulk', text(next_bulk))
    if due - now > EARLY then redis.call('ZADD', line, text(due), 's:' .. me) end
  end
  if due - now > EARLY then return due - now end
  redis.call('ZREM', line, 's:' .. me)
  return 0
end

local state, wait = 'ok', 0

local function take_slot()
  redis.call('ZREMRANGEBYSCORE', line, '-inf', '(' .. text(now - late))
  local due = redis.call('ZSCORE', line, 'i:' .. me)
  if not due and lane == 'bulk' then due = redis.call('ZSCORE', line, 'b:' .. me) end
  due = due and tonumber(due)
  local fresh = not due
  if fresh then
    state, wait = 'wait', bulk_wait()
    if wait > 0 then return end
    if lane == 'bulk' then due, wait = book_general() else due, wait = overtake() end
    if not due then return end
  end
  local member = lane == 'bulk' and 'b:' .. me or 'i:' .. me
  if due - now > lead + EARLY then
    if fresh then
      redis.call('ZADD', line, text(due), member)
      redis.call('EXPIRE', line, KEPT)
    end
    state, wait = 'wait', due - now - lead
    return
  end
  redis.call('ZREM', line, 'i:' .. me, 'b:' .. me)
  state, wait = 'granted', due - now
  count(1)
  if held > 0 then
    state, probe, prober = 'probe', now + PROBE_LEASE, me
    put('probe', text(probe))
    put('prober', me)
    put('probed_at', text(now))
  end
end

local teach = 0
if action == 'ask' then
  if held > now then
    state, wait = 'held', held - now
  elseif probe > now then
    -- Nobody tells when the probe is back: look soon at first, then less often.
    state, wait = 'wait', math.min(1, probe - now, math.max(0.02, (now - probed_at) / 2))
  elseif per_day >= 0 and used >= per_day - (lane == 'bulk' and reserve or 0) then
    state = 'day'
  else
    take_slot()
  end
  if accepted > 0 and (now - learned >= 1 or now < learned) then
    teach = 1
    put('learned', text(now))
  end
elseif action == 'refuse' then
  held = math.max(held, now + tonumber(ARGV[17]))
  redis.call('DEL', line)
  put('held', text(held))
  put('next', 0)
  put('bulk', 0)
elseif action == 'learn' then
  if version == tonumber(ARGV[10]) then
    version, pace, accepted = version + 1, ARGV[17], math.max(0, accepted - tonumber(ARGV[20]))
    if epoch ~= ARGV[19] then accepted = 0 end
    put('version:' .. rate, version)
    put('pace:' .. rate, pace)
    put('interval:' .. rate, ARGV[18])
    put('epoch:' .. rate, ARGV[19])
    put('accepted:' .. rate, accepted)
  else
    state = 'stale'
  end
elseif action == 'undo' then
  if used > 0 and first <= last then
    redis.call('HINCRBY', day, 'c' .. last, -1)
    used = redis.call('HINCRBY', day, 'used', -1)
  end
  end_probe()
end

if #changes > 0 then
  redis.call('HSET', gate, unpack(changes))
  redis.call('EXPIRE', gate, KEPT)
end
if version == tonumber(ARGV[10]) then pace = '' end
return {state, text(math.max(0, wait)), text(now), text(held), used, text(oldest), version, pace,
  accepted, teach, waits[1], waits[2], waits[3]}
"""

SHA = sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
"""The name under which Redis knows the script."""
