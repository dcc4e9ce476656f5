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

-- What a consumer is told of a job. The last two are the names of version 4.
local FIELDS = {
    'name', 'data', 'opts', 'timestamp', 'atm', 'ats', 'stc', 'acc', 'org', 'trace', 'defa', 'stacktrace', 'rjk',
    'priority', 'attemptsMade', 'stalledCounter',
}

local time = call('TIME')
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(micros / 1000)

local meta = call('HMGET', META, 'paused', 'concurrency', 'max', 'duration', 'opts.maxLenEvents', 'acc')
local paused = meta[1] ~= false
local cap = tonumber(meta[2] or nil)
local maxEvents = tonumber(meta[5] or nil) or 10000

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

-- Makes a job runnable behind those of its kind; `first` puts a job without priority in front of them.
local function push(id, priority, first)
    if priority > 0 then
        pushPrioritized(id, priority)
    else
        call(first and 'RPUSH' or 'LPUSH', runnable, id)
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
        local priority = redis.pcall('HGET', base .. id, 'priority')
        -- One that is gone, or is no job at all, has no priority and is forgotten.
        if type(priority) == 'string' then
            push(id, tonumber(priority) or 0)
            call('HSET', base .. id, 'delay', 0, 'rdy', whole(now))
            emit('waiting', id, 'prev', 'delayed')
        end
    end
    wake()
end
