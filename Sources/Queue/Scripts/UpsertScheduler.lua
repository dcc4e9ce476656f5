-- Makes or changes a scheduler and its next job; returns the job's id.
--
-- ARGV: [1] scheduler, [2] due ms of the next job, [3] that job's opts (JSON), [4] '1' to leave one alone that is the same
-- and has its next job, then its definition, '' for what it has not: [5] name, [6] data, [7] opts of its jobs (JSON),
-- [8] pattern, [9] tz, [10] every, [11] offset, [12] limit, [13] startDate, [14] endDate.
--
-- Leaving alone matters to hosts that declare their schedules at each start: a fire that came due while nobody was there
-- still runs.

local FIELDS_OF_SCHEDULER = {
    'name', 'data', 'opts', 'pattern', 'tz', 'every', 'offset', 'limit', 'startDate', 'endDate',
}
local id, due = ARGV[1], tonumber(ARGV[2])
local scheduler = REPEAT .. ':' .. id
local prefix = 'repeat:' .. id .. ':'
local previous = tonumber(call('ZSCORE', REPEAT, id) or nil)
local pending = previous and prefix .. whole(previous)

if pending and ARGV[4] == '1' then
    local stored = call('HMGET', scheduler, unpack(FIELDS_OF_SCHEDULER))
    local isSame = true
    for index = 1, #FIELDS_OF_SCHEDULER do
        -- The offset of an interval is what its first job made of it.
        isSame = isSame and (index == 7 or (stored[index] or '') == ARGV[4 + index])
    end
    if isSame and call('EXISTS', base .. pending) == 1 and call('HEXISTS', base .. pending, 'finishedOn') == 0 then
        return pending
    end
end

if pending then
    local found = call('ZREM', DELAYED, pending) + call('ZREM', PRIORITIZED, pending) + call('LREM', WAIT, 1, pending)
        + call('LREM', PAUSED, 1, pending)
    if found > 0 then
        eraseJob(pending)
        emit('removed', 'jobId', pending, 'prev', 'delayed')
    end
end

-- A job of that time may be running, or be kept as finished.
local every = tonumber(ARGV[10])
local tries = 0
while call('EXISTS', base .. prefix .. whole(due)) == 1 do
    tries = tries + 1
    if not every or tries > 32 then
        return redis.error_reply('TAKEN the scheduler already has a job of that time')
    end
    due = due + every
end

call('DEL', scheduler)
local definition = { 'ic', 1 }
for index, field in ipairs(FIELDS_OF_SCHEDULER) do
    if ARGV[4 + index] ~= '' then
        definition[#definition + 1], definition[#definition + 2] = field, ARGV[4 + index]
    end
end
call('HSET', scheduler, unpack(definition))
call('ZADD', REPEAT, whole(due), id)
call('INCR', base .. 'id')
if not meta[5] then
    call('HSET', META, 'opts.maxLenEvents', maxEvents)
end
local opts = decode(ARGV[3])
create(
    prefix .. whole(due), ARGV[5], ARGV[6], ARGV[3], math.max(0, due - now), tonumber(opts.priority or nil) or 0,
    opts.lifo, false, { 'rjk', id }
)
if due > now then
    markDelayed()
else
    wake()
end
settle()
return prefix .. whole(due)
