import Foundation

/// What `runner up` rebuilds for: the sources, the package and functions.yaml.
///
/// It is looked at again and again: a look at 500 files takes 2 ms (6 in a debug build), needs no descriptor per folder, and sees
/// files that editors replace and folders that are new.
struct SourceTree: Sendable {
    static let manifest = "functions.yaml"
    static let watched = ["Sources", "runner", "Package.swift", manifest]

    let root: String

    /// Every file by its path below the root.
    func look() -> [String: FileStamp] {
        var found: [String: FileStamp] = [:]
        for name in Self.watched { add(name, to: &found) }
        return found
    }

    private func add(_ path: String, to found: inout [String: FileStamp]) {
        var facts = stat()
        guard lstat("\(root)/\(path)", &facts) == 0 else { return }
        guard facts.st_mode & S_IFMT == S_IFDIR else {
            found[path] = FileStamp(facts)
            return
        }
        guard let folder = opendir("\(root)/\(path)") else { return }
        defer { closedir(folder) }
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if !Self.ignores(name) { add("\(path)/\(name)", to: &found) }
        }
    }

    /// Whether it is hidden (as Emacs' locks and Vim's swap files are), a backup, or what editors write to before they rename.
    static func ignores(_ name: String) -> Bool {
        if name.hasPrefix(".") || name.hasPrefix("#") || name.hasSuffix("~") || name.contains("___jb_") { return true }
        if name == "4913" || name == "__pycache__" { return true }  // Vim tries by 4913 whether it may write here
        return [".tmp", ".temp", ".swp", ".bak", ".orig", ".rej"].contains { name.hasSuffix($0) }
    }
}

/// Makes one change out of many looks: what differs is told once nothing has changed between two looks.
struct Settling: Sendable {
    private var told: [String: FileStamp]
    private var latest: [String: FileStamp]

    init(_ tree: [String: FileStamp]) {
        told = tree
        latest = tree
    }

    /// Whether the last two looks differed.
    private(set) var isMoving = false

    /// Takes the newest look; returns the paths that came, went or changed since the last ones were returned, in order.
    mutating func observe(_ tree: [String: FileStamp]) -> [String] {
        isMoving = tree != latest
        defer { latest = tree }
        guard !isMoving, tree != told else { return [] }
        defer { told = tree }
        return Set(tree.keys).union(told.keys).filter { tree[$0] != told[$0] }.sorted()
    }
}

enum SourceWatch {
    /// Calls `tell` for every change, until it is cancelled; looks more often than every `interval` once something moves.
    static func run(_ tree: SourceTree, interval: Duration, _ tell: @Sendable ([String]) -> Void) async {
        var settling = Settling(tree.look())
        // A cancelled sleep is the end.
        while (try? await Task.sleep(for: settling.isMoving ? interval / 4 : interval)) != nil {
            let paths = settling.observe(tree.look())
            if !paths.isEmpty { tell(paths) }
        }
    }
}
