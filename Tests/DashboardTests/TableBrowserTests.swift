import Postgres
import TestSupport
import Testing

@testable import Dashboard

@Suite struct TableBrowserTests {
    @Test(arguments: [(false, "•••"), (true, "Acme <Holdings>")])
    func masksWhatPeopleWroteUnlessItIsAskedFor(shows: Bool, expected: String) async throws {
        let database = try await Self.populated()
        let browser = TableBrowser(database.owner(), organisation: nil, showsData: shows)

        let page = try #require(try await browser.page(0, of: "organisations"))

        func value(_ column: String) throws -> String? {
            page.rows.first?[try #require(page.columns.firstIndex { $0.name == column })]
        }
        #expect(page.rows.count == 1)
        #expect(try value("name") == expected)
        #expect(try value("id")?.count == 36)
        #expect(try value("created_at")?.hasPrefix("20") == true)
    }

    @Test func neverShowsWhatIsSecret() async throws {
        let database = try await Self.populated()
        let browser = TableBrowser(database.owner(), organisation: nil, showsData: true)

        var secrets: [String] = []
        for table in try await browser.tables() {
            let page = try #require(try await browser.page(0, of: table.name))
            secrets += page.columns.filter(\.isMasked).map { "\(table.name).\($0.name)" }
        }

        for column in ["users.password_hash", "channels.credentials", "invites.token_hash"] {
            #expect(secrets.contains(column), "\(secrets)")
        }
    }

    @Test func namesEveryTableAndNoOther() async throws {
        let database = try await Self.populated()
        let browser = TableBrowser(database.owner(), organisation: nil, showsData: false)

        let names = try await browser.tables().map(\.name)

        #expect(names.contains("tickets") && names.contains("messages"))
        #expect(try await browser.page(0, of: "pg_class") == nil)
        #expect(try await browser.page(0, of: "tickets; DROP TABLE tickets") == nil)
    }

    @Test func escapesWhatItShows() {
        let page = TableBrowser.Page(
            columns: [TableBrowser.Column(name: "name", type: "text", isMasked: false)],
            rows: [["<script>alert('1')</script>"], [nil]],
            hasMore: true
        )

        let html = TablePages.rows(page, of: "<t>", number: 1)

        #expect(!html.contains("<script>"))
        #expect(html.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;"))
        #expect(html.contains("?page=0") && html.contains("?page=2"))
    }

    private static func populated() async throws -> TestDatabase {
        let database = try await TestDatabase.make()
        _ = try await database.rows("INSERT INTO organisations (name, slug) VALUES ('Acme <Holdings>', 'acme')")
        return database
    }
}
