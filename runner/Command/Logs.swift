import ArgumentParser
import Fleet
import Foundation

struct Logs: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows what the processes of the `runner up` of this checkout have written.",
        discussion: """
            They are those of `runner ps` and the tools of a reload: host, gateway, api, workers, postgres, redis, build, …
            Without a name, all hosts and the gateway. The files are .runner/NAME.log.

            Examples:
              runner logs
              runner logs -f
              runner logs -f api
              runner logs postgres --lines 100
            """
    )

    @Option(name: .customLong("file"), help: "The manifest; by default functions.yaml here or above.")
    var manifest: String?

    @Argument(help: "Whose; may be several.")
    var names: [String] = []

    @Flag(name: .shortAndLong, help: "Go on with what is written from now on.")
    var follow = false

    @Option(name: .shortAndLong, help: "How many lines of each at first.")
    var lines = 20

    func validate() throws {
        guard lines >= 0 else { throw ValidationError("--lines is 0 or more.") }
    }

    func run() async throws {
        let state = StateFolder(root: try Bundle(manifest).root.path)
        let hosts = RunningProcess.all(of: state).filter { $0.generation != nil }.map(\.name)
        var files = (names.isEmpty ? Set(hosts).sorted() : names).map { LogFile($0, path: state.log(of: $0)) }
        guard !files.isEmpty else {
            throw ValidationError("runner up doesn't run here. Name a process whose log to show.")
        }
        for file in files where !names.isEmpty && !file.exists {
            throw ValidationError("\(file.name) has written nothing here.")
        }
        let isShared = files.count > 1
        for index in files.indices { show(files[index].new().suffix(lines), of: files[index], isShared) }
        while follow {
            try await Task.sleep(for: .milliseconds(200))
            for index in files.indices { show(files[index].new()[...], of: files[index], isShared) }
        }
    }

    private func show(_ lines: ArraySlice<Substring>, of file: LogFile, _ isShared: Bool) {
        let isTerminal = isatty(STDOUT_FILENO) == 1
        for line in lines {
            // The colours are the terminal's that `runner up` writes to.
            let text = isTerminal ? String(line) : String(line.replacing(/\u{1B}\[[0-9;]*m/, with: ""))
            print(isShared ? "\(file.name) | \(text)" : text)
        }
        fflush(nil)
    }
}

/// A log that others write to, and begin anew when it has grown long.
private struct LogFile {
    let name: String
    private let path: String
    private var offset: UInt64 = 0

    init(_ name: String, path: String) {
        self.name = name
        self.path = path
    }

    var exists: Bool { FileManager.default.fileExists(atPath: path) }

    /// The whole lines since the last call; the first one begins at most a megabyte before the end.
    mutating func new() -> [Substring] {
        // Between two of its lives there is none.
        guard let file = FileHandle(forReadingAtPath: path), let size = try? file.seekToEnd() else { return [] }
        if size < offset { offset = 0 }
        let skipped = offset == 0 && size > 1 << 20
        if skipped { offset = size - 1 << 20 }
        guard size > offset, (try? file.seek(toOffset: offset)) != nil, let data = try? file.readToEnd(),
            let end = data.lastIndex(of: 0x0A)
        else { return [] }
        offset += UInt64(end - data.startIndex) + 1
        let lines = String(decoding: data[...end], as: UTF8.self).split(separator: "\n")
        return skipped ? Array(lines.dropFirst()) : lines
    }
}
