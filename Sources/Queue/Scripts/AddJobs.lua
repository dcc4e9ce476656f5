-- Adds jobs, in their order, and returns their ids.
--
-- ARGV: per job nine values: name, data, opts (JSON), id ('' = the counter's), delay in ms, priority, '1' for last in
-- first out, organisation ('' = none), trace ('' = none).
--
-- `acc` is our own field: the moment of acceptance in microseconds, strictly rising in a queue even when the clock
-- of Redis does not rise. Other clients ignore fields that they do not know, here and in `meta`, which remembers the
-- last one. An id that exists already changes nothing: the event `duplicated` tells of it.

local STRIDE = 9
local count = #ARGV / STRIDE
local ids = {}
local anyRunnable = false
local anyDelayed = false

local nextId = call('INCRBY', base .. 'id', count) - count
local accepted = math.max(micros, (tonumber(meta[6] or nil) or 0) + 1)
call('HSET', META, 'acc', whole(accepted + count - 1))
if not meta[5] then
    call('HSET', META, 'opts.maxLenEvents', maxEvents)
end

for index = 0, count - 1 do
    local at = index * STRIDE
    local name, data, opts, id = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
    local delay, priority, lifo = tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6]), ARGV[at + 7] == '1'
    local organisation, trace = ARGV[at + 8], ARGV[at + 9]

    nextId = nextId + 1
    if id == '' then
        id = whole(nextId)
    end
    ids[index + 1] = id
    local job = base .. id

    if call('EXISTS', job) == 1 then
        emit('duplicated', id)
    else
        call(
            'HSET', job, 'name', name, 'data', data, 'opts', opts, 'timestamp', whole(now), 'delay', whole(delay),
            'priority', priority, 'acc', whole(accepted + index)
        )
        if organisation ~= '' then
            call('HSET', job, 'org', organisation)
        end
        if trace ~= '' then
            call('HSET', job, 'trace', trace)
        end
        emit('added', id, 'name', name)
        if delay > 0 then
            pushDelayed(id, now + delay)
            anyDelayed = true
        else
            push(id, priority, lifo)
            emit('waiting', id)
            anyRunnable = true
        end
    end
end

if anyRunnable then
    wake()
end
if anyDelayed then
    markDelayed()
end
return ids
