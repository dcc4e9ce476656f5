import Fleet
import Foundation
import Helpdesk
import Logging
import Security
import Simulate

/// The simulated providers of `runner up --simulate`: they live in the supervisor's process and end with it.
struct SimulatedStage: Sendable {
    /// The host's.
    let hostPort: Int
    /// Where they listen.
    let port: Int

    private var address: String { "http://127.0.0.1:\(port)" }

    /// What leads the host to them.
    var settings: [String: String] {
        let names = ["META_GRAPH_URL", "INSTAGRAM_GRAPH_URL", "X_API_URL", "LINKEDIN_API_URL", "LINKEDIN_OAUTH_URL"]
        return Dictionary(uniqueKeysWithValues: names.map { ($0, address) })
    }

    static let others = Provider.allCases.dropFirst().map(\.rawValue).joined(separator: ", ")

    /// Connects the demo organisation's channels and begins to listen; lines to show.
    func open(_ addresses: Addresses, _ demo: DemoAccount, _ environment: [String: String]) async throws -> [String] {
        guard let organisation = demo.stored.flatMap({ UUID(uuidString: $0.organisation) }) else {
            throw FleetError(
                "there is no demo organisation to simulate for",
                remedy: "use `runner up --fresh --simulate`"
            )
        }
        let sealed = try Sealed(key: environment["ENCRYPTION_KEY"] ?? "")
        let accounts = Provider.allCases.map { (kind: $0.rawValue, credentials: $0.credentials) }
        let channels = try await Owner.connected(addresses.databaseOwner) { postgres in
            try await DemoChannels.connect(accounts, of: organisation, postgres, sealed)
        }
        var targets: [Provider: String] = [:]
        for provider in Provider.allCases {
            targets[provider] = channels[provider.rawValue].map { "http://127.0.0.1:\(hostPort)/webhook/\($0)" }
        }
        let server = SimulatorServer(
            Simulator(targets, SimulatedBehaviour(), address: address),
            Provider.allCases,
            port: port,
            logger: Logger(label: "simulate", factory: { _ in SwiftLogNoOpLogHandler() })
        )
        // Owned by nobody on purpose: it lasts as long as the process.
        Task {
            do {
                try await server.run()
            } catch {
                Terminal.error("the simulated providers have ended: \(error)")
            }
        }
        return ["simulating \(Provider.allCases.map(\.rawValue).joined(separator: ", ")) at \(address)"]
    }
}
