import Foundation
import Functions
import Queue
import Redis
import Security

/// Counts in Redis against limits, each in the window that its first one opens.
///
/// What is counted goes by its hash, so Redis holds neither e-mail addresses nor callers' addresses.
struct RequestLimit: Sendable {
    struct Count: Sendable {
        fileprivate let key: String
        fileprivate let limit: Int

        /// - Parameters:
        ///   - kind: what is counted; counts of one kind and value are one.
        ///   - value: whose count it is: an address, an e-mail address.
        ///   - limit: how many there may be in the window.
        init(_ kind: String, _ value: String, limit: Int) {
            key = "delightchat:limit:\(kind):" + Hex.encode(SHA256.digest(value).prefix(16))
            self.limit = limit
        }
    }

    private enum Step: String {
        case check, count, forget
    }

    private let redis: Redis
    /// Keeps apart what another installation on the same Redis counts.
    private let prefix: String
    private let counts: [Count]
    private let window: Int64
    private let refusal: String

    init(_ counts: [Count], window: Duration, refusal: String, in context: HTTPContext) {
        redis = context.services.redis
        let queues = context.services.producer.prefix
        prefix = queues == "bull" ? "" : queues + ":"
        self.counts = counts
        self.window = Int64(window.inSeconds * 1000)
        self.refusal = refusal
    }

    /// - Throws: ``Failure/tooMany(_:retryAfter:)`` when a limit is reached.
    func check() async throws { try await evaluate(.check) }

    /// Counts one, unless a limit is reached.
    ///
    /// - Throws: ``Failure/tooMany(_:retryAfter:)`` in that case.
    func count() async throws { try await evaluate(.count) }

    /// Forgets the first counts.
    ///
    /// - Parameter first: how many of the counts, in the order in which they were given.
    /// - Throws: ``Failure/tooMany(_:retryAfter:)`` when a limit was reached meanwhile.
    func forget(first: Int) async throws { try await evaluate(.forget, first) }

    private func evaluate(_ step: Step, _ first: Int = 0) async throws {
        let wait = try await redis.evaluate(
            Self.script,
            keys: counts.map { prefix + $0.key },
            arguments: [.integer(window), .string(step.rawValue), .integer(Int64(first))]
                + counts.map { .integer(Int64($0.limit)) }
        )
        guard let milliseconds = wait.integer, milliseconds > 0 else { return }
        throw Failure.tooMany(refusal, retryAfter: Int((milliseconds + 999) / 1000))
    }

    private static let script = RedisScript(
        name: "request-limit",
        source: """
            -- KEYS: the counts. ARGV: the window in ms, the step, how many keys to forget, each key's limit.
            -- Answers ms to wait, 0 for none.
            local wait = 0
            for i, key in ipairs(KEYS) do
                if tonumber(redis.call('GET', key) or '0') >= tonumber(ARGV[3 + i]) then
                    wait = math.max(wait, redis.call('PTTL', key), 1)
                end
            end
            if wait > 0 then
                return wait
            end
            if ARGV[2] == 'count' then
                for _, key in ipairs(KEYS) do
                    if redis.call('INCR', key) == 1 then
                        redis.call('PEXPIRE', key, ARGV[1])
                    end
                end
            elseif ARGV[2] == 'forget' then
                for i = 1, tonumber(ARGV[3]) do
                    redis.call('DEL', KEYS[i])
                end
            end
            return 0
            """
    )
}

/// The limits of the public endpoints other than log-in.
extension HTTPContext {
    /// How often one address may found an organisation.
    func signUpLimit() throws -> RequestLimit {
        try limit([.init("signup", callerAddress, limit: integer("SIGNUP_LIMIT_ADDRESS"))], "Too many sign-ups.")
    }

    /// How often a new password may be asked for: for one e-mail address, and from one caller's address.
    func passwordResetLimit(_ email: String) throws -> RequestLimit {
        try limit(
            [
                .init("reset-email", email.lowercased(), limit: integer("RESET_LIMIT_EMAIL")),
                .init("reset-address", callerAddress, limit: integer("RESET_LIMIT_ADDRESS")),
            ],
            "A new password was asked for too often."
        )
    }

    /// Lets `body` look at a token that nobody can guess, as long as few wrong ones came from the same address.
    ///
    /// The limit only keeps floods from the database: without Redis there is none, and sessions go on.
    ///
    /// - Parameters:
    ///   - refusal: what a wrong token gets.
    ///   - body: looks; `nil` for a wrong token.
    /// - Returns: what `body` found.
    /// - Throws: `refusal`; ``Failure/tooMany(_:retryAfter:)`` after too many of them.
    func limitingWrongTokens<Value>(refusal: Failure, _ body: () async throws -> Value?) async throws -> Value {
        let limit = try limit(
            [.init("wrong-token", callerAddress, limit: integer("TOKEN_LIMIT_ADDRESS"))],
            "Too many wrong tokens."
        )
        do { try await limit.check() } catch is RedisError {}
        if let value = try await body() { return value }
        do { try await limit.count() } catch is RedisError {}
        throw refusal
    }

    private func limit(_ counts: [RequestLimit.Count], _ refusal: String) throws -> RequestLimit {
        RequestLimit(
            counts,
            window: try duration("PUBLIC_LIMIT_WINDOW"),
            refusal: refusal + " Try again later.",
            in: self
        )
    }

    private var callerAddress: String { request.address ?? "" }
}
