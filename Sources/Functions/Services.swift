package import Foundation
package import Logging
package import Postgres
package import Queue
package import Redis
package import Security
import Synchronization

/// What a process shares among its functions: clients, keys and settings.
package final class Services: Sendable {
    package let postgres: Postgres
    package let redis: Redis
    package let producer: Producer
    package let passwords: PasswordHasher
    package let tokens: JWT
    package let sealed: Sealed
    /// Signs cursors; made from the token secret, so that every process has the same.
    package let cursorKey: [UInt8]
    /// The settings that functions.yaml declares, resolved at start. A function sees those it uses.
    package let settings: [String: String]
    package let logger: Logger
    package let now: @Sendable () -> Date

    private let shared = Mutex<[ObjectIdentifier: any Sendable]>([:])

    package init(
        postgres: Postgres,
        redis: Redis,
        producer: Producer,
        passwords: PasswordHasher,
        tokens: JWT,
        sealed: Sealed,
        cursorKey: [UInt8],
        settings: [String: String],
        logger: Logger,
        now: @escaping @Sendable () -> Date = { Date() }
    ) {
        self.postgres = postgres
        self.redis = redis
        self.producer = producer
        self.passwords = passwords
        self.tokens = tokens
        self.sealed = sealed
        self.cursorKey = cursorKey
        self.settings = settings
        self.logger = logger
        self.now = now
    }

    /// The process's one value of this type, made at first use: caches, which stateless functions can't hold.
    package func shared<Value: Sendable>(_ type: Value.Type, make: () -> Value) -> Value {
        shared.withLock { values in
            if let value = values[ObjectIdentifier(type)] as? Value { return value }
            let value = make()
            values[ObjectIdentifier(type)] = value
            return value
        }
    }
}
