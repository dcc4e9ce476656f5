-- Ends the runs of jobs, then fetches further ones: one call for each turn of a consumer.
--
-- ARGV: [1] how many jobs to fetch at most, [2] their token, [3] the duration of their locks in ms, [4] of how many
-- minutes the metrics are kept (0 = none are), [5] how many jobs the worker lets start in [6] ms ('' = it sets no bound),
-- [7] how many rules of keeping follow, each of three values: count, age in s, limit. Then per ending eight values: id,
-- token, kind, value, stacktrace ('' = unchanged), number, attempts made before, deduplication ('' = none).
--
--   completed  value = result, JSON; number = its rule of keeping
--   failed     value = reason; number = its rule; `exhausted` where its attempts are used up
--   retry      value = reason; at once, `retry-first` in front
--   delay      value = reason; after so many ms
--   snooze     after so many ms, no attempt
--   wait       back to the front, no attempt; `limit` lets nothing of the queue start for so many ms
--
-- Returns {codes, jobs, ms, state}: a code per ending (0, or -1 no such job, -2 lock expired, -3 not active, -6 another's
-- lock, -100 broken: what its key holds is no job, and it is forgotten); per job its id and its fields and values; ms until
-- it is worth asking again (-1 = unknown); 'open', 'paused', 'full' (the queue's own concurrency) or 'limited' (its rate).
--
-- What many endings have in common is read and written by one command for all: most of what a job costs Redis is the
-- number of commands, not what they do. A job that has stalled comes alone: if it brings its worker down again, its
-- neighbours lose nothing.

local STRIDE = 8

local wanted, token, lockMs, points = tonumber(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
local rules = tonumber(ARGV[7])
local first = 7 + rules * 3
local endings = (#ARGV - first) / STRIDE
local codes = {}
local retention = {}
local anyRunnable = false
local anyDelayed = false
local erased = {}
local sorted = { completed = {}, failed = {} }
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

local function finish(at, id, job, state, attempts)
    local field = state == 'completed' and 'returnvalue' or 'failedReason'
    local value, stacktrace, rule = ARGV[at + 4], ARGV[at + 5], tonumber(ARGV[at + 6])
    if ARGV[at + 8] ~= '' then
        releaseDeduplication(id, ARGV[at + 8])
    end
    if ARGV[5 + rule * 3] == '0' then
        erased[#erased + 1] = id
    else
        if stacktrace ~= '' then
            call('HSET', job, field, value, 'finishedOn', NOW, 'atm', attempts, 'stacktrace', stacktrace)
        else
            call('HSET', job, field, value, 'finishedOn', NOW, 'atm', attempts)
        end
        if state == 'failed' then
            call('HDEL', job, 'defa')
        end
        local set = sorted[state]
        set[#set + 1], set[#set + 2] = NOW, id
        retention[state .. rule] = { state, rule }
    end
    emit(state, 'jobId', id, field, value, 'prev', 'active')
    finished[state] = finished[state] + 1
end

local function retain(state, rule)
    local set = base .. state
    local count, age, limit = tonumber(ARGV[5 + rule * 3]), tonumber(ARGV[6 + rule * 3]), tonumber(ARGV[7 + rule * 3])
    if age > 0 then
        local old = call('ZRANGEBYSCORE', set, '-inf', whole(now - age * 1000), 'LIMIT', 0, limit)
        if #old > 0 then
            eraseJobs(old)
            call('ZREM', set, unpack(old))
        end
    end
    if count > 0 then
        local surplus = math.min(call('ZCARD', set) - count, limit)
        if surplus > 0 then
            eraseJobs(call('ZRANGE', set, 0, surplus - 1))
            call('ZREMRANGEBYRANK', set, 0, surplus - 1)
        end
    end
end

local function again(at, id, job, kind, attempts)
    local fields = call('HMGET', job, 'priority', 'org')
    local priority, org = tonumber(fields[1] or nil) or 0, fields[2]
    local value, stacktrace, ms = ARGV[at + 4], ARGV[at + 5], tonumber(ARGV[at + 6])
    if stacktrace ~= '' then
        call('HSET', job, 'stacktrace', stacktrace)
    end
    if kind == 'retry' or kind == 'retry-first' then
        call('HSET', job, 'failedReason', value, 'atm', attempts, 'rdy', NOW)
        push(id, priority, kind == 'retry-first', org)
        emit('waiting', 'jobId', id, 'prev', 'active')
        anyRunnable = true
    elseif kind == 'delay' or kind == 'snooze' then
        if kind == 'delay' then
            call('HSET', job, 'failedReason', value, 'atm', attempts, 'delay', whole(ms))
        else
            call('HSET', job, 'delay', whole(ms))
        end
        pushDelayed(id, now + ms)
        anyDelayed = true
    else
        if kind == 'limit' then
            call('SET', base .. 'limiter', '9007199254740991', 'PX', whole(math.max(1, ms)))
        end
        if priority > 0 then
            call('ZADD', PRIORITIZED, whole(priority * 4294967296), id)
        else
            call('RPUSH', runnable, id)
        end
        stand(org, 1)
        emit('waiting', 'jobId', id, 'prev', 'active')
        anyRunnable = true
    end
end

-- Takes jobs out of `active`. Whoever began first mostly ends first: these stand together at the end.
local function leaveActive(ids)
    local leaving, left = {}, {}
    for _, id in ipairs(ids) do
        leaving[id] = true
    end
    local tail = call('LRANGE', ACTIVE, -#ids, -1)
    local count = 0
    while count < #tail and leaving[tail[#tail - count]] do
        local id = tail[#tail - count]
        leaving[id], left[id] = nil, true
        count = count + 1
    end
    if count > 0 then
        call('LTRIM', ACTIVE, 0, -1 - count)
    end
    for id in pairs(leaving) do
        left[id] = call('LREM', ACTIVE, -1, id) > 0
    end
    return left
end

local function stop()
    local keys, locks, ids, free = {}, {}, {}, {}
    for index = 1, endings do
        local key = base .. ARGV[first + (index - 1) * STRIDE + 1]
        keys[index], locks[index] = key, key .. ':lock'
    end
    local holders = call('MGET', unpack(locks))
    local areThere = call('EXISTS', unpack(keys)) == endings
    for index = 1, endings do
        local at = first + (index - 1) * STRIDE
        if not areThere and call('EXISTS', keys[index]) == 0 then
            codes[index] = -1
        elseif holders[index] ~= ARGV[at + 2] then
            codes[index] = holders[index] and -6 or -2
        else
            ids[#ids + 1] = ARGV[at + 1]
        end
    end
    if #ids == 0 then
        return
    end
    local left = leaveActive(ids)
    for index = 1, endings do
        local at = first + (index - 1) * STRIDE
        local id, kind = ARGV[at + 1], ARGV[at + 3]
        if not codes[index] and not left[id] then
            codes[index] = -3
        elseif not codes[index] then
            free[#free + 1] = locks[index]
            local attempts = tonumber(ARGV[at + 7]) + 1
            -- One that breaks, on a key of a wrong kind, must not keep the others from ending.
            local ran
            if kind == 'completed' or kind == 'failed' then
                ran = pcall(finish, at, id, keys[index], kind, attempts)
            elseif kind == 'exhausted' then
                ran = pcall(finish, at, id, keys[index], 'failed', attempts)
                if ran then
                    emit('retries-exhausted', 'jobId', id, 'attemptsMade', attempts)
                end
            else
                ran = pcall(again, at, id, keys[index], kind, attempts)
            end
            codes[index] = ran and 0 or -100
        end
    end
    if #free > 0 then
        call('DEL', unpack(free))
        call('SREM', STALLED, unpack(ids))
    end
    eraseJobs(erased)
    for state, set in pairs(sorted) do
        if #set > 0 then
            call('ZADD', base .. state, unpack(set))
        end
    end
    for _, rule in pairs(retention) do
        retain(rule[1], rule[2])
    end
end
if endings > 0 then
    stop()
end

-- Jobs per minute for dashboards: a list of past minutes, the newest first, and what has been counted so far.
local function measure(state, count)
    local key = base .. 'metrics:' .. state
    local before = call('HINCRBY', key, 'count', count) - count
    local last = call('HMGET', key, 'prevTS', 'prevCount')
    if not last[1] then
        call('HSET', key, 'prevTS', NOW, 'prevCount', 0)
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
    call('HSET', key, 'prevTS', NOW, 'prevCount', whole(before))
end
if points > 0 then
    for state, count in pairs(finished) do
        if count > 0 then
            measure(state, count)
        end
    end
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
        local ids = {}
        for index = 1, #popped, 2 do
            ids[#ids + 1] = popped[index]
            taken[#taken + 1] = { popped[index], popped[index + 1] }
        end
        if #ids > 0 then
            call('LPUSH', ACTIVE, unpack(ids))
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

-- What the fetch itself looks at; `stalledCounter` is the name of version 4. `rate` and `slot` are our own: the limit of the
-- job's key, and that it has had its turn under it.
local SEEN = { name = true, ats = true, stc = true, stalledCounter = true, org = true, rate = true, slot = true }

local function fieldsOf(job)
    local fields = redis.pcall('HGETALL', job)
    local seen = {}
    if fields.err then
        return fields, seen
    end
    for index = 1, #fields, 2 do
        local name = fields[index]
        if SEEN[name] then
            seen[name] = fields[index + 1]
            if name == 'ats' then
                seen.at = index + 1
            end
        end
    end
    return fields, seen
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
            local fields, seen = fieldsOf(job)
            if not seen.name then
                -- A job that was removed while it waited, or a marker of very old versions: there is nothing to run.
                call('LREM', ACTIVE, 1, id)
            else
                local stalled = tonumber(seen.stc or seen.stalledCounter or 0) > 0
                if stalled and #jobs > 0 then
                    putBack(taken, index)
                    isFull = true
                    break
                end
                local org = seen.org
                if org then
                    given[org] = (given[org] or 0) + 1
                end
                local rate = seen.rate and not seen.slot and decode(seen.rate)
                local start = rate and rate.key and turn(rate) or now
                if start > now then
                    call('LREM', ACTIVE, 1, id)
                    call('HSET', job, 'slot', 1, 'delay', whole(start - now))
                    pushDelayed(id, start)
                    anyDelayed = true
                else
                    local started = tonumber(seen.ats or 0) + 1
                    local at = seen.at or #fields + 2
                    fields[at - 1], fields[at] = 'ats', started
                    call('SET', job .. ':lock', token, 'PX', lockMs)
                    call('HSET', job, 'processedOn', NOW, 'ats', started)
                    if seen.slot then
                        call('HDEL', job, 'slot')
                    end
                    emit('active', 'jobId', id, 'prev', 'waiting')
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
                forgetStanding()
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
    -- The queue's own bound goes before the worker's, its time after.
    local max, duration = tonumber(meta[3] or nil) or tonumber(ARGV[5]), nil
    if paused then
        state, room = 'paused', 0
    elseif cap then
        room = math.min(room, cap - call('LLEN', ACTIVE))
        if room <= 0 then
            state = 'full'
        end
    end
    -- A limit by hand holds where no bound is set, too.
    local started = room > 0 and tonumber(call('GET', base .. 'limiter') or nil) or 0
    local most = max or 9007199254740991
    if started >= most then
        ms = call('PTTL', base .. 'limiter')
        if ms > 0 then
            state, room = 'limited', 0
        else
            call('DEL', base .. 'limiter')
            started, ms = 0, -1
        end
    end
    if max and room > 0 then
        duration = ARGV[6] ~= '' and ARGV[6] or meta[4] or '1000'
        room = math.min(room, max - started)
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
if finished.completed + finished.failed > 0 and call('EXISTS', WAIT, PAUSED, ACTIVE, PRIORITIZED) == 0 then
    emit('drained')
end
settle()
return { codes, jobs, ms, state }
