-- Keeps one company's limits in Redis, on the clock of the Redis server.
--
-- One script with several actions, so that only one has to be loaded:
--
--   ask     take the reserved slot if it is due, else reserve the next one and return the wait
--   look    only apply what every call reports; return the load of other event loops
--   refuse  a call was throttled: pause all calls
--   learn   store the learned rate, unless another process has stored one since it was read
--   undo    a granted and counted call was cancelled before it was sent
--
-- Slots are points in time. A process that dies leaves its one slot unused, and nothing else.
-- An interactive call gets the first slot reserved for a bulk call; each bulk call then gets the
-- slot of the one behind it.
--
-- What the keys hold has a version, which is part of their names: see `VERSION` in script.py.

local state_key, reservations, day, loads = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local action, me, priority, ceiling = ARGV[1], ARGV[2], ARGV[3], ARGV[5]
local per_day, reserve, share = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local PROBE_LEASE, KEPT, EARLY = 120, 172800, 0.0005

local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local function text(number) return string.format('%.6f', number) end

local known = redis.call('HMGET', state_key, 'paused_until', 'probe', 'prober', 'probed_at',
  'next_slot', 'next_bulk', 'learned_at', 'version:' .. ceiling, 'rate:' .. ceiling, 'interval:' .. ceiling, 'epoch:' .. ceiling,
  'accepted:' .. ceiling)
local paused_until, probe = tonumber(known[1] or 0), tonumber(known[2] or 0)
local prober, probed_at = known[3] or '', tonumber(known[4] or 0)
local next_slot, next_bulk = tonumber(known[5] or 0), tonumber(known[6] or 0)
local learned_at, version = tonumber(known[7] or 0), tonumber(known[8] or 0)
local learned_rate, interval = known[9] or '', tonumber(known[10] or ARGV[4])
local epoch, accepted = known[11] or '', tonumber(known[12] or 0)

local horizon = math.min(30, math.max(5, 16 * interval))
local late = math.max(interval / 4, 0.002)
-- A slot is granted this much ahead, so that the round trip delays no call.
local lead = math.min(interval / 3, 0.01)
local changes = {}
local function put(name, value)
  changes[#changes + 1] = name
  changes[#changes + 1] = value
end

-- Times far ahead come from a clock that was set back, or another server's: ignore them.
if next_slot > now + 2 * horizon + 2 * interval then
  next_slot = 0
  redis.call('DEL', reservations)
end
if next_bulk > now + 2 * horizon + 2 * interval / (1 - share) then next_bulk = 0 end
if probe > now + PROBE_LEASE + 1 then probe = 0 end
if paused_until > now + KEPT then paused_until = 0 end

-- The daily count: one bucket per minute, oldest first, and their sum.
local counts = redis.call('HMGET', day, 'first', 'last', 'used')
local first, last, used = tonumber(counts[1] or 1), tonumber(counts[2] or 0), tonumber(counts[3] or 0)
local function began(bucket) return tonumber(redis.call('HGET', day, 's' .. bucket) or 0) end
local expired = ARGV[9] == '' and now - 86460 or tonumber(ARGV[9])
local oldest = first <= last and began(first) or 0
if first <= last and oldest <= expired then
  while first <= last and oldest <= expired do
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

-- What every call reports: accepted calls, calls made without Redis, the result of a probe.
if tonumber(ARGV[11]) > 0 and ARGV[12] == epoch then
  accepted = accepted + tonumber(ARGV[11])
  put('accepted:' .. ceiling, accepted)
end
if tonumber(ARGV[13]) > 0 then count(tonumber(ARGV[13])) end
if tonumber(ARGV[15]) > math.max(now, paused_until) then
  paused_until = tonumber(ARGV[15])
  put('paused_until', text(paused_until))
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
  if mine and ARGV[14] == '1' and paused_until <= now then
    paused_until = 0
    put('paused_until', 0)
  end
end

-- The load: a report for each event loop. One that was not renewed is from a dead process.
local FORGOTTEN, waits = 10, {0, 0, 0}
if ARGV[16] == '0 0 0' then
  redis.call('HDEL', loads, me)
elseif ARGV[16] ~= '' then
  redis.call('HSET', loads, me, text(now) .. ' ' .. ARGV[16])
  redis.call('EXPIRE', loads, FORGOTTEN)
end
if action == 'look' or ARGV[16] ~= '' then
  local reports = redis.call('HGETALL', loads)
  for at = 1, #reports, 2 do
    local numbers = {string.match(reports[at + 1], '(%S+) (%d+) (%d+) (%d+)')}
    if not numbers[1] or math.abs(now - tonumber(numbers[1])) > FORGOTTEN then
      redis.call('HDEL', loads, reports[at])
    elseif reports[at] ~= me then
      for kind = 1, 3 do waits[kind] = waits[kind] + tonumber(numbers[kind + 1]) end
    end
  end
end

local function reserve_next()
  local due = math.max(now, next_slot)
  if due - now > horizon then return nil, due - now - horizon / 2 end
  next_slot = due + interval
  put('next_slot', text(next_slot))
  return due
end

-- Take the first slot of the bulk calls; every bulk call moves one slot back.
local function overtake()
  local booked, bulk_members, slots = redis.call('ZRANGE', reservations, 0, -1, 'WITHSCORES'), {}, {}
  for at = 1, #booked, 2 do
    if string.sub(booked[at], 1, 2) == 'b:' then
      bulk_members[#bulk_members + 1] = booked[at]
      slots[#slots + 1] = booked[at + 1]
    end
  end
  if #slots == 0 then return reserve_next() end
  for at = 1, #slots do
    if bulk_members[at] == 'b:' .. me then
      redis.call('ZREM', reservations, bulk_members[at])
      return tonumber(slots[1])
    end
    local behind = slots[at + 1]
    if not behind then
      behind = text(math.max(now, next_slot))
      next_slot = tonumber(behind) + interval
      put('next_slot', text(next_slot))
    end
    redis.call('ZADD', reservations, behind, bulk_members[at])
  end
  return tonumber(slots[1])
end

-- A bulk call first waits for its slot in the fraction of the rate that bulk calls may use.
local function bulk_wait()
  if priority ~= 'bulk' or share == 0 then return 0 end
  local due = tonumber(redis.call('ZSCORE', reservations, 's:' .. me) or 0)
  if due == 0 then
    due = math.max(now, next_bulk)
    if due - now > horizon then return due - now - horizon / 2 end
    next_bulk = due + interval / (1 - share)
    put('next_bulk', text(next_bulk))
    if due - now > EARLY then redis.call('ZADD', reservations, text(due), 's:' .. me) end
  end
  if due - now > EARLY then return due - now end
  redis.call('ZREM', reservations, 's:' .. me)
  return 0
end

local state, wait = 'ok', 0

local function take_slot()
  redis.call('ZREMRANGEBYSCORE', reservations, '-inf', '(' .. text(now - late))
  local due = redis.call('ZSCORE', reservations, 'i:' .. me)
  if not due and priority == 'bulk' then due = redis.call('ZSCORE', reservations, 'b:' .. me) end
  due = due and tonumber(due)
  local fresh = not due
  if fresh then
    state, wait = 'wait', bulk_wait()
    if wait > 0 then return end
    if priority == 'bulk' then due, wait = reserve_next() else due, wait = overtake() end
    if not due then return end
  end
  local member = priority == 'bulk' and 'b:' .. me or 'i:' .. me
  if due - now > lead + EARLY then
    if fresh then
      redis.call('ZADD', reservations, text(due), member)
      redis.call('EXPIRE', reservations, KEPT)
    end
    state, wait = 'wait', due - now - lead
    return
  end
  redis.call('ZREM', reservations, 'i:' .. me, 'b:' .. me)
  state, wait = 'granted', due - now
  count(1)
  if paused_until > 0 then
    state, probe, prober = 'probe', now + PROBE_LEASE, me
    put('probe', text(probe))
    put('prober', me)
    put('probed_at', text(now))
  end
end

local learn_now = 0
if action == 'ask' then
  if paused_until > now then
    state, wait = 'paused', paused_until - now
  elseif probe > now then
    -- The end of the probe is not announced: check soon at first, then less often.
    state, wait = 'wait', math.min(1, probe - now, math.max(0.02, (now - probed_at) / 2))
  elseif per_day >= 0 and used >= per_day - (priority == 'bulk' and reserve or 0) then
    state = 'day'
  else
    take_slot()
  end
  if accepted > 0 and (now - learned_at >= 1 or now < learned_at) then
    learn_now = 1
    put('learned_at', text(now))
  end
elseif action == 'refuse' then
  paused_until = math.max(paused_until, now + tonumber(ARGV[17]))
  redis.call('DEL', reservations)
  put('paused_until', text(paused_until))
  put('next_slot', 0)
  put('next_bulk', 0)
elseif action == 'learn' then
  if version == tonumber(ARGV[10]) then
    version, learned_rate, accepted = version + 1, ARGV[17], math.max(0, accepted - tonumber(ARGV[20]))
    if epoch ~= ARGV[19] then accepted = 0 end
    put('version:' .. ceiling, version)
    put('rate:' .. ceiling, learned_rate)
    put('interval:' .. ceiling, ARGV[18])
    put('epoch:' .. ceiling, ARGV[19])
    put('accepted:' .. ceiling, accepted)
  else
    state = 'stale'
  end
elseif action == 'undo' then
  if used > 0 and first <= last then
    redis.call('HINCRBY', day, 'c' .. last, -1)
    used = redis.call('HINCRBY', day, 'used', -1)
  end
  if ARGV[17] == '1' then end_probe() end
end

if #changes > 0 then
  redis.call('HSET', state_key, unpack(changes))
  redis.call('EXPIRE', state_key, KEPT)
end
if version == tonumber(ARGV[10]) then learned_rate = '' end
return {state, text(math.max(0, wait)), text(now), text(paused_until), used, text(oldest), version, learned_rate,
  accepted, learn_now, waits[1], waits[2], waits[3]}
