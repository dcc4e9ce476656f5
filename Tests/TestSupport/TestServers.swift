import Foundation

/// The servers that `runner/test` starts; tests that need one fail without them rather than pass unseen.
package enum TestServers {
    /// The owner's URL of a throw-away cluster in which databases may be made.
    package static var postgres: String { get throws { try needed("TEST_POSTGRES_URL") } }

    package static var redis: String { get throws { try needed("TEST_REDIS_URL") } }

    /// A Python that has BullMQ's client.
    package static var python: String { get throws { try needed("TEST_PYTHON") } }

    private static func needed(_ name: String) throws -> String {
        guard let value = ProcessInfo.processInfo.environment[name], !value.isEmpty else {
            throw MissingServer(name: name)
        }
        return value
    }

    struct MissingServer: Error, CustomStringConvertible {
        let name: String
        var description: String { "\(name) is not set: run the tests with runner/test" }
    }
}
