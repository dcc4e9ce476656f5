-- Makes the next job of a scheduler; returns its id, or '' when somebody else has made it or it is not time to.
--
-- ARGV: [1] scheduler, [2] ms of the job it has now, [3] the id of the job whose run calls for the next, '' for a repair,
-- [4] due ms of the next job, [5] that job's opts (JSON).
--
-- A repair is for a schedule whose job is gone or has ended without the next one, because of a worker that died or knows
-- nothing of schedulers.

local id, due = ARGV[1], tonumber(ARGV[4])
local scheduler = REPEAT .. ':' .. id
local prefix = 'repeat:' .. id .. ':'
local previous = tonumber(call('ZSCORE', REPEAT, id) or nil)
if not previous or whole(previous) ~= ARGV[2] then
    return ''
end
local pending = prefix .. ARGV[2]
if ARGV[3] ~= '' then
    if ARGV[3] ~= pending then
        return ''
    end
elseif call('EXISTS', base .. pending) == 1 and call('HEXISTS', base .. pending, 'finishedOn') == 0 then
    return ''
end

local next = prefix .. whole(due)
call('ZADD', REPEAT, whole(due), id)
if call('EXISTS', base .. next) == 1 then
    emit('duplicated', 'jobId', next)
    settle()
    return next
end
call('HINCRBY', scheduler, 'ic', 1)
call('INCR', base .. 'id')
local fields = call('HMGET', scheduler, 'name', 'data')
local opts = decode(ARGV[5])
create(
    next, fields[1] or id, fields[2] or '{}', ARGV[5], math.max(0, due - now), tonumber(opts.priority or nil) or 0,
    opts.lifo, false, { 'rjk', id }
)
if due > now then
    markDelayed()
else
    wake()
end
settle()
return next
