-- Takes jobs away from workers that died. Every worker runs this; one in each interval does something.
--
-- ARGV: [1] interval in ms, [2] attempts of a job that names none, [3] the share of an organisation or 0.
--
-- Two steps: what is in `active` is suspected; what was suspected the time before and has no lock is put in front of
-- `wait` again. A run that ended so counts as an attempt; a job whose attempts are used up gets a deferred failure,
-- and whoever fetches it must fail it without running it. Returns {ids put back, ids of them that must fail}.

if tonumber(ARGV[3]) > 0 then
    share = tonumber(ARGV[3])
    call('HSET', META, 'fair', share, 'fairAt', whole(now))
end

local CHECK = base .. 'stalled-check'
if call('EXISTS', CHECK) == 1 then
    return { {}, {} }
end
call('SET', CHECK, whole(now), 'PX', ARGV[1])

local recovered = {}
local exhausted = {}
local suspects = call('SMEMBERS', STALLED)
call('DEL', STALLED)

local function allowedAttempts(opts)
    local attempts = tonumber(decode(opts).attempts) or 0
    if attempts > 0 then
        return attempts
    end
    return tonumber(ARGV[2])
end

for _, id in ipairs(suspects) do
    local job = base .. id
    if call('EXISTS', job .. ':lock') == 0 and call('LREM', ACTIVE, 1, id) > 0 then
        local fields = redis.pcall('HMGET', job, 'name', 'opts', 'atm', 'attemptsMade', 'org')
        if not fields.err and fields[1] then
            local stalls = call('HINCRBY', job, 'stc', 1)
            if tonumber(fields[3] or fields[4] or 0) + stalls >= allowedAttempts(fields[2]) then
                call('HSET', job, 'defa', 'job stalled more than allowable limit')
                exhausted[#exhausted + 1] = id
            end
            call('HSET', job, 'rdy', whole(now))
            call('RPUSH', runnable, id)
            stand(fields[5], 1)
            emit('waiting', 'jobId', id, 'prev', 'active')
            emit('stalled', 'jobId', id)
            recovered[#recovered + 1] = id
        end
    end
end

-- Other workers take jobs without counting them, so what stands is counted anew where that is quick.
local owners = call('ZRANGE', BACKLOGS, 0, 999)
if share and #owners > 0 then
    local ids = call('LRANGE', WAIT, 0, 1999)
    for _, id in ipairs(call('ZRANGE', PRIORITIZED, 0, 1999)) do
        ids[#ids + 1] = id
    end
    if #ids < 2000 then
        forgetStanding()
        for _, id in ipairs(ids) do
            local org = redis.pcall('HGET', base .. id, 'org')
            if type(org) == 'string' then
                stand(org, 1)
            end
        end
    end
    flood = nil
    if not isFlooded() then
        for _, org in ipairs(owners) do
            refill(org)
        end
    end
end
if #recovered > 0 or #owners > 0 then
    wake()
end

local active = call('LRANGE', ACTIVE, 0, -1)
for first = 1, #active, 1000 do
    call('SADD', STALLED, unpack(active, first, math.min(first + 999, #active)))
end
settle()
return { recovered, exhausted }
