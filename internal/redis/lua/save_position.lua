-- Saves the position ARGV[1] in KEYS[1] unless the stored one was recorded later.
-- ARGV: the value (the time of recording in milliseconds since 1970, ':', the sealed
-- event), that time again, and the TTL in milliseconds. A stored value without a time is
-- replaced.
local old = redis.call('GETRANGE', KEYS[1], 0, 31)
local at = tonumber(string.match(old, '^(%-?%d+):'))
if at and at > tonumber(ARGV[2]) then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 1
