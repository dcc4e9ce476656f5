-- Returns {wait, active, delayed, prioritized, completed, failed, ms the oldest runnable job has waited or -1, paused, due}.
--
-- Due are those of the delayed whose time has come. Jobs that a paused version 5 queue keeps in `paused` count as waiting, and those that wait beside the layout. The age is that of the jobs which are next.

local age = -1
local function consider(id)
    if id then
        local fields = redis.pcall('HMGET', base .. id, 'rdy', 'timestamp')
        local since = not fields.err and tonumber(fields[1] or fields[2] or nil)
        if since then
            age = math.max(age, now - since)
        end
    end
end
consider(call('LINDEX', WAIT, -1))
consider(call('LINDEX', PAUSED, -1))
consider(call('ZRANGE', PRIORITIZED, 0, 0)[1])

local beside = 0
for _, org in ipairs(call('ZRANGE', BACKLOGS, 0, -1)) do
    beside = beside + call('ZCARD', backlogOf(org))
end

return {
    call('LLEN', WAIT) + call('LLEN', PAUSED) + beside, call('LLEN', ACTIVE), call('ZCARD', DELAYED), call('ZCARD', PRIORITIZED),
    call('ZCARD', base .. 'completed'), call('ZCARD', base .. 'failed'), age, paused and 1 or 0,
    call('ZCOUNT', DELAYED, '-inf', whole((now + 1) * 4096 - 1)),
}
