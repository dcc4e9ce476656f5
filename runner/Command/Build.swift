import ArgumentParser
import Fleet
import Foundation

struct Build: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Builds this checkout and puts the result on the path that `runner up` prints.",
        discussion: """
            Examples:
              runner build
              runner build --release
            """
    )

    @Flag(help: "With optimisation, which takes many minutes the first time.")
    var release = false

    @Argument(parsing: .postTerminator, help: "What `swift build` is given, after --.")
    var arguments: [String] = []

    /// What `swift` is given, as the script runner/up gives it: other words would build everything anew.
    static func arguments(root: String, isRelease: Bool) -> [String] {
        ["build", "--package-path", root, "-c", isRelease ? "release" : "debug", "--product", "runner"]
            + (isRelease ? ["--static-swift-stdlib"] : [])
    }

    func run() throws {
        guard let root = Checkout.root() else {
            throw ValidationError("There is no checkout here: runner build needs Package.swift.")
        }
        let configuration = release ? "release" : "debug"
        let build = Process()
        build.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        build.arguments = ["swift"] + Self.arguments(root: root, isRelease: release) + arguments
        do {
            try build.run()
        } catch {
            throw ValidationError("swift can't be started: \(error.localizedDescription)")
        }
        build.waitUntilExit()
        guard build.terminationStatus == 0 else { throw ExitCode(build.terminationStatus) }
        let bin = root + "/.runner/bin"
        try FileManager.default.createDirectory(atPath: bin, withIntermediateDirectories: true)
        let link = bin + "/runner"
        // Made beside it and renamed: whoever starts `runner` meanwhile finds the old or the new one.
        let temporary = link + ".\(getpid())"
        try FileManager.default.createSymbolicLink(
            atPath: temporary,
            withDestinationPath: "../../.build/\(configuration)/runner"
        )
        guard rename(temporary, link) == 0 else {
            throw ValidationError("\(link) can't be made: \(String(cString: strerror(errno)))")
        }
        print("built \(root)/.build/\(configuration)/runner")
    }
}
