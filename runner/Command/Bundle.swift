import ArgumentParser
import Fleet
import Foundation
import Functions
import Helpdesk
import Host
import Manifest

/// The function bundle on disk: functions.yaml and the folder that it lies in.
struct Bundle {
    let root: URL
    let file: URL

    /// - Parameter path: `-f`, or `nil` to look for functions.yaml here, above, and beside the build.
    /// - Throws: a validation error where there is none.
    init(_ path: String?) throws {
        if let path {
            file = URL(fileURLWithPath: path)
            root = file.deletingLastPathComponent()
            return
        }
        guard let folder = Checkout.root() ?? Self.folder(above: FileManager.default.currentDirectoryPath) else {
            throw ValidationError("There is no functions.yaml here or above. Name it with -f FILE.")
        }
        root = URL(fileURLWithPath: folder)
        file = root.appending(path: "functions.yaml")
    }

    /// The nearest folder with a functions.yaml: in a container there is no checkout.
    private static func folder(above start: String) -> String? {
        var folder = URL(fileURLWithPath: start).standardizedFileURL
        while !FileManager.default.fileExists(atPath: folder.appending(path: "functions.yaml").path) {
            guard folder.path != "/" else { return nil }
            folder = folder.deletingLastPathComponent()
        }
        return folder.path
    }

    /// Parses functions.yaml, or prints its faults and ends with status 3.
    func manifest() throws -> Manifest {
        let text: String
        do {
            text = try String(contentsOf: file, encoding: .utf8)
        } catch {
            Terminal.error("\(file.path) can't be read: \(error.localizedDescription)")
            throw ExitCode(3)
        }
        do {
            return try Manifest.parse(text, file: file.lastPathComponent)
        } catch {
            Terminal.error(error.description)
            throw ExitCode(3)
        }
    }

    /// The manifest's functions with their types, or the faults of the comparison and status 3.
    func pairs(of manifest: Manifest) throws -> [RegistryCheck.Pair] {
        let (pairs, faults) = RegistryCheck.compare(manifest, Registry.functions)
        guard faults.isEmpty else {
            for fault in faults { Terminal.error(text(of: fault)) }
            throw ExitCode(3)
        }
        return pairs
    }

    func text(of fault: (line: Int?, message: String)) -> String {
        "\(file.lastPathComponent)\(fault.line.map { ":\($0)" } ?? ""): error: \(fault.message)"
    }

    /// The process's environment, with `.env` and `.runner/env` for what it doesn't set.
    ///
    /// - Parameter files: relative to the root, later ones win; absent ones are fine.
    /// - Returns: every variable that is set, by name.
    /// - Throws: status 3 after the faults of a file were printed.
    func environment(files: [String] = [".runner/env", ".env"]) throws -> [String: String] {
        var environment: [String: String] = [:]
        for name in files {
            let path = root.appending(path: name).path
            guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { continue }  // absent is fine
            do {
                environment.merge(try EnvironmentFile.parse(text, file: name)) { _, new in new }
            } catch {
                Terminal.error(error.description)
                throw ExitCode(3)
            }
        }
        return environment.merging(ProcessInfo.processInfo.environment) { _, new in new }
    }
}

/// `-f FILE` of the commands that read functions.yaml.
struct BundleOptions: ParsableArguments {
    @Option(
        name: [.customShort("f"), .customLong("file")],
        help: "The manifest; by default functions.yaml here or above."
    )
    var manifest: String?

    func bundle() throws -> Bundle { try Bundle(manifest) }
}

enum Terminal {
    static func error(_ text: String) {
        FileHandle.standardError.write(Data((text + "\n").utf8))
    }

    /// Columns of equal width, two spaces apart.
    static func table(_ rows: [[String]]) -> String {
        guard let columns = rows.map(\.count).max() else { return "" }
        let widths = (0..<columns).map { column in
            rows.map { $0.indices.contains(column) ? $0[column].count : 0 }.max() ?? 0
        }
        return rows.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                line +=
                    column == row.count - 1
                    ? cell : cell.padding(toLength: widths[column] + 2, withPad: " ", startingAt: 0)
            }
            return line
        }.joined(separator: "\n")
    }
}
