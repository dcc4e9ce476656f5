import Functions
import Postgres

/// The organisation's contacts, newest first, or those that match.
///
/// `list-contacts` in functions.yaml: `GET /orgs/:orgId/contacts`, both roles. A contact matches where each word of `q` begins a
/// word of its name, phone, e-mail address or handle; a number may be written in any way that a phone number may.
struct ListContacts: HTTPFunction {
    struct Input: Decodable, Sendable {
        let q: String?
        let limit: Int?
        let cursor: String?
    }

    static let input = Shape<Input>(
        query: [
            .optional(
                "q",
                .text(1...200),
                doc: "beginnings of words in the name, phone, email or handle",
                example: "jane"
            )
        ] + Field.paging
    )

    static let output: OutputDeclaration = .page(of: Contact.record)

    func handle(_ input: Input, in context: HTTPContext) async throws -> Answer {
        let organisation = try context.member().organisation
        let page = try context.page(limit: input.limit, cursor: input.cursor, filters: [input.q])
        let statement: SQL =
            if let words = input.q {
                """
                SELECT \(raw: Contact.record.selectList), k.created_at::text AS cursor_at, k.id::text AS cursor_id
                  FROM search_contacts(
                           \(words)::text, \(Self.digits(words))::text, \(page.after?.first)::timestamptz,
                           \(page.after?.last)::uuid, \(page.limit + 1)::integer
                       ) AS s
                  JOIN contacts AS k ON k.org_id = \(organisation) AND k.id = s.contact_id
                 ORDER BY k.created_at DESC, k.id DESC
                """
            } else {
                """
                SELECT \(raw: Contact.record.selectList), k.created_at::text AS cursor_at, k.id::text AS cursor_id
                  FROM contacts AS k
                 WHERE k.org_id = \(organisation) AND k.gone_at IS NULL \(raw: Self.beyond(page.after))
                 ORDER BY k.created_at DESC, k.id DESC
                 LIMIT \(page.limit + 1)
                """
            }
        let rows = try await context.query(statement)
        return try Answer.page(rows, Contact.record, page, keys: ["cursor_at", "cursor_id"])
    }

    private static func beyond(_ after: [String]?) -> SQL {
        after.map { "AND (k.created_at, k.id) < (\($0[0])::timestamptz, \($0[1])::uuid)" } ?? ""
    }

    /// The digits of what may be the beginning of a phone number, without plus; `nil` for anything else.
    static func digits(_ text: String) -> String? {
        var digits = text.filter { !" .-()[]".contains($0) }
        if digits.hasPrefix("+") { digits.removeFirst() } else if digits.hasPrefix("00") { digits.removeFirst(2) }
        guard (3...15).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return digits
    }
}
