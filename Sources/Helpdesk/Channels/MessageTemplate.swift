import Foundation
import Functions
import Postgres

/// The message templates of a WhatsApp account, as they were last fetched.
struct MessageTemplate: Sendable, Equatable {
    let name: String
    let language: String
    /// As the provider says.
    let status: String
    /// A list, as the provider describes them.
    let components: JSON

    init(name: String, language: String, status: String, components: JSON) {
        self.name = name
        self.language = language
        self.status = status
        self.components = components
    }

    private init(_ row: PostgresRow) throws {
        name = try row.get("name")
        language = try row.get("language")
        status = try row.get("status")
        components = try JSON.parse(row.get("components", as: String.self))
    }

    /// Columns of `channel_templates` under the alias `x`.
    static let record = Record(
        "Template",
        [
            .init("name", .text, "x.name"),
            .init("language", .text, "x.language", doc: "a locale such as en_US"),
            .init("category", .text, "x.category"),
            .init("status", .text, "x.status", doc: "as the provider says"),
            .init("components", .json, "x.components", content: .values),
        ]
    )

    /// Those of a name on a channel, `channel` being SQL for its id; a row without a name says that the account has none of it. No
    /// row where nothing is known of the account, or the channel has no templates.
    static func named(_ template: JSON?, on channel: SQL, in organisation: Organisation.ID) -> SQL {
        """
        SELECT x.name, x.language, x.status, x.components
          FROM channels AS h
          LEFT JOIN channel_templates AS x
            ON x.org_id = h.org_id AND x.channel_id = h.id AND x.name = \(template?["name"]?.string ?? "")
         WHERE h.org_id = \(organisation) AND h.id = \(raw: channel) AND h.type = 'whatsapp'
           AND h.templates_synced_at IS NOT NULL AND \(template != nil)
         ORDER BY x.language
        """
    }

    /// What of a template message the account's templates refuse; `rows` are those of ``named(_:on:in:)``.
    static func faults(in template: JSON?, _ rows: PostgresRows, at pointer: String) throws -> [Failure.Fault] {
        guard let template, !rows.isEmpty else { return [] }
        let known = try rows.filter { try $0.optional("name", as: String.self) != nil }.map(MessageTemplate.init)
        return faults(in: template, known, at: pointer)
    }

    static func faults(in template: JSON, _ known: [MessageTemplate], at pointer: String) -> [Failure.Fault] {
        guard !known.isEmpty else {
            return [.init(.body("\(pointer)/template/name"), "is no template of the channel's account")]
        }
        let language = template["language"]?.string ?? ""
        guard let match = known.first(where: { $0.language == language }) else {
            let others = known.map(\.language).joined(separator: ", ")
            return [.init(.body("\(pointer)/template/language"), "is none of the template's languages: \(others)")]
        }
        guard match.status == "APPROVED" else {
            return [.init(.body("\(pointer)/template/name"), "can't be sent: the provider says it is \(match.status)")]
        }
        let flaws = match.flaws(in: template["components"]?.array ?? [])
        return flaws.map { .init(.body("\(pointer)/template/components"), $0) }
    }

    /// What is wrong with the parameters that a message gives, by how many there have to be.
    private func flaws(in given: [JSON]) -> [String] {
        func count(_ type: String, _ index: Int? = nil) -> Int {
            given.filter { component in
                guard component["type"]?.string?.lowercased() == type else { return false }
                guard let index else { return true }
                return component["index"]?.string == "\(index)" || component["index"]?.integer == index
            }.reduce(0) { $0 + ($1["parameters"]?.array?.count ?? 0) }
        }
        var flaws: [String] = []
        func compare(_ what: String, _ given: Int, _ wanted: Int) {
            if given != wanted {
                flaws.append("give the template's \(what) \(given) parameters, and it takes \(wanted)")
            }
        }
        for component in components.array ?? [] {
            switch component["type"]?.string?.uppercased() {
            case "HEADER":
                let isText = (component["format"]?.string ?? "TEXT").uppercased() == "TEXT"
                compare("header", count("header"), isText ? Self.variables(in: component["text"]?.string).count : 1)
            case "BODY": compare("body", count("body"), Self.variables(in: component["text"]?.string).count)
            case "BUTTONS":
                for (index, button) in (component["buttons"]?.array ?? []).enumerated()
                where button["type"]?.string?.uppercased() == "URL" {
                    let wanted = Self.variables(in: button["url"]?.string).count
                    if wanted > 0 { compare("button \(index)", count("button", index), wanted) }
                }
            default: continue
            }
        }
        return flaws
    }

    /// The different names in double braces.
    static func variables(in text: String?) -> Set<String> {
        var names: Set<String> = []
        for part in (text ?? "").components(separatedBy: "{{").dropFirst() {
            guard let end = part.firstIndex(of: "}"), part[end...].hasPrefix("}}") else { continue }
            let name = part[..<end].filter { !$0.isWhitespace }
            if !name.isEmpty { names.insert(String(name)) }
        }
        return names
    }
}
