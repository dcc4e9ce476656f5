-- Returns jobs of a state as pairs of id and all fields, those that are next or newest first.
--
-- ARGV: [1] 'waiting', 'active', 'delayed', 'completed' or 'failed', [2] how many to pass over, [3] how many to return.

local state, first, count = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local last = first + count - 1
local ids = {}

local function append(more)
    for _, id in ipairs(more) do
        ids[#ids + 1] = id
    end
end

if state == 'completed' or state == 'failed' then
    ids = call('ZREVRANGE', base .. state, first, last)
elseif state == 'delayed' then
    ids = call('ZRANGE', DELAYED, first, last)
elseif state == 'active' then
    local active = call('LRANGE', ACTIVE, 0, -1)
    for index = #active - first, math.max(1, #active - last), -1 do
        ids[#ids + 1] = active[index]
    end
else
    local all = {}
    for _, list in ipairs({ PAUSED, WAIT }) do
        local waiting = call('LRANGE', list, -(last + 1), -1)
        for index = #waiting, 1, -1 do
            all[#all + 1] = waiting[index]
        end
    end
    if #all <= last then
        for _, id in ipairs(call('ZRANGE', PRIORITIZED, 0, last - #all)) do
            all[#all + 1] = id
        end
    end
    for _, org in ipairs(call('ZRANGE', BACKLOGS, 0, 999)) do
        if #all > last then
            break
        end
        for _, id in ipairs(call('ZRANGE', backlogOf(org), 0, last - #all)) do
            all[#all + 1] = id
        end
    end
    for index = first + 1, math.min(last + 1, #all) do
        ids[#ids + 1] = all[index]
    end
end

local jobs = {}
for _, id in ipairs(ids) do
    local fields = redis.pcall('HGETALL', base .. id)
    if not fields.err and #fields > 0 then
        jobs[#jobs + 1] = { id, fields }
    end
end
return jobs
