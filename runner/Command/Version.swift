import ArgumentParser
import Schema

enum Version {
    static let text = "0.1.0"
}

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version",
        abstract: "Prints the version, and the schema that it was built for.",
        discussion: "Example:\n  runner version"
    )

    func run() {
        print("delightchat \(Version.text) (schema \(Schema.currentVersion))")
    }
}
