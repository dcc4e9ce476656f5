import Foundation

/// The provider's stand-in that `runner simulate` is, as a process.
package final class Simulation: Sendable {
    package let port: Int
    private let process = LockedProcess()
    private let provider: String

    /// A port for one that starts later: the product is told of it at its own start.
    package init(_ provider: String) throws {
        self.provider = provider
        port = try FreePort.find()
    }

    deinit { process.kill() }

    package var url: String { "http://127.0.0.1:\(port)" }

    /// The settings that lead a host to it.
    package var settings: [String: String] {
        var settings = ["EGRESS_ALLOW": "127.0.0.0/8"]
        for name in ["META_GRAPH_URL", "INSTAGRAM_GRAPH_URL", "X_API_URL", "LINKEDIN_API_URL", "LINKEDIN_OAUTH_URL"] {
            settings[name] = url
        }
        return settings
    }

    /// Starts it; `options` are those of `runner simulate`.
    package func start(to webhook: String, _ options: [String] = []) async throws {
        try process.start(
            executable: Checkout.executable,
            arguments: ["simulate", provider, "--to", webhook, "--port", String(port)] + options,
            environment: ["PATH": ProcessInfo.processInfo.environment["PATH"] ?? ""]
        )
        try await process.listens(on: port)
    }

    package var log: String { process.log }

    /// The credentials of a channel that is connected to it.
    package func credentials() async throws -> [String: String] {
        let command = try await Command.shell("\(Checkout.executable) simulate \(provider) --credentials")
        let json = try JSONSerialization.jsonObject(with: Data(command.output.utf8)) as? [String: [String: String]]
        return json?[provider] ?? [:]
    }

    /// Writes as a customer; the message's id at the provider.
    package func say(_ text: String, from person: String? = nil, name: String? = nil, picture: Bool = false)
        async throws
        -> String
    {
        var body: [String: Any] = ["text": text, "picture": picture]
        body["from"] = person
        body["name"] = name
        let answer = try await APIClient(base: url, isOurs: false).post("/simulate/messages", body)
        guard answer.status == 200, let id = answer.string("id") else { throw UnexpectedAnswer(answer) }
        return id
    }

    /// The calls that it was sent, the oldest first.
    package func calls() async throws -> [[String: Any]] {
        try await APIClient(base: url, isOurs: false).get("/simulate/calls").json as? [[String: Any]] ?? []
    }
}
