import ArgumentParser
import Foundation
import Helpdesk
import Host
import Manifest

struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Checks functions.yaml, its functions and the examples of their inputs.",
        discussion: """
            Names every fault at once with its place. Status 0 where all is well, 3 otherwise.

            Examples:
              runner check
              runner check -f other/functions.yaml
            """
    )

    @OptionGroup var options: BundleOptions

    func run() throws {
        let bundle = try options.bundle()
        let manifest = try bundle.manifest()
        let (pairs, faults) = RegistryCheck.compare(manifest, Registry.functions)
        let misplaced = filesThatAreMissing(manifest, in: bundle)
        for fault in faults { Terminal.error(bundle.text(of: fault)) }
        for fault in misplaced { Terminal.error(fault) }
        guard faults.isEmpty, misplaced.isEmpty else { throw ExitCode(3) }
        print("\(bundle.file.lastPathComponent): \(pairs.count) functions, no faults")
    }

    /// `Tickets/AssignTicket` must be Sources/Helpdesk/Tickets/AssignTicket.swift; where the sources are not at hand, as in
    /// a container, there is nothing to compare.
    private func filesThatAreMissing(_ manifest: Manifest, in bundle: Bundle) -> [String] {
        let sources = bundle.root.appending(path: "Sources/Helpdesk")
        guard FileManager.default.fileExists(atPath: sources.path) else { return [] }
        return manifest.functions.compactMap { function in
            let path = sources.appending(path: function.handler + ".swift").path
            guard !FileManager.default.fileExists(atPath: path) else { return nil }
            return "\(bundle.file.lastPathComponent):\(function.position.line): error: "
                + "there is no Sources/Helpdesk/\(function.handler).swift"
        }
    }
}
