import Foundation
import Functions
import Redis

/// When campaigns may send: one bucket per channel and one per campaign, in Redis, shared by every process.
///
/// Each bucket is the time from which its next message may leave. Slots are evenly spaced (GCRA), so a rate holds within each
/// second and not only on average; what isn't used isn't saved up, except for a twentieth of a second that a late caller makes
/// good. A provider's limit halves the channel's rate, which comes back by a twentieth a second. While a member's message waits on
/// the channel, a fifth of its rate is left free. Lost with Redis, the buckets begin anew at the present moment.
struct Pace: Sendable {
    /// Slots in the order of time; none where the next is too far off.
    struct Slots: Sendable, Equatable {
        let count: Int
        /// Seconds from now to the first one; a little less than nothing for a caller who is late.
        let delay: Double
        /// Seconds from one to the next.
        let spacing: Double
    }

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
            keys: [Self.key(channel), "pace:campaign:\(campaign)", Self.agentsKey(channel)],
            arguments: [
                .integer(Int64(most)), .integer(Int64(channelRate)), .integer(Int64(campaignRate)),
                .integer(Int64(horizon * 1_000_000)),
            ]
        )
        let parts = (answer.array ?? []).compactMap(\.integer)
        guard parts.count == 3 else { return Slots(count: 0, delay: 1, spacing: 1) }
        return Slots(
            count: Int(parts[0]),
            delay: Double(parts[1]) / 1_000_000,
            spacing: Double(parts[2]) / 1_000_000
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

    /// KEYS: the channel's bucket, the campaign's, whether members wait. ARGV: slots wanted, both rates, the horizon in µs.
    /// Answers the slots, µs to the first, µs between them.
    private static let reserving = RedisScript(
        name: "pace-reserve",
        source: """
            local time = redis.call('TIME')
            local now = time[1] * 1000000 + time[2]
            local bucket = redis.call('HMGET', KEYS[1], 'next', 'factor', 'slowed')
            local factor = 1
            if bucket[2] then
                factor = math.min(1, tonumber(bucket[2]) + 0.05 * (now - tonumber(bucket[3])) / 1000000)
            end
            if redis.call('EXISTS', KEYS[3]) == 1 then factor = math.min(factor, 0.8) end
            local own = 1000000 / (tonumber(ARGV[2]) * factor)
            local spacing = math.max(own, 1000000 / tonumber(ARGV[3]))
            local late = now - 50000
            local channel = math.max(tonumber(bucket[1] or 0), late)
            local start = math.max(channel, tonumber(redis.call('GET', KEYS[2]) or 0))
            local horizon = now + tonumber(ARGV[4])
            if start > horizon then return { 0, math.ceil(start - now), math.floor(spacing) } end
            local count = math.min(tonumber(ARGV[1]), math.floor((horizon - start) / spacing) + 1)
            redis.call('HSET', KEYS[1], 'next', string.format('%.0f', start + count * own))
            redis.call('PEXPIRE', KEYS[1], 60000)
            redis.call('SET', KEYS[2], string.format('%.0f', start + count * spacing), 'PX', 60000)
            return { count, math.floor(start - now), math.floor(spacing) }
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
