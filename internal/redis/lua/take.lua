-- Counts one attempt against each bucket in KEYS, or against none if a bucket is full.
-- ARGV: for each bucket, the time between two attempts in microseconds, and how many
-- attempts it takes at once. Returns 0 or the number of the full bucket, and the time
-- until that bucket takes another attempt in microseconds.
--
-- GCRA: a bucket is the time at which it will be empty, by the clock of Redis, which all
-- replicas share. An empty bucket has no key.
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
