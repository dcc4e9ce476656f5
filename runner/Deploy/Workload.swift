package import Manifest

/// What runs as one container, any number of times: a group's functions, or one function.
package struct Workload: Sendable {
    /// The group's or the function's name.
    package let name: String
    /// In the order of functions.yaml.
    package let functions: [FunctionDeclaration]
    package let scale: ClosedRange<Int>
    /// What its process sees, the host's own settings included.
    package let variables: [Variable]
    let isOneFunction: Bool

    /// Every function of the manifest in one workload each.
    ///
    /// - Parameters:
    ///   - manifest: its groups without functions have no workload.
    ///   - perFunction: whether each function is a workload of its own, with its group's scale.
    /// - Returns: the workloads in the order of functions.yaml.
    /// - Throws: ``DeployFault`` for a group whose name something else has.
    package static func all(of manifest: Manifest, perFunction: Bool) throws(DeployFault) -> [Workload] {
        guard !perFunction else {
            return manifest.functions.map { function in
                Workload(
                    name: function.name,
                    functions: [function],
                    scale: manifest.group(named: function.group)?.scale ?? 1...1,
                    variables: manifest.variables(hosting: [function]),
                    isOneFunction: true
                )
            }
        }
        var workloads: [Workload] = []
        for group in manifest.groups {
            let functions = manifest.functions(inGroup: group.name)
            guard !functions.isEmpty else { continue }
            guard !Self.others.contains(group.name) else {
                throw DeployFault(
                    "the group \"\(group.name)\" has the name of a part of every deployment; give it another"
                )
            }
            workloads.append(
                Workload(
                    name: group.name,
                    functions: functions,
                    scale: group.scale,
                    variables: manifest.variables(hosting: functions),
                    isOneFunction: false
                )
            )
        }
        return workloads
    }

    private static let others: Set<String> = ["gateway", "migrate", "postgres", "redis"]

    /// What `runner` is told to host just these.
    package var arguments: [String] { ["serve"] + (isOneFunction ? [name] : ["--group", name]) }

    package var secrets: [Variable] { variables.filter(\.isSecret) }

    var hasRequests: Bool { functions.contains { $0.trigger.kind == .http } }
    /// Whether queues or clocks start something here.
    var hasWork: Bool { functions.contains { $0.trigger.kind != .http } }
    var hasSchedules: Bool { functions.contains { $0.trigger.kind == .schedule } }

    /// The queues that it works, with how many of their jobs one process has at hand at most.
    var queues: [(name: String, capacity: Int)] {
        functions.compactMap { function in
            guard case .queue(let trigger) = function.trigger else { return nil }
            return (trigger.queue, trigger.concurrency * trigger.batch)
        }
    }

    /// How many must run at least: nothing calls back what requests or clocks start.
    var least: Int { hasRequests || hasSchedules ? max(1, scale.lowerBound) : scale.lowerBound }

    /// How many seconds the process may need from being asked to end until it has: what runs is finished, and that may
    /// take the longest of the timeouts. A stream without one ends at once.
    var drain: Int { (functions.compactMap(\.timeout).max().map(Self.seconds) ?? 0) + 15 }

    private static func seconds(_ duration: Duration) -> Int {
        Int(duration.components.seconds) + (duration.components.attoseconds > 0 ? 1 : 0)
    }
}

/// Why there are no files, as a sentence.
package struct DeployFault: Error, Sendable, Equatable, CustomStringConvertible {
    package let description: String

    init(_ description: String) {
        self.description = description
    }
}
