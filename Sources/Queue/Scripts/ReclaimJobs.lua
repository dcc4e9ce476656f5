-- Returns the jobs that were fetched with a token whose answer never arrived, in the shape of a fetch.
--
-- ARGV: [1] the token, [2] the duration of their locks in ms.

local jobs = {}
local active = call('LRANGE', ACTIVE, 0, -1)
for index = #active, 1, -1 do
    local id = active[index]
    local lock = base .. id .. ':lock'
    if call('GET', lock) == ARGV[1] then
        local fields = call('HGETALL', base .. id)
        if #fields > 0 then
            call('SET', lock, ARGV[1], 'PX', ARGV[2])
            jobs[#jobs + 1] = { id, fields }
        end
    end
end
return jobs
