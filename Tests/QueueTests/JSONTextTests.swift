import Foundation
import Testing

@testable import Queue

@Suite struct JSONTextTests {
    @Test func readsEveryKindOfValue() {
        let text = #" {"a":[1,-2.5e3,true,false,null,"x\/\n\u00e9\ud83d\ude00"],"b":{},"c":[] } "#

        let value = JSONText(parsing: text)

        #expect(
            value
                == .object([
                    "a": .array([.number(1), .number(-2500), .bool(true), .bool(false), .null, .string("x/\né😀")]),
                    "b": .object([:]), "c": .array([]),
                ])
        )
    }

    @Test(arguments: ["", "{", "[1,]", "{\"a\" 1}", "tru", "\"a", "1 2", "{\"a\":1,}", "\"\\x\"", "[\"\\ud83"])
    func refusesWhatIsNoJSON(_ text: String) {
        #expect(JSONText(parsing: text) == nil)
    }

    @Test func refusesWhatIsNestedTooDeep() {
        #expect(JSONText(parsing: String(repeating: "[", count: 100_000)) == nil)
    }

    @Test(arguments: ["plain", "quote \" and \\", "line\nreturn\rtab\tbell\u{7}", "Grüße 😀/", ""])
    func writesStringsThatEveryReaderUnderstands(_ string: String) throws {
        let quoted = JSONText.quoted(string)

        #expect(JSONText(parsing: quoted) == .string(string))
        #expect(try JSONDecoder().decode([String].self, from: Data("[\(quoted)]".utf8)) == [string])
    }
}
