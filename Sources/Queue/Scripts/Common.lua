-- What every script of a queue shares; it is put in front of each of them.
--
-- KEYS[1] is the base of the queue, `{prefix}:{queue}:`. All other keys are built from it, so on a cluster the prefix
-- or the queue's name needs a hash tag. The clock is that of Redis: hosts that disagree about the time cannot reorder
-- a queue. Numbers of more than 14 digits must go through `whole`: Lua's own conversion would round them.

local base = KEYS[1]
local call = redis.call

local WAIT = base .. 'wait'
local PAUSED = base .. 'paused'
local ACTIVE = base .. 'active'
local PRIORITIZED = base .. 'prioritized'
local DELAYED = base .. 'delayed'
local MARKER = base .. 'marker'
local EVENTS = base .. 'events'
local META = base .. 'meta'
local STALLED = base .. 'stalled'
local REPEAT = base .. 'repeat'

-- Our own, beside the layout: how many runnable jobs of each organisation stand in it, and who has more of them waiting.
local STANDING = base .. 'fair:standing'
local BACKLOGS = base .. 'fair:backlogs'

-- What a consumer is told of a job. `attemptsMade` and `stalledCounter` are the names of version 4; `rate` and `slot` are
-- our own: the limit of the job's key, and that it has had its turn under it.
local FIELDS = {
    'name', 'data', 'opts', 'timestamp', 'atm', 'ats', 'stc', 'acc', 'org', 'trace', 'defa', 'stacktrace', 'rjk',
    'priority', 'attemptsMade', 'stalledCounter', 'rate', 'slot',
}

local time = call('TIME')
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(micros / 1000)

local meta = call(
    'HMGET', META, 'paused', 'concurrency', 'max', 'duration', 'opts.maxLenEvents', 'acc', 'fair', 'fairAt'
)
local paused = meta[1] ~= false
local cap = tonumber(meta[2] or nil)
local maxEvents = tonumber(meta[5] or nil) or 10000

-- How many runnable jobs of one organisation may stand in the layout; nil where none of our consumers has worked for ten
-- minutes, since others would never move up what waits beside it.
local share = tonumber(meta[7] or nil)
if share and now - (tonumber(meta[8] or nil) or 0) > 600000 then
    share = nil
end

local function whole(number)
    return string.format('%.0f', number)
end

local function emit(event, id, ...)
    call('XADD', EVENTS, 'MAXLEN', '~', maxEvents, '*', 'event', event, 'jobId', id, ...)
end

-- Where runnable jobs go. Version 5 keeps them in `paused` while a queue is paused, and its resume renames that list
-- over `wait`: whatever was in `wait` by then would be lost.
local runnable = WAIT
if paused and call('EXISTS', PAUSED) == 1 then
    runnable = PAUSED
end

local function blocked()
    return paused or (cap ~= nil and call('LLEN', ACTIVE) >= cap)
end

-- Wakes one idle worker; it wakes the next one if it leaves something behind.
local function wake()
    if not blocked() then
        call('ZADD', MARKER, 0, '0')
    end
end

local function firstDue()
    local first = call('ZRANGE', DELAYED, 0, 0, 'WITHSCORES')
    if first[2] then
        return tonumber(first[2]) / 4096
    end
end

local function markDelayed()
    local due = firstDue()
    if due then
        call('ZADD', MARKER, whole(math.floor(due)), '1')
    end
end

local function pushPrioritized(id, priority)
    local turn = call('INCR', base .. 'pc')
    call('ZADD', PRIORITIZED, whole(priority * 4294967296 + turn % 4294967296), id)
end

local function place(id, priority, first)
    if priority > 0 then
        pushPrioritized(id, priority)
    else
        call(first and 'RPUSH' or 'LPUSH', runnable, id)
    end
end

local function backlogOf(org)
    return base .. 'fair:org:' .. org
end

-- More or fewer runnable jobs of an organisation stand in the layout.
local function stand(org, by)
    if share and org and by ~= 0 then
        call('HINCRBY', STANDING, org, by)
        call('HINCRBY', STANDING, 'total', by)
    end
end

-- Whether jobs of other producers, which are one tenant together, stand in the way of all others.
local flood = nil
local function isFlooded()
    if flood == nil then
        flood = call('LLEN', runnable) - (tonumber(call('HGET', STANDING, 'total') or nil) or 0) > share
    end
    return flood
end

-- Makes a job runnable behind those of its kind; `first` puts a job without priority in front of them. One whose
-- organisation has its share in the layout already waits beside it, in the order of its kind.
local function push(id, priority, first, org)
    if share and org then
        local backlog = backlogOf(org)
        local standing = tonumber(call('HGET', STANDING, org) or nil) or 0
        if standing >= share or call('EXISTS', backlog) == 1 or isFlooded() then
            local turn = call('INCR', base .. 'fair:pc')
            local score = priority * 4294967296 + turn % 4294967296
            if first and priority == 0 then
                score = -turn
            end
            call('ZADD', backlog, whole(score), id)
            call('ZADD', BACKLOGS, 'NX', whole(micros), org)
            return
        end
        stand(org, 1)
    end
    place(id, priority, first)
end

-- Moves up to `room` jobs of an organisation from beside the layout into it; returns how many.
local function moveUp(org, room, first)
    local backlog = backlogOf(org)
    local moved = room > 0 and call('ZPOPMIN', backlog, room) or {}
    for index = 1, #moved, 2 do
        local score = tonumber(moved[index + 1])
        place(moved[index], score > 0 and math.floor(score / 4294967296) or 0, first)
    end
    stand(org, #moved / 2)
    if call('EXISTS', backlog) == 0 then
        call('ZREM', BACKLOGS, org)
    end
    return #moved / 2
end

-- Gives an organisation its share again.
local function refill(org)
    return moveUp(org, share - math.max(0, tonumber(call('HGET', STANDING, org) or nil) or 0), false)
end

-- Takes `by` from what an organisation has standing and lets as many move up.
local function yield(org, by)
    stand(org, -by)
    if (tonumber(call('HGET', STANDING, org) or nil) or 0) < 0 then
        call('HDEL', STANDING, org)
    end
    if call('EXISTS', backlogOf(org)) == 1 and not isFlooded() then
        refill(org)
    end
end

-- Twelve bits below the millisecond keep jobs that are due in the same one in the order of their adding.
local function pushDelayed(id, due)
    local floor = due * 4096
    local top = floor + 4095
    local last = call('ZREVRANGEBYSCORE', DELAYED, whole(top), whole(floor), 'WITHSCORES', 'LIMIT', 0, 1)
    local score = last[2] and math.min(tonumber(last[2]) + 1, top) or floor
    call('ZADD', DELAYED, whole(score), id)
    emit('delayed', id, 'delay', whole(due))
end

-- Makes due jobs runnable, a bounded number in one call. `rdy` is our own field: since when a job has been runnable.
local function promote()
    local due = call('ZRANGEBYSCORE', DELAYED, 0, whole((now + 1) * 4096 - 1), 'LIMIT', 0, 200)
    if #due == 0 then
        return
    end
    call('ZREM', DELAYED, unpack(due))
    for _, id in ipairs(due) do
        local fields = redis.pcall('HMGET', base .. id, 'priority', 'org', 'name')
        -- One that is gone, or is no job at all, has no name and is forgotten.
        if not fields.err and (fields[3] or fields[1]) then
            push(id, tonumber(fields[1] or nil) or 0, false, fields[2])
            call('HSET', base .. id, 'delay', 0, 'rdy', whole(now))
            emit('waiting', id, 'prev', 'delayed')
        end
    end
    wake()
end

-- Writes a job and puts it where it belongs. `more` are further fields and values.
local function create(id, name, data, opts, delay, priority, lifo, org, more)
    call(
        'HSET', base .. id, 'name', name, 'data', data, 'opts', opts, 'timestamp', whole(now), 'delay', whole(delay),
        'priority', priority, unpack(more)
    )
    emit('added', id, 'name', name)
    if delay > 0 then
        pushDelayed(id, now + delay)
    else
        push(id, priority, lifo, org)
        emit('waiting', id)
    end
end

local function eraseJob(id)
    local job = base .. id
    call(
        'DEL', job, job .. ':logs', job .. ':dependencies', job .. ':processed', job .. ':failed', job .. ':unsuccessful'
    )
end

local function decode(text)
    local read, value = pcall(cjson.decode, text or '{}')
    return read and type(value) == 'table' and value or {}
end

-- Whether a scheduler waits for this job: without it the schedule would end.
local function isNextOfScheduler(id, scheduler)
    local due = scheduler and call('ZSCORE', REPEAT, scheduler)
    return due and id == 'repeat:' .. scheduler .. ':' .. whole(tonumber(due)) or false
end
