-- Takes jobs away from workers that died. Every worker runs this; one in each interval does something.
--
-- ARGV: [1] interval in ms, [2] attempts of a job that names none.
--
-- Two steps: what is in `active` is suspected; what was suspected the time before and has no lock is put in front of
-- `wait` again. A run that ended so counts as an attempt; a job whose attempts are used up gets a deferred failure,
-- and whoever fetches it must fail it without running it. Returns {ids put back, ids of them that must fail}.

local CHECK = base .. 'stalled-check'
if call('EXISTS', CHECK) == 1 then
    return { {}, {} }
end
call('SET', CHECK, whole(now), 'PX', ARGV[1])
call('XTRIM', EVENTS, 'MAXLEN', '~', maxEvents)

local recovered = {}
local exhausted = {}
local suspects = call('SMEMBERS', STALLED)
call('DEL', STALLED)

local function allowedAttempts(opts)
    local read, decoded = pcall(cjson.decode, opts or '{}')
    local attempts = read and type(decoded) == 'table' and tonumber(decoded.attempts or nil) or 0
    if attempts > 0 then
        return attempts
    end
    return tonumber(ARGV[2])
end

for _, id in ipairs(suspects) do
    local job = base .. id
    if call('EXISTS', job .. ':lock') == 0 and call('LREM', ACTIVE, 1, id) > 0 then
        local fields = redis.pcall('HMGET', job, 'name', 'opts', 'atm', 'attemptsMade')
        if not fields.err and fields[1] then
            local stalls = call('HINCRBY', job, 'stc', 1)
            if tonumber(fields[3] or fields[4] or 0) + stalls >= allowedAttempts(fields[2]) then
                call('HSET', job, 'defa', 'job stalled more than allowable limit')
                exhausted[#exhausted + 1] = id
            end
            call('HSET', job, 'rdy', whole(now))
            call('RPUSH', runnable, id)
            emit('waiting', id, 'prev', 'active')
            emit('stalled', id)
            recovered[#recovered + 1] = id
        end
    end
end
if #recovered > 0 then
    wake()
end

local active = call('LRANGE', ACTIVE, 0, -1)
for first = 1, #active, 1000 do
    call('SADD', STALLED, unpack(active, first, math.min(first + 999, #active)))
end
return { recovered, exhausted }
