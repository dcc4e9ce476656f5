import Foundation
import Functions
import Redis
import Security

/// Counts failed log-ins: of one e-mail address from one caller's address, of it from anywhere, and from one caller's
/// address.
///
/// Each count lives for the window that its first failure opens. It is looked at before the password is hashed, so that a
/// flood costs nothing, and again when the result is known: of guesses sent at once, those beyond the limit learn nothing,
/// not even the right one. What is counted is a hash, so Redis holds no e-mail addresses.
struct LogInLimit: Sendable {
    private let redis: Redis
    private let keys: [String]
    private let limits: [RedisArgument]
    private let window: Int64

    init(email: String, in context: HTTPContext) throws {
        let email = email.lowercased()
        let address = context.request.address ?? ""
        redis = context.services.redis
        keys = [
            Self.key("pair", email + "\u{0}" + address), Self.key("email", email), Self.key("address", address),
        ]
        limits = try ["LOGIN_LIMIT_PAIR", "LOGIN_LIMIT_EMAIL", "LOGIN_LIMIT_ADDRESS"].map {
            .integer(Int64(try context.integer($0)))
        }
        window = Int64(try context.duration("LOGIN_LIMIT_WINDOW").inSeconds * 1000)
    }

    /// - Throws: ``Failure/tooMany(_:retryAfter:)`` when a limit is reached.
    func check() async throws { try await evaluate("check") }

    /// Counts a failure, unless a limit was reached meanwhile.
    ///
    /// - Throws: ``Failure/tooMany(_:retryAfter:)`` in that case, so that a wrong password and a right one look alike.
    func countFailure() async throws { try await evaluate("failure") }

    /// Forgets the failures of the e-mail address after a right password.
    ///
    /// - Throws: ``Failure/tooMany(_:retryAfter:)`` when a limit was reached meanwhile.
    func clear() async throws { try await evaluate("success") }

    private func evaluate(_ step: String) async throws {
        let wait = try await redis.evaluate(
            Self.script,
            keys: keys,
            arguments: limits + [.integer(window), .string(step)]
        )
        guard let milliseconds = wait.integer, milliseconds > 0 else { return }
        throw Failure.tooMany("Too many failed log-ins. Try again later.", retryAfter: Int((milliseconds + 999) / 1000))
    }

    private static func key(_ kind: String, _ value: String) -> String {
        "delightchat:login:\(kind):" + Hex.encode(SHA256.digest(value).prefix(16))
    }

    private static let script = RedisScript(
        name: "log-in-limit",
        source: """
            -- KEYS: pair, e-mail, address. ARGV: their limits, the window in ms, the step. Answers ms to wait, 0 for none.
            local wait = 0
            for i, key in ipairs(KEYS) do
                if tonumber(redis.call('GET', key) or '0') >= tonumber(ARGV[i]) then
                    wait = math.max(wait, redis.call('PTTL', key), 1)
                end
            end
            if wait > 0 then
                return wait
            end
            if ARGV[5] == 'failure' then
                for _, key in ipairs(KEYS) do
                    if redis.call('INCR', key) == 1 then
                        redis.call('PEXPIRE', key, ARGV[4])
                    end
                end
            elseif ARGV[5] == 'success' then
                redis.call('DEL', KEYS[1], KEYS[2])
            end
            return 0
            """
    )
}
