import Foundation
import Functions
import Postgres

/// A tenant: everything but the directories belongs to one.
enum Organisation {
    typealias ID = Tenant.ID

    /// An `organisations` row under the alias `o`.
    static let record = Record(
        "Organisation",
        [
            .init("id", .uuid, "o.id"),
            .init("name", .text, "o.name"),
            .init("slug", .text, "o.slug", doc: "lower-case letters, digits and dashes; unique"),
            .init("timezone", .text, "o.timezone", doc: "an IANA time zone"),
            .init("settings", .json, settings, content: .object(settingsColumns)),
            .init("createdAt", .time, "o.created_at"),
            .init("updatedAt", .time, "o.updated_at"),
        ]
    )

    private static let settingsColumns: [Record.Column] = [
        .init("reopenWithinHours", .integer, doc: "0 is never"),
        .init("assignment", .choice(["manual", "round_robin"])),
        .init(
            "quietHours",
            .object([.init("from", .text), .init("to", .text)]),
            nullable: true,
            doc: "times of day in the organisation's zone"
        ),
        .init("campaignCap", .object([.init("messages", .integer), .init("days", .integer)]), nullable: true),
    ]

    /// The settings of an organisation that never set any. A setting that is cleared goes back to these.
    static let defaults: JSON = [
        "reopenWithinHours": 24,
        "assignment": "manual",
        "quietHours": nil,
        "campaignCap": nil,
    ]

    /// What holds for `o`: the defaults under what is stored.
    static let settings: SQL = """
        ('{"reopenWithinHours": 24, "assignment": "manual", "quietHours": null, "campaignCap": null}'::jsonb || o.settings)
        """

    /// A name for addresses: the name's ASCII letters and digits, and the end of the id, which makes it unique.
    static func slug(of name: String, id: ID) -> String {
        var words = [""]
        for scalar in name.decomposedStringWithCanonicalMapping.lowercased().unicodeScalars {
            switch scalar {
            case "a"..."z", "0"..."9": words[words.count - 1].unicodeScalars.append(scalar)
            case _ where scalar.properties.generalCategory == .nonspacingMark: continue
            default: if words.last != "" { words.append("") }
            }
        }
        let stem = words.filter { !$0.isEmpty }.joined(separator: "-").prefix(48)
        return (stem.isEmpty ? "organisation" : stem) + "-" + id.description.suffix(8)
    }
}
