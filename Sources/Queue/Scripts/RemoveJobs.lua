-- Takes jobs out of a queue for good, whatever their state, and returns how many there were. ARGV: their ids.
--
-- One that runs belongs to its worker until its end: only what it holds is taken out, and what failed of it before.

local removed = 0

for _, id in ipairs(ARGV) do
    local job = base .. id
    if call('EXISTS', job) == 1 then
        removed = removed + 1
        if call('LPOS', ACTIVE, id) then
            call('HSET', job, 'data', '{}')
            call('HDEL', job, 'failedReason', 'stacktrace', 'returnvalue')
        else
            call('LREM', WAIT, 1, id)
            call('LREM', PAUSED, 1, id)
            call('ZREM', PRIORITIZED, id)
            call('ZREM', DELAYED, id)
            call('ZREM', base .. 'completed', id)
            call('ZREM', base .. 'failed', id)
            call('SREM', STALLED, id)
            call(
                'DEL', job, job .. ':logs', job .. ':dependencies', job .. ':processed', job .. ':failed',
                job .. ':unsuccessful'
            )
            emit('removed', id)
        end
    end
end
return removed
