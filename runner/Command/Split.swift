import ArgumentParser
import Fleet
import Foundation
import Manifest

/// The hosts of `runner up --processes`, and the gateway before them.
struct Split: Sendable {
    /// What has a process of its own.
    enum Shape: String, ExpressibleByArgument, CaseIterable, Sendable {
        case group, function
    }

    private struct Unit {
        let name: String
        let functions: [FunctionDeclaration]

        var hasEndpoints: Bool { functions.contains { $0.trigger.kind == .http } }
    }

    private let manifest: Manifest
    private let units: [Unit]
    private let only: [String]

    /// - Throws: ``FleetError`` where a name is that of a process of the runner's own.
    init(_ plan: UpPlan, _ manifest: Manifest) throws {
        self.manifest = manifest
        only = plan.only
        let chosen = manifest.functions.filter {
            plan.only.isEmpty || plan.only.contains($0.name) || plan.only.contains($0.group)
        }
        if plan.shape == .perFunction {
            units = chosen.map { Unit(name: $0.name, functions: [$0]) }
        } else {
            units = manifest.groups.map(\.name).compactMap { group in
                let functions = chosen.filter { $0.group == group }
                return functions.isEmpty ? nil : Unit(name: group, functions: functions)
            }
        }
        for unit in units where Self.taken.contains(unit.name) {
            throw FleetError("\(unit.name) is the name of another process of `runner up`", remedy: "rename it")
        }
    }

    private static let taken = [
        HostLaunch.only, HostLaunch.gateway, "supervisor", "postgres", "redis", "build", "check", "migrate",
    ]

    /// The hosts, then the gateway: it routes to a function only when that is hosted.
    ///
    /// - Parameters:
    ///   - alone: what one process for everything would be started as.
    ///   - state: where the sockets lie.
    /// - Returns: in the order in which they follow their predecessors in a reload.
    /// - Throws: ``FleetError`` when there is no folder for the sockets.
    func launches(_ alone: HostLaunch, state: StateFolder) throws -> [HostLaunch] {
        let sockets = try state.sockets(units.map(\.name), environment: alone.environment)
        let declared = Set(manifest.variables.map(\.name))
        /// None of the settings but these.
        func environment(_ used: some Sequence<String>) -> [String: String] {
            let used = Set(used)
            return alone.environment.filter { !declared.contains($0.key) || used.contains($0.key) }
        }
        let file = ["-f", state.root + "/functions.yaml"]
        var upstreams: [String] = []
        var launches = units.map { unit in
            let socket = sockets[unit.name] ?? ""
            if unit.hasEndpoints { upstreams += ["--upstream", "\(unit.name)=unix:\(socket)"] }
            return HostLaunch(
                name: unit.name,
                executable: alone.executable,
                arguments: ["serve", "--behind-gateway"] + file + unit.functions.map(\.name),
                environment: environment(manifest.variables(hosting: unit.functions).map(\.name)),
                socket: socket
            )
        }
        guard !upstreams.isEmpty else { return launches }
        launches.append(
            HostLaunch(
                name: HostLaunch.gateway,
                executable: alone.executable,
                arguments: ["gateway"] + file + upstreams + only.flatMap { ["--only", $0] },
                environment: environment(GatewayCommand.settings)
            )
        )
        return launches
    }
}
