import Foundation
import Functions
import Redis

/// When campaigns may send: one bucket per channel and one per campaign, in Redis, shared by every process.
///
/// Each bucket is the time from which its next message may leave. Slots are evenly spaced (GCRA), so a rate holds within each
/// second and not only on average. What isn't used isn't saved up, except for a twentieth of a second that a late caller makes
/// good at once, and up to a second (a disk that stood still) that a campaign makes good little by little: at most at ``squeeze``
/// of its usual distance, and never beyond the channel's rate. A provider's limit halves the channel's rate, which comes back by
/// a twentieth a second. While a member's message waits on the channel, a fifth of its rate is left free and nothing is made
/// good. Lost with Redis, the buckets begin anew at the present moment.
struct Pace: Sendable {
    /// Slots in the order of time; none where the next is too far off.
    struct Slots: Sendable, Equatable {
        let count: Int
        /// Seconds from now to the first one; a little less than nothing for a caller who is late.
        let delay: Double
        /// Seconds from one to the next.
        let spacing: Double
        /// Seconds between two that are late, at least.
        let gap: Double
    }

    /// What is late leaves at up to 1.05 times the rate: with what may leave at once no second has more than a tenth beyond it.
    private static let squeeze = 0.95

    private let redis: Redis
    private let channel: Channel.ID
    private let campaign: Campaign.ID
    private let channelRate: Int
    private let campaignRate: Int

    init(_ redis: Redis, channel: Channel.ID, kind: Channel.Kind, campaign: Campaign.ID, perSecond: Int) {
        self.redis = redis
        self.channel = channel
        self.campaign = campaign
        channelRate = Campaign.limit(of: kind, asked: perSecond)
        campaignRate = perSecond
    }

    /// Takes up to `most` slots that begin within `horizon` seconds.
    func reserve(_ most: Int, horizon: Double) async throws(RedisError) -> Slots {
        let answer = try await redis.evaluate(
            Self.reserving,
            keys: [Self.key(channel), "pace:run:\(campaign)", Self.agentsKey(channel)],
            arguments: [
                .integer(Int64(most)), .integer(Int64(channelRate)), .integer(Int64(campaignRate)),
                .integer(Int64(horizon * 1_000_000)), .string("\(Self.squeeze)"),
            ]
        )
        let parts = (answer.array ?? []).compactMap(\.integer)
        guard parts.count == 4 else { return Slots(count: 0, delay: 1, spacing: 1, gap: 1) }
        return Slots(
            count: Int(parts[0]),
            delay: Double(parts[1]) / 1_000_000,
            spacing: Double(parts[2]) / 1_000_000,
            gap: Double(parts[3]) / 1_000_000
        )
    }

    /// Slows the whole channel: nothing before `pause` is over, and half of its rate then.
    func slow(for pause: Duration) async { await Self.slow(channel, for: pause, redis) }

    static func slow(_ channel: Channel.ID, for pause: Duration, _ redis: Redis) async {
        _ = try? await redis.evaluate(  // Redis away: the next answer of the provider says it again
            slowing,
            keys: [key(channel)],
            arguments: [.integer(Int64(pause.inSeconds * 1_000_000))]
        )
    }

    /// Has campaigns leave a fifth of the channel's rate to members' messages for the next seconds.
    static func announceAgent(on channel: Channel.ID, _ redis: Redis) async {
        _ = await redis.pipeline([["SET", .string(agentsKey(channel)), "1", "PX", "3000"]])
    }

    private static func key(_ channel: Channel.ID) -> String { "pace:channel:\(channel)" }
    private static func agentsKey(_ channel: Channel.ID) -> String { "pace:agents:\(channel)" }

    /// KEYS: the channel's bucket, the campaign's, whether members wait. ARGV: slots wanted, both rates, the horizon in µs, the
    /// squeeze. Answers the slots, µs to the first, µs between them, µs between late ones.
    ///
    /// A bucket's `next` is the slot that the rate would have next, which may have passed; `planned` is when another may leave at
    /// the earliest, after those that were given out.
    private static let reserving = RedisScript(
        name: "pace-reserve",
        source: """
            local time = redis.call('TIME')
            local now = time[1] * 1000000 + time[2]
            local late = now - 50000
            local bucket = redis.call('HMGET', KEYS[1], 'next', 'factor', 'slowed', 'planned')
            local run = redis.call('HMGET', KEYS[2], 'next', 'planned')
            local factor = 1
            if bucket[2] then
                factor = math.min(1, tonumber(bucket[2]) + 0.05 * (now - tonumber(bucket[3])) / 1000000)
            end
            local squeeze = tonumber(ARGV[5])
            if redis.call('EXISTS', KEYS[3]) == 1 then
                factor = math.min(factor, 0.8)
                squeeze = 1
            end
            local own = 1000000 / (tonumber(ARGV[2]) * factor)
            local asked = 1000000 / tonumber(ARGV[3])
            local spacing = math.max(own, asked)
            -- Who was away for longer was idle, and idle time isn't saved up.
            local function due(text)
                local next = tonumber(text or 0)
                if next < now - 2000000 then return late end
                return math.max(next, now - 1000000)
            end
            local nominal = math.max(due(bucket[1]), due(run[1]))
            local start = math.max(late, nominal, tonumber(bucket[4] or 0), tonumber(run[2] or 0))
            local gap = math.max(own, asked * squeeze)
            local step, most = spacing, tonumber(ARGV[1])
            if start > nominal and gap < spacing then
                -- No more of them than make good what was missed.
                step = gap
                most = math.min(most, math.ceil((start - nominal) / (spacing - gap)))
            end
            local horizon = now + tonumber(ARGV[4])
            if start > horizon then return { 0, math.ceil(start - now), math.floor(step), math.floor(gap) } end
            local count = math.min(most, math.floor((horizon - start) / step) + 1)
            local last = start + (count - 1) * step
            redis.call('HSET', KEYS[1], 'next', string.format('%.0f', nominal + count * own),
                'planned', string.format('%.0f', last + own))
            redis.call('PEXPIRE', KEYS[1], 60000)
            redis.call('HSET', KEYS[2], 'next', string.format('%.0f', nominal + count * spacing),
                'planned', string.format('%.0f', last + asked * squeeze))
            redis.call('PEXPIRE', KEYS[2], 60000)
            return { count, math.floor(start - now), math.floor(step), math.floor(gap) }
            """
    )

    /// KEYS: the channel's bucket. ARGV: µs in which nothing is sent.
    private static let slowing = RedisScript(
        name: "pace-slow",
        source: """
            local time = redis.call('TIME')
            local now = time[1] * 1000000 + time[2]
            local bucket = redis.call('HMGET', KEYS[1], 'next', 'factor', 'slowed')
            local factor = 1
            if bucket[2] then
                -- One refusal of many that come at once counts.
                if now - tonumber(bucket[3]) < 1000000 then return 0 end
                factor = math.min(1, tonumber(bucket[2]) + 0.05 * (now - tonumber(bucket[3])) / 1000000)
            end
            local next = math.max(tonumber(bucket[1] or 0), now + tonumber(ARGV[1]))
            redis.call('HSET', KEYS[1], 'next', string.format('%.0f', next), 'factor', tostring(math.max(0.02, factor / 2)),
                'slowed', string.format('%.0f', now))
            redis.call('PEXPIRE', KEYS[1], 60000 + math.ceil(tonumber(ARGV[1]) / 1000))
            return 1
            """
    )
}
