-- Prolongs locks and returns the ids of those that are lost.
--
-- ARGV: [1] duration in ms, then per job two values: id and token.
--
-- A lock that has expired is taken again while its job is still in `active`: nobody else can have started it, since that
-- needs the stalled check to take it out first. So an outage of Redis longer than a lock costs no job its run.

local lost = {}
local anyStalled = call('EXISTS', STALLED) == 1

local locks = {}
for index = 2, #ARGV, 2 do
    locks[#locks + 1] = base .. ARGV[index] .. ':lock'
end
local holders = call('MGET', unpack(locks))

for index = 2, #ARGV, 2 do
    local id, token = ARGV[index], ARGV[index + 1]
    local lock, holder = locks[index / 2], holders[index / 2]
    if holder == token or (not holder and call('LPOS', ACTIVE, id)) then
        call('SET', lock, token, 'PX', ARGV[1])
        if anyStalled then
            call('SREM', STALLED, id)
        end
    else
        lost[#lost + 1] = id
    end
end
return lost
