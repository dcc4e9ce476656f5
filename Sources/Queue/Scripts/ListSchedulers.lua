-- Returns per scheduler {id, due ms of its next job, fields and values}; old records without a definition are left out.
--
-- ARGV: [1] a scheduler, '' for all; [2] '1' for those alone whose job is gone or has ended. The first entry is the time
-- in ms.

local found = { whole(now) }
local all = ARGV[1] == '' and call('ZRANGE', REPEAT, 0, -1, 'WITHSCORES')
    or { ARGV[1], call('ZSCORE', REPEAT, ARGV[1]) }
for index = 1, #all, 2 do
    local id, due = all[index], all[index + 1] and whole(tonumber(all[index + 1]))
    local fields = due and call('HGETALL', REPEAT .. ':' .. id) or {}
    if #fields > 0 then
        local pending = base .. 'repeat:' .. id .. ':' .. due
        if ARGV[2] ~= '1' or call('EXISTS', pending) == 0 or call('HEXISTS', pending, 'finishedOn') == 1 then
            found[#found + 1] = { id, due, fields }
        end
    end
end
return found
