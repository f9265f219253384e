-- Counts one attempt against each of the buckets in KEYS, unless one of them is
-- full: then against none. ARGV: for each bucket, the time in microseconds after
-- which one more attempt has room, and how many have room at once. It returns 0, or
-- which bucket is full, and for how many microseconds.
--
-- GCRA: a bucket is the time at which it will be empty, by the clock of Redis, the
-- same for all replicas. An empty one is no key.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local full, wait = 0, 0
local empty = {}
for i, key in ipairs(KEYS) do
  local each, room = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  empty[i] = math.max(now, tonumber(redis.call('GET', key)) or 0) + each
  local late = empty[i] - each * room - now
  if late > wait then
    full, wait = i, late
  end
end
if full == 0 then
  for i, key in ipairs(KEYS) do
    redis.call('SET', key, string.format('%.0f', empty[i]), 'PX', math.ceil((empty[i] - now) / 1000))
  end
end
return {full, string.format('%.0f', wait)}
