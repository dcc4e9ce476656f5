import Foundation
import TestSupport

@testable import Deploy

/// What another program reads in YAML files.
struct Objects {
    /// One object, or a part of one.
    struct Part {
        let value: Any?

        subscript(_ key: String) -> Part { Part(value: (value as? [String: Any])?[key]) }
        var text: String? { value as? String }
        var number: Int? { value as? Int }
        var isTrue: Bool { value as? Bool == true }
        var isThere: Bool { value != nil }
        var items: [Part] { (value as? [Any] ?? []).map { Part(value: $0) } }
        var keys: [String] { (value as? [String: Any] ?? [:]).keys.sorted() }
        var texts: [String] { items.compactMap(\.text) }
    }

    let all: [Part]

    init(_ files: [DeployFile]) async throws {
        let folder = try Samples.folder(files)
        defer { try? FileManager.default.removeItem(at: folder) }  // a folder that stays is in nobody's way
        let read = try await Peer.run("read_yaml.py", folder.path)
        let list = try JSONSerialization.jsonObject(with: Data(read.output.utf8)) as? [[String: Any]] ?? []
        all = list.map { Part(value: $0["document"]) }
    }

    func of(kind: String) -> [Part] { all.filter { $0["kind"].text == kind } }

    func named(_ name: String, kind: String) -> Part {
        of(kind: kind).first { $0["metadata"]["name"].text == name } ?? Part(value: nil)
    }

    /// The pods of everything that has some, by its name.
    var pods: [(name: String, spec: Part)] {
        (of(kind: "Deployment") + of(kind: "Job")).map { object in
            (object["metadata"]["name"].text ?? "", object["spec"]["template"]["spec"])
        }
    }
}

/// The scripts in Peers/.
enum Peer {
    static func run(_ script: String, _ arguments: String) async throws -> Command {
        let path = Checkout.root + "/Tests/DeployTests/Peers/" + script
        return try await Command.shell("'\(TestServers.python)' '\(path)' \(arguments)", within: .seconds(120))
    }
}
