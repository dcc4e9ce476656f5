import ArgumentParser
import Foundation
import Gateway
import Host
import Logging
import Manifest

struct GatewayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gateway",
        abstract: "Hands requests on to processes that host functions, by functions.yaml.",
        discussion: """
            Answers /health, /ready and /metrics itself, refuses paths and methods that no function has, and needs no secret but
            METRICS_TOKEN. An upstream that restarts is waited for; its hosts are `runner serve … --socket PATH`, or
            `runner serve … --behind-gateway` with the gateway's address in TRUSTED_PROXIES.

            Examples:
              runner gateway --upstream api=unix:/run/delightchat/api.sock
              runner gateway --address 0.0.0.0 --upstream api=http://api:3000
              runner gateway --upstream api=http://api:3000 --upstream receive-webhook=http://receive-webhook:3000
            """
    )

    /// What a gateway reads of the settings.
    static let settings: Set<String> = [
        "PORT", "LOG_LEVEL", "LOG_FORMAT", "NODE_ENV", "METRICS_TOKEN", "CORS_ORIGINS", "TRUSTED_PROXIES",
    ]

    @OptionGroup var options: BundleOptions

    @Option(
        help:
            "GROUP=ADDRESS or FUNCTION=ADDRESS: unix:/a/path or http://host:port. One for every group that has endpoints."
    )
    var upstream: [String] = []

    @Option(help: "Only these functions or groups; may be given more than once. Paths of others are unknown.")
    var only: [String] = []

    @Option(help: "Where to listen; 3000 unless PORT says else.")
    var port: Int?

    @Option(help: "The address to listen on; 0.0.0.0 in a container.")
    var address: String = "127.0.0.1"

    func run() async throws {
        signal(SIGPIPE, SIG_IGN)
        let bundle = try options.bundle()
        let manifest = try bundle.manifest()
        let environment = try bundle.environment()
        let settings = try Bootstrap.settings(
            manifest.variables.filter { Self.settings.contains($0.name) },
            environment: environment
        )
        let logger = Bootstrap.logger(settings, environment: environment)
        var gateway = GatewayOptions()
        gateway.upstreams = try upstreams(manifest)
        let port = port ?? settings.int("PORT") ?? 3000
        let link = SupervisorLink(environment: environment)
        gateway.place = link?.listen() ?? .address(address, port: port)
        gateway.trustedProxies = settings["TRUSTED_PROXIES"]
        gateway.corsOrigins = settings["CORS_ORIGINS"]
        gateway.metricsToken = settings["METRICS_TOKEN"]
        let upstreams = gateway.upstreams.map { "\($0.name)" }.joined(separator: ", ")
        gateway.onReady = { own in
            // Of a socket that was handed down NIO doesn't know the port.
            let served = own == 0 ? port : own
            logger.notice("handing on", metadata: ["port": "\(served)", "upstreams": "\(upstreams)"])
            link?.tell("ready")
        }
        do {
            let functions = manifest.functions.filter {
                only.isEmpty || only.contains($0.name) || only.contains($0.group)
            }
            try await Gateway(functions, options: gateway, logger: logger).runUntilSignal()
        } catch let fault as GatewayFault {
            throw ValidationError(fault.description)
        }
    }

    private func upstreams(_ manifest: Manifest) throws -> [(name: String, address: UpstreamAddress)] {
        let known = Set(manifest.functions.map(\.name) + manifest.functions.map(\.group))
        return try upstream.map { text in
            let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2, let address = UpstreamAddress(parts[1]) else {
                throw ValidationError("--upstream \(text) is not NAME=unix:/a/path and not NAME=http://host:port.")
            }
            guard known.contains(parts[0]) else {
                throw ValidationError(
                    "--upstream \(parts[0]): there is no such group or function. `runner list` names them."
                )
            }
            return (parts[0], address)
        }
    }
}
