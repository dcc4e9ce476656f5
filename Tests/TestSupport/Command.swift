import Foundation

/// One run of a program that ends by itself.
package struct Command: Sendable {
    package let status: Int32
    package let output: String
    package let errors: String

    /// Runs `runner` with these arguments and waits for its end.
    package static func run(
        _ arguments: [String],
        in folder: String = Checkout.root,
        within limit: Duration = .seconds(180)
    ) async throws -> Command {
        try await run(Checkout.executable, arguments, in: folder, within: limit)
    }

    /// Runs lines as somebody types them into a terminal.
    package static func shell(_ script: String, within limit: Duration = .seconds(180)) async throws -> Command {
        try await run("/bin/bash", ["-c", script], in: NSTemporaryDirectory(), within: limit)
    }

    private static func run(
        _ program: String,
        _ arguments: [String],
        in folder: String,
        within limit: Duration = .seconds(180)
    ) async throws -> Command {
        let path = NSTemporaryDirectory() + "delightchat-command-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: path) }  // a folder that stays is in nobody's way
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.environment = ["PATH": ProcessInfo.processInfo.environment["PATH"] ?? ""]
        process.currentDirectoryURL = URL(fileURLWithPath: folder)
        process.standardInput = FileHandle.nullDevice
        for name in ["output", "errors"] {
            _ = FileManager.default.createFile(atPath: "\(path)/\(name)", contents: nil)
        }
        process.standardOutput = FileHandle(forWritingAtPath: path + "/output")
        process.standardError = FileHandle(forWritingAtPath: path + "/errors")
        try process.run()
        _ = try await eventually(within: limit) { process.isRunning ? nil : true }
        return Command(
            status: process.terminationStatus,
            output: try String(contentsOfFile: path + "/output", encoding: .utf8),
            errors: try String(contentsOfFile: path + "/errors", encoding: .utf8)
        )
    }
}
