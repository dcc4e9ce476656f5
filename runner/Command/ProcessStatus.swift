import ArgumentParser
import Fleet
import Foundation
import Functions

struct ProcessStatus: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ps",
        abstract: "Lists the processes of the `runner up` of this checkout.",
        discussion: """
            GENERATION counts the reloads and restarts since the start, from 1. Status 0 when it runs, 1 otherwise.

            Examples:
              runner ps
              runner ps --json
            """
    )

    @OptionGroup var options: BundleOptions

    @Flag(help: "As JSON, with times in UTC and memory in bytes.")
    var json = false

    func run() throws {
        let state = StateFolder(root: try options.bundle().root.path)
        let processes = RunningProcess.all(of: state)
        if json {
            let list = JSON.array(processes.map(Self.object))
            print(list.text)
        } else if processes.isEmpty {
            Terminal.error("runner up doesn't run here")
        } else {
            print(Terminal.table([["NAME", "GENERATION", "PID", "SINCE", "RSS"]] + processes.map(Self.row)))
        }
        if processes.isEmpty { throw ExitCode(1) }
    }

    private static func row(_ process: RunningProcess) -> [String] {
        [
            process.name, process.generation.map(String.init) ?? "-", String(process.pid),
            process.since.formatted(.iso8601), "\(process.residentBytes >> 20) MiB",
        ]
    }

    private static func object(_ process: RunningProcess) -> JSON {
        var members = [JSON.Member("name", .string(process.name))]
        if let generation = process.generation {
            members.append(JSON.Member("generation", .number(String(generation))))
        }
        members += [
            JSON.Member("pid", .number(String(process.pid))),
            JSON.Member("since", .string(process.since.formatted(.iso8601))),
            JSON.Member("rss", .number(String(process.residentBytes))),
        ]
        return .object(members)
    }
}
