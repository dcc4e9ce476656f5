import Foundation
import Testing

/// The scripts in Peers/, run by a Python that has bullmq 3.4.4.
enum Peer {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Runs a script to its end and returns the lines it printed.
    static func run(_ script: String, _ arguments: String...) async throws -> [String] {
        let process = try process(script, arguments)
        let output = Pipe()
        let errors = Pipe()
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        // Reading and waiting block, so they have a thread of their own.
        return try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                let printed = output.fileHandleForReading.readDataToEndOfFile()
                let complaints = errors.fileHandleForReading.readDataToEndOfFile()
                process.waitUntilExit()
                guard process.terminationStatus == 0 else {
                    let failure = Failure(description: "\(script): \(String(decoding: complaints, as: UTF8.self))")
                    return continuation.resume(throwing: failure)
                }
                let lines = String(decoding: printed, as: UTF8.self).split(separator: "\n").map(String.init)
                continuation.resume(returning: lines)
            }
        }
    }

    /// Starts a script that the test kills.
    static func start(_ script: String, _ arguments: String...) throws -> Process {
        let process = try process(script, arguments)
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        return process
    }

    private static func process(_ script: String, _ arguments: [String]) throws -> Process {
        let python = try #require(
            ProcessInfo.processInfo.environment["TEST_PYTHON"],
            "TEST_PYTHON is not set: these tests need the path of a python that has bullmq 3.4.4"
        )
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "../Peers")
        let process = Process()
        process.executableURL = URL(fileURLWithPath: python)
        process.arguments = [folder.appending(path: script).standardizedFileURL.path] + arguments
        return process
    }
}
