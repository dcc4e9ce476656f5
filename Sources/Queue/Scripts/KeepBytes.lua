-- Removes the oldest finished jobs beyond a number of bytes, a part of them in each call.
--
-- ARGV: [1] 'completed' or 'failed', [2] the bytes that may stay, [3] how many jobs to look at, [4] how many have been looked
-- at, the newest first, [5] their bytes, [6] ms for which others need not look, where this is the first part.
--
-- Returns {how many have been looked at, their bytes}, 0 and 0 at the end. What a job takes is what Redis says of its hash.

local set = base .. ARGV[1]
local bound, part, seen, bytes = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if seen == 0 and not call('SET', base .. 'bytes-check:' .. ARGV[1], NOW, 'NX', 'PX', ARGV[6]) then
    return { 0, 0 }
end

local ids = call('ZREVRANGE', set, seen, seen + part - 1)
local old = {}
for _, id in ipairs(ids) do
    bytes = bytes + (call('MEMORY', 'USAGE', base .. id, 'SAMPLES', 0) or 0)
    if bytes > bound then
        old[#old + 1] = id
    end
end
if #old > 0 then
    eraseJobs(old)
    call('ZREM', set, unpack(old))
end
if #ids < part then
    return { 0, 0 }
end
return { seen + #ids - #old, bytes }
