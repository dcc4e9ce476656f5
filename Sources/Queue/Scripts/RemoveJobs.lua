-- Removes jobs that nobody runs; returns how many.
--
-- ARGV: [1] 'ids', 'erased' (ids too, and one that runs loses what it holds and ends as it will), or the state 'waiting',
-- 'delayed', 'completed' or 'failed', [2] at most so many, [3] finished at this ms or before (0 = whenever), [4…] ids.
--
-- The next job of a scheduler stays: without it the schedule would end.

local removed = 0

local function free(id)
    local fields = redis.pcall('HMGET', base .. id, 'deid', 'rjk')
    if not fields.err and fields[1] and call('GET', base .. 'de:' .. fields[1]) == id then
        call('DEL', base .. 'de:' .. fields[1], base .. 'dn:' .. fields[1])
    end
    eraseJob(id)
    removed = removed + 1
end

local function isProtected(id)
    local scheduler = redis.pcall('HGET', base .. id, 'rjk')
    return type(scheduler) == 'string' and isNextOfScheduler(id, scheduler)
end

local function removeOne(id)
    local org = redis.pcall('HGET', base .. id, 'org')
    org = type(org) == 'string' and org
    for _, state in ipairs({ 'completed', 'failed', 'delayed', 'waiting-children' }) do
        if call('ZREM', base .. state, id) == 1 then
            free(id)
            return emit('removed', 'jobId', id, 'prev', state)
        end
    end
    if org and call('ZREM', backlogOf(org), id) == 1 then
        if call('EXISTS', backlogOf(org)) == 0 then
            call('ZREM', BACKLOGS, org)
        end
        free(id)
        return emit('removed', 'jobId', id, 'prev', 'waiting')
    end
    if call('LREM', WAIT, 1, id) + call('LREM', PAUSED, 1, id) + call('ZREM', PRIORITIZED, id) > 0 then
        free(id)
        emit('removed', 'jobId', id, 'prev', 'waiting')
        if share and org then
            yield(org, 1)
        end
    end
end

local most = tonumber(ARGV[2])
if ARGV[1] == 'ids' then
    for index = 4, #ARGV do
        if not isProtected(ARGV[index]) then
            removeOne(ARGV[index])
        end
    end
elseif ARGV[1] == 'erased' then
    for index = 4, #ARGV do
        local id = ARGV[index]
        if call('LPOS', ACTIVE, id) then
            call('HSET', base .. id, 'data', '{}')
            call('HDEL', base .. id, 'failedReason', 'stacktrace', 'returnvalue')
            call('DEL', base .. id .. ':logs')
            removed = removed + 1
        else
            removeOne(id)
        end
    end
elseif ARGV[1] == 'waiting' then
    local kept = {}
    for _, list in ipairs({ WAIT, PAUSED }) do
        for _, id in ipairs(call('RPOP', list, most) or {}) do
            if isProtected(id) then
                kept[#kept + 1] = id
            else
                free(id)
            end
        end
    end
    for index = #kept, 1, -1 do
        call('RPUSH', runnable, kept[index])
    end
    if removed == 0 then
        local prioritized = call('ZPOPMIN', PRIORITIZED, most)
        for index = 1, #prioritized, 2 do
            if isProtected(prioritized[index]) then
                call('ZADD', PRIORITIZED, prioritized[index + 1], prioritized[index])
            else
                free(prioritized[index])
            end
        end
    end
    if removed == 0 then
        forgetStanding()
        local org = call('ZRANGE', BACKLOGS, 0, 0)[1]
        if org then
            local waiting = call('ZPOPMIN', backlogOf(org), most)
            for index = 1, #waiting, 2 do
                free(waiting[index])
            end
            if call('EXISTS', backlogOf(org)) == 0 then
                call('ZREM', BACKLOGS, org)
            end
        end
    end
else
    local set = base .. ARGV[1]
    local top = tonumber(ARGV[3]) > 0 and ARGV[3] or '+inf'
    -- Protected ones are few, and looked at anew in each call.
    for _, id in ipairs(call('ZRANGEBYSCORE', set, '-inf', top, 'LIMIT', 0, most)) do
        if not isProtected(id) then
            call('ZREM', set, id)
            free(id)
        end
    end
end
if ARGV[1] ~= 'ids' and ARGV[1] ~= 'erased' and removed > 0 then
    emit('cleaned', 'count', removed)
end
settle()
return removed
