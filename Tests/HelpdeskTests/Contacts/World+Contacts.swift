import Foundation
import Functions
import Postgres
import Redis
import TestSupport

extension World {
    /// The id of the contact that a search finds first.
    func contact(_ words: String, of caller: Caller) async throws -> String {
        try await call("list-contacts", as: caller, query: [("q", words)]).text("data.0.id")
    }

    func merge(_ contact: String, into other: String, as caller: Caller) async throws -> Reply {
        try await call("merge-contacts", as: caller, path: ["contactId": contact], body: ["intoId": .string(other)])
    }

    func erase(_ contact: String, as caller: Caller) async throws -> Reply {
        try await call("erase-contact", as: caller, path: ["contactId": contact])
    }

    func showContact(_ contact: String, as caller: Caller) async throws -> Reply {
        try await call("get-contact", as: caller, path: ["contactId": contact])
    }

    /// Where in the database any of the words is found, in any column of any table that can hold text: `table.column`.
    func columns(holding words: [String]) async throws -> [String] {
        let columns = try await owner.query(
            """
            SELECT c.relname::text AS table, a.attname::text AS column,
                   CASE a.atttypid WHEN 'bytea'::regtype THEN 'encode(' || quote_ident(a.attname) || ', ''escape'')'
                                   ELSE quote_ident(a.attname) || '::text' END AS text
              FROM pg_class c
              JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
               AND a.atttypid NOT IN ('uuid'::regtype, 'timestamptz'::regtype, 'boolean'::regtype, 'integer'::regtype)
             ORDER BY 1, 2
            """
        )
        var found: [String] = []
        for column in columns {
            let (table, name) = (try column.get("table", as: String.self), try column.get("column", as: String.self))
            let text = try column.get("text", as: String.self)
            let statement = """
                SELECT count(*) AS n FROM \(table)
                 WHERE EXISTS (SELECT FROM unnest($1::text[]) w WHERE position(lower(w) IN lower(\(text))) > 0)
                """
            let parts = statement.components(separatedBy: "$1")
            let sql = SQL(stringLiteral: parts[0]) + "\(words)" + SQL(stringLiteral: parts[1])
            if try await owner.query(sql)[0].get("n", as: Int.self) > 0 { found.append("\(table).\(name)") }
        }
        return found
    }

    /// The keys of this world in Redis that hold any of the words.
    func keys(holding words: [String]) async throws -> [String] {
        var found: [String] = []
        var cursor = "0"
        repeat {
            let page = try await services.redis.command([
                "SCAN", .string(cursor), "MATCH", .string("test:\(database.name)*"), "COUNT", "1000",
            ])
            cursor = page.array?.first?.string ?? "0"
            for key in page.array?.last?.array?.compactMap(\.string) ?? [] {
                let type = try await services.redis.command(["TYPE", .string(key)]).string
                let content =
                    switch type {
                    case "hash": try await services.redis.command(["HGETALL", .string(key)])
                    case "stream": try await services.redis.command(["XRANGE", .string(key), "-", "+"])
                    case "list": try await services.redis.command(["LRANGE", .string(key), "0", "-1"])
                    case "zset": try await services.redis.command(["ZRANGE", .string(key), "0", "-1"])
                    default: try await services.redis.command(["GET", .string(key)])
                    }
                if words.contains(where: "\(content)".lowercased().contains) { found.append(key) }
            }
        } while cursor != "0"
        return found
    }
}
