-- Adds jobs, in their order, and returns their ids.
--
-- ARGV: per job ten values: name, data, opts (JSON), id ('' = the counter's), delay in ms, priority, '1' for last in
-- first out, organisation ('' = none), trace ('' = none), rate ('' = none, else JSON: key, max, duration).
--
-- `acc` is our own field: the moment of acceptance in microseconds, strictly rising in a queue even when the clock
-- of Redis does not rise. Other clients ignore fields that they do not know, here and in `meta`, which remembers the
-- last one. An id that exists already changes nothing: the event `duplicated` tells of it. A job that its
-- deduplication (`opts.de`) holds off is answered with the id of the one that stands for it.

local STRIDE = 10
local count = #ARGV / STRIDE
local ids = {}
local known = {}
local anyRunnable = false
local anyDelayed = false

local nextId = call('INCRBY', base .. 'id', count) - count
local accepted = math.max(micros, (tonumber(meta[6] or nil) or 0) + 1)
call('HSET', META, 'acc', whole(accepted + count - 1))
if not meta[5] then
    call('HSET', META, 'opts.maxLenEvents', maxEvents)
end

-- Keeps the newest refused job for the time when the one that runs has ended.
local function keepAsNext(de, owner, id, job)
    if not de.keepLastIfActive or not call('LPOS', ACTIVE, owner) then
        return false
    end
    local next = base .. 'dn:' .. de.id
    call('DEL', next)
    call('HSET', next, 'name', job[1], 'data', job[2], 'opts', job[3], 'jid', id, 'org', job[4], 'trace', job[5])
    call('PERSIST', base .. 'de:' .. de.id)
    return true
end

-- Returns the id of the job that stands for this one, or nil when this one is to be added.
local function deduplicate(de, id, job)
    local key = base .. 'de:' .. de.id
    local ttl = tonumber(de.ttl or nil) or 0
    local owner = call('GET', key)
    if owner and call('PTTL', key) == -1 and call('EXISTS', base .. owner) == 0 then
        owner = nil
    end
    local function own(keeps)
        if ttl <= 0 or de.keepLastIfActive then
            call('SET', key, id)
        elseif keeps then
            call('SET', key, id, 'KEEPTTL')
        else
            call('SET', key, id, 'PX', whole(ttl))
        end
    end
    if not owner then
        own(false)
        return nil
    end
    if de.replace and call('ZREM', DELAYED, owner) == 1 then
        eraseJob(owner)
        known[owner] = nil
        call('DEL', base .. 'dn:' .. de.id)
        emit('removed', 'jobId', owner, 'prev', 'delayed')
        emit('deduplicated', 'jobId', id, 'deduplicationId', de.id, 'deduplicatedJobId', owner)
        own(not de.extend)
        return nil
    end
    if not keepAsNext(de, owner, id, job) and de.extend and ttl > 0 and not de.replace then
        if de.keepLastIfActive then
            call('SET', key, owner)
        else
            call('SET', key, owner, 'PX', whole(ttl))
        end
    end
    emit('deduplicated', 'jobId', owner, 'deduplicationId', de.id, 'deduplicatedJobId', id)
    return owner
end

-- All ids in one look; which of them are taken is asked only where one is.
local keys = {}
for index = 1, count do
    local id = ARGV[index * STRIDE - 6]
    if id == '' then
        id = whole(nextId + index)
    end
    ids[index], keys[index] = id, base .. id
end
local anyTaken = call('EXISTS', unpack(keys)) > 0

collected = {}
for index = 0, count - 1 do
    local at = index * STRIDE
    local name, data, opts, id = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ids[index + 1]
    local delay, priority, lifo = tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6]), ARGV[at + 7] == '1'
    local organisation, trace, rate = ARGV[at + 8], ARGV[at + 9], ARGV[at + 10]

    local standsFor = nil
    local more = { 'acc', whole(accepted + index) }
    if known[id] or (anyTaken and call('EXISTS', base .. id) == 1) then
        emit('duplicated', 'jobId', id)
        standsFor = id
    elseif string.find(opts, '"de":', 1, true) then
        local de = decode(opts).de
        if de and de.id then
            standsFor = deduplicate(de, id, { name, data, opts, organisation, trace })
            more[3], more[4] = 'deid', de.id
        end
    end
    ids[index + 1] = standsFor or id

    if not standsFor then
        if organisation ~= '' then
            more[#more + 1], more[#more + 2] = 'org', organisation
        end
        if trace ~= '' then
            more[#more + 1], more[#more + 2] = 'trace', trace
        end
        if rate ~= '' then
            more[#more + 1], more[#more + 2] = 'rate', rate
        end
        create(id, name, data, opts, delay, priority, lifo, organisation ~= '' and organisation, more)
        known[id] = true
        anyRunnable = anyRunnable or delay <= 0
        anyDelayed = anyDelayed or delay > 0
    end
end

pushCollected()

-- No consumer of ours has worked here for long: whoever does finds everything in the layout.
if not share and meta[7] then
    for _, org in ipairs(call('ZRANGE', BACKLOGS, 0, 99)) do
        moveUp(org, 1000, false)
        anyRunnable = true
    end
end

if anyRunnable then
    wake()
end
if anyDelayed then
    markDelayed()
end
settle()
return ids
