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

local NOW = whole(now)

-- The stream is trimmed once for all events of a script, by `settle`.
local function emit(event, ...)
    call('XADD', EVENTS, '*', 'event', event, ...)
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

-- While this is a table, jobs for the end of `runnable` are collected in it, for `pushCollected`.
local collected = nil

local function place(id, priority, first)
    if priority > 0 then
        pushPrioritized(id, priority)
    elseif first then
        call('RPUSH', runnable, id)
    elseif collected then
        collected[#collected + 1] = id
    else
        call('LPUSH', runnable, id)
    end
end

local function pushCollected()
    if #collected > 0 then
        call('LPUSH', runnable, unpack(collected))
    end
    collected = nil
end

local function backlogOf(org)
    return base .. 'fair:org:' .. org
end

-- What this script has read and changed of `STANDING`; `settle` writes it.
local counts, changed = {}, {}

local function standing(org)
    local count = counts[org]
    if not count then
        count = tonumber(call('HGET', STANDING, org) or nil) or 0
        counts[org] = count
    end
    return count
end

-- More or fewer runnable jobs of an organisation stand in the layout.
local function stand(org, by)
    if share and org then
        local before = standing(org)
        local after = math.max(0, before + by)
        if after ~= before then
            counts[org] = after
            counts.total = math.max(0, standing('total') + after - before)
            changed[org] = true
        end
    end
end

-- Counts anew from nothing.
local function forgetStanding()
    call('DEL', STANDING)
    counts, changed = {}, {}
end

-- What every script that moves jobs ends with.
local function settle()
    local set, gone = { 'total', counts.total }, {}
    for org in pairs(changed) do
        if counts[org] > 0 then
            set[#set + 1], set[#set + 2] = org, counts[org]
        else
            gone[#gone + 1] = org
        end
    end
    if next(changed) then
        call('HSET', STANDING, unpack(set))
        if #gone > 0 then
            call('HDEL', STANDING, unpack(gone))
        end
    end
    call('XTRIM', EVENTS, 'MAXLEN', '~', maxEvents)
end

-- Whether jobs of other producers, which are one tenant together, stand in the way of all others.
local flood = nil
local function isFlooded()
    if flood == nil then
        flood = call('LLEN', runnable) + (collected and #collected or 0) - standing('total') > share
    end
    return flood
end

local backlogs = {}
local function hasBacklog(org)
    if backlogs[org] == nil then
        backlogs[org] = call('EXISTS', backlogOf(org)) == 1
    end
    return backlogs[org]
end

-- Makes a job runnable behind those of its kind; `first` puts a job without priority in front of them. One whose
-- organisation has its share in the layout already waits beside it, in the order of its kind.
local function push(id, priority, first, org)
    if share and org then
        if standing(org) >= share or hasBacklog(org) or isFlooded() then
            local turn = call('INCR', base .. 'fair:pc')
            local score = priority * 4294967296 + turn % 4294967296
            if first and priority == 0 then
                score = -turn
            end
            call('ZADD', backlogOf(org), whole(score), id)
            if not hasBacklog(org) then
                backlogs[org] = true
                call('ZADD', BACKLOGS, 'NX', whole(micros), org)
            end
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
    backlogs[org] = #moved >= 2 * room and call('EXISTS', backlog) == 1
    if not backlogs[org] then
        call('ZREM', BACKLOGS, org)
    end
    return #moved / 2
end

-- Gives an organisation its share again.
local function refill(org)
    return moveUp(org, math.max(0, share - standing(org)), false)
end

-- Takes `by` from what an organisation has standing and lets as many move up.
local function yield(org, by)
    stand(org, -by)
    if hasBacklog(org) and not isFlooded() then
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
    emit('delayed', 'jobId', id, 'delay', whole(due))
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
            call('HSET', base .. id, 'delay', 0, 'rdy', NOW)
            emit('waiting', 'jobId', id, 'prev', 'delayed')
        end
    end
    wake()
end

-- Writes a job and puts it where it belongs. `more` are further fields and values.
local function create(id, name, data, opts, delay, priority, lifo, org, more)
    call(
        'HSET', base .. id, 'name', name, 'data', data, 'opts', opts, 'timestamp', NOW, 'delay',
        delay > 0 and whole(delay) or '0', 'priority', priority, unpack(more)
    )
    emit('added', 'jobId', id, 'name', name)
    if delay > 0 then
        pushDelayed(id, now + delay)
    else
        push(id, priority, lifo, org)
        emit('waiting', 'jobId', id)
    end
end

-- Deletes jobs with all that hangs on them, flows' records too.
local function eraseJobs(ids)
    for from = 1, #ids, 500 do
        local keys = {}
        for index = from, math.min(from + 499, #ids) do
            local job = base .. ids[index]
            local at = #keys
            keys[at + 1], keys[at + 2], keys[at + 3] = job, job .. ':logs', job .. ':dependencies'
            keys[at + 4], keys[at + 5], keys[at + 6] = job .. ':processed', job .. ':failed', job .. ':unsuccessful'
        end
        call('DEL', unpack(keys))
    end
end

local function eraseJob(id)
    eraseJobs({ id })
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
