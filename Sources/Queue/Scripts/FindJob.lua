-- Returns {state, all fields} of one job, or nothing; a job whose hash is in no list is 'unknown'.
--
-- ARGV: [1] its id.

local id = ARGV[1]
local fields = redis.pcall('HGETALL', base .. id)
if fields.err or #fields == 0 then
    return false
end
local state = 'unknown'
for _, set in ipairs({ 'completed', 'failed', 'delayed', 'prioritized', 'waiting-children' }) do
    if call('ZSCORE', base .. set, id) then
        state = set == 'prioritized' and 'waiting' or set
    end
end
if state == 'unknown' then
    local org = call('HGET', base .. id, 'org')
    if call('LPOS', ACTIVE, id) then
        state = 'active'
    elseif call('LPOS', WAIT, id) or call('LPOS', PAUSED, id) or (org and call('ZSCORE', backlogOf(org), id)) then
        state = 'waiting'
    end
end
return { state, fields }
