-- Takes back one attempt from each bucket in KEYS. ARGV: for each bucket, the time
-- between two attempts in microseconds.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
for i, key in ipairs(KEYS) do
  local empty = (tonumber(redis.call('GET', key)) or 0) - tonumber(ARGV[i])
  if empty > now then
    redis.call('SET', key, string.format('%.0f', empty), 'PX', math.ceil((empty - now) / 1000))
  else
    redis.call('DEL', key)
  end
end
return 0
