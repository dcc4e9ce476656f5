import ArgumentParser
import Deploy
import Foundation
import Manifest

struct ImageCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "image",
        abstract: "Prints or builds the one image that serves every function.",
        discussion: """
            Built by buildah, podman or docker, whichever is there first. Compiling takes many minutes; --prebuilt takes what
            `swift build -c release --static-swift-stdlib` has made on the same Debian.

            Examples:
              runner image --print > Dockerfile
              runner image --build --name registry.example.com/delightchat:0.1.0
              runner image --build --prebuilt .build/release/runner --base-image debian-slim

            Without a registry and without namespaces, as root, on a base image made of Debian's packages:
              debootstrap --variant=minbase bookworm root
              export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
              base=$(buildah from scratch); buildah add $base root /; buildah commit $base debian-slim
            """
    )

    @OptionGroup var options: BundleOptions

    @Flag(name: .customLong("print"), help: "Print the Dockerfile; its context is the checkout.")
    var isPrinted = false

    @Flag(name: .customLong("build"), help: "Build the image.")
    var isBuilt = false

    @Option(help: "The image's name and tag; by default the product's name and version.")
    var name: String?

    @Option(help: "The image with Swift that compiles.")
    var builderImage = "docker.io/library/swift:6.3-bookworm"

    @Option(help: "The image that the result is made on.")
    var baseImage = "docker.io/library/debian:bookworm-slim"

    @Option(help: "A release build of the executable, to be taken instead of compiling.")
    var prebuilt: String?

    @Flag(
        help: """
            Also tag it NAME:TAG-FUNCTION for each function, so that each can be released and taken back by itself where every \
            function has a container.
            """
    )
    var perFunction = false

    func validate() throws {
        guard isPrinted != isBuilt else { throw ValidationError("Say either --print or --build.") }
    }

    static func name(of manifest: Manifest) -> String { "\(manifest.name):\(Version.text)" }

    func run() throws {
        let text = Dockerfile.text(builder: builderImage, base: baseImage, isPrebuilt: prebuilt != nil)
        guard isBuilt else {
            print(text, terminator: "")
            return
        }
        let bundle = try options.bundle()
        let manifest = try bundle.manifest()
        let name = name ?? Self.name(of: manifest)
        let tool = try Self.tool()
        let context = FileManager.default.temporaryDirectory.appending(path: "runner-image-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: context) }  // a folder that stays is in nobody's way
        try fill(context, from: bundle, dockerfile: text)
        // HEALTHCHECK is of Docker's format alone; layers, so that a new release brings only what is new of it.
        let format = tool.lastPathComponent == "docker" ? [] : ["--format", "docker", "--layers"]
        try Self.call(tool, ["build"] + format + ["-t", name, context.path])
        if perFunction {
            let tagged = name.split(separator: "/").last?.contains(":") == true ? name : name + ":latest"
            for function in manifest.functions { try Self.call(tool, ["tag", name, "\(tagged)-\(function.name)"]) }
        }
        print("built \(name)")
    }

    /// Copies what the image is made of: the checkout's build folder alone is a hundred times that.
    private func fill(_ context: URL, from bundle: Bundle, dockerfile: String) throws {
        let files = FileManager.default
        try files.createDirectory(at: context.appending(path: ".runner"), withIntermediateDirectories: true)
        try Data(dockerfile.utf8).write(to: context.appending(path: "Dockerfile"))
        let explorer = bundle.root.appending(path: ".runner/swagger-ui")
        guard files.fileExists(atPath: explorer.path) else {
            throw ValidationError("There is no \(explorer.path), which /api/docs shows. `runner/setup` fetches it.")
        }
        try files.copyItem(at: explorer, to: context.appending(path: ".runner/swagger-ui"))
        try files.copyItem(at: bundle.file, to: context.appending(path: "functions.yaml"))
        guard let prebuilt else {
            for name in ["Package.swift", "Sources", "runner", "Tests"] {
                try files.copyItem(at: bundle.root.appending(path: name), to: context.appending(path: name))
            }
            return
        }
        let executable = context.appending(path: "runner")
        try files.copyItem(at: URL(fileURLWithPath: prebuilt).resolvingSymlinksInPath(), to: executable)
        try Self.call(URL(fileURLWithPath: "/usr/bin/env"), ["strip", executable.path])
    }

    /// What builds images here.
    private static func tool() throws -> URL {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin").split(separator: ":")
        for name in ["buildah", "podman", "docker"] {
            for folder in folders where FileManager.default.isExecutableFile(atPath: "\(folder)/\(name)") {
                return URL(fileURLWithPath: "\(folder)/\(name)")
            }
        }
        throw ValidationError(
            "There is neither buildah nor podman nor docker here. `apt-get install buildah` brings one."
        )
    }

    /// Runs a program on this terminal, or ends with its status.
    private static func call(_ program: URL, _ arguments: [String]) throws {
        let process = Process()
        process.executableURL = program
        process.arguments = arguments
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw ExitCode(process.terminationStatus) }
    }
}
