import ArgumentParser
import AsyncHTTPClient
import Foundation
import Functions
import Logging
import Manifest
import NIOCore
import NIOHTTP1
import Simulate
import Synchronization

struct SimulateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulate",
        abstract: "Stands in for providers on this machine: no account anywhere is needed.",
        discussion: """
            Answers what the product sends as the provider would, tells of it by signed webhooks, and lets you write as a customer:
            lines on its terminal, or another `runner simulate … --say`. `runner up --simulate` starts all of them with channels
            that are connected.

            Without `up`, the product has to be started with META_GRAPH_URL, INSTAGRAM_GRAPH_URL, X_API_URL, LINKEDIN_API_URL and
            LINKEDIN_OAUTH_URL naming the simulator, EGRESS_ALLOW=127.0.0.1, and a channel with the credentials that
            `--credentials` prints.

            Examples:
              runner simulate whatsapp --credentials
              runner simulate whatsapp --to http://localhost:3000/webhook/01936f5e-7a00-7000-8000-000000000001
              runner simulate facebook twitter --to facebook=http://… --to twitter=http://… --fail 20% --late 2s --twice --shuffle
              runner simulate whatsapp --say 'Where is my parcel?' --from 4915550007 --name Kim
              runner simulate whatsapp --calls
            """
    )

    @Argument(help: "whatsapp, facebook, instagram, twitter or linkedin; one or more.")
    var providers: [Provider]

    @Option(help: "Where webhooks go: an address, or PROVIDER=ADDRESS for each.")
    var to: [String] = []

    @Option(help: "Where to listen, or where the simulator listens that is spoken to.")
    var port = SimulateCommand.usualPort

    @Option(help: "How many of the sends fail, such as 20%.")
    var fail = "0%"

    @Option(help: "How they fail, with commas: cut, lost, an HTTP status (503) or a code of the provider's (131026).")
    var failWith: String?

    @Option(help: "How late a webhook about a message may be, such as 2s.")
    var late = "0s"

    @Flag(help: "Tell of everything twice.")
    var twice = false

    @Flag(help: "Tell of a message's states in any order.")
    var shuffle = false

    @Option(help: "Write this as a customer, through a simulator that runs, and end.")
    var say: String?

    @Option(help: "Who writes: a number's digits, or the provider's id of a person.")
    var from: String?

    @Option(help: "Their name.")
    var name: String?

    @Flag(help: "A picture comes along.")
    var picture = false

    @Flag(help: "List the calls that a running simulator was sent, as JSON, and end.")
    var calls = false

    @Flag(help: "Print the credentials of a channel that is connected to the simulated account, as JSON, and end.")
    var credentials = false

    static let usualPort = 4100

    func validate() throws {
        guard !providers.isEmpty else { throw ValidationError("Say what to simulate.") }
        guard (1...65535).contains(port) else { throw ValidationError("--port is 1 to 65535.") }
        _ = try behaviour
        _ = try targets
    }

    func run() async throws {
        if credentials { return print(credentialsText) }
        if let say { return try await speak(say) }
        if calls { return print(try await ask("GET", "/simulate/calls", nil)) }
        let (port, providers) = (port, providers)
        let simulator = Simulator(try targets, try behaviour, address: "http://127.0.0.1:\(port)")
        let logger = Logger(label: "simulate", factory: { _ in SwiftLogNoOpLogHandler() })
        let server = SimulatorServer(simulator, providers, port: port, logger: logger) {
            print("simulating \(providers.map(\.rawValue).joined(separator: ", ")) at http://127.0.0.1:\(port)")
            for provider in providers {
                do {
                    try await simulator.shakeHands(provider)
                } catch {
                    Terminal.error("\(error)")
                }
            }
            fflush(nil)
        }
        Self.readLines { line in
            do {
                _ = try await simulator.say(line, to: providers[0])
            } catch {
                Terminal.error("\(error)")
            }
        }
        do {
            try await server.run()
        } catch {
            throw ValidationError("Port \(port) can't be listened on: \(error)")
        }
    }

    /// Lines that are typed; none where there is no terminal.
    private static func readLines(_ body: @escaping @Sendable (String) async -> Void) {
        guard isatty(STDIN_FILENO) == 1 else { return }
        Thread.detachNewThread {
            while let line = readLine() {
                if !line.isEmpty { Task { await body(line) } }
            }
        }
    }

    private var targets: [Provider: String] {
        get throws {
            var targets: [Provider: String] = [:]
            for text in to {
                let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
                if parts.count == 2, let provider = Provider(rawValue: parts[0]) {
                    targets[provider] = parts[1]
                } else if text.hasPrefix("http"), providers.count == 1 {
                    targets[providers[0]] = text
                } else {
                    throw ValidationError(
                        "--to \(text) is neither an address for the one provider nor PROVIDER=ADDRESS."
                    )
                }
            }
            return targets
        }
    }

    private var behaviour: SimulatedBehaviour {
        get throws {
            var behaviour = SimulatedBehaviour()
            guard fail.hasSuffix("%"), let share = Double(fail.dropLast()), (0...100).contains(share) else {
                throw ValidationError("--fail is a share such as 20%.")
            }
            behaviour.failing = share / 100
            behaviour.failures = try (failWith ?? "").split(separator: ",").map { text in
                guard let failure = SimulatedFailure(String(text)) else {
                    throw ValidationError("--fail-with \(text) is neither cut nor lost nor a number.")
                }
                return failure
            }
            guard let lateness = DurationText.parse(late) else { throw ValidationError("--late is such as 2s.") }
            behaviour.lateness = lateness
            behaviour.isDoubled = twice
            behaviour.isShuffled = shuffle
            return behaviour
        }
    }

    private var credentialsText: String {
        JSON.object(
            providers.map { provider in
                .init(
                    provider.rawValue,
                    .object(provider.credentials.map { JSON.Member($0.name, .string($0.value)) })
                )
            }
        ).text
    }

    private func speak(_ text: String) async throws {
        var body: [JSON.Member] = [
            .init("provider", .string(providers[0].rawValue)), .init("text", .string(text)),
            .init("picture", .bool(picture)),
        ]
        if let from { body.append(.init("from", .string(from))) }
        if let name { body.append(.init("name", .string(name))) }
        print(try await ask("POST", "/simulate/messages", .object(body)))
    }

    private func ask(_ method: String, _ path: String, _ body: JSON?) async throws -> String {
        var request = HTTPClientRequest(url: "http://127.0.0.1:\(port)\(path)")
        request.method = .init(rawValue: method)
        if let body { request.body = .bytes(Array(body.text.utf8)) }
        let response: HTTPClientResponse
        let text: String
        do {
            response = try await HTTPClient.shared.execute(request, timeout: .seconds(30))
            text = String(buffer: try await response.body.collect(upTo: 16 << 20))
        } catch {
            throw ValidationError(
                "No simulator listens on port \(port): start `runner simulate` or `runner up --simulate`."
            )
        }
        guard response.status == .ok else { throw ValidationError(text) }
        return text
    }
}

extension Provider: ExpressibleByArgument {}
