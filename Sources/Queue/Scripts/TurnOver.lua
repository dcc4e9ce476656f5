-- Ends the runs of jobs, then fetches further ones: one call for each turn of a consumer.
--
-- ARGV: [1] how many jobs to fetch at most, [2] their token, [3] the duration of their locks in ms, [4] of how many
-- minutes the metrics are kept (0 = none are), [5] how many endings follow, then per ending ten values: id, token, kind,
-- value, stacktrace ('' = unchanged), delay in ms, '1' to put it in front (retry) or '1' when its attempts are used up
-- (failed), keep: count, age in s, limit.
--
--   completed  value = result, JSON              failed  value = reason
--   retry      value = reason; at once           delay   value = reason; after the delay
--   snooze     after the delay, no attempt       wait    back to the front, no attempt
--
-- Returns {codes, jobs, ms, state}: a code per ending (0, or -1 no such job, -2 lock expired, -3 not active, -6 another's
-- lock, -100 broken: then nothing was changed); per job its id and FIELDS, nil where absent; ms until it is worth
-- asking again (-1 = unknown); 'open', 'paused', 'full' (the queue's own concurrency) or 'limited' (its rate).
--
-- A job that has stalled comes alone: if it brings its worker down again, its neighbours lose nothing.

local STRIDE = 10

local wanted, token, lockMs, points = tonumber(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
local endings = tonumber(ARGV[5])
local codes = {}
local retention = {}
local anyStalled = endings > 0 and call('EXISTS', STALLED) == 1
local anyRunnable = false
local anyDelayed = false
local anyFinished = false
local finished = { completed = 0, failed = 0 }

-- A simple deduplication ends with its job; one with a time to live ends by itself. What it held off while the job ran
-- comes next.
local function releaseDeduplication(id, deduplication)
    local owner = base .. 'de:' .. deduplication
    if call('GET', owner) == id and call('PTTL', owner) == -1 then
        call('DEL', owner)
    end
    local next = base .. 'dn:' .. deduplication
    local kept = call('HMGET', next, 'name', 'data', 'opts', 'jid', 'org', 'trace')
    if not kept[1] then
        return
    end
    call('DEL', next)
    local counted = whole(call('INCR', base .. 'id'))
    local opts = decode(kept[3])
    local newId = kept[4] or counted
    local more = { 'deid', deduplication, 'acc', whole(micros) }
    local org = kept[5] and kept[5] ~= '' and kept[5]
    if org then
        more[#more + 1], more[#more + 2] = 'org', org
    end
    if kept[6] and kept[6] ~= '' then
        more[#more + 1], more[#more + 2] = 'trace', kept[6]
    end
    local delay = tonumber(opts.delay or nil) or 0
    local ttl = opts.de and not opts.de.keepLastIfActive and tonumber(opts.de.ttl or nil) or 0
    if ttl > 0 then
        call('SET', owner, newId, 'PX', whole(ttl))
    else
        call('SET', owner, newId)
    end
    create(newId, kept[1], kept[2], kept[3], delay, tonumber(opts.priority or nil) or 0, opts.lifo, org, more)
    anyRunnable = anyRunnable or delay <= 0
    anyDelayed = anyDelayed or delay > 0
end

local function finish(id, state, field, value, attempts, keepCount, keepAge, keepLimit)
    local job = base .. id
    if keepCount == 0 then
        eraseJob(id)
    else
        call('ZADD', base .. state, whole(now), id)
        call('HSET', job, field, value, 'finishedOn', whole(now), 'atm', attempts)
        if state == 'failed' then
            call('HDEL', job, 'defa')
        end
        retention[state .. ':' .. keepCount .. ':' .. keepAge] = { state, keepCount, keepAge, keepLimit }
    end
    emit(state, id, field, value, 'prev', 'active')
end

local function retain(state, count, age, limit)
    local set = base .. state
    if age > 0 then
        local old = call('ZRANGEBYSCORE', set, '-inf', whole(now - age * 1000), 'LIMIT', 0, limit)
        for _, id in ipairs(old) do
            eraseJob(id)
        end
        if #old > 0 then
            call('ZREM', set, unpack(old))
        end
    end
    if count > 0 then
        local surplus = math.min(call('ZCARD', set) - count, limit)
        if surplus > 0 then
            for _, id in ipairs(call('ZRANGE', set, 0, surplus - 1)) do
                eraseJob(id)
            end
            call('ZREMRANGEBYRANK', set, 0, surplus - 1)
        end
    end
end

local function stop(at)
    local id, kind, value, stacktrace = ARGV[at + 1], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5]
    local delay, flag = tonumber(ARGV[at + 6]), ARGV[at + 7] == '1'
    local job = base .. id

    local fields = call('HMGET', job, 'name', 'deid', 'atm', 'attemptsMade', 'priority', 'org')
    if not fields[1] and call('EXISTS', job) == 0 then
        return -1
    end
    local holder = call('GET', job .. ':lock')
    if not holder then
        return -2
    elseif holder ~= ARGV[at + 2] then
        return -6
    end
    if call('LREM', ACTIVE, -1, id) == 0 then
        return -3
    end
    call('DEL', job .. ':lock')
    if anyStalled then
        call('SREM', STALLED, id)
    end

    local attempts = tonumber(fields[3] or fields[4] or 0) + 1
    local priority = tonumber(fields[5] or nil) or 0
    if stacktrace ~= '' then
        call('HSET', job, 'stacktrace', stacktrace)
    end

    if kind == 'completed' or kind == 'failed' then
        local field = kind == 'completed' and 'returnvalue' or 'failedReason'
        local count, age, limit = tonumber(ARGV[at + 8]), tonumber(ARGV[at + 9]), tonumber(ARGV[at + 10])
        if fields[2] then
            releaseDeduplication(id, fields[2])
        end
        finish(id, kind, field, value, attempts, count, age, limit)
        if kind == 'failed' and flag then
            emit('retries-exhausted', id, 'attemptsMade', attempts)
        end
        finished[kind] = finished[kind] + 1
        anyFinished = true
    elseif kind == 'retry' then
        call('HSET', job, 'failedReason', value, 'atm', attempts, 'rdy', whole(now))
        push(id, priority, flag, fields[6])
        emit('waiting', id, 'prev', 'active')
        anyRunnable = true
    elseif kind == 'delay' then
        call('HSET', job, 'failedReason', value, 'atm', attempts, 'delay', whole(delay))
        pushDelayed(id, now + delay)
        anyDelayed = true
    elseif kind == 'snooze' then
        call('HSET', job, 'delay', whole(delay))
        pushDelayed(id, now + delay)
        anyDelayed = true
    else
        if priority > 0 then
            call('ZADD', PRIORITIZED, whole(priority * 4294967296), id)
        else
            call('RPUSH', runnable, id)
        end
        stand(fields[6], 1)
        emit('waiting', id, 'prev', 'active')
        anyRunnable = true
    end
    return 0
end

for index = 0, endings - 1 do
    -- One that breaks, on a key of a wrong kind, must not keep the others from ending.
    local ran, code = pcall(stop, 5 + index * STRIDE)
    codes[index + 1] = ran and code or -100
end
for _, rule in pairs(retention) do
    retain(rule[1], rule[2], rule[3], rule[4])
end

-- Jobs per minute for dashboards: a list of past minutes, the newest first, and what has been counted so far.
local function measure(state, count)
    local key = base .. 'metrics:' .. state
    local before = call('HINCRBY', key, 'count', count) - count
    local last = call('HMGET', key, 'prevTS', 'prevCount')
    if not last[1] then
        call('HSET', key, 'prevTS', whole(now), 'prevCount', 0)
        return
    end
    local minutes = math.floor(now / 60000) - math.floor(tonumber(last[1]) / 60000)
    if minutes <= 0 then
        return
    end
    local data = key .. ':data'
    call('LPUSH', data, whole(before - tonumber(last[2] or 0)))
    for _ = 2, math.min(minutes, points) do
        call('LPUSH', data, 0)
    end
    call('LTRIM', data, 0, points - 1)
    call('HSET', key, 'prevTS', whole(now), 'prevCount', whole(before))
end
if points > 0 then
    for state, count in pairs(finished) do
        if count > 0 then
            measure(state, count)
        end
    end
end
if endings > 0 then
    call('XTRIM', EVENTS, 'MAXLEN', '~', maxEvents)
end
if anyDelayed then
    markDelayed()
end

-- Takes up to `limit` jobs off the queue and puts them into `active`; returns pairs of id and former score.
local function take(limit)
    local taken = {}
    local waiting = call('RPOP', WAIT, limit)
    if waiting then
        call('LPUSH', ACTIVE, unpack(waiting))
        for index, id in ipairs(waiting) do
            taken[index] = { id, false }
        end
    end
    if #taken < limit then
        local popped = call('ZPOPMIN', PRIORITIZED, limit - #taken)
        if #popped == 0 then
            call('DEL', base .. 'pc')
        end
        for index = 1, #popped, 2 do
            call('LPUSH', ACTIVE, popped[index])
            taken[#taken + 1] = { popped[index], popped[index + 1] }
        end
    end
    return taken
end

local function putBack(taken, from)
    for index = #taken, from, -1 do
        local id, score = taken[index][1], taken[index][2]
        call('LREM', ACTIVE, 1, id)
        if score then
            call('ZADD', PRIORITIZED, score, id)
        else
            call('RPUSH', WAIT, id)
        end
    end
end

-- The time from which a job may start under the limit of its key; each gets its turn in a window, one after another.
local function turn(rate)
    local key = base .. 'rate:' .. tostring(rate.key)
    local most, duration = tonumber(rate.max), tonumber(rate.duration)
    local window = call('HMGET', key, 'start', 'count')
    local start, taken = tonumber(window[1] or nil), tonumber(window[2] or nil) or 0
    if not start or now >= start + duration then
        start, taken = now, 0
    elseif taken >= most then
        start, taken = start + duration, 0
    end
    call('HSET', key, 'start', whole(start), 'count', taken + 1)
    call('PEXPIRE', key, whole(start + duration - now))
    return start
end

-- Where other producers' jobs fill the queue, those of organisations take every other place.
local function interleave(room)
    if not call('ZRANGE', BACKLOGS, 0, 0)[1] or not isFlooded() then
        return
    end
    local places = math.floor((room + call('INCR', base .. 'fair:turn') % 2) / 2)
    for index = 1, places do
        local org = call('ZRANGE', BACKLOGS, 0, 0)[1]
        if not org then
            return
        end
        moveUp(org, 1, true)
        call('ZADD', BACKLOGS, 'XX', whole(micros + index), org)
    end
end

local function fetch(limit, duration)
    local jobs = {}
    local given = {}
    local looked = 0
    local isFull = false
    if share then
        interleave(limit)
    end
    while #jobs < limit and not isFull and looked < 3 * limit + 50 do
        local taken = take(limit - #jobs)
        if #taken == 0 then
            break
        end
        for index, entry in ipairs(taken) do
            looked = looked + 1
            local id = entry[1]
            local job = base .. id
            local fields = redis.pcall('HMGET', job, unpack(FIELDS))
            if fields.err or not fields[1] then
                -- A job that was removed while it waited, or a marker of very old versions: there is nothing to run.
                call('LREM', ACTIVE, 1, id)
            else
                local stalled = tonumber(fields[7] or fields[16] or 0) > 0
                if stalled and #jobs > 0 then
                    putBack(taken, index)
                    isFull = true
                    break
                end
                local org = fields[9]
                if org then
                    given[org] = (given[org] or 0) + 1
                end
                local rate = fields[17] and not fields[18] and decode(fields[17])
                local start = rate and rate.key and turn(rate) or now
                if start > now then
                    call('LREM', ACTIVE, 1, id)
                    call('HSET', job, 'slot', 1, 'delay', whole(start - now))
                    pushDelayed(id, start)
                    anyDelayed = true
                else
                    local started = tonumber(fields[6] or 0) + 1
                    fields[6] = started
                    call('SET', job .. ':lock', token, 'PX', lockMs)
                    call('HSET', job, 'processedOn', whole(now), 'ats', started)
                    if fields[18] then
                        call('HDEL', job, 'slot')
                    end
                    emit('active', id, 'prev', 'waiting')
                    jobs[#jobs + 1] = { id, fields }
                    if stalled then
                        putBack(taken, index + 1)
                        isFull = true
                        break
                    end
                end
            end
        end
        if share then
            for org, count in pairs(given) do
                yield(org, count)
            end
            given = {}
            -- Nothing stands any more, whatever was counted: a foreign worker took it. Everybody moves up.
            if #jobs < limit and not isFull and call('EXISTS', WAIT, PRIORITIZED) == 0 then
                call('DEL', STANDING)
                for _, org in ipairs(call('ZRANGE', BACKLOGS, 0, 99)) do
                    refill(org)
                end
            end
        end
    end
    if duration and #jobs > 0 then
        if call('INCRBY', base .. 'limiter', #jobs) == #jobs then
            call('PEXPIRE', base .. 'limiter', duration)
        end
    end
    return jobs, looked >= 3 * limit + 50
end

local jobs = {}
local state = 'open'
local ms = -1

promote()
if wanted > 0 then
    local room = wanted
    local max, duration = tonumber(meta[3] or nil), nil
    if paused then
        state, room = 'paused', 0
    elseif cap then
        room = math.min(room, cap - call('LLEN', ACTIVE))
        if room <= 0 then
            state = 'full'
        end
    end
    if max and room > 0 then
        local started = tonumber(call('GET', base .. 'limiter') or nil) or 0
        duration = meta[4] or '1000'
        if started < max then
            room = math.min(room, max - started)
        else
            ms = call('PTTL', base .. 'limiter')
            if ms > 0 then
                state, room = 'limited', 0
            elseif ms == 0 then
                call('DEL', base .. 'limiter')
            end
            if ms <= 0 then
                ms = -1
            end
        end
    end
    local isCut = false
    if room > 0 then
        anyDelayed = false
        jobs, isCut = fetch(room, duration)
        if anyDelayed then
            markDelayed()
        end
    end
    if isCut then
        ms = 0
    elseif #jobs < wanted and state ~= 'limited' then
        local due = firstDue()
        if due then
            ms = math.max(0, math.ceil(due) - now)
        end
    end
end

-- Whoever takes something, gives something back or makes room under the cap wakes the next worker.
if (#jobs > 0 or anyRunnable or (cap and endings > 0)) and call('EXISTS', WAIT, PRIORITIZED) > 0 then
    wake()
end
if anyFinished and call('EXISTS', WAIT, PAUSED, ACTIVE, PRIORITIZED) == 0 then
    call('XADD', EVENTS, 'MAXLEN', '~', maxEvents, '*', 'event', 'drained')
end
return { codes, jobs, ms, state }
