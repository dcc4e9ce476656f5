package import Foundation

/// A file of a deployment.
package struct DeployFile: Sendable, Equatable {
    /// Relative to the folder of all.
    package let path: String
    package let text: String

    package init(path: String, text: String) {
        self.path = path
        self.text = text
    }

    /// A file of YAML documents under a line that says where they come from.
    init(path: String, form: String, remark: String? = nil, _ documents: [YAML]) {
        let head = "Made by `runner deploy \(form)` from functions.yaml: change that, and make it again."
        self.path = path
        text =
            YAML.comment(head + (remark.map { "\n" + $0 } ?? ""))
            + documents.map(\.document).joined(separator: "---\n")
    }
}

/// The folder that deployments are written to.
package enum DeployFolder {
    /// Writes the files, and removes YAML files that were made before and no longer belong.
    package static func write(_ files: [DeployFile], to folder: URL) throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        for file in files {
            try Data(file.text.utf8).write(to: folder.appending(path: file.path), options: .atomic)
        }
        for name in leftovers(files, in: folder) {
            try FileManager.default.removeItem(at: folder.appending(path: name))
        }
    }

    /// The names of the files that differ from those there, are missing, or no longer belong, in the order of their names.
    package static func drift(_ files: [DeployFile], in folder: URL) -> [String] {
        let differing = files.filter { file in
            // Absent or unreadable: it differs.
            (try? String(contentsOf: folder.appending(path: file.path), encoding: .utf8)) != file.text
        }
        return (differing.map(\.path) + leftovers(files, in: folder)).sorted()
    }

    /// Only what begins with our line: a folder may hold files of others.
    private static func leftovers(_ files: [DeployFile], in folder: URL) -> [String] {
        let known = Set(files.map(\.path))
        // No such folder: nothing is left over.
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.filter { name in
            // Unreadable: not ours.
            guard !known.contains(name), name.hasSuffix(".yaml"),
                let text = try? String(contentsOf: folder.appending(path: name), encoding: .utf8)
            else { return false }
            return text.hasPrefix("# Made by `runner deploy ")
        }.sorted()
    }
}
