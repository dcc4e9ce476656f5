-- Removes a scheduler with the job that it has waiting; returns 1 when there was one.
--
-- ARGV: [1] scheduler.

local id = ARGV[1]
local previous = tonumber(call('ZSCORE', REPEAT, id) or nil)
if previous then
    local pending = 'repeat:' .. id .. ':' .. whole(previous)
    if call('ZREM', DELAYED, pending) == 1 then
        eraseJob(pending)
        emit('removed', 'jobId', pending, 'prev', 'delayed')
    end
end
return math.max(call('ZREM', REPEAT, id), call('DEL', REPEAT .. ':' .. id))
