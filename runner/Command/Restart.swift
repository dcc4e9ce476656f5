import ArgumentParser
import Fleet
import Foundation

struct Restart: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Starts hosts of the `runner up` of this checkout anew; no request fails meanwhile.",
        discussion: """
            Each old process ends once its successor serves, one after another. `runner ps` names them.

            Examples:
              runner restart               all of them
              runner restart api           with --processes, one of them
            """
    )

    @OptionGroup var options: BundleOptions

    @Argument(help: "Which one; all without.")
    var name: String?

    func run() async throws {
        let state = StateFolder(root: try options.bundle().root.path)
        let hosts = RunningProcess.all(of: state).filter { $0.generation != nil }
        let names = Set(hosts.map(\.name)).sorted()
        guard !hosts.isEmpty else { throw ValidationError("runner up doesn't run here, or hosts nothing.") }
        if let name, !names.contains(name) {
            throw ValidationError("There is no \(name); there are \(names.joined(separator: ", ")).")
        }
        guard state.tell(name.map { "restart \($0)" } ?? "restart") else {
            throw ValidationError("runner up doesn't listen.")
        }
        let old = Set(hosts.filter { name == nil || $0.name == name }.map(\.pid))
        let limit = Duration.seconds(60 + 5 * old.count)
        let end = ContinuousClock.now + limit
        while ContinuousClock.now < end {
            let now = RunningProcess.all(of: state)
            // Each has a successor, and those that end still are out of the way.
            if !now.contains(where: { old.contains($0.pid) }),
                (name.map { [$0] } ?? names).allSatisfy({ name in now.contains { $0.name == name } })
            {
                print("restarted \(old.count == 1 ? name ?? names[0] : "\(old.count) processes")")
                return
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        Terminal.error("not restarted within \(limit.readable); runner up says why")
        throw ExitCode(1)
    }
}
