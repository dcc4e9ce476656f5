import ArgumentParser
import Deploy
import Foundation
import Manifest

struct DeployCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deploy",
        abstract: "Makes the files that run the product elsewhere.",
        discussion: """
            The files follow from functions.yaml and the options alone: the same again gives the same bytes. Secrets are
            named in them, never held.

            Examples:
              runner deploy compose -o deploy
              runner deploy kubernetes -o deploy --domain help.example.com --image registry.example.com/delightchat:0.1.0
            """,
        subcommands: [ComposeFiles.self, KubernetesFiles.self]
    )

    struct Options: ParsableArguments {
        @OptionGroup var bundle: BundleOptions

        @Option(name: .shortAndLong, help: "The folder to write to.")
        var output: String

        @Flag(help: "Write nothing; name each file that differs, and end with status 1 where one does.")
        var check = false

        @Flag(help: "A container for each function instead of each group.")
        var perFunction = false

        @Option(help: "The image with its tag, as `runner image` makes it.")
        var image: String?

        @Option(help: "A host name that requests come for; the first one is in links. May be given more than once.")
        var domain: [String] = []

        @Option(help: "NAME=VALUE of a setting that is no secret; may be given more than once.")
        var set: [String] = []

        func deployment() throws -> Deployment {
            let manifest = try bundle.bundle().manifest()
            var settings: [String: String] = [:]
            for text in set {
                guard let sign = text.firstIndex(of: "="), sign != text.startIndex else {
                    throw ValidationError("--set takes NAME=VALUE, not \"\(text)\".")
                }
                settings[String(text[..<sign])] = String(text[text.index(after: sign)...])
            }
            do {
                return try Deployment(
                    manifest,
                    perFunction: perFunction,
                    image: image ?? ImageCommand.name(of: manifest),
                    domains: domain,
                    settings: settings
                )
            } catch {
                throw ValidationError(error.description)
            }
        }

        func finish(_ files: [DeployFile]) throws {
            let folder = URL(fileURLWithPath: output)
            guard check else {
                try DeployFolder.write(files, to: folder)
                print("wrote \(files.count) files to \(folder.path)")
                return
            }
            let differing = DeployFolder.drift(files, in: folder)
            for name in differing { Terminal.error("\(output)/\(name) differs from what functions.yaml says") }
            guard differing.isEmpty else { throw ExitCode(1) }
            print("\(files.count) files are as functions.yaml says")
        }
    }

    struct ComposeFiles: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "compose",
            abstract: "A Compose file for one machine, with PostgreSQL and Redis.",
            discussion: """
                Examples:
                  runner deploy compose -o deploy
                  runner deploy compose -o deploy --check
                """
        )

        @OptionGroup var options: Options

        func run() throws {
            try options.finish(Compose(try options.deployment()).files)
        }
    }

    struct KubernetesFiles: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "kubernetes",
            abstract: "Objects for Kubernetes with the Gateway API and KEDA; PostgreSQL and Redis are elsewhere.",
            discussion: """
                Examples:
                  runner deploy kubernetes -o deploy --domain help.example.com
                  runner deploy kubernetes -o deploy --domain help.example.com --per-function --check
                  kubectl apply -f deploy
                """
        )

        @OptionGroup var options: Options

        @Option(help: "The namespace of everything; by default the product's name.")
        var namespace: String?

        @Option(help: "NAMESPACE/NAME of the Gateway through which requests come in.")
        var entrance = "gateways/public"

        func run() throws {
            let parts = entrance.split(separator: "/").map(String.init)
            guard parts.count == 2 else {
                throw ValidationError("--entrance takes NAMESPACE/NAME, not \"\(entrance)\".")
            }
            let deployment = try options.deployment()
            let objects = Kubernetes(
                deployment,
                namespace: namespace ?? deployment.product,
                entrance: (namespace: parts[0], name: parts[1])
            )
            try options.finish(objects.files)
        }
    }
}
