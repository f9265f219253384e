-- Keeps the position in KEYS[1] unless the one that is there was recorded later.
-- ARGV: the value (a version byte, microseconds since 1970, ':', the payload),
-- its microseconds, how long to keep it (ms). A value that cannot be read, or
-- that does not say when it was recorded, is replaced.
local old = redis.call('GETRANGE', KEYS[1], 0, 31)
local at = tonumber(string.match(old, '^\1(%-?%d+):'))
if at and at > tonumber(ARGV[2]) then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 1
