import Foundation

/// One of the processes that a running product consists of, as far as a test starts them itself.
struct ProductProcess: Sendable {
    let arguments: [String]
    let environment: [String: String]
    var folder: String?
    private let process = LockedProcess()

    init(_ arguments: [String], _ environment: [String: String], in folder: String? = nil) {
        self.arguments = arguments
        self.environment = environment
        self.folder = folder
    }

    func start() throws {
        try process.start(
            executable: Checkout.executable,
            arguments: arguments,
            environment: environment,
            folder: folder
        )
    }

    func kill() { process.kill() }
    func stop() { process.stop() }
    var isRunning: Bool { process.isRunning }
    var log: String { process.log }
}

/// The processes of the whole product in one shape, in the order in which they are to be started.
struct ProductProcesses: Sendable {
    let all: [ProductProcess]
    /// Sockets and what else the processes share, to be removed at the end; one process needs none.
    let folder: String?

    /// - Parameters:
    ///   - shape: how many they are.
    ///   - port: where it listens.
    ///   - environment: the settings of all.
    ///   - owner: the URL of the database's owner, for those who migrate.
    /// - Throws: the system's error when the folder can't be made.
    init(_ shape: ProductShape, port: Int, environment: [String: String], owner: String) throws {
        guard !shape.isOneProcess else {
            all = [ProductProcess(["serve", "--all", "-f", Self.manifest, "--port", String(port)], environment)]
            self.folder = nil
            return
        }
        // Not below TMPDIR: a socket's path holds at most 107 bytes.
        let folder = "/tmp/delightchat-product-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        self.folder = folder
        switch shape {
        case .together, .groups, .functions:
            for name in ["functions.yaml", "Package.swift"] {
                try FileManager.default.copyItem(atPath: "\(Checkout.root)/\(name)", toPath: "\(folder)/\(name)")
            }
            // Nothing that `runner up` would set itself where it is absent.
            let own = ["DATABASE_OWNER_URL": owner, "EGRESS_ALLOW": "", "HOME": folder]
            all = [
                ProductProcess(
                    ["up", "--no-watch", "--port", String(port)] + shape.options,
                    environment.merging(own) { given, _ in given },
                    in: folder
                )
            ]
        case .pgbouncer:
            let hosts = ["api", "workers", "scheduler"].map { group in
                ProductProcess(
                    ["serve", "--behind-gateway", "-f", Self.manifest, "--group", group, "--socket"]
                        + ["\(folder)/\(group).sock"],
                    environment
                )
            }
            let gateway = ProductProcess(
                ["gateway", "-f", Self.manifest, "--port", String(port), "--upstream", "api=unix:\(folder)/api.sock"],
                environment
            )
            all = hosts + [gateway]
        }
    }

    static var manifest: String { Checkout.root + "/functions.yaml" }
}
