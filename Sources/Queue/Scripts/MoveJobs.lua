-- Makes finished or delayed jobs runnable again; returns how many.
--
-- ARGV: [1] 'failed', 'completed' or 'delayed', [2] at most so many, oldest first, [3…] ids, none for any.

local from = ARGV[1]
local set = base .. from
local ids = {}
for index = 3, #ARGV do
    ids[#ids + 1] = ARGV[index]
end
if #ids == 0 then
    ids = call('ZRANGE', set, 0, tonumber(ARGV[2]) - 1)
end

local moved = 0
for _, id in ipairs(ids) do
    if call('ZREM', set, id) == 1 then
        local job = base .. id
        local fields = redis.pcall('HMGET', job, 'name', 'priority', 'org')
        if not fields.err and fields[1] then
            if from == 'delayed' then
                call('HSET', job, 'delay', 0)
            else
                call('HDEL', job, 'finishedOn', 'processedOn', 'failedReason', 'returnvalue')
            end
            call('HSET', job, 'rdy', whole(now))
            push(id, tonumber(fields[2] or nil) or 0, false, fields[3])
            emit('waiting', 'jobId', id, 'prev', from)
            moved = moved + 1
        end
    end
end
if moved > 0 then
    wake()
end
settle()
return moved
