import Testing

@testable import Postgres

@Suite struct SQLTests {
    @Test func bindsWhatIsInterpolated() {
        let sql: SQL = "SELECT \(1) WHERE name = \("x'; DROP TABLE t; --")"

        #expect(sql.text == "SELECT $1 WHERE name = $2")
        #expect(sql.parameters.map(\.text) == ["1", "x'; DROP TABLE t; --"])
    }

    @Test func bindsNilAsNull() {
        let nobody: String? = nil

        let sql: SQL = "SELECT \(nobody), \(Optional("a"))"

        #expect(sql.parameters.map(\.text) == [nil, "a"])
    }

    @Test func renumbersWhatIsSpliced() {
        let condition: SQL = "a = \(2) AND b = '$1' AND c = \(3)"

        let sql: SQL = "SELECT \(1) WHERE \(raw: condition) LIMIT \(4)"

        #expect(sql.text == "SELECT $1 WHERE a = $2 AND b = '$1' AND c = $3 LIMIT $4")
        #expect(sql.parameters.map(\.text) == ["1", "2", "3", "4"])
    }

    @Test func renumbersBeyondNinePlaceholders() {
        let parts = (1...12).map { number -> SQL in "\(number)ü" }

        let sql: SQL = "SELECT \(0), \(raw: SQL.joined(parts, separator: ", "))!"

        #expect(sql.text == "SELECT $1, " + (2...13).map { "$\($0)ü" }.joined(separator: ", ") + "!")
        #expect(sql.parameters.map(\.text) == (0...12).map(String.init))
    }

    @Test func addsUp() {
        var sql: SQL = "SELECT \(1)"
        sql += " WHERE \(2) = ANY(\([3, 4]))"

        #expect((sql + " LIMIT \(5)").text == "SELECT $1 WHERE $2 = ANY($3) LIMIT $4")
    }

    @Test func quotesIdentifiers() {
        #expect(SQL.identifier("a\"b").text == "\"a\"\"b\"")
    }
}
