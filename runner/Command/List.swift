import ArgumentParser
import Functions
import Manifest

struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Lists the functions with their triggers.",
        discussion: """
            Examples:
              runner list
              runner list --trigger queue
            """
    )

    @OptionGroup var options: BundleOptions

    @Option(help: "Only functions triggered by http, queue or schedule.")
    var trigger: String?

    func validate() throws {
        guard let trigger, Trigger.Kind(rawValue: trigger) == nil else { return }
        throw ValidationError("--trigger is http, queue or schedule.")
    }

    func run() throws {
        let manifest = try options.bundle().manifest()
        let table = manifest.functionTable
        let wanted = zip(manifest.functions, table.rows).filter {
            trigger == nil || $0.0.trigger.kind.rawValue == trigger
        }
        print(Table(table.headings, rows: wanted.map(\.1)))
    }
}

struct Routes: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Lists the HTTP routes by path, as the router sees them, and the host's own.",
        discussion: """
            Example:
              runner routes
            """
    )

    @OptionGroup var options: BundleOptions

    func run() throws {
        let table = try options.bundle().manifest().routeTable
        let own = ["/api/docs", "/health", "/metrics", "/openapi.json", "/ready"].map {
            ["GET", $0, "public", "(host)"]
        }
        print(Table(table.headings, rows: (table.rows + own).sorted { ($0[1], $0[0]) < ($1[1], $1[0]) }))
    }
}

struct SchemaOfManifest: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schema",
        abstract: "Prints the JSON Schema of functions.yaml, for editors.",
        discussion: """
            Example:
              runner schema > functions.schema.json
            """
    )

    func run() {
        print(Manifest.jsonSchema)
    }
}
