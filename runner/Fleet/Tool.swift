import Foundation

/// Small programs that are asked a question.
enum Tool {
    /// Where a program lies on PATH.
    static func path(of name: String, environment: [String: String]) -> String? {
        if name.hasPrefix("/") { return name }
        let folders = (environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin").split(separator: ":")
        return folders.map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
    }

    /// The first line that a program writes, when it succeeds; `nil` when it is absent or fails.
    static func firstLine(_ name: String, _ arguments: [String], environment: [String: String]) async -> String? {
        guard let path = path(of: name, environment: environment) else { return nil }
        let output = FileManager.default.temporaryDirectory.path + "/runner-tool-\(UUID().uuidString)"
        defer { unlink(output) }
        var launch = Launch(name: name, executable: path, arguments: arguments, environment: environment)
        launch.log = output
        // A question that can't be asked has no answer.
        guard let process = try? await ChildProcess.start(launch), await process.exit() == .exited(0),
            let text = try? String(contentsOfFile: output, encoding: .utf8),
            let line = text.split(separator: "\n").first
        else { return nil }
        return String(line)
    }
}
