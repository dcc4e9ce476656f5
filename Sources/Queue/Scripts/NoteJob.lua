-- Writes what a running job says of itself; returns 0 when there is no such job.
--
-- ARGV: [1] id, [2] 'progress' or 'log', [3] JSON or a line of text, [4] of a log: how many of the newest lines stay.

local job = base .. ARGV[1]
if call('EXISTS', job) == 0 then
    return 0
end
if ARGV[2] == 'progress' then
    call('HSET', job, 'progress', ARGV[3])
    emit('progress', 'jobId', ARGV[1], 'data', ARGV[3])
    settle()
else
    call('RPUSH', job .. ':logs', ARGV[3])
    call('LTRIM', job .. ':logs', -tonumber(ARGV[4]), -1)
end
return 1
