import ArgumentParser
import Foundation
import Functions
import Helpdesk
import Host
import Logging
import Manifest
import Postgres
import Schema

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Hosts functions in this process: the entry point of a container.",
        discussion: """
            Builds nothing and migrates nothing; every setting comes from the environment, .env or .runner/env. Only those
            are read that the hosted functions use. With RUNNER_CONTAINER=1, as in the image of `runner image`, it listens
            on every address, doesn't start where what all processes share is missing (MAIL_URL, ATTACHMENTS_URL), and
            /metrics needs METRICS_TOKEN from this machine, too.

            Examples:
              runner serve --all
              runner serve --group workers
              runner serve --queue inbound
              runner serve receive-message deliver-message --port 3001
              runner serve --group api --socket /run/delightchat/api.sock
              runner serve --group api --address 0.0.0.0 --behind-gateway
            """
    )

    @OptionGroup var options: BundleOptions

    @Argument(help: "Functions to host, by name.")
    var names: [String] = []

    @Flag(help: "Host every function.")
    var all = false

    @Option(help: "Host the functions of a group; may be given more than once.")
    var group: [String] = []

    @Option(
        help: "Host the workers of a queue, and the schedules of the feature of that name; may be given more than once."
    )
    var queue: [String] = []

    @Option(help: "Where to listen; 3000 unless PORT says else.")
    var port: Int?

    @Option(help: "The address to listen on; 127.0.0.1, or 0.0.0.0 in a container.")
    var address: String?

    @Option(help: "The unix socket to listen on instead, for a gateway.")
    var socket: String?

    @Flag(help: "All requests come through `runner gateway`: it is given time to leave its connections at the end.")
    var behindGateway = false

    func validate() throws {
        guard socket == nil || port == nil else { throw ValidationError("Listen on --socket or on --port.") }
        guard all || !group.isEmpty || !queue.isEmpty || !names.isEmpty else {
            throw ValidationError("Say what to host: --all, --group NAME, --queue NAME or functions by name.")
        }
    }

    func run() async throws {
        // A client or a pipe that is gone is an error of the write, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        let bundle = try options.bundle()
        let manifest = try bundle.manifest()
        let pairs = try bundle.pairs(of: manifest)
        let selected = try selection(manifest)
        let environment = try bundle.environment()
        let hosted = manifest.functions.filter(selected.includes)
        let variables = manifest.variables(hosting: hosted)
        let settings = try Bootstrap.settings(variables, environment: environment)
        let logger = Bootstrap.logger(settings, environment: environment)
        let isContained = Container.isAround(environment)
        if isContained { try refuse(faults: Container.faults(variables, settings)) }
        try checkMail(settings, logger)
        try refuse(faults: ProviderSettings.faults { settings[$0] })
        if let fault = AttachmentSettings.fault(url: settings["ATTACHMENTS_URL"]) {
            Terminal.error("error: \(fault)")
            throw ExitCode(3)
        }
        let services = try Bootstrap.services(settings, logger: logger)
        try await refuseUnboundRole(services)
        var host = HostOptions()
        host.selection = selected
        let port = port ?? settings.int("PORT") ?? 3000
        let address = address ?? (isContained ? "0.0.0.0" : "127.0.0.1")
        let link = SupervisorLink(environment: environment)
        host.place = link?.listen() ?? socket.map { .path($0) } ?? .address(address, port: port)
        host.isBehindGateway = behindGateway || socket != nil
        host.isContained = isContained
        host.version = Version.text
        host.explorerFolder = bundle.root.appending(path: ".runner/swagger-ui").path
        host.queues = manifest.queues
        host.inFlightPath = environment["RUNNER_INFLIGHT"]
        host.onReady = { own in
            // Of a socket that was handed down NIO doesn't know the port.
            let served = own == 0 ? port : own
            logger.notice("serving", metadata: ["port": "\(served)", "functions": "\(hosted.count)"])
            link?.tell("ready")
            Task.detached {
                // Once the workers stand, too.
                try await Task.sleep(for: .seconds(1))
                StartPages.release()
            }
        }
        try await Host(pairs, services: services, options: host, logger: logger).run()
    }

    private func checkMail(_ settings: Settings, _ logger: Logger) throws {
        // It has a default: where it is missing, no hosted function sends mails.
        guard settings["MAIL_FROM"] != nil else { return }
        let faults = MailSettings.faults(url: settings["MAIL_URL"], sender: settings["MAIL_FROM"])
        try refuse(faults: faults)
        if settings["MAIL_URL"] == nil, settings["MAIL_DIR"] == nil {
            logger.warning("neither MAIL_URL nor MAIL_DIR is set: mails wait until one of them is")
        }
    }

    private func refuse(faults: [String]) throws {
        guard !faults.isEmpty else { return }
        for fault in faults { Terminal.error("error: \(fault)") }
        throw ExitCode(3)
    }

    /// A role that row-level security doesn't bind would serve every organisation's rows to every other; a database that is
    /// away is waited for by those who ask.
    private func refuseUnboundRole(_ services: Services) async throws {
        do {
            // Before the first migration there are neither rows nor roles; /ready says what is missing.
            guard try await Schema.version(of: services.postgres) > 0,
                let fault = try await Schema.roleFault(services.postgres)
            else { return }
            try refuse(fault)
        } catch is PostgresError {
            return
        }
    }

    private func refuse(_ fault: String) throws {
        Terminal.error("DATABASE_URL: \(fault)")
        throw ExitCode(78)
    }

    private func selection(_ manifest: Manifest) throws -> HostOptions.Selection {
        if all { return .all }
        let known = Set(manifest.functions.map(\.name))
        let groups = Set(manifest.functions.map(\.group))
        if let unknown = names.first(where: { !known.contains($0) }) {
            throw ValidationError("There is no function \"\(unknown)\". `runner list` names them all.")
        }
        if let unknown = group.first(where: { !groups.contains($0) }) {
            throw ValidationError(
                "There is no group \"\(unknown)\"; there are \(groups.sorted().joined(separator: ", "))."
            )
        }
        let inGroups = manifest.functions.filter { group.contains($0.group) }.map(\.name)
        return .functions(Set(names + inGroups + (try queue.flatMap { try Self.workers(of: $0, manifest) })))
    }

    /// The functions that work a queue, and the schedules of the feature of that name.
    private static func workers(of queue: String, _ manifest: Manifest) throws -> [String] {
        func serves(_ function: FunctionDeclaration) -> Bool {
            switch function.trigger {
            case .http: false
            case .queue(let trigger): trigger.queue == queue
            case .schedule: function.handlerFolder.lowercased() == queue
            }
        }
        let names = manifest.functions.filter(serves).map(\.name)
        guard names.isEmpty else { return names }
        let known = manifest.functions.compactMap { function -> String? in
            switch function.trigger {
            case .http: nil
            case .queue(let trigger): trigger.queue
            case .schedule: function.handlerFolder.lowercased()
            }
        }
        throw ValidationError(
            "Nothing works a queue \"\(queue)\"; there are \(Set(known).sorted().joined(separator: ", "))."
        )
    }
}
