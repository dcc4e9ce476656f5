import ArgumentParser
import Foundation
import Functions
import Host

struct OpenAPI: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "openapi",
        abstract: "Prints the OpenAPI 3.1 document of the HTTP functions, or checks it.",
        discussion: """
            The same document as GET /openapi.json of a running host.

            Examples:
              runner openapi > openapi.json
              runner openapi -o openapi.json
              runner openapi --check
            """
    )

    @OptionGroup var options: BundleOptions

    @Flag(help: "Only say what the document lacks; status 3 where that is anything.")
    var check = false

    @Option(name: .shortAndLong, help: "The file to write.")
    var output: String?

    func run() throws {
        let bundle = try options.bundle()
        let pairs = try bundle.pairs(of: bundle.manifest())
        let document = OpenAPIDocument(pairs, version: Version.text)
        if check {
            let faults = document.faults(pairs)
            for fault in faults { Terminal.error("openapi: error: \(fault)") }
            guard faults.isEmpty else { throw ExitCode(3) }
            print("openapi: \(document.operationCount) operations, no faults")
        }
        let text = document.json.text + "\n"
        if let output {
            try Data(text.utf8).write(to: URL(fileURLWithPath: output))
        } else if !check {
            print(text, terminator: "")
        }
    }
}
