import Testing

@testable import Manifest

@Suite struct RouteTableTests {
    private static let id = "0189f7ea-ae2c-7f6b-8b8b-0189f7eaae2c"
    private static let routes = [
        "GET /", "GET /orgs/:orgId/tickets", "POST /orgs/:orgId/tickets", "GET /orgs/analytics/tickets",
        "GET /orgs/:orgId/tickets/:ticketId", "GET /orgs/macros/:orgId", "PUT /orgs/macros/:orgId/:id",
        "DELETE /orgs/users/invites/:id", "GET /orgs/users/invites/list", "GET /files/:name", "GET /files/:number",
        "GET /files/:id/parts", "PATCH /orgs/:orgId",
    ]
    private let table: RouteTable

    init() throws {
        let functions = Self.routes.enumerated().map { index, route in
            "  do-x\(index): { handler: T/DoX\(index), http: \(route), access: public }"
        }
        let manifest = try Manifest.parse(
            """
            version: 1
            name: routes
            defaults: { params: { orgId: uuid, ticketId: uuid, id: uuid, name: string, number: integer } }
            functions:
            \(functions.joined(separator: "\n"))
            """
        )
        table = RouteTable(manifest.functions)
    }

    /// Method, path, the route that is found and its parameters.
    static let found: [(String, String, String, [String: String])] = [
        ("GET", "/", "GET /", [:]),
        ("GET", "/orgs/\(id)/tickets", "GET /orgs/:orgId/tickets", ["orgId": id]),
        ("GET", "/orgs/\(id.uppercased())/tickets", "GET /orgs/:orgId/tickets", ["orgId": id.uppercased()]),
        ("POST", "/orgs/\(id)/tickets", "POST /orgs/:orgId/tickets", ["orgId": id]),
        ("HEAD", "/orgs/\(id)/tickets", "GET /orgs/:orgId/tickets", ["orgId": id]),
        ("GET", "/orgs/analytics/tickets", "GET /orgs/analytics/tickets", [:]),
        ("GET", "/orgs/analyt%69cs/tickets", "GET /orgs/analytics/tickets", [:]),
        ("GET", "/orgs/macros/\(id)", "GET /orgs/macros/:orgId", ["orgId": id]),
        ("PUT", "/orgs/macros/\(id)/\(id)", "PUT /orgs/macros/:orgId/:id", ["orgId": id, "id": id]),
        ("DELETE", "/orgs/users/invites/\(id)", "DELETE /orgs/users/invites/:id", ["id": id]),
        ("GET", "/files/a%2Fb%20%C3%A9+c", "GET /files/:name", ["name": "a/b é+c"]),
        ("GET", "/files/..", "GET /files/:name", ["name": ".."]),
        ("GET", "/files/42", "GET /files/:number", ["number": "42"]),
        ("GET", "/files/4222222222222222222", "GET /files/:name", ["name": "4222222222222222222"]),
        ("GET", "/files/\(id)/parts", "GET /files/:id/parts", ["id": id]),
        ("GET", "/files/\(id)", "GET /files/:name", ["name": id]),
    ]

    @Test(arguments: found) func findsTheFunction(
        method: String,
        path: String,
        route: String,
        parameters: [String: String]
    ) throws {
        guard case .found(let index, let values) = table.match(method: method, path: path) else {
            Issue.record("\(method) \(path) isn't found")
            return
        }

        #expect(Self.routes[index] == route)
        #expect(Dictionary(uniqueKeysWithValues: Array(values)) == parameters)
    }

    @Test(arguments: [
        "", "orgs", "/nowhere", "//", "/orgs", "/orgs/", "/orgs/not-a-uuid/tickets", "/orgs/\(id)/tickets/",
        "/orgs//tickets", "/orgs/\(id)/Tickets", "/files/", "/files/%", "/files/%4", "/files/%zz", "/files/%00",
        "/files/%ff", "/orgs/\(id)x/tickets", "/orgs/\(id)/tickets/\(id)/more", "/orgs/analytics%2Ftickets",
        "*", "http://x/orgs",
    ]) func findsNothing(path: String) {
        #expect(table.match(method: "GET", path: path) == .notFound)
        #expect(table.match(method: "OPTIONS", path: path) == .notFound)
        #expect(table.allowedMethods(path: path).isEmpty)
    }

    @Test func tellsTheMethodsThatAPathHas() {
        let tickets = "/orgs/\(Self.id)/tickets"

        #expect(
            table.match(method: "DELETE", path: tickets) == .wrongMethod(allow: ["GET", "HEAD", "OPTIONS", "POST"])
        )
        #expect(
            table.match(method: "OPTIONS", path: tickets) == .wrongMethod(allow: ["GET", "HEAD", "OPTIONS", "POST"])
        )
        #expect(
            table.match(method: "POST", path: "/orgs/analytics/tickets")
                == .wrongMethod(allow: ["GET", "HEAD", "OPTIONS"])
        )
        #expect(table.match(method: "HEAD", path: "/orgs/\(Self.id)") == .wrongMethod(allow: ["OPTIONS", "PATCH"]))
        #expect(table.match(method: "get", path: "/") == .wrongMethod(allow: ["GET", "HEAD", "OPTIONS"]))
        #expect(table.allowedMethods(path: tickets) == ["GET", "HEAD", "OPTIONS", "POST"])
    }

    @Test func takesSubstringsAndForeignStrings() {
        let request = "GET /orgs/analytics/tickets HTTP/1.1"

        #expect(
            table.match(method: "GET", path: request.split(separator: " ")[1])
                == table.match(method: "GET", path: "/orgs/analytics/tickets")
        )
    }
}
