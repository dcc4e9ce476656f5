import ArgumentParser
import Foundation
import Manifest

struct Env: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Lists every variable with its type, default and meaning; writes .env.example.",
        discussion: """
            Examples:
              runner env
              runner env --write     .env.example beside functions.yaml
            """
    )

    @OptionGroup var options: BundleOptions

    @Flag(help: "Write .env.example beside functions.yaml.")
    var write = false

    func run() throws {
        let bundle = try options.bundle()
        let manifest = try bundle.manifest()
        if write {
            let path = bundle.root.appending(path: ".env.example")
            try EnvironmentFile.example(manifest.variables).write(to: path, atomically: true, encoding: .utf8)
            print("wrote \(path.path)")
            return
        }
        let environment = try bundle.environment()
        let rows = manifest.variables.map { variable in
            [
                variable.name,
                variable.choices.isEmpty ? variable.kind.rawValue : variable.choices.joined(separator: "|"),
                variable.default ?? (variable.isRequired ? "(required)" : "-"),
                environment[variable.name] == nil ? "" : "set", variable.doc ?? "",
            ]
        }
        print(Table(["VARIABLE", "TYPE", "DEFAULT", "", "MEANING"], rows: rows))
    }
}
