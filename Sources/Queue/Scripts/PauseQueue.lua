-- Pauses or resumes a queue; returns 1 when that changed something.
--
-- ARGV: [1] 'pause' or 'resume'.
--
-- Pausing is a flag and no more: jobs stay where they are. Resuming also brings back what a version 5 client has put
-- into `paused`, in front of what came since, so that no job of it is lost.

if ARGV[1] == 'pause' then
    if paused then
        return 0
    end
    call('HSET', META, 'paused', 1)
    call('DEL', MARKER)
    emit('paused')
    return 1
end

local changed = call('HDEL', META, 'paused')
paused = false
if call('EXISTS', PAUSED) == 1 then
    if call('EXISTS', WAIT) == 0 then
        call('RENAME', PAUSED, WAIT)
    else
        local ids = call('LRANGE', PAUSED, 0, -1)
        for first = 1, #ids, 1000 do
            call('RPUSH', WAIT, unpack(ids, first, math.min(first + 999, #ids)))
        end
        call('DEL', PAUSED)
    end
    changed = 1
end
if call('EXISTS', WAIT, PRIORITIZED, BACKLOGS) > 0 then
    wake()
else
    markDelayed()
end
if changed == 1 then
    emit('resumed')
end
return changed
