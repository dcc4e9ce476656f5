import Foundation
import Functions
import Postgres
import TestSupport
import Testing

/// Every endpoint, called with what belongs to another organisation.
///
/// What is called comes from functions.yaml and the examples of the inputs, so a new function is covered as it is.
@Suite struct IsolationTests {
    @Test func noEndpointServesOrChangesAnotherOrganisationsRows() async throws {
        let host = try await RunningHost()
        let endpoints = try Endpoint.all().filter { !$0.isPublic }
        let theirs = try await Tenant.populated(endpoints, on: host, name: "Theirs")
        let ours = try await Tenant.populated(endpoints, on: host, name: "Ours")
        try await host.becomeIdle(within: .seconds(180))
        // Nobody answers at the examples' addresses; trying again would change rows that nobody asked to change.
        _ = try await host.database.rows("UPDATE webhook_deliveries SET next_attempt_at = now() + interval '1 day'")
        let rows = try RowChecksums(host.database)
        var before = try await rows.take()

        for endpoint in endpoints where !endpoint.isStream {
            let intruder = Intruder(endpoint: endpoint, ours: ours, theirs: theirs)
            try await intruder.nameTheirOrganisation()
            try await intruder.nameTheirRowsInThePath()
            try await intruder.nameTheirRowsInTheBody()
            try await intruder.nameTheirRowsInTheQuery()
            if endpoint.method == "GET" { try await intruder.readOurOwn() }
            let after = try await rows.take()
            #expect(after.filter { before[$0.key] != $0.value }.keys.sorted() == [], "\(endpoint) changed rows")
            before = after
        }
        #expect(endpoints.count >= 20)
        await rows.close()
        host.stop()
    }
}

/// An organisation with rows of every kind that endpoints can make, and their ids.
struct Tenant: Sendable {
    let organisation: Organisation
    /// One row's id for each table that has any of this organisation.
    let ids: [String: String]

    var api: APIClient { organisation.api }

    /// Path parameters that name this organisation's own rows; those whose tables hold none are missing.
    func parameters(for endpoint: Endpoint) -> [String: String] {
        var values = ["orgId": organisation.id]
        for (parameter, table) in endpoint.ids { values[parameter] = id(in: table) }
        return values
    }

    /// The id of a row; `deliveries` also finds `webhook_deliveries`.
    func id(in table: String) -> String? {
        ids[table] ?? ids.first { $0.key.hasSuffix("_" + table) }?.value
    }

    /// Signs up, lets a customer write, and posts every example to every endpoint that makes something.
    static func populated(_ endpoints: [Endpoint], on host: RunningHost, name: String) async throws -> Tenant {
        let organisation = try await Organisation.signUp(host.api, name: name)
        let channel = try await organisation.channel()
        _ = try await host.api.webhook(channel, from: "+12345678901", "Hello", id: "m1")
        _ = try await eventually { try await organisation.tickets().first }
        let database = host.database.owner()
        try await keepFile(of: organisation.id, on: host, database)
        var tenant = Tenant(organisation: organisation, ids: try await ids(of: organisation.id, database))
        let makers = endpoints.filter { $0.method == "POST" && !$0.isPublic && !$0.isAboutSessions && !$0.isStream }
        // Twice: what one makes another may need.
        for _ in 1...2 {
            for maker in makers {
                guard let path = maker.path(tenant.parameters(for: maker)) else { continue }
                for body in maker.bodies(ids: { tenant.id(in: $0) }) {
                    if try await organisation.api.call("POST", path, body).status < 300 { break }
                }
            }
            tenant = Tenant(organisation: organisation, ids: try await ids(of: organisation.id, database))
        }
        await database.shutdown()
        return tenant
    }

    /// A file of the message, as if it had been fetched: no endpoint makes one.
    private static func keepFile(of organisation: String, on host: RunningHost, _ database: Postgres) async throws {
        let rows = try await database.query(
            """
            INSERT INTO attachments (org_id, message_id, place, type, status, content_type, size, sha256)
            SELECT org_id, id, 0, 'file', 'stored', 'text/plain', 5, sha256('hello')
              FROM messages WHERE org_id = \(organisation)::uuid LIMIT 1
            RETURNING id::text AS id
            """
        )
        let folder = host.attachmentFolder + "/" + organisation
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let id = try rows.first?.get("id", as: String.self) ?? ""
        try Data("hello".utf8).write(to: URL(fileURLWithPath: folder + "/" + id))
    }

    private static func ids(of organisation: String, _ database: Postgres) async throws -> [String: String] {
        let tables: [String] = try await database.query(
            """
            SELECT c.table_name::text AS name
              FROM information_schema.columns c
             WHERE c.table_schema = 'public' AND c.column_name IN ('org_id', 'id') AND c.data_type = 'uuid'
             GROUP BY c.table_name
            HAVING count(*) = 2
            """
        ).map { try $0.get("name") }
        var ids: [String: String] = [:]
        for table in tables {
            let rows = try await database.query(
                SQL(
                    stringLiteral:
                        "SELECT id::text AS id FROM \(table) WHERE org_id = '\(organisation)' ORDER BY id LIMIT 1"
                )
            )
            ids[table] = try rows.first?.get("id")
        }
        return ids
    }
}

/// One of us, who asks for what is theirs.
private struct Intruder {
    let endpoint: Endpoint
    let ours: Tenant
    let theirs: Tenant

    /// A well-formed id that no row has.
    private let nowhere = "01936f5e-7a00-7000-8000-00000000dead"

    func nameTheirOrganisation() async throws {
        guard endpoint.namesOrganisation else { return }
        var values = theirs.parameters(for: endpoint)
        for (parameter, _) in endpoint.ids where values[parameter] == nil { values[parameter] = nowhere }
        let body = endpoint.bodies(ids: { theirs.id(in: $0) }).last ?? nil
        let refused = try await ask(values, body)
        values["orgId"] = nowhere
        let unknown = try await ask(values, body)

        #expect(refused.status == 403, "\(endpoint): \(refused.text)")
        #expect(refused.told == unknown.told, "\(endpoint) tells whether an organisation exists")
    }

    func nameTheirRowsInThePath() async throws {
        for (parameter, table) in endpoint.ids {
            guard let id = theirs.id(in: table) else {
                Issue.record(
                    "\(endpoint): no endpoint's example makes a row of \(table), so there is none of theirs to name"
                )
                continue
            }
            var values = ours.parameters(for: endpoint)
            var wasLookedFor = false
            for body in endpoint.bodies(ids: { ours.id(in: $0) }) {
                values[parameter] = id
                let refused = try await ask(values, body)
                values[parameter] = nowhere
                let unknown = try await ask(values, body)
                #expect([404, 422].contains(refused.status), "\(endpoint): \(refused.text)")
                #expect(refused.told == unknown.told, "\(endpoint) tells whether \(parameter) exists")
                wasLookedFor = wasLookedFor || refused.status == 404
            }
            #expect(wasLookedFor, "\(endpoint): no body made of the examples is valid")
        }
    }

    func nameTheirRowsInTheBody() async throws {
        let values = ours.parameters(for: endpoint)
        for field in endpoint.bodyFieldsWithIds {
            for id in candidates(for: field) {
                let maker = ExampleMaker(ids: { _ in id }, fallback: "any")
                guard let value = maker.value(of: field) else { continue }
                var isNamed = false
                for body in endpoint.bodies(ids: { ours.id(in: $0) }, fixed: JSON.Member(field.name, value)) {
                    let refused = try await ask(values, body)
                    #expect(
                        refused.status == 422,
                        "\(endpoint) with \(body?.text ?? ""): \(refused.status) \(refused.text)"
                    )
                    isNamed = isNamed || refused.pointers.contains { $0.hasPrefix("/" + field.name) }
                }
                #expect(isNamed, "\(endpoint) doesn't name \(field.name)")
            }
        }
    }

    /// The id that the member's name asks for, or one of each table where it tells none.
    private func candidates(for field: Field) -> [String] {
        if let id = theirs.id(in: Endpoint.table(named: field.name)) { return [id] }
        return theirs.ids.sorted { $0.key < $1.key }.map(\.value)
    }

    func nameTheirRowsInTheQuery() async throws {
        guard let path = endpoint.path(ours.parameters(for: endpoint)) else { return }
        for field in endpoint.input.query {
            guard case .uuid = field.type else { continue }
            let id = theirs.id(in: Endpoint.table(named: field.name)) ?? theirs.organisation.user
            let answer = try await ours.api.call(endpoint.method, "\(path)?\(field.name)=\(id)")
            #expect([200, 422].contains(answer.status), "\(endpoint): \(answer.text)")
            #expect(answer.data.isEmpty, "\(endpoint) by \(field.name)")
        }
    }

    func readOurOwn() async throws {
        let answer = try await ask(ours.parameters(for: endpoint), nil)
        #expect(answer.status == 200, "\(endpoint): \(answer.text)")
    }

    /// Asks in our name, and sees to it that nothing comes back that we haven't said ourselves.
    private func ask(_ values: [String: String], _ body: JSON?) async throws -> APIClient.Answer {
        guard let path = endpoint.path(values) else { throw Missing(endpoint: endpoint) }
        let answer = try await ours.api.call(endpoint.method, path, body)
        let said = path + (body?.text ?? "")
        let learned = theirs.ids.filter { !said.contains($0.value) && answer.text.contains($0.value) }
        #expect(learned.keys.sorted() == [], "\(endpoint) tells \(learned)")
        return answer
    }

    struct Missing: Error, CustomStringConvertible {
        let endpoint: Endpoint
        var description: String { "\(endpoint): there is no row of ours to name in its path" }
    }
}

extension APIClient.Answer {
    /// A problem without what differs from request to request.
    fileprivate var told: String {
        var problem = object
        problem["instance"] = nil
        problem["requestId"] = nil
        // Serialisation of what was parsed can't fail.
        let bytes = (try? JSONSerialization.data(withJSONObject: problem, options: .sortedKeys)) ?? body
        return "\(status) \(String(decoding: bytes, as: UTF8.self))"
    }

    fileprivate var pointers: [String] {
        (object["errors"] as? [[String: Any]] ?? []).compactMap { $0["pointer"] as? String }
    }
}

/// A checksum over the rows of each table, of all organisations; but not of what is added up from others at its own time.
private struct RowChecksums {
    private let database: Postgres

    init(_ database: TestDatabase) throws {
        self.database = database.owner()
    }

    func take() async throws -> [String: String] {
        let tables: [String] = try await database.query(
            """
            SELECT tablename::text AS name FROM pg_tables
             WHERE schemaname = 'public' AND tablename NOT LIKE 'analytics%' AND tablename <> 'schedules'
             ORDER BY 1
            """
        ).map { try $0.get("name") }
        let parts = tables.map { table in
            """
            SELECT '\(table)' AS name, count(*) || ' ' || coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') AS rows
              FROM \(table) t
            """
        }
        let rows = try await database.query(SQL(stringLiteral: parts.joined(separator: " UNION ALL ")))
        return Dictionary(
            uniqueKeysWithValues: try rows.map {
                (try $0.get("name", as: String.self), try $0.get("rows", as: String.self))
            }
        )
    }

    func close() async { await database.shutdown() }
}
